"""Chatter has one definition: for the daemon, also after a restart, for commands and figures."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from asd_monitor.journal.commands import read_journal
from asd_monitor.journal.listed_alarms import listed_alarms
from asd_monitor.journal.requests import Request, Verb
from asd_monitor.journal.store import Journal
from tests.doubles.journalled_machine import JournalledMachine


def answers(fan: JournalledMachine) -> set[bool]:
    """Return whether the alarms chatter, as each place says it."""
    state = fan.journal.path.parent
    content = read_journal(state)
    assert content is not None
    newest = listed_alarms(content, content.alarms[:1], fan.now)[0]
    figures = content.figures(None, days=1.0, now=fan.now)
    return {
        fan.machine.is_chattering(fan.now),
        newest.chattering,
        figures.chattering == 1,
        fan.journal.figures(fan.now).chattering == 1,
    }


@pytest.mark.parametrize("latch", [True, False])
def test_alarms_that_come_and_go_chatter(tmp_path: Path, *, latch: bool) -> None:
    with Journal(tmp_path) as journal:
        fan = JournalledMachine(journal, latch=latch)
        for times in range(1, 5):
            fan.play(8.0, 20)
            assert answers(fan) == {times >= 3}
            fan.play(0.0, 40)
    with Journal(tmp_path) as journal:
        again = JournalledMachine(journal, latch=latch)
        again.now = fan.now
        assert answers(again) == {True}
        again.now = fan.now + timedelta(seconds=700)
        assert not again.machine.is_chattering(again.now)


def test_an_alarm_that_a_person_or_a_shelf_shows_again_does_not_chatter(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        fan = JournalledMachine(journal)
        fan.play(8.0, 20)
        alarm = fan.machine.newest
        assert alarm is not None

        def ask(verb: Verb, alarm_id: str | None = None, **arguments: str) -> list[str]:
            request = Request(
                verb, "fan01", "ann", fan.now, alarm_id=alarm_id, why="a test", arguments=arguments
            )
            journal.requests.add(request)
            return fan.apply()

        until = fan.now + timedelta(seconds=61)
        assert ask(Verb.SHELVE, alarm.id, until=until.isoformat())
        fan.play(8.0, 62)
        assert fan.expire() == ["shelved→unacknowledged"]
        for _ in range(2):
            ask(Verb.OUT_OF_SERVICE)
            assert ask(Verb.IN_SERVICE) == ["out_of_service→unacknowledged"]
        assert journal.figures(fan.now).alarms == 4
        assert answers(fan) == {False}
