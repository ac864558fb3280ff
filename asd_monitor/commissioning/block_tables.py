"""The tables of the stored live blocks: definition, and their rows as values.

A row of `blocks` holds one block and a row of `summaries` the scalars of one write, each with the
CRC-32 of its content.  The table `facts` holds the progress of the commissioning, and the features
of which all vectors are.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from asd_monitor.commissioning.blocks import BlockSummary, Layout, LiveBlock, Stratum
from asd_monitor.commissioning.redundancy import BlockEntry
from asd_monitor.commissioning.schedule import Progress, RefitNote
from asd_monitor.records import MachineState

TABLES = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE blocks (
    number INTEGER PRIMARY KEY, time REAL NOT NULL, age REAL NOT NULL, hour INTEGER NOT NULL,
    band INTEGER NOT NULL, alarm INTEGER NOT NULL, level REAL NOT NULL, state TEXT NOT NULL,
    model TEXT NOT NULL, windows INTEGER NOT NULL, kept INTEGER NOT NULL, crc INTEGER NOT NULL,
    content BLOB NOT NULL
);
CREATE TABLE summaries (
    number INTEGER PRIMARY KEY, time REAL NOT NULL, model TEXT NOT NULL, crc INTEGER NOT NULL,
    content BLOB NOT NULL
);
PRAGMA user_version = 1;
"""

_SUMMARY = np.dtype(
    [
        ("after_s", "<f4"),  # after the first one of the row
        ("evidence", "<f2"),
        ("fused", "<f2"),
        ("level", "<f2"),
        ("running", "u1"),  # percent
        ("flags", "u1"),  # 1: alarm active, 2: kept
    ]
)


@dataclass(frozen=True, slots=True)
class StoredSummary:
    """The scalars of ten seconds, and the model that gave them."""

    model: str
    summary: BlockSummary


def clear(database: sqlite3.Connection) -> None:
    """Delete all rows."""
    database.execute("DELETE FROM blocks")
    database.execute("DELETE FROM summaries")
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
    """Return number, time and stratum of every block."""
    rows = database.execute("SELECT number, time, hour, band, alarm FROM blocks")
    return [
        BlockEntry(number, time_s, Stratum(hour, band, bool(alarm)))
        for number, time_s, hour, band, alarm in rows
    ]


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
        for array in (
            block.fused,
            block.evidence,
            block.levels_dbfs,
            block.starts_s,
            block.kept_levels_dbfs,
            block.vectors,
        )
    )
    stratum = block.stratum
    database.execute(
        "INSERT INTO blocks VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            block.time_s,
            block.age_s,
            stratum.hour,
            stratum.band,
            int(stratum.alarm_active),
            block.level_dbfs,
            str(block.state),
            block.model,
            len(block.fused),
            len(block.vectors),
            zlib.crc32(content),
            content,
        ),
    )


def read_blocks(database: sqlite3.Connection, until_age_s: float) -> list[LiveBlock | None]:
    """Return the blocks up to an age of the commissioning, in order of time.

    One whose content is damaged is None.
    """
    found = read_layout(database)
    if found is None:
        return []
    size = found[1].size
    rows = database.execute(
        "SELECT time, age, model, state, alarm, level, windows, kept, crc, content "
        "FROM blocks WHERE age <= ? ORDER BY time",
        (until_age_s,),
    )
    return [_block(row, size) for row in rows]


def insert_summaries(
    database: sqlite3.Connection, summaries: Sequence[BlockSummary], model: str
) -> None:
    """Insert the scalars of blocks of sound, one or more, as one row."""
    first_s = summaries[0].time_s
    rows = [
        (
            each.time_s - first_s,
            each.evidence,
            each.fused,
            each.level_dbfs,
            round(100 * each.running),
            each.alarm_active + 2 * each.kept,
        )
        for each in summaries
    ]
    content = np.array(rows, _SUMMARY).tobytes()
    database.execute(
        "INSERT INTO summaries VALUES (NULL, ?, ?, ?, ?)",
        (first_s, model, zlib.crc32(content), content),
    )


def read_summaries(database: sqlite3.Connection) -> list[StoredSummary]:
    """Return the scalars in the order in which they were written, without those of damaged rows."""
    rows = database.execute(
        "SELECT time, model, crc, content FROM summaries ORDER BY number"
    ).fetchall()
    return [summary for row in rows for summary in _summaries(*row)]


def delete_summaries_before(database: sqlite3.Connection, time_s: float) -> None:
    """Delete the rows that begin before a Unix time, in s."""
    database.execute("DELETE FROM summaries WHERE time < ?", (time_s,))


def _fact(database: sqlite3.Connection, name: str) -> str | None:
    row = database.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])


def _set_fact(database: sqlite3.Connection, name: str, value: str) -> None:
    database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))


def _block(row: tuple[Any, ...], size: int) -> LiveBlock | None:
    time_s, age_s, model, state, alarm, level, windows, kept, crc, content = row
    scalars = 3 * windows + 2 * kept
    if zlib.crc32(content) != crc or len(content) != 4 * scalars + 2 * kept * size:
        return None
    numbers = np.frombuffer(content, "<f4", scalars).astype(np.float32)
    fused, evidence, levels = numbers[: 3 * windows].reshape(3, windows)
    starts, kept_levels = numbers[3 * windows :].reshape(2, kept)
    vectors = np.frombuffer(content, "<f2", offset=4 * scalars).reshape(kept, size)
    return LiveBlock(
        time_s=time_s,
        age_s=age_s,
        model=model,
        state=MachineState(state),
        alarm_active=bool(alarm),
        level_dbfs=level,
        fused=fused,
        evidence=evidence,
        levels_dbfs=levels,
        starts_s=starts,
        kept_levels_dbfs=kept_levels,
        vectors=vectors.astype(np.float16),
    )


def _summaries(first_s: float, model: str, crc: int, content: bytes) -> list[StoredSummary]:
    if zlib.crc32(content) != crc:
        return []
    rows = np.frombuffer(content, _SUMMARY).tolist()
    return [
        StoredSummary(
            model,
            BlockSummary(
                time_s=first_s + after_s,
                evidence=evidence,
                fused=fused,
                level_dbfs=level_dbfs,
                running=running / 100,
                alarm_active=bool(flags & 1),
                kept=bool(flags & 2),
            ),
        )
        for after_s, evidence, fused, level_dbfs, running, flags in rows
    ]
