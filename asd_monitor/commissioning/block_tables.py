"""The tables of the stored live blocks: definition, and their rows as values.

A row of `blocks` holds one block.  The table `facts` holds the progress of the commissioning, and
the features of which all vectors are.  Each row has the checksums of
`asd_monitor.commissioning.row_checksums`.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from asd_monitor.commissioning.blocks import Layout, LiveBlock, Stratum
from asd_monitor.commissioning.redundancy import BlockEntry
from asd_monitor.commissioning.row_checksums import CHECKED, is_row_intact, row_checksum
from asd_monitor.commissioning.schedule import Progress, RefitNote
from asd_monitor.commissioning.store_errors import DamagedTablesError

FORMAT = 3
TABLES = f"""
CREATE TABLE facts (
    name TEXT PRIMARY KEY, value TEXT NOT NULL, row_crc INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE blocks (
    number INTEGER PRIMARY KEY, time REAL NOT NULL, age REAL NOT NULL, hour INTEGER NOT NULL,
    band INTEGER NOT NULL, alarm INTEGER NOT NULL, level REAL NOT NULL, windows INTEGER NOT NULL,
    crc INTEGER NOT NULL, content BLOB NOT NULL, row_crc INTEGER NOT NULL
);
PRAGMA user_version = {FORMAT};
"""


def clear(database: sqlite3.Connection) -> None:
    """Delete all rows."""
    database.execute("DELETE FROM blocks")
    database.execute("DELETE FROM facts")


def read_progress(database: sqlite3.Connection) -> Progress | None:
    """Return how far the commissioning has come; None: it has not begun."""
    text = _fact(database, "progress")
    if text is None:
        return None
    document: dict[str, Any] = json.loads(text)
    last: Mapping[str, Any] | None = document.pop("last")
    return Progress(**document, last=None if last is None else RefitNote(**last))


def write_progress(database: sqlite3.Connection, progress: Progress) -> None:
    """Write how far the commissioning has come."""
    _set_fact(database, "progress", json.dumps(asdict(progress)))


def read_layout(database: sqlite3.Connection) -> tuple[str, Layout] | None:
    """Return the feature key and the layout of the vectors; None: there are none."""
    key, text = _fact(database, "features"), _fact(database, "layout")
    if key is None or text is None:
        return None
    return key, Layout((str(name), int(size)) for name, size in json.loads(text))


def make_uniform(database: sqlite3.Connection, key: str, layout: Layout) -> None:
    """Delete the blocks whose vectors are of other features, and note these features."""
    if read_layout(database) != (key, layout):
        database.execute("DELETE FROM blocks")
        _set_fact(database, "features", key)
        _set_fact(database, "layout", json.dumps(layout))


def read_entries(database: sqlite3.Connection) -> list[BlockEntry]:
    """Return number, time and stratum of every block whose row is intact."""
    rows = database.execute(
        f"SELECT number, {CHECKED['blocks']}, row_crc FROM blocks"  # noqa: S608 - constants
    )
    return [
        BlockEntry(number, values[0], Stratum(values[2], values[3], bool(values[4])))
        for number, *values, row_crc in rows
        if row_checksum(values) == row_crc
    ]


def delete_damaged_blocks(database: sqlite3.Connection) -> None:
    """Delete the blocks whose rows are damaged; a damaged content is found where it is read."""
    intact = {entry.number for entry in read_entries(database)}
    numbers = {number for (number,) in database.execute("SELECT number FROM blocks")}
    delete_blocks(database, numbers - intact)


def stored_bytes(database: sqlite3.Connection) -> int:
    """Return the size of the content of all blocks."""
    (stored,) = database.execute("SELECT sum(length(content)) FROM blocks").fetchone()
    return stored or 0


def delete_blocks(database: sqlite3.Connection, numbers: Iterable[int]) -> None:
    """Delete blocks by their numbers."""
    database.executemany("DELETE FROM blocks WHERE number = ?", [(number,) for number in numbers])


def insert_block(database: sqlite3.Connection, block: LiveBlock) -> None:
    """Insert a block."""
    content = b"".join(
        array.astype(f"<f{array.itemsize}").tobytes()
        for array in (block.starts_s, block.levels_dbfs, block.vectors)
    )
    stratum = block.stratum
    values = (
        float(block.time_s),
        float(block.age_s),
        stratum.hour,
        stratum.band,
        int(stratum.alarm_active),
        float(block.level_dbfs),
        len(block.vectors),
        zlib.crc32(content),
    )
    database.execute(
        f"INSERT INTO blocks ({CHECKED['blocks']}, row_crc, content) "  # noqa: S608 - constants
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*values, row_checksum(values), content),
    )


def read_blocks(database: sqlite3.Connection) -> list[LiveBlock | None]:
    """Return the blocks in order of time; a damaged one is None."""
    found = read_layout(database)
    if found is None:
        return []
    size = found[1].size
    rows = database.execute(
        f"SELECT {CHECKED['blocks']}, row_crc, content "  # noqa: S608 - constants
        "FROM blocks ORDER BY time"
    )
    return [_block(row, size) for row in rows]


def _fact(database: sqlite3.Connection, name: str) -> str | None:
    """Return a fact; None: there is none.  Raises DamagedTablesError where one is damaged."""
    rows = database.execute("SELECT name, value, row_crc FROM facts").fetchall()
    if any(row_checksum(row[:2]) != row[2] for row in rows):
        raise DamagedTablesError("a fact is damaged")
    return next((str(value) for found, value, _ in rows if found == name), None)


def _set_fact(database: sqlite3.Connection, name: str, value: str) -> None:
    checksum = row_checksum((name, value))
    database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?, ?)", (name, value, checksum))


def _block(row: tuple[Any, ...], size: int) -> LiveBlock | None:
    *values, row_crc, content = row
    if not is_row_intact(values, row_crc, content):
        return None
    time_s, age_s, _, _, alarm, level, windows, _ = values
    scalars = 2 * windows
    if len(content) != 4 * scalars + 2 * windows * size:
        return None
    starts, levels = np.frombuffer(content, "<f4", scalars).astype(np.float32).reshape(2, windows)
    vectors = np.frombuffer(content, "<f2", offset=4 * scalars).reshape(windows, size)
    return LiveBlock(
        time_s=time_s,
        age_s=age_s,
        alarm_active=bool(alarm),
        level_dbfs=level,
        starts_s=starts,
        levels_dbfs=levels,
        vectors=vectors.astype(np.float16),
    )
