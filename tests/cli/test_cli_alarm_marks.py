"""`alarms mark-normal` on the command line: the request, and wrong usage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.machine_requests import MachineRequests
from asd_monitor.journal.store import Journal
from asd_monitor.records import NormalSpan
from tests.doubles.command_line import CommandLine
from tests.doubles.journalled_machine import FAN_ALARM, NOW, RAISED
from tests.doubles.kept_alarm_sound import keep_alarm_sound
from tests.doubles.synthetic_sounds import machine_sound


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder in which an alarm of fan01 is active, with its sound."""
    with Journal(tmp_path) as journal:
        MachineJournal(journal, "fan01").record(RAISED, NOW, "v1")
    keep_alarm_sound(tmp_path, "fan01", FAN_ALARM, NOW, sound=machine_sound(5.0))
    return tmp_path


def applied(state: Path, now: datetime = NOW + timedelta(minutes=1)) -> list[NormalSpan]:
    """Apply the requests as the daemon does; return what is marked then."""
    with Journal(state) as journal:
        machine = MachineJournal(journal, "fan01")
        MachineRequests(machine).apply(None, now, None)
        return journal.normal_spans("fan01")


def test_the_sound_of_an_alarm_is_marked_and_the_mark_is_withdrawn(
    command_line: CommandLine, state: Path
) -> None:
    mark = ("alarms", "mark-normal", FAN_ALARM, "--why", "a new filter", "--state", state)
    result = command_line(*mark)
    assert result.code == 0, result.err
    assert "`mark-normal` waits for the daemon" in result.out
    (span,) = applied(state)
    assert (span.alarm_id, span.why) == (FAN_ALARM, "a new filter")
    shown = command_line("alarms", "show", FAN_ALARM, "--state", state).out
    assert "label             invalid" in shown
    assert "not_marked → marked_normal" in shown
    assert command_line(*mark, "--withdraw").code == 0
    assert applied(state) == []


def test_a_span_is_given_in_local_time_or_with_its_zone(
    command_line: CommandLine, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    mark = ("alarms", "mark-normal", "-m", "fan01", "--why", "the other load", "--state", state)
    result = command_line(*mark, "--from", "2026-11-23T04:45", "--to", "2026-11-23T05:46+01:00")
    assert result.code == 0, result.err
    (span,) = applied(state, NOW + timedelta(hours=1))
    assert span.begin == datetime(2026, 11, 23, 4, 45, tzinfo=UTC)
    assert span.end == datetime(2026, 11, 23, 4, 46, tzinfo=UTC)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((FAN_ALARM,), "say why"),
        (("--why", "x"), "give either the ID of an alarm, or --machine M"),
        ((FAN_ALARM, "-m", "fan01", "--why", "x"), "give either the ID"),
        (("-m", "fan01", "--from", "2026-11-23T05:00", "--why", "x"), "give either the ID"),
        (("-m", "fan01", "--from", "now", "--to", "later", "--why", "x"), "is not a time"),
        (("fan01-x", "--why", "x"), "no alarm 'fan01-x'"),
        (("-m", "pump", "--from", "0", "--to", "0", "--why", "x"), "there is no machine pump"),
    ],
)
def test_wrong_usage_is_refused(
    command_line: CommandLine, state: Path, arguments: tuple[str, ...], reason: str
) -> None:
    result = command_line("alarms", "mark-normal", *arguments, "--state", state)
    assert (result.code, reason in result.message) == (2, True), result.err
    assert applied(state) == []
