"""The tables of the journal, as SQL: the present format and the earlier ones.

The last column of each row but those of `damaged_rows` is its checksum.
"""

from __future__ import annotations

FORMAT = 5
EARLIER_TABLES = frozenset({"alarms", "events"})  # of format 1
_TIME_SCALE = "    time_scale_s REAL,  -- NULL: not known\n"  # a column since format 3
_MACHINE_SEQ = "    seq INTEGER NOT NULL,  -- of its newest event\n"  # since format 4
_EVENT_SEQ = "    seq INTEGER,  -- NULL: of an earlier format\n"  # since format 4
_OUTBOX = """CREATE TABLE outbox (
    number INTEGER PRIMARY KEY,  -- in the order in which they were written
    id TEXT NOT NULL,
    machine TEXT NOT NULL,
    seq INTEGER NOT NULL,
    time TEXT NOT NULL,
    kind TEXT NOT NULL,
    "from" TEXT NOT NULL,
    "to" TEXT NOT NULL,
    who TEXT,
    why TEXT NOT NULL,
    alarm_id TEXT,
    alarm_score REAL,
    time_scale_s REAL,
    clock_s REAL NOT NULL,  -- running time of the daemon
    refusal TEXT,  -- NULL: it waits
    checksum TEXT NOT NULL
);
CREATE UNIQUE INDEX outbox_order ON outbox (machine, seq);
"""  # since format 4
_OUT_OF_SERVICE = """    out_since TEXT,  -- out of service; NULL: in service
    out_who TEXT,
    out_why TEXT,
"""  # since format 5
_SINCE = "    monitored_since TEXT,  -- NULL: not known\n"  # since format 5
_LIFE = """    shelved_until TEXT,
    reason TEXT,
    views TEXT,  -- JSON
    provisional INTEGER,
    label TEXT,
    label_why TEXT,
    labelled_by TEXT,
    scale_peaks TEXT,  -- JSON: highest alarm score by time scale
    shortest_scale_s REAL,
"""  # since format 5
_REQUESTS = """CREATE TABLE requests (
    number INTEGER PRIMARY KEY,  -- in the order in which they were made
    id TEXT NOT NULL,
    time TEXT NOT NULL,
    machine TEXT NOT NULL,
    alarm_id TEXT,  -- NULL: of the machine
    verb TEXT NOT NULL,
    arguments TEXT NOT NULL,  -- JSON
    who TEXT NOT NULL,
    why TEXT,
    outcome TEXT,  -- NULL: it waits
    accepted INTEGER,
    checksum TEXT NOT NULL
);
CREATE UNIQUE INDEX request_ids ON requests (id);
"""  # since format 5
_NORMAL_SPANS = """CREATE TABLE normal_spans (
    number INTEGER PRIMARY KEY,  -- in the order in which they were marked
    id TEXT NOT NULL,
    machine TEXT NOT NULL,
    begin TEXT NOT NULL,
    "end" TEXT NOT NULL,
    alarm_id TEXT,  -- NULL: of the machine
    who TEXT NOT NULL,
    why TEXT NOT NULL,
    time TEXT NOT NULL,
    checksum TEXT NOT NULL
);
"""  # since format 5

TABLES = f"""
CREATE TABLE machines (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
{_MACHINE_SEQ}{_OUT_OF_SERVICE}{_SINCE}    checksum TEXT NOT NULL
);
CREATE TABLE alarms (
    number INTEGER PRIMARY KEY,  -- in the order in which they were raised
    id TEXT NOT NULL,
    machine TEXT NOT NULL,
    severity TEXT NOT NULL,
    condition TEXT NOT NULL,
    raised TEXT NOT NULL,
    cleared TEXT,
    acknowledged_at TEXT,
    who TEXT,
    why TEXT,
    peak_alarm_score REAL,  -- NULL: not known
    model TEXT,
    evidence TEXT,
    applied INTEGER NOT NULL,  -- whether the daemon has applied the acknowledgement
{_TIME_SCALE}{_LIFE}    checksum TEXT NOT NULL
);
CREATE TABLE events (
    number INTEGER PRIMARY KEY,  -- in the order in which they were written
    id TEXT NOT NULL,
    machine TEXT NOT NULL,
    time TEXT NOT NULL,
    kind TEXT NOT NULL,
    "from" TEXT NOT NULL,
    "to" TEXT NOT NULL,
    who TEXT,
    why TEXT NOT NULL,
    alarm_id TEXT,
{_EVENT_SEQ}    checksum TEXT NOT NULL
);
CREATE TABLE damaged_rows (
    number INTEGER PRIMARY KEY,
    found TEXT NOT NULL,  -- when
    place TEXT NOT NULL,  -- the table
    content TEXT NOT NULL  -- JSON
);
CREATE UNIQUE INDEX machine_ids ON machines (id);
CREATE UNIQUE INDEX alarm_ids ON alarms (id);
CREATE UNIQUE INDEX event_ids ON events (id);
CREATE INDEX events_of_alarm ON events (alarm_id);
{_OUTBOX}{_REQUESTS}{_NORMAL_SPANS}"""
"""The tables come first and in this order, so that every journal has the same first page.

`asd_monitor.journal.file_image` repairs that page by a new one."""

TABLES_4 = (
    TABLES.replace(_OUT_OF_SERVICE + _SINCE, "")
    .replace(_LIFE, "")
    .replace(_REQUESTS, "")
    .replace(_NORMAL_SPANS, "")
)
"""Those of format 4, on the same pages but for the requests and the marked sound."""

TABLES_3 = TABLES_4.replace(_MACHINE_SEQ, "").replace(_EVENT_SEQ, "").replace(_OUTBOX, "")
"""Those of format 3, on the same pages but for the outbox."""

TABLES_2 = TABLES_3.replace(_TIME_SCALE, "")
"""Those of format 2, on the same pages as those of format 3."""

TABLES_OF = {5: TABLES, 4: TABLES_4, 3: TABLES_3, 2: TABLES_2}
"""By format, the newest first; format 1 is read by its columns."""

ROW_TABLES = ("machines", "alarms", "events", "outbox", "requests", "normal_spans")
"""The tables whose rows have a checksum."""

TABLES_SINCE = {"outbox": 4, "requests": 5, "normal_spans": 5}
"""The first format that has a table, for those that were added."""

TELLING_TABLES = {5: ("machines", "alarms", "requests"), 4: ("machines", "events", "outbox")}
"""Tables whose rows tell a format from the earlier ones, the newest first."""
