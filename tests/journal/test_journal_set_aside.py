"""Events that the broker did not accept: when they are tried again, without blocking others."""

from __future__ import annotations

import shutil
from pathlib import Path

from asd_monitor.journal.event_outbox import RETRY_PAUSES_S
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.store import Journal
from tests.doubles.journal_outbox import Clock
from tests.doubles.journalled_machine import NOW, state_transition


def record(journal: Journal, machine: str = "fan01", events: int = 1) -> None:
    for _ in range(events):
        MachineJournal(journal, machine).record(state_transition(), NOW, "v1")


def publish(journal: Journal, refusal: str | None, machine: str = "fan01") -> list[int | None]:
    """Settle all events that the journal hands out now; return their numbers."""
    taken = journal.outbox.take(machine, 1000)
    for each in taken:
        journal.outbox.settle(each, refusal)
    journal.flush()
    return [each.event.seq for each in taken]


def set_aside(journal: Journal, events: int) -> None:
    record(journal, events=events)
    publish(journal, "Packet too large")
    assert journal.outbox.figures.set_aside == events


def test_after_a_restart_each_that_is_accepted_is_followed_by_the_next(
    tmp_path: Path, clock: Clock
) -> None:
    with Journal(tmp_path, monotonic_s=clock) as journal:
        set_aside(journal, 3)
        record(journal)
        assert publish(journal, None) == [4]
    with Journal(tmp_path, monotonic_s=clock) as journal:
        published = []
        for left in (2, 1, 0):
            journal.maintain()
            figures = journal.outbox.figures
            assert (figures.waiting, figures.set_aside) == (1, left)
            assert figures.oldest_s is not None
            (retried,) = journal.outbox.take("fan01", 10)
            assert journal.outbox.is_historical(retried)
            assert journal.outbox.take("fan01", 10) == []
            journal.outbox.settle(retried, None)
            journal.flush()
            published.append(retried.event.seq)
        journal.maintain()
        assert published == [1, 2, 3]
        assert journal.outbox.machines_due <= {"fan01"}
        assert (journal.outbox.figures.waiting, journal.outbox.figures.set_aside) == (0, 0)


def test_one_that_is_refused_again_is_tried_again_after_growing_pauses_and_others_before(
    tmp_path: Path, clock: Clock
) -> None:
    with Journal(tmp_path, monotonic_s=clock) as journal:
        set_aside(journal, 2)
        begun_s, tried, at_s = clock.now_s, [], []
        while clock.now_s < begun_s + 5 * 3600.0:
            journal.maintain()
            for seq in publish(journal, "Packet too large"):
                tried.append(seq)
                at_s.append(clock.now_s - begun_s)
            assert journal.outbox.figures.set_aside == 2
            clock.now_s += 60.0
    assert tried == [1, 2, 1, 2, 1]
    pauses = [after - before for before, after in zip([0.0, *at_s], at_s, strict=False)]
    expected = [RETRY_PAUSES_S[0], *RETRY_PAUSES_S]
    assert all(0 <= found - pause <= 60.0 for found, pause in zip(pauses, expected, strict=False))


def test_no_other_event_waits_for_one_that_is_tried_again(tmp_path: Path, clock: Clock) -> None:
    with Journal(tmp_path, monotonic_s=clock) as journal:
        set_aside(journal, 2)
        clock.now_s += RETRY_PAUSES_S[0]
        journal.maintain()
        record(journal)
        record(journal, "pump02")
        assert [each.event.seq for each in journal.outbox.take("fan01", 10)] == [3, 1]
        record(journal)
        assert [each.event.seq for each in journal.outbox.take("fan01", 10)] == [4]
        assert [each.event.seq for each in journal.outbox.take("pump02", 10)] == [1]
        clock.now_s += RETRY_PAUSES_S[0]
        journal.maintain()
        assert journal.outbox.take("fan01", 10) == [], "two are tried at once"


def test_one_that_is_tried_again_waits_for_the_next_run_after_a_kill(
    tmp_path: Path, clock: Clock
) -> None:
    with Journal(tmp_path / "state", monotonic_s=clock) as journal:
        set_aside(journal, 2)
        clock.now_s += RETRY_PAUSES_S[0]
        journal.maintain()
        assert len(journal.outbox.take("fan01", 10)) == 1
        ignore = shutil.ignore_patterns("*-shm")
        shutil.copytree(tmp_path / "state", tmp_path / "killed", ignore=ignore)
    with Journal(tmp_path / "killed", monotonic_s=clock) as journal:
        assert publish(journal, None) == [1]
        journal.maintain()
        assert publish(journal, None) == [2]
