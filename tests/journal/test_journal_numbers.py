"""The numbers of events: none is used twice, whatever was lost, and a gap is rare."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from asd_monitor.journal import event_numbers
from asd_monitor.journal.event_numbers import RESERVED
from asd_monitor.journal.file_image import PAGE_BYTES
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.store import Journal
from tests.doubles.journalled_machine import NOW, state_transition

FRAME_BYTES = 24 + PAGE_BYTES


def record(journal: Journal, events: int = 1) -> None:
    writer = MachineJournal(journal, "fan01")
    for _ in range(events):
        writer.record(state_transition(), NOW, "v1")


def taken(journal: Journal) -> list[int]:
    """Return the numbers of the events that are published now."""
    return [each.event.seq or 0 for each in journal.outbox.take("fan01", 10_000)]


@pytest.fixture
def boots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file with the id of the boot; write to it for another boot."""
    boot = tmp_path / "boot_id"
    boot.write_text("first")
    monkeypatch.setattr(event_numbers, "_BOOT_ID", boot)
    return boot


def cut(wal: Path, share: float) -> None:
    """Leave the first frames of a write-ahead log only."""
    content = wal.read_bytes()
    frames = int((len(content) - 32) // FRAME_BYTES * share)
    wal.write_bytes(content[: 32 + frames * FRAME_BYTES] if frames else b"")


@pytest.mark.parametrize("share", [0.0, 0.6])
@pytest.mark.parametrize("boot", ["first", "second"])
@pytest.mark.parametrize("events", [1, 3, RESERVED + 20])
def test_no_number_is_used_twice_where_the_end_of_the_log_is_lost(
    tmp_path: Path, boots: Path, share: float, boot: str, events: int
) -> None:
    state, killed = tmp_path / "state", tmp_path / "killed"
    with Journal(state) as journal:
        record(journal, events)
        published = taken(journal)
        shutil.copytree(state, killed, ignore=shutil.ignore_patterns("*-shm"))
    cut(killed / f"{FILE_NAME}-wal", share)
    boots.write_text(boot)
    with capture_logs(), Journal(killed) as journal:
        before = set(taken(journal))
        record(journal, 3)
        new = taken(journal)
    assert published == list(range(1, events + 1))
    assert before <= set(published)
    assert len(new) == 3
    assert min(new) > max(published)
    assert max(new) <= events + RESERVED + 3


def test_a_power_failure_leaves_a_gap_and_a_kill_or_a_stop_leaves_none(
    tmp_path: Path, boots: Path
) -> None:
    runs = [tmp_path / str(number) for number in range(4)]
    ignore = shutil.ignore_patterns("*-shm")
    with Journal(runs[0]) as journal:
        record(journal, 2)
        shutil.copytree(runs[0], runs[1], ignore=ignore)
    with Journal(runs[0]) as journal:
        record(journal)
        assert taken(journal) == [1, 2, 3], "a gap after a stop"
    with Journal(runs[1]) as journal:
        record(journal)
        assert taken(journal) == [1, 2, 3], "a gap after a kill"
        shutil.copytree(runs[1], runs[2], ignore=ignore)
    boots.write_text("second")
    with Journal(runs[2]) as journal:
        record(journal)
        first = taken(journal)[-1]
        assert first > RESERVED // 2
    boots.write_text("third")
    with Journal(runs[2]) as journal:
        record(journal)
        assert taken(journal)[-1] == first + 1, "a gap after a stop and a boot"


def test_numbers_go_on_where_their_file_cannot_be_read(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        record(journal, 2)
    (tmp_path / f"{FILE_NAME}-seq").write_bytes(b"\0" * 20)
    with Journal(tmp_path) as journal:
        record(journal)
        assert taken(journal) == [1, 2, 3]


def test_numbers_that_cannot_be_noted_are_reported_once(tmp_path: Path) -> None:
    (tmp_path / f"{FILE_NAME}-seq").mkdir()
    with capture_logs() as logs, Journal(tmp_path) as journal:
        record(journal, 3)
        assert taken(journal) == [1, 2, 3]
        assert journal.fault is None
    assert [entry["log_level"] for entry in logs] == ["warning"]
