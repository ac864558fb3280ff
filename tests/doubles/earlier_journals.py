"""Journals as earlier versions have left them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from asd_monitor.journal.alarm_tables import create_tables
from asd_monitor.journal.checksums import row_checksum
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.store import Journal
from asd_monitor.journal.table_definitions import TABLES_OF
from tests.doubles.journalled_machine import (
    NOW,
    RAISED,
    state_transition,
)

FORMAT_1 = """
CREATE TABLE alarms (id TEXT PRIMARY KEY, machine TEXT NOT NULL, severity TEXT NOT NULL,
    condition TEXT NOT NULL, raised TEXT NOT NULL, cleared TEXT, acknowledged_at TEXT, who TEXT,
    why TEXT, peak_score REAL NOT NULL, model TEXT, evidence TEXT,
    taken_up INTEGER NOT NULL DEFAULT 0);
CREATE INDEX alarms_of_machine ON alarms (machine, raised);
CREATE TABLE events (number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, machine TEXT NOT NULL,
    time TEXT NOT NULL, kind TEXT NOT NULL, "from" TEXT NOT NULL, "to" TEXT NOT NULL, who TEXT,
    why TEXT NOT NULL, alarm_id TEXT);
CREATE INDEX events_of_alarm ON events (alarm_id);
INSERT INTO alarms VALUES
    ('fan01-20261120T010000Z', 'fan01', 'alarm', 'normal', '2026-11-20T01:00:00.000Z',
     '2026-11-20T02:00:00.000Z', '2026-11-20T01:30:00.000Z', 'bob', 'belt', 8.5, 'v1', NULL, 1),
    ('fan01-20261123T044500Z', 'fan01', 'alarm', 'unacknowledged', '2026-11-23T04:45:00.512Z',
     NULL, NULL, NULL, NULL, 7.0, 'v1', NULL, 0);
INSERT INTO events VALUES
    (7, 'e7', 'fan01', '2026-11-23T04:45:00.512Z', 'alarm', 'normal', 'unacknowledged', NULL,
     'a test', 'fan01-20261123T044500Z'),
    (8, 'e8', 'pump02', '2026-11-23T04:46:00.000Z', 'state', 'normal', 'idle', NULL, 'off', NULL);
PRAGMA user_version = 1;
"""


def write_earlier_format(folder: Path, version: int) -> Path:
    """Write the journal of two machines as an earlier version has left it."""
    with Journal(folder) as journal:
        MachineJournal(journal, "fan01").record(RAISED, NOW, "v1")
        MachineJournal(journal, "pump02").record(state_transition(), NOW, "v1")
    present = sqlite3.connect(folder / FILE_NAME)
    columns = {"machines": {4: 3}, "events": {4: 11}, "alarms": {4: 15, 3: 15}}
    shortest = {"machines": 2, "events": 10, "alarms": 14}
    tables = {
        table: list(present.execute(f"SELECT * FROM {table}"))  # noqa: S608
        for table in columns
    }
    present.close()
    (folder / FILE_NAME).unlink()
    earlier = sqlite3.connect(folder / FILE_NAME)
    earlier.execute("PRAGMA journal_mode = WAL")
    create_tables(earlier, TABLES_OF[version], version)
    for table, rows in tables.items():
        length = columns[table].get(version, shortest[table])
        for row in rows:
            values = row[:length]
            marks = ", ".join("?" * (length + 1))
            statement = f"INSERT INTO {table} VALUES ({marks})"  # noqa: S608
            earlier.execute(statement, (*values, row_checksum(table, values)))
    earlier.commit()
    earlier.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    earlier.close()
    return folder
