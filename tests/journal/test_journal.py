"""What the journal keeps, through crashes, other processes and full disks."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from asd_monitor.alarm.state import Alarm, AlarmRule, Condition, Transition, TransitionKind
from asd_monitor.errors import UsageError
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.store import FILE_NAME, Journal, JournalError, set_aside
from asd_monitor.monitor import Monitor
from asd_monitor.records import Block, Thresholds, WindowScore

NOW = datetime(2026, 11, 23, 4, 45, 0, 512000, UTC)
RATE_HZ = 100
LATER = NOW + timedelta(hours=1)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path) as opened:
        yield opened


def transition(
    before: Condition, after: Condition, number: int = 1, peak: float = 7.0, who: str | None = None
) -> Transition:
    return Transition(
        100,
        TransitionKind.ALARM,
        before,
        after,
        "the test says so",
        who,
        alarm=Alarm(number, after, peak),
    )


RISES = transition(Condition.NORMAL, Condition.UNACKNOWLEDGED)
RETURNS = transition(Condition.UNACKNOWLEDGED, Condition.RETURNED)


class Script:
    """A scorer that gives each window of half a second the same score."""

    def __init__(self) -> None:
        self.score = 0.0

    def push(self, block: Block) -> list[WindowScore]:
        ends = range(block.start + 50, block.end + 1, 50)
        return [WindowScore(e - 50, e, 0.0, 0.0, self.score, {}, -30.0, idle=False) for e in ends]


class Daemon:
    """One machine of a daemon, without the daemon."""

    def __init__(self, state_dir: Path, machine: str = "fan01", *, latch: bool = True) -> None:
        self.journal = Journal(state_dir)
        self.machine = MachineJournal(self.journal, machine)
        self.script = Script()
        rule = AlarmRule(Thresholds(4.0, 6.0), hop_s=0.5, latch=latch)
        self.monitor = Monitor(self.script, rule, RATE_HZ, self.machine.standing())
        self.at = 0
        self.now = NOW

    def hear(self, score: float, seconds: float) -> None:
        self.script.score = score
        noise = np.random.default_rng(self.at).uniform(-1, 1, round(seconds * RATE_HZ))
        for reading in self.monitor.push(Block(self.at, noise.astype(np.float32))):
            for change in reading.transitions:
                self.machine.record(change, self.now, "v1")
        self.at += round(seconds * RATE_HZ)
        self.now += timedelta(seconds=seconds)

    def poll(self) -> list[str]:
        if not self.journal.changed():
            return []
        return self.take_up()

    def take_up(self) -> list[str]:
        events = self.machine.take_up(self.monitor, self.now, "v1")
        return [f"{e.before}→{e.after}" for e in events if e.kind is TransitionKind.ALARM]


def acknowledge(state_dir: Path, alarm_id: str) -> None:
    command = Journal.existing(state_dir)
    assert command is not None
    with command:
        command.acknowledge(alarm_id, "ann", "greased", LATER)


def test_an_alarm_has_a_readable_id_and_its_whole_story(journal: Journal) -> None:
    fan = MachineJournal(journal, "fan01")
    event = fan.record(RISES, NOW, "v1")
    assert event.alarm is not None
    assert event.alarm.id == "fan01-20261123T044500Z"
    assert event.alarm.active
    fan.record(RETURNS, LATER, "v1")
    (stored,) = journal.alarms()
    assert stored == fan.newest
    assert (stored.raised, stored.cleared) == (NOW, LATER)
    assert (stored.active, stored.acknowledged, stored.peak_score) == (False, False, 7.0)
    timeline = journal.events(stored.id)
    assert [(e.time, e.before, e.after) for e in timeline] == [
        (NOW, "normal", "unacknowledged"),
        (LATER, "unacknowledged", "returned"),
    ]
    assert len({e.id for e in timeline}) == 2


def test_two_alarms_of_one_second_have_two_ids(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        with Journal(tmp_path) as journal:
            fan = MachineJournal(journal, "fan01")
            standing = fan.standing()
            next_number = standing.number + 1 if standing else 1
            fan.record(
                transition(Condition.RETURNED, Condition.UNACKNOWLEDGED, next_number), NOW, None
            )
            assert len(journal.alarms("fan01")) == number
    with Journal(tmp_path) as journal:
        assert [a.id for a in journal.alarms()] == [
            "fan01-20261123T044500Z.3",
            "fan01-20261123T044500Z.2",
            "fan01-20261123T044500Z",
        ]


def test_changes_of_the_machine_are_kept_without_an_alarm(journal: Journal) -> None:
    fan = MachineJournal(journal, "fan01")
    event = fan.record(Transition(1, TransitionKind.STATE, "normal", "idle", "off"), NOW, None)
    assert event.alarm is None
    assert journal.alarms() == []


def test_the_peak_grows_in_the_journal(journal: Journal) -> None:
    fan = MachineJournal(journal, "fan01")
    fan.record(RISES, NOW, "v1")
    fan.keep_peak(Alarm(1, Condition.UNACKNOWLEDGED, 9.5))
    fan.keep_peak(Alarm(1, Condition.UNACKNOWLEDGED, 8.0))
    fan.keep_peak(Alarm(2, Condition.UNACKNOWLEDGED, 12.0))
    fan.keep_peak(None)
    assert journal.alarms()[0].peak_score == 9.5


def test_a_running_daemon_takes_up_an_acknowledgement(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.hear(8.0, 20)
    assert daemon.poll() == []
    assert daemon.machine.newest is not None
    acknowledge(tmp_path, daemon.machine.newest.id)
    assert daemon.poll() == ["unacknowledged→acknowledged"]
    assert daemon.poll() == []
    assert daemon.take_up() == []
    newest = daemon.machine.newest
    assert newest == daemon.journal.alarm(newest.id)
    assert (newest.who, newest.why, newest.acknowledged_at) == ("ann", "greased", LATER)
    daemon.hear(0.5, 60)
    assert not daemon.journal.alarm(newest.id).active
    daemon.journal.close()


def test_an_acknowledgement_without_a_daemon_is_applied_by_the_next_one(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.hear(8.0, 20)
    daemon.hear(0.5, 60)
    daemon.journal.close()
    acknowledge(tmp_path, "fan01-20261123T044500Z")

    daemon = Daemon(tmp_path)
    assert daemon.monitor.alarm is not None
    assert daemon.monitor.alarm.active
    assert daemon.take_up() == ["latched→acknowledged"]
    daemon.hear(0.5, 60)
    (alarm,) = daemon.journal.alarms()
    assert (alarm.active, alarm.acknowledged) == (False, True)
    assert [f"{e.before}→{e.after}" for e in daemon.journal.events(alarm.id)] == [
        "normal→unacknowledged",
        "unacknowledged→latched",
        "latched→acknowledged",
        "acknowledged→normal",
    ]
    daemon.journal.close()


def test_the_acknowledgement_of_an_older_alarm_leaves_the_newer_alone(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, latch=False)
    daemon.hear(8.0, 20)
    daemon.hear(0.5, 60)
    daemon.hear(8.0, 20)
    newer, older = daemon.journal.alarms()
    acknowledge(tmp_path, older.id)
    assert daemon.poll() == ["returned→normal"]
    newer, older = daemon.journal.alarms()
    assert (newer.active, newer.acknowledged) == (True, False)
    assert (older.active, older.acknowledged) == (False, True)
    daemon.journal.close()


def test_without_a_monitor_an_alarm_is_signed_and_stands(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.hear(8.0, 20)
    acknowledge(tmp_path, "fan01-20261123T044500Z")
    events = daemon.machine.take_up(None, LATER, None)
    assert [e.after for e in events] == ["acknowledged"]
    standing = daemon.machine.standing()
    assert standing is not None
    assert standing.condition is Condition.ACKNOWLEDGED
    assert daemon.machine.take_up(None, LATER, None) == []
    daemon.journal.close()


def test_what_was_taken_up_is_not_taken_up_by_the_next_daemon(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.hear(8.0, 20)
    acknowledge(tmp_path, "fan01-20261123T044500Z")
    daemon.take_up()
    daemon.journal.close()
    daemon = Daemon(tmp_path)
    assert daemon.take_up() == []
    daemon.journal.close()


def test_a_signature_survives_what_the_daemon_writes_before_it_looks(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.hear(8.0, 20)
    acknowledge(tmp_path, "fan01-20261123T044500Z")
    daemon.hear(0.5, 60)
    assert daemon.journal.alarms()[0].who == "ann"
    assert daemon.poll() == ["latched→acknowledged", "acknowledged→normal"]
    daemon.journal.close()


def test_the_first_signature_stays(journal: Journal) -> None:
    MachineJournal(journal, "fan01").record(RISES, NOW, "v1")
    first = journal.acknowledge("fan01-20261123T044500Z", "ann", None, NOW)
    assert journal.acknowledge("fan01-20261123T044500Z", "bob", "me too", LATER) == first


def test_an_unknown_alarm_is_named(journal: Journal) -> None:
    MachineJournal(journal, "fan01").record(RISES, NOW, "v1")
    with pytest.raises(UsageError, match="did you mean fan01-20261123T044500Z"):
        journal.acknowledge("fan01-20261123T0445", "ann", None, NOW)
    with pytest.raises(UsageError, match="see `asd-monitor alarms list --all`"):
        journal.alarm("x")


def test_one_machine_does_not_see_the_alarms_of_another(journal: Journal) -> None:
    MachineJournal(journal, "fan01").record(RISES, NOW, "v1")
    assert MachineJournal(journal, "fan02").standing() is None
    assert journal.alarms("fan02") == []


def test_a_state_folder_without_a_journal_stays_without_one(tmp_path: Path) -> None:
    assert Journal.existing(tmp_path) is None
    with pytest.raises(JournalError, match="none: no such folder: name the daemon's"):
        Journal.existing(tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


def test_a_journal_that_was_never_finished_is_none_yet(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).touch()
    assert Journal.existing(tmp_path) is None
    with Journal(tmp_path) as journal:
        assert journal.alarms() == []


@pytest.mark.parametrize("size", [10, 5000])
def test_a_damaged_journal_gets_one_message(tmp_path: Path, size: int) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"no database" * size)
    for opening in (Journal, Journal.existing):
        with pytest.raises(JournalError, match=r"alarms.db: file is not a database: restart"):
            opening(tmp_path)


def test_a_damaged_journal_is_set_aside(tmp_path: Path) -> None:
    for count in (1, 2):
        (tmp_path / FILE_NAME).write_bytes(b"no database" * 100)
        kept = set_aside(tmp_path)
        assert kept.name == f"{FILE_NAME}.damaged-{count}"
        assert kept.read_bytes() == b"no database" * 100
        Journal(tmp_path).close()


def test_a_journal_with_damaged_pages_gets_one_message(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        fan = MachineJournal(journal, "fan01")
        for number in range(1, 200):
            fan.record(transition(Condition.RETURNED, Condition.UNACKNOWLEDGED, number), NOW, "v1")
    path = tmp_path / FILE_NAME
    content = bytearray(path.read_bytes())
    content[4096 : len(content) - 4096] = b"\xa5" * (len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(JournalError, match="restart the daemon"):
        Journal(tmp_path)


def test_a_journal_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE_NAME) as later:
        later.execute("PRAGMA user_version = 99")
    later.close()
    with pytest.raises(JournalError, match="format 99 is not known to this version: use the"):
        Journal(tmp_path)


def test_a_state_folder_that_cannot_be_made_gets_one_message(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match=r"the state folder cannot be made .*: choose another"):
        Journal(tmp_path / "file" / "state")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach, unlike pytest's."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def without_privilege() -> Iterator[None]:
    """Root may do everything and would prove nothing."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_state_folder_without_permission_gets_one_message(open_folder: Path) -> None:
    open_folder.chmod(0o555)
    told = r"unable to open database file: make .* writable for this user, or use sudo"
    with without_privilege(), pytest.raises(JournalError, match=told):
        Journal(open_folder)


def test_an_acknowledgement_without_permission_gets_one_message(open_folder: Path) -> None:
    with Journal(open_folder) as journal:
        MachineJournal(journal, "fan01").record(RISES, NOW, "v1")
        (open_folder / FILE_NAME).chmod(0o444)
        open_folder.chmod(0o555)
        told = r"alarms.db: .*: make .* writable for this user, or use sudo"
        with without_privilege(), pytest.raises(JournalError, match=told):
            acknowledge(open_folder, "fan01-20261123T044500Z")


def test_a_journal_out_of_reach_gets_one_message(open_folder: Path) -> None:
    Journal(open_folder).close()
    open_folder.chmod(0)
    with (
        without_privilege(),
        pytest.raises(JournalError, match="no permission to read it: use sudo"),
    ):
        Journal.existing(open_folder)


def test_a_full_disk_does_not_silence_an_alarm(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    pages = daemon.journal._db.execute("PRAGMA page_count").fetchone()[0]
    daemon.journal._db.execute(f"PRAGMA max_page_count = {pages}")
    filler = MachineJournal(daemon.journal, "filler")
    for _ in range(200):
        filler.record(Transition(1, TransitionKind.STATE, "a", "b", "x" * 500), NOW, None)
    assert daemon.journal.fault is not None
    assert "full: free space on the disk" in daemon.journal.fault
    daemon.hear(8.0, 20)
    assert daemon.machine.newest is not None
    assert daemon.machine.newest.active
    assert daemon.journal.alarms() == []
    assert daemon.journal.unwritten > 0

    daemon.journal._db.execute("PRAGMA max_page_count = 100000")
    assert daemon.journal.flush()
    assert daemon.journal.fault is None
    assert daemon.journal.unwritten == 0
    assert daemon.journal.alarms() == [daemon.machine.newest]
    daemon.journal.close()


def test_what_cannot_be_written_is_bounded_and_counted(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asd_monitor.journal.store.MOST_UNWRITTEN", 10)
    fan = MachineJournal(journal, "fan01")
    journal._db.execute("PRAGMA query_only = ON")
    for _ in range(15):
        fan.record(Transition(1, TransitionKind.STATE, "normal", "idle", "off"), NOW, None)
    assert journal.dropped == 5
    journal._db.execute("PRAGMA query_only = OFF")
    assert journal.flush()


def test_a_signature_is_taken_up_once_even_if_that_cannot_be_written(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.hear(8.0, 20)
    acknowledge(tmp_path, "fan01-20261123T044500Z")
    daemon.journal._db.execute("PRAGMA query_only = ON")
    assert daemon.take_up() == ["unacknowledged→acknowledged"]
    assert daemon.journal.fault is not None
    assert daemon.take_up() == []
    daemon.journal._db.execute("PRAGMA query_only = OFF")
    daemon.journal.close()


def test_old_events_are_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asd_monitor.journal.store.MOST_EVENTS", 1)
    with Journal(tmp_path) as journal:
        fan = MachineJournal(journal, "fan01")
        fan.record(RISES, NOW, "v1")
        fan.record(RETURNS, NOW, "v1")
    with Journal(tmp_path) as journal:
        assert [e.after for e in journal.events("fan01-20261123T044500Z")] == ["returned"]
        assert len(journal.alarms()) == 1


WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from asd_monitor.alarm.state import Alarm, Condition, Transition, TransitionKind
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.store import Journal

journal = Journal(Path(sys.argv[1]))
fan = MachineJournal(journal, "fan01")
standing = fan.standing()
number = standing.number if standing else 0
while True:
    number += 1
    alarm = Alarm(number, Condition.UNACKNOWLEDGED, 7.0)
    rises = Transition(
        1, TransitionKind.ALARM, Condition.RETURNED, Condition.UNACKNOWLEDGED, "x", alarm=alarm
    )
    event = fan.record(rises, datetime.now(UTC), "v1")
    print(event.alarm_id, event.id, flush=True)
"""


@pytest.mark.slow
def test_what_was_written_survives_kill_9_anywhere(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []
    for round_number in range(5):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        for _ in range(20 + 7 * round_number):
            alarm_id, event_id = writer.stdout.readline().split()
            told.append((alarm_id, event_id))
        writer.send_signal(signal.SIGKILL)
        # the last line may be cut off
        told += [tuple(line.split()) for line in writer.stdout if line.endswith("\n")]
        writer.stdout.close()
        assert writer.wait(30) == -signal.SIGKILL

        with Journal(tmp_path) as journal:
            (verdict,) = journal._db.execute("PRAGMA integrity_check").fetchone()
            assert verdict == "ok"
            alarms = {alarm.id for alarm in journal.alarms()}
            assert alarms >= {alarm_id for alarm_id, _ in told}
            for alarm in alarms:
                assert len(journal.events(alarm)) == 1  # both or neither
    assert len(set(told)) == len(told)
