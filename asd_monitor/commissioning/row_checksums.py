"""The checksum of each row of the stored live blocks, and whether the tables are as they were made.

`row_crc` is the CRC-32 of the columns before it, and `crc` among these that of the content: a row
is verified without reading its content.
"""

from __future__ import annotations

import contextlib
import functools
import sqlite3
import zlib
from collections.abc import Sequence

from asd_monitor.commissioning.store_errors import DamagedTablesError

CHECKED = {
    "facts": "name, value",
    "blocks": "time, age, hour, band, alarm, level, windows, crc",
}
"""The columns of each table that `row_crc` is the checksum of."""

_Columns = list[list[tuple[object, ...]]]


def row_checksum(values: Sequence[object]) -> int:
    """Return the checksum of the columns of a row."""
    return zlib.crc32(repr(tuple(values)).encode("utf-8", "backslashreplace"))


def is_row_intact(values: Sequence[object], row_crc: object, content: object) -> bool:
    """Return whether a row is as it was written; the checksum of its content is the last value."""
    return (
        isinstance(content, bytes)
        and row_checksum(values) == row_crc
        and zlib.crc32(content) == values[-1]
    )


def decoded(text: bytes) -> str:
    """Return text of a row, also where it is damaged and no UTF-8."""
    return text.decode("utf-8", "surrogateescape")


def check_tables(database: sqlite3.Connection, tables: str) -> None:
    """Check the columns against their definition; raises DamagedTablesError where they differ."""
    if _columns(database) != _expected_columns(tables):
        raise DamagedTablesError("its tables are not those of this version")


def _columns(database: sqlite3.Connection) -> _Columns:
    """Return name, type, whether it is required, and place in the key of each table's columns."""
    return [
        [(row[1], row[2], row[3], row[5]) for row in database.execute(f"PRAGMA table_info({name})")]
        for name in CHECKED
    ]


@functools.cache
def _expected_columns(tables: str) -> _Columns:
    with contextlib.closing(sqlite3.connect(":memory:")) as empty:
        empty.executescript(tables)
        return _columns(empty)
