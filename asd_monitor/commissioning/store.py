"""The live blocks of one machine on disk: ``commissioning/<machine>/blocks.db``.

A SQLite database in the mode with a rollback journal: what is written is complete or absent after a
kill or a power failure, and each block has a checksum beside.  A database that is damaged is set
aside, and a new one begins: the blocks can be sampled anew.

Each call opens the database and closes it, so that a machine keeps no memory for it between two
writes, and another process can read it.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from asd_monitor.commissioning.blocks import BlockSummary, Layout, LiveBlock, Stratum
from asd_monitor.commissioning.redundancy import BlockEntry, most_redundant
from asd_monitor.commissioning.schedule import Progress, RefitNote
from asd_monitor.errors import OperationError
from asd_monitor.private_files import create_private_file, create_private_folder
from asd_monitor.records import MachineState

log = structlog.get_logger()

DATABASE = "blocks.db"
MAX_BLOCK_BYTES = 9_000_000
"""Of all blocks; with the shipped encoder 530 blocks."""
MAX_SUMMARY_DAYS = 40

_PAGE_BYTES = 4096
_MAX_BYTES = 15_500_000  # of the database
_BUSY_TIMEOUT_S = 5.0
_DAY_S = 86_400.0
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
_SCHEMA = """
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


class CommissioningStoreError(OperationError):
    """The stored blocks cannot be read or written."""


@dataclass(frozen=True, slots=True)
class StoredSummary:
    """The scalars of ten seconds, and the model that gave them."""

    model: str
    summary: BlockSummary


class CommissioningStore:
    """The live blocks of one machine; the calls of one process are not concurrent.

    Every method raises CommissioningStoreError.

    Args:
        folder: The machine's folder; created by the first `begin`.
        max_block_bytes: Limit of the vectors and scalars of all blocks.

    """

    def __init__(self, folder: Path, *, max_block_bytes: int = MAX_BLOCK_BYTES) -> None:
        self.folder = folder
        self._path = folder / DATABASE
        self._max_block_bytes = max_block_bytes

    def progress(self) -> Progress | None:
        """Return how far the commissioning has come; None: nothing is stored."""
        if not self._path.exists():
            return None
        with self._open() as database:
            text = _fact(database, "progress")
            return None if text is None else _progress(text)

    def begin(self, progress: Progress) -> None:
        """Begin the commissioning of a new model; the blocks of an earlier one are deleted."""
        with _reported(self._path):
            create_private_folder(self.folder)
            if not self._path.exists():
                create_private_file(self._path)
        with self._open() as database, _transaction(database):
            database.execute("DELETE FROM blocks")
            database.execute("DELETE FROM summaries")
            database.execute("DELETE FROM facts")
            _set_fact(database, "progress", _text(progress))

    def write(
        self,
        progress: Progress,
        blocks: Sequence[LiveBlock] = (),
        summaries: Sequence[BlockSummary] = (),
        *,
        model: str = "",
        key: str = "",
        layout: Layout | None = None,
    ) -> None:
        """Store blocks and summaries, and drop the most redundant blocks beyond the limit.

        Args:
            progress: how far the commissioning has come.
            blocks: the blocks that are stored.
            summaries: the scalars of all blocks of sound.
            model: version of the model that gave the summaries.
            key: the `feature_key` of the blocks; those of another one are dropped.
            layout: the layout of the vectors.

        """
        with self._open() as database, _transaction(database):
            _set_fact(database, "progress", _text(progress))
            if blocks and layout is not None:
                _make_uniform(database, key, layout)
                for block in blocks:
                    _insert(database, block)
                self._drop_redundant(database)
            if summaries:
                _insert_summaries(database, summaries, model)
                oldest_s = summaries[-1].time_s - MAX_SUMMARY_DAYS * _DAY_S
                database.execute("DELETE FROM summaries WHERE time < ?", (oldest_s,))

    def strata(self) -> Counter[Stratum]:
        """Return how many blocks of each operating condition are stored."""
        if not self._path.exists():
            return Counter()
        with self._open() as database:
            return Counter(entry.stratum for entry in _entries(database))

    def layout(self) -> tuple[str, Layout] | None:
        """Return the feature key and the layout of the stored vectors; None: there are none."""
        if not self._path.exists():
            return None
        with self._open() as database:
            return _stored_layout(database)

    def blocks(self, *, until_age_s: float = float("inf")) -> list[LiveBlock]:
        """Return the stored blocks in order of time; a damaged one is left out and logged.

        Args:
            until_age_s: those sampled later in the commissioning are left out.

        """
        if not self._path.exists():
            return []
        with self._open() as database:
            found = _stored_layout(database)
            if found is None:
                return []
            size = found[1].size
            rows = database.execute(
                "SELECT time, age, model, state, alarm, level, windows, kept, crc, content "
                "FROM blocks WHERE age <= ? ORDER BY time",
                (until_age_s,),
            )
            blocks = [_block(row, size) for row in rows]
        intact = [block for block in blocks if block is not None]
        if len(intact) < len(blocks):
            log.warning(
                "damaged blocks of commissioning are left out",
                file=str(self._path),
                blocks=len(blocks) - len(intact),
            )
        return intact

    def summaries(self) -> list[StoredSummary]:
        """Return the scalars of all blocks of sound, in order of time."""
        if not self._path.exists():
            return []
        with self._open() as database:
            rows = database.execute(
                "SELECT time, model, crc, content FROM summaries ORDER BY number"
            ).fetchall()
        return [summary for row in rows for summary in _summaries(*row)]

    def _drop_redundant(self, database: sqlite3.Connection) -> None:
        entries = _entries(database)
        (stored,) = database.execute("SELECT sum(length(content)) FROM blocks").fetchone()
        excess = (stored or 0) - self._max_block_bytes
        if excess > 0:
            each = max(1, stored // len(entries))
            dropped = most_redundant(entries, -(-excess // each))
            database.executemany(
                "DELETE FROM blocks WHERE number = ?", [(number,) for number in dropped]
            )

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with _reported(self._path):
            try:
                database = self._connect()
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                self._set_aside(error)
                database = self._connect()
            try:
                yield database
            except sqlite3.DatabaseError as error:
                if _is_damage(error):
                    database.close()
                    self._set_aside(error)
                raise
            finally:
                database.close()

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=_BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            database.execute("PRAGMA cache_size = -256")
            database.execute("PRAGMA synchronous = EXTRA")
            if database.execute("PRAGMA user_version").fetchone() == (0,):
                database.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
                database.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
            database.execute(f"PRAGMA max_page_count = {_MAX_BYTES // _PAGE_BYTES}")
        except sqlite3.Error:
            database.close()
            raise
        return database

    def _set_aside(self, error: sqlite3.Error) -> None:
        """Rename a damaged database; only the newest damaged one is kept."""
        kept_as = self._path.with_suffix(".damaged")
        self._path.replace(kept_as)
        self._path.with_name(f"{DATABASE}-journal").unlink(missing_ok=True)
        create_private_file(self._path)
        log.error(
            "the stored blocks of commissioning are damaged: new ones are collected",
            file=str(self._path),
            reason=str(error),
            kept_as=str(kept_as),
        )


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CommissioningStoreError(
            f"{error.filename or path}: blocks of commissioning cannot be stored "
            f"({error.strerror or error}): correct this, or choose another folder with --state"
        ) from error
    except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
        raise CommissioningStoreError(
            f"{path}: the blocks of commissioning cannot be read or written ({error}): free space "
            f"on the disk of {path.parent}; where that does not help, delete {path.name}"
        ) from error


def _is_damage(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _fact(database: sqlite3.Connection, name: str) -> str | None:
    row = database.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])


def _set_fact(database: sqlite3.Connection, name: str, value: str) -> None:
    database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))


def _text(progress: Progress) -> str:
    return json.dumps(asdict(progress))


def _progress(text: str) -> Progress:
    document: dict[str, Any] = json.loads(text)
    last: Mapping[str, Any] | None = document.pop("last")
    return Progress(**document, last=None if last is None else RefitNote(**last))


def _stored_layout(database: sqlite3.Connection) -> tuple[str, Layout] | None:
    key, text = _fact(database, "features"), _fact(database, "layout")
    if key is None or text is None:
        return None
    return key, Layout((str(name), int(size)) for name, size in json.loads(text))


def _make_uniform(database: sqlite3.Connection, key: str, layout: Layout) -> None:
    """Drop the blocks whose vectors are of other features."""
    if _stored_layout(database) != (key, layout):
        database.execute("DELETE FROM blocks")
        _set_fact(database, "features", key)
        _set_fact(database, "layout", json.dumps(layout))


def _entries(database: sqlite3.Connection) -> list[BlockEntry]:
    rows = database.execute("SELECT number, time, hour, band, alarm FROM blocks")
    return [
        BlockEntry(number, time_s, Stratum(hour, band, bool(alarm)))
        for number, time_s, hour, band, alarm in rows
    ]


def _insert(database: sqlite3.Connection, block: LiveBlock) -> None:
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


def _insert_summaries(
    database: sqlite3.Connection, summaries: Sequence[BlockSummary], model: str
) -> None:
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
