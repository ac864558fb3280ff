"""Removal of secrets from texts and documents; pure.

Known secrets are searched for in every form in which a program may write them.  What has the form
of a secret is removed as well: passwords in URLs, values after such words as ``password=``, private
keys.
"""

from __future__ import annotations

import base64
import json
import re
import unicodedata
from collections.abc import Collection, Iterator
from typing import Any
from urllib.parse import quote, quote_plus

REMOVED = "[removed]"
SECRET_NAME = re.compile(
    r"passw|passphrase|kennwort|secret|token|credential|private|api_?key|auth|"
    r"(?:^|_|-)(?:key|pw|pwd|pass)$",
    re.IGNORECASE,
)
"""Names of settings and variables whose values are secrets."""
_LONG = 6  # characters, from which a secret is removed also inside a longer word
_FORMS = (
    (re.compile(r"([a-z][a-z0-9+.-]*://)[^/\s@\"']+@", re.IGNORECASE), rf"\1{REMOVED}@"),
    (
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
            re.DOTALL,
        ),
        REMOVED,
    ),
    (re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9+/=._~-]{6,}", re.IGNORECASE), rf"\1 {REMOVED}"),
    (
        re.compile(
            r"\b((?:\w*password|\w*passwd|passphrase|\w*kennwort|\w*pwd|pass|\w*secret|\w*token|"
            r"api_?key)[\"']?\s*[=:]\s*)"
            r"(\"[^\"\n]*\"|'[^'\n]*'|[^\s,;}\"']+)",
            re.IGNORECASE,
        ),
        rf"\1{REMOVED}",
    ),
)


class Redaction:
    """Removes secrets; ``secrets`` are those that are known."""

    def __init__(self, secrets: Collection[str]) -> None:
        written = {each for secret in secrets for each in _spellings(secret)}
        forms = {form for each in written for form in _forms(each) if form.strip()}
        # the longest first: a secret may contain another
        ordered = sorted(forms, key=lambda form: (-len(form), form))
        self._known = re.compile("|".join(map(_pattern, ordered)), re.IGNORECASE) if forms else None

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        if self._known is not None:
            text = self._known.sub(REMOVED, text)
        for form, replacement in _FORMS:
            text = form.sub(replacement, text)
        return text

    def document(self, value: Any) -> Any:
        """Return a JSON document without secrets, also in its keys and numbers."""
        match value:
            case str():
                return self.text(value)
            case bool() | None:
                return value
            case int() | float():
                return value if self.text(str(value)) == str(value) else REMOVED
            case dict():
                return {self.text(str(key)): self.document(each) for key, each in value.items()}
            case list() | tuple():
                return [self.document(each) for each in value]
        return self.text(str(value))


def _spellings(secret: str) -> Iterator[str]:
    """Yield a secret in other cases and compositions of its letters: ß is SS in upper case."""
    for each in (secret, secret.upper(), secret.lower(), secret.casefold()):
        for form in ("NFC", "NFD"):
            yield unicodedata.normalize(form, each)
        yield each


def _forms(secret: str) -> Iterator[str]:
    """Yield a secret as it is and as programs write it."""
    yield secret
    yield json.dumps(secret)[1:-1]
    yield repr(secret)[1:-1]
    yield quote(secret, safe="")
    yield quote_plus(secret)
    if len(secret) >= _LONG:
        encoded = secret.encode("utf-8", "surrogateescape")
        for before in range(3):  # bytes before it, such as those of `user:`
            whole = 3 * ((before + len(encoded)) // 3)  # of what follows, the last digit depends
            digits = base64.b64encode((bytes(before) + encoded)[:whole])[-(-before * 8 // 6) :]
            yield digits.decode()
            yield digits.translate(bytes.maketrans(b"+/", b"-_")).decode()
        yield encoded.hex()


def _pattern(form: str) -> str:
    escaped = re.escape(form)
    return escaped if len(form) >= _LONG else rf"(?<!\w){escaped}(?!\w)"
