"""Damage of an SQLite database, by the result codes (https://www.sqlite.org/rescode.html)."""

from __future__ import annotations

import sqlite3

_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_UNSUPPORTED = "unsupported file format"  # a damaged header; its code is that of any error


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether the error says that the file is damaged, or no database."""
    code = getattr(error, "sqlite_errorcode", None)  # absent where the error is Python's
    if code is None:
        return False
    return code & 0xFF in _DAMAGE or str(error) == _UNSUPPORTED
