"""The history of the scores in ``page-history.sqlite``: minutes of a week, quarters of 90 days.

It is for the page alone: what is lost of it affects neither alarms nor models.  A damaged file is
set aside, and another one begun.
"""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from asd_monitor.private_files import create_private_file
from asd_monitor.sqlite_damage import is_damage
from asd_monitor.web.minute_means import MINUTE_S, HistoryRow

FILE_NAME = "page-history.sqlite"
QUARTER_S = 900
MINUTES_KEPT_S = 7 * 86_400
QUARTERS_KEPT_S = 90 * 86_400
MAX_ROWS = 1_000_000
"""Rows of each table: about 60 MB.  With more machines the time that is kept is shorter."""
_PRUNE_S = 3600.0
_SETTLED_S = 86_400  # sound after which a time is no mistake of the clock
_BUSY_S = 5.0
_PERIODS_S = {"minutes": MINUTE_S, "quarters": QUARTER_S}
_KEPT_S = {"minutes": MINUTES_KEPT_S, "quarters": QUARTERS_KEPT_S}
_TABLE = """CREATE TABLE IF NOT EXISTS {table} (
    machine TEXT NOT NULL, begin_s INTEGER NOT NULL, windows INTEGER NOT NULL,
    highest_score REAL, mean_score REAL, highest_alarm_score REAL, threshold REAL,
    mean_level_dbfs REAL, PRIMARY KEY (machine, begin_s)
) WITHOUT ROWID"""
_INSERT = """INSERT INTO {table} VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (machine, begin_s) DO UPDATE SET
    mean_score = CASE
        WHEN mean_score IS NULL THEN excluded.mean_score
        WHEN excluded.mean_score IS NULL THEN mean_score
        ELSE (mean_score * windows + excluded.mean_score * excluded.windows)
            / (windows + excluded.windows) END,
    mean_level_dbfs = CASE
        WHEN mean_level_dbfs IS NULL THEN excluded.mean_level_dbfs
        WHEN excluded.mean_level_dbfs IS NULL THEN mean_level_dbfs
        ELSE (mean_level_dbfs * windows + excluded.mean_level_dbfs * excluded.windows)
            / (windows + excluded.windows) END,
    highest_score = max(ifnull(highest_score, excluded.highest_score),
        ifnull(excluded.highest_score, highest_score)),
    highest_alarm_score = max(ifnull(highest_alarm_score, excluded.highest_alarm_score),
        ifnull(excluded.highest_alarm_score, highest_alarm_score)),
    threshold = excluded.threshold,
    windows = windows + excluded.windows"""
_SELECT = """SELECT machine, begin_s / :step * :step AS period, sum(windows), max(highest_score),
    sum(mean_score * windows) / sum(CASE WHEN mean_score IS NULL THEN 0 ELSE windows END),
    max(highest_alarm_score), max(threshold),
    sum(mean_level_dbfs * windows) / sum(CASE WHEN mean_level_dbfs IS NULL THEN 0 ELSE windows END)
FROM {table} WHERE machine = :machine AND begin_s >= :begin AND begin_s < :end
GROUP BY period ORDER BY period"""


class HistoryStore:
    """Writes and reads the history; for one thread at a time.

    Args:
        state: The state folder.

    """

    def __init__(self, state: Path) -> None:
        self.note: str | None = None
        """What the page says about the history; None: nothing."""
        self._path = state / FILE_NAME
        self._database: sqlite3.Connection | None = None
        self._pruned_s: float | None = None

    def write(self, rows: Iterable[HistoryRow], now_s: float) -> bool:
        """Add minutes, and delete what is old; return whether all are stored, else see `note`.

        ``now_s`` is the Unix time.
        """
        rows = list(rows)
        try:
            try:
                self._write(rows, now_s)
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                self._set_aside(now_s)
                self._write(rows, now_s)
        except (sqlite3.Error, OSError) as error:
            self._close()
            self.note = f"The history cannot be written ({error}): check the disk."
            return False
        if self.note is not None and self.note.startswith("The history cannot"):
            self.note = None
        return True

    def read(self, machine: str, begin_s: int, end_s: int, step_s: int) -> list[HistoryRow]:
        """Return the periods of ``step_s`` from ``begin_s`` on; none where it cannot be read."""
        table = "minutes" if step_s < QUARTER_S else "quarters"
        values = {"machine": machine, "begin": begin_s, "end": end_s, "step": step_s}
        try:
            found = self._opened().execute(_SELECT.format(table=table), values).fetchall()
        except (sqlite3.Error, OSError) as error:
            self._close()
            self.note = f"The history cannot be read ({error})."
            return []
        return [HistoryRow(*row) for row in found if _is_intact(row)]

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        self._close()

    def _write(self, rows: list[HistoryRow], now_s: float) -> None:
        database = self._opened()
        with database:
            for row in rows:
                values = (
                    row.windows,
                    row.highest_score,
                    row.mean_score,
                    row.highest_alarm_score,
                    row.threshold,
                    row.mean_level_dbfs,
                )
                for table, period_s in _PERIODS_S.items():
                    begin_s = row.begin_s // period_s * period_s
                    database.execute(_INSERT.format(table=table), (row.machine, begin_s, *values))
            if self._pruned_s is None or abs(now_s - self._pruned_s) >= _PRUNE_S:
                self._prune(database, now_s)
                self._pruned_s = now_s

    @staticmethod
    def _prune(database: sqlite3.Connection, now_s: float) -> None:
        """Delete what is old, and beyond `MAX_ROWS` what is furthest from now.

        Old is what lies far before a whole day of sound: a clock that is wrong for hours, such as
        before it is set after a start, deletes nothing.
        """
        for table, period_s in _PERIODS_S.items():
            machines = database.execute(f"SELECT DISTINCT machine FROM {table}").fetchall()  # noqa: S608 - a constant
            kept_s = min(_KEPT_S[table], MAX_ROWS // max(1, len(machines)) * period_s)
            settled = [
                database.execute(
                    f"SELECT begin_s FROM {table} WHERE machine = ? AND begin_s <= ?"  # noqa: S608
                    " ORDER BY begin_s DESC LIMIT 1 OFFSET ?",
                    (machine, int(now_s), _SETTLED_S // period_s - 1),
                ).fetchone()
                for (machine,) in machines
            ]
            newest_s = max((row[0] for row in settled if row is not None), default=None)
            if newest_s is not None:
                oldest_s = newest_s + _SETTLED_S - kept_s
                database.execute(f"DELETE FROM {table} WHERE begin_s < ?", (oldest_s,))  # noqa: S608
            (rows,) = database.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
            if rows > MAX_ROWS:
                database.execute(
                    f"DELETE FROM {table} WHERE (machine, begin_s) IN (SELECT machine, begin_s"  # noqa: S608
                    f" FROM {table} ORDER BY abs(begin_s - ?) DESC LIMIT ?)",
                    (int(now_s), rows - MAX_ROWS),
                )

    def _opened(self) -> sqlite3.Connection:
        if self._database is None:
            with suppress(FileExistsError):
                create_private_file(self._path)
            database = sqlite3.connect(self._path, timeout=_BUSY_S, check_same_thread=False)
            try:
                database.execute("PRAGMA journal_mode = WAL")
                database.execute("PRAGMA synchronous = NORMAL")
                for table in _PERIODS_S:
                    database.execute(_TABLE.format(table=table))
            except sqlite3.Error:
                database.close()
                raise
            self._database = database
        return self._database

    def _set_aside(self, now_s: float) -> None:
        """Rename a damaged file, in the place of one that was set aside before."""
        self._close()
        aside = self._path.with_name(f"{FILE_NAME}.damaged")
        for suffix in ("-wal", "-shm"):
            self._path.with_name(FILE_NAME + suffix).unlink(missing_ok=True)
        self._path.replace(aside)
        begun = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(now_s))
        self.note = f"The history was damaged and begun anew at {begun}; the old file is {aside}."

    def _close(self) -> None:
        if self._database is not None:
            with suppress(sqlite3.Error):
                self._database.close()
            self._database = None


def _is_intact(row: Sequence[object]) -> bool:
    """Return whether the values of a row are numbers: a damaged file can have any."""
    return all(each is None or _is_number(each) for each in row[1:]) and None not in row[:3]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
