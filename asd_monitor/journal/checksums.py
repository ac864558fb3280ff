"""A checksum for each row of the journal.

SQLite's own check does not see a flipped bit inside a value: the row is read, with another value.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

_DIGEST_BYTES = 8

Value = str | int | float | bytes | None
"""What SQLite stores in a column."""


def row_checksum(table: str, values: Sequence[Value]) -> str:
    """Return the checksum of a row, 16 hexadecimal digits of BLAKE2b (RFC 7693).

    It covers the name of the table, the order, the types and the values of the columns.
    """
    text = _ENCODER.encode([table, *values])  # ASCII: the same in every version
    return hashlib.blake2b(text.encode(), digest_size=_DIGEST_BYTES).hexdigest()


def is_intact(table: str, row: Sequence[Value]) -> bool:
    """Return whether the last column is the checksum of the others."""
    return bool(row) and row[-1] == row_checksum(table, row[:-1])


def _as_text(value: object) -> str:
    """Return bytes, and what SQLite will refuse, as text."""
    return f"{type(value).__name__} {value.hex() if isinstance(value, bytes) else value!r}"


_ENCODER = json.JSONEncoder(default=_as_text)
