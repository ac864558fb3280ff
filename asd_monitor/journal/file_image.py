"""The content of a journal's files, read without SQLite's files beside it and without a lock.

An SQLite database in WAL mode is its file and the write-ahead log beside it.  Here both are read
and put together in memory, as https://www.sqlite.org/fileformat2.html defines (sections 1.3 and
4.1), so that a journal can be read in a folder that is read-only or full, while a daemon writes to
it, and where it is damaged: SQLite drops a transaction with a flipped bit, and all later ones,
without an error.
"""

from __future__ import annotations

import array
import sqlite3
import struct
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from asd_monitor.journal.alarm_entries import READERS
from asd_monitor.journal.alarm_tables import create_tables, database_format, readable_rows
from asd_monitor.journal.checksums import is_intact
from asd_monitor.journal.sqlite_errors import LaterFormatError
from asd_monitor.journal.table_definitions import (
    EARLIER_TABLES,
    FORMAT,
    ROW_TABLES,
    TABLES_OF,
    TELLING_TABLES,
)
from asd_monitor.limited_reading import read_limited
from asd_monitor.sqlite_damage import is_damage

PAGE_BYTES = 4096
"""Of every journal; the default of SQLite."""

MAX_BYTES = 2 << 30
WAL_SUFFIX = "-wal"
_ATTEMPTS = 20  # to read both files between two writes of another process
_PAUSE_S = 0.05
_WAL_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24
_MAGIC = {0x377F0682: "little", 0x377F0683: "big"}  # byte order of the checksums
_MAX_FLIPPED_BITS = 2  # in the salts of a frame of this log; those of an older one are random


@dataclass(frozen=True, slots=True)
class JournalFiles:
    """The bytes of a journal's files."""

    database: bytes
    wal: bytes


@dataclass(frozen=True, slots=True)
class OpenedImage:
    """A journal in memory: the connection to a copy of it, and what is damaged."""

    database: sqlite3.Connection
    damage: str | None
    """Why rows may be missing; None: the files are intact."""


@dataclass(frozen=True, slots=True)
class _Frame:
    page: int  # from 1
    pages: int  # of the database after this transaction; 0: the transaction goes on
    content: bytes
    intact: bool
    was_commit: bool  # it is damaged, and one bit more makes it the end of a transaction


def read_files(path: Path) -> JournalFiles:
    """Read a journal and its write-ahead log as they were at one moment.

    A file that does not exist is empty.  Raises OSError, and ValueError where one is no regular
    file.
    """
    wal_path = path.with_name(path.name + WAL_SUFFIX)
    suspected = None
    for _ in range(_ATTEMPTS):
        # a checkpoint may change the database meanwhile, but only by what is in the log
        wal = _content(wal_path)
        files = JournalFiles(_content(path), wal)
        if _content(wal_path) != wal:
            continue
        if wal == suspected or wal_damage(wal) is None:
            break
        suspected = wal
        time.sleep(_PAUSE_S)  # another process may be in the middle of a page
    return files


def open_image(files: JournalFiles) -> OpenedImage | None:
    """Open a journal in memory, as much of it as there is; None where it is not a journal.

    The rows are not checked here.  The connection has autocommit mode.  Raises `LaterFormatError`.
    """
    log_damage = wal_damage(files.wal)
    frames = _frames(files.wal)
    candidates = [_with_frames(files.database, _intact_prefix(frames))]
    if log_damage is not None:
        candidates.insert(0, _with_frames(files.database, frames))
    problems: list[str] = []
    for content in candidates:
        database = _connect(content)
        problem = structural_problem(database)
        if problem is None:
            return OpenedImage(database, log_damage)
        problems.append(problem)
    for content in candidates:
        if (repaired := _with_new_first_page(content)) is not None:
            return OpenedImage(repaired, log_damage or problems[-1])
    return None


def structural_problem(database: sqlite3.Connection) -> str | None:
    """Return what SQLite finds wrong with a journal; None: nothing.

    The rows are not checked.  Raises `LaterFormatError` for an intact journal of a later version.
    """
    try:
        found = database_format(database)
        (result,) = database.execute("PRAGMA integrity_check(1)").fetchone()
        if result != "ok":
            return str(result)
        schema = _schema(database)
    except UnicodeDecodeError:  # the message of SQLite quotes a damaged name
        return "its schema is malformed"
    except sqlite3.Error as error:
        if is_damage(error):
            return str(error)
        raise
    for version in TABLES_OF:
        if schema == _schema(_database_of_format(version)):
            return None if found == version else f"it claims to have the format {found}"
    if found > FORMAT:
        raise LaterFormatError(
            f"format {found} is not known to this version: use the asd-monitor that wrote it"
        )
    if found == 1 and {row[1] for row in schema} >= EARLIER_TABLES:
        return None
    return "not a journal of alarms"


def wal_problem(path: Path) -> str | None:
    """Return what is wrong with the write-ahead log of a journal; None: nothing, or there is none.

    Raises OSError, and ValueError where it is no regular file.
    """
    wal_path = path.with_name(path.name + WAL_SUFFIX)
    for _ in range(_ATTEMPTS):
        wal = _content(wal_path)
        problem = wal_damage(wal)
        if problem is None:
            break
        time.sleep(_PAUSE_S)  # another process may be in the middle of a page
        if _content(wal_path) == wal:
            break
    if problem is None and not path.exists() and _frames(wal):
        return "the write-ahead log is there without its database"
    return problem


def wal_damage(wal: bytes) -> str | None:
    """Return what is wrong with a write-ahead log; None: nothing.

    A last transaction that was not completed is in order: its process was killed.
    """
    frames = _frames(wal)
    intact = len(_intact_prefix(frames))
    committed = max((n for n, frame in enumerate(frames, start=1) if frame.pages), default=0)
    if committed <= intact and not (intact < len(frames) and frames[intact].was_commit):
        return None
    return "the write-ahead log is damaged: what was written last may be missing"


def _content(path: Path) -> bytes:
    try:
        return read_limited(path, MAX_BYTES)
    except FileNotFoundError:
        return b""


def _frames(wal: bytes) -> list[_Frame]:
    """Return the frames of the newest generation, those after a damaged one included."""
    if len(wal) < _WAL_HEADER_BYTES + _FRAME_HEADER_BYTES + PAGE_BYTES:
        return []
    magic, _, page_bytes, _, salt_1, salt_2, *checksum = struct.unpack_from(">8I", wal)
    order = _MAGIC.get(magic, sys.byteorder)
    header_intact = (
        magic in _MAGIC
        and page_bytes == PAGE_BYTES
        and _checksum((0, 0), wal[:24], order) == tuple(checksum)
    )
    salts = (salt_1, salt_2)
    if not header_intact:
        salts = struct.unpack_from(">2I", wal, _WAL_HEADER_BYTES + 8)
    frames: list[_Frame] = []
    before = (checksum[0], checksum[1])
    step = _FRAME_HEADER_BYTES + PAGE_BYTES
    for start in range(_WAL_HEADER_BYTES, len(wal) - step + 1, step):
        page, pages, *own_salts, end_1, end_2 = struct.unpack_from(">6I", wal, start)
        flipped = sum((a ^ b).bit_count() for a, b in zip(salts, own_salts, strict=True))
        if flipped > _MAX_FLIPPED_BITS:
            break
        content = wal[start + _FRAME_HEADER_BYTES : start + step]
        computed = _checksum(_checksum(before, wal[start : start + 8], order), content, order)
        intact = header_intact and not flipped and computed == (end_1, end_2)
        was_commit = False
        if not intact and not pages:
            heads = (struct.pack(">2I", page, 1 << bit) for bit in range(32))
            was_commit = any(
                _checksum(_checksum(before, head, order), content, order) == (end_1, end_2)
                for head in heads
            )
        frames.append(_Frame(page, pages, content, intact, was_commit))
        before = (end_1, end_2)  # as stored: those after a damaged frame can be checked
    return frames


def _checksum(before: tuple[int, int], content: bytes, order: str) -> tuple[int, int]:
    """Return the checksum of section 4.2 of the file format, continued from ``before``."""
    words = array.array("I", content)
    if order != sys.byteorder:
        words.byteswap()
    first, second = before
    pairs = iter(words)
    for even, odd in zip(pairs, pairs, strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second


def _intact_prefix(frames: list[_Frame]) -> list[_Frame]:
    """Return the frames that SQLite accepts."""
    accepted = next((n for n, frame in enumerate(frames) if not frame.intact), len(frames))
    return frames[:accepted]


def _with_frames(database: bytes, frames: list[_Frame]) -> bytes:
    """Return the database with the committed frames written to it."""
    committed = max((n for n, frame in enumerate(frames, start=1) if frame.pages), default=0)
    if not committed:
        return database
    length = frames[committed - 1].pages * PAGE_BYTES
    if length > MAX_BYTES:
        return database
    content = bytearray(database[:length].ljust(length, b"\0"))
    for frame in frames[:committed]:
        start = (frame.page - 1) * PAGE_BYTES
        if 0 <= start < length:
            content[start : start + PAGE_BYTES] = frame.content
    return bytes(content)


def _with_new_first_page(content: bytes) -> sqlite3.Connection | None:
    """Return the journal with the first page of a new one: it is the same in each of a format.

    Which of the formats it has is seen by the rows; None: none of them is intact.
    """
    for version, tables in TELLING_TABLES.items():
        opened = _connect(_replace_first_page(content, version))
        if any(_has_row_of_this_format(opened, table) for table in tables):
            return opened
    earlier = _connect(_replace_first_page(content, min(TELLING_TABLES) - 1))
    if any(_has_intact_row(earlier, table) for table in ROW_TABLES):
        return earlier
    return None


def _replace_first_page(content: bytes, version: int) -> bytes:
    first = bytearray(_database_of_format(version).serialize()[:PAGE_BYTES])
    pages = len(content) // PAGE_BYTES
    struct.pack_into(">I", first, 28, pages)
    return bytes(first) + content[PAGE_BYTES : pages * PAGE_BYTES]


def new_database() -> sqlite3.Connection:
    """Return a new, empty journal in memory, in autocommit mode."""
    return _database_of_format(FORMAT)


def _database_of_format(version: int) -> sqlite3.Connection:
    database = _MemoryDatabase.open()
    database.text_factory = decoded
    create_tables(database, TABLES_OF[version], version)
    return database


decoded = partial(str, encoding="utf-8", errors="surrogateescape")
"""Returns text of SQLite, with surrogates for bytes that are not UTF-8."""


class _MemoryDatabase(sqlite3.Connection):
    """A database in memory, which is closed with its last reference: nothing of it is on a disk."""

    @staticmethod
    def open() -> sqlite3.Connection:
        """Return an empty database in autocommit mode."""
        return sqlite3.connect(
            ":memory:", isolation_level=None, check_same_thread=False, factory=_MemoryDatabase
        )

    def __del__(self) -> None:
        self.close()


def _connect(content: bytes) -> sqlite3.Connection:
    database = _MemoryDatabase.open()
    database.text_factory = decoded
    if content:
        image = bytearray(content)
        image[18:20] = b"\1\1"  # not in WAL mode
        database.deserialize(image)
    return database


def _schema(database: sqlite3.Connection) -> list[tuple[object, ...]]:
    return database.execute(
        "SELECT type, name, tbl_name, rootpage, sql FROM sqlite_schema ORDER BY rowid"
    ).fetchall()


def _has_row_of_this_format(database: sqlite3.Connection, table: str) -> bool:
    """Return whether a table has an intact row with all columns of the format that it is in."""
    try:
        rows = database.execute(f"SELECT * FROM {table}")  # noqa: S608 - the name of a table
        return any(is_intact(table, row) for row in rows)
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        return False


def _has_intact_row(database: sqlite3.Connection, table: str) -> bool:
    return any(READERS[table](row) is not None for row in readable_rows(database, table))
