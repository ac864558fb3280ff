"""The token of the page, and what proves that somebody has given it.

A session cookie has its end and a signature.  It is signed with the token and a secret of the state
folder: sessions survive restarts, and another token ends them.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from asd_monitor.errors import UsageError
from asd_monitor.limited_reading import read_limited
from asd_monitor.private_files import create_private_file, write_private_file

MIN_TOKEN_CHARS = 16
SESSION_S = 7 * 86400
"""How long a session lasts, in s."""
_CLOCK_STEP_S = 86_400
"""By which the clock may be set back without the end of the newest sessions."""
_MAX_TOKEN_BYTES = 4096
_SECRET_FILE = "page-secret"  # noqa: S105 - a file name
_SECRET_BYTES = 32


def read_token(path: Path) -> str:
    """Return the first line of a token file.  Raises `UsageError`."""
    remedy = f"write {MIN_TOKEN_CHARS} or more on its first line, as by `openssl rand -hex 24`"
    try:
        lines = read_limited(path, _MAX_TOKEN_BYTES).decode().splitlines()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"the token file {path} cannot be read ({why}): name a readable text file in"
            " http.token_file"
        ) from error
    token = lines[0].strip() if lines else ""
    if len(token) < MIN_TOKEN_CHARS:
        raise UsageError(f"the token in {path} has {len(token)} characters: {remedy}")
    return token


def read_secret(state: Path) -> bytes:
    """Return the secret of a state folder, which is made where there is none.

    Where it cannot be stored, one for this process is returned: sessions end with it.
    """
    path = state / _SECRET_FILE
    try:
        if not path.exists():
            create_private_file(path)
            write_private_file(path, os.urandom(_SECRET_BYTES))
        secret = read_limited(path, _SECRET_BYTES)
    except (OSError, ValueError):
        return os.urandom(_SECRET_BYTES)
    if len(secret) < _SECRET_BYTES:  # a kill has left it incomplete
        secret = os.urandom(_SECRET_BYTES)
        try:
            write_private_file(path, secret)
        except OSError:
            return secret
    return secret


class Access:
    """Checks tokens, sessions and forms.

    Args:
        token: The token; None: everybody has access who reaches the page.
        secret: Signs sessions and forms.

    """

    def __init__(self, token: str | None, secret: bytes) -> None:
        self._token = token
        self._key = hashlib.sha256(secret + (token or "").encode()).digest()

    @property
    def is_open(self) -> bool:
        """Whether no token is needed."""
        return self._token is None

    def is_token(self, given: str) -> bool:
        """Return whether this is the token, in a time that does not depend on the text."""
        known = hashlib.sha256((self._token or "").encode()).digest()
        same = hmac.compare_digest(known, hashlib.sha256(given.encode()).digest())
        return self._token is not None and same

    def new_session(self, now_s: float) -> str:
        """Return the cookie of a new session."""
        body = f"{int(now_s) + SESSION_S}.{secrets.token_hex(16)}"
        return f"{body}.{self._signed('session', body)}"

    def is_session(self, cookie: str, now_s: float) -> bool:
        """Return whether a cookie is that of a session that has not ended."""
        body, _, signature = cookie.rpartition(".")
        end = body.partition(".")[0]
        if not hmac.compare_digest(self._signed("session", body).encode(), signature.encode()):
            return False
        if not (end.isascii() and end.isdigit()):
            return False
        # of a clock that was years ahead, the session would last for years
        return now_s < int(end) <= now_s + SESSION_S + _CLOCK_STEP_S

    def form_key(self, session: str) -> str:
        """Return what the forms of a session contain, so that no other site can send them."""
        return self._signed("form", session)

    def is_form_key(self, given: str, session: str) -> bool:
        """Return whether a form is one of this session."""
        return hmac.compare_digest(self.form_key(session).encode(), given.encode())

    def _signed(self, purpose: str, text: str) -> str:
        return hmac.new(self._key, f"{purpose}:{text}".encode(), hashlib.sha256).hexdigest()
