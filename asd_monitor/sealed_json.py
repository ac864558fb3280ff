"""JSON objects that end with their own SHA-256, so that a changed byte is noticed.

The last line of such a file is the key ``sha256``: the hash of all that stands before it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

M = TypeVar("M", bound=BaseModel)
_SEAL = re.compile(rb',\n "sha256": "([0-9a-f]{64})"\n}\n')
_SEAL_BYTES = 82


def sealed_json(document: Mapping[str, Any]) -> tuple[bytes, str]:
    """Return an object as JSON that ends with its SHA-256, and that hash.

    Raises ValueError on NaN and infinity.
    """
    body = json.dumps(document, indent=1, allow_nan=False).removesuffix("\n}").encode()
    sha256 = hashlib.sha256(body).hexdigest()
    return body + f',\n "sha256": "{sha256}"\n}}\n'.encode(), sha256


def seal_of(content: bytes) -> str | None:
    """Return the hash with which the content ends; None where it ends with none.

    Raises ValueError where it is not that of the content.
    """
    seal = _SEAL.fullmatch(content[-_SEAL_BYTES:])
    if seal is None:
        return None
    if hashlib.sha256(content[:-_SEAL_BYTES]).hexdigest().encode() != seal[1]:
        raise ValueError("was changed after it was written: its hash differs")
    return seal[1].decode()


def sealed_document(content: bytes, form: type[M]) -> M:
    """Return the object in the content, which must end with its hash and have this form.

    Raises ValueError with a text that follows the name of the file, and RecursionError as
    `parsed_json`.
    """
    seal = seal_of(content)
    document = parsed_json(content)
    try:
        checked = checked_document(document, form)
    except ValueError as error:
        raise ValueError(f"is invalid: {error}") from error
    if seal is None:
        raise ValueError("has no hash")
    return checked


def checked_document(document: Mapping[str, Any], form: type[M]) -> M:
    """Return an object in this form.  Raises ValueError with the first problem and its key."""
    try:
        return form.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{key[:100]}: {first['msg']}") from error


def parsed_json(content: bytes) -> dict[str, Any]:
    """Return the object in the content, its hash as ``sha256``.

    Raises ValueError where it is malformed, is no object, or has a number that is not finite;
    RecursionError where it is nested too deeply.
    """
    document = json.loads(content, parse_constant=_refuse_constant)
    if not isinstance(document, dict):
        raise ValueError("is malformed")  # noqa: TRY004 - one class for any damage
    return document


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number of JSON")
