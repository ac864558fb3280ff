"""`alarms list`, `show` and `stats`."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import pytest

from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.store import Journal
from asd_monitor.publish.machine_messages import Alarm as AlarmMessage
from tests.doubles.alarm_commands import FAN, PUMP, run, write_alarms
from tests.doubles.command_line import CommandLine
from tests.doubles.journalled_machine import NOW, RAISED

REASON = "alarm score at least 6.71 for 3 s"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder in which an alarm of fan01 and one of pump02 are active."""
    write_alarms(tmp_path)
    return tmp_path


def test_alarms_are_listed_with_the_newest_first(state: Path) -> None:
    result = run(state, "list")
    assert result.exit_code == 0
    head, *rows = result.stdout.splitlines()
    assert re.split(r"\s{2,}", head.strip()) == [
        "id",
        "raised (UTC)",
        "state",
        "peak alarm score",
        "time scale",
        "acknowledged by",
        "reason",
    ]
    cells = [PUMP, "2026-11-23 04:45:00", "ACTIVE", "8.2", "1 h", REASON]
    assert re.split(r"\s{2,}", rows[0]) == cells
    assert FAN in rows[1]
    assert PUMP not in run(state, "list", "--machine", "fan01").stdout


def test_the_list_as_json(state: Path) -> None:
    pump, fan = json.loads(run(state, "list", "--json").stdout)
    assert pump["machine"] == "pump02"
    assert fan == {
        "id": FAN,
        "machine": "fan01",
        "active": True,
        "acknowledged": False,
        "shelved_until": None,
        "out_of_service": False,
        "latched": False,
        "provisional": None,
        "chattering": False,
        "suppressed": None,
        "severity": "alarm",
        "raised": "2026-11-23T04:45:00.512Z",
        "cleared": None,
        "acknowledged_at": None,
        "who": None,
        "why": None,
        "peak_alarm_score": 8.25,
        "time_scale_s": 3600.0,
        "reason": "alarm score at least 6.71 for 3 s",
        "views": {},
        "evidence": None,
        "model": "20261122T101500Z",
        "label": None,
        "label_why": None,
        "labelled_by": None,
    }


def test_a_listed_alarm_has_all_keys_of_the_alarm_condition(state: Path) -> None:
    listed = json.loads(run(state, "list", "--json").stdout)[0]
    assert {each.name for each in fields(AlarmMessage)} <= listed.keys()


def test_the_newest_fifty_alarms_are_listed_and_the_others_counted(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        for number in range(52):
            MachineJournal(journal, f"fan{number}").record(RAISED, NOW, "v1")
    listed = run(tmp_path, "list")
    assert [row.split("-")[0] for row in listed.stdout.splitlines()[1:]] == [
        f"fan{number}" for number in range(51, 1, -1)
    ]
    assert listed.stderr == "asd-monitor: 2 earlier alarms not listed: add --limit 52\n"
    every = run(tmp_path, "list", "--limit", "52")
    assert (len(every.stdout.splitlines()), every.stderr) == (53, "")
    assert run(tmp_path, "list", "--all").stdout == every.stdout
    assert len(json.loads(run(tmp_path, "list", "--json").stdout)) == 52
    assert len(json.loads(run(tmp_path, "list", "--json", "--limit", "3").stdout)) == 3


def test_an_empty_folder_has_no_alarms(tmp_path: Path) -> None:
    result = run(tmp_path, "list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert f"{tmp_path}: no daemon has written alarms here yet" in result.stderr
    assert json.loads(run(tmp_path, "list", "--json").stdout) == []
    assert list(tmp_path.iterdir()) == []


def test_an_alarm_is_shown_with_its_events(state: Path) -> None:
    shown = run(state, "show", FAN).stdout
    assert shown.startswith(f"{FAN}: ACTIVE\n")
    assert "2026-11-23T04:45:00.512Z  normal → unacknowledged: alarm score at least" in shown
    assert re.search(r"time scale +1 h\n", shown)
    document = json.loads(run(state, "show", FAN, "--json").stdout)
    assert document["events"][0]["to"] == "unacknowledged"


@pytest.mark.parametrize("command", ["list", "ack"])
def test_an_unknown_machine_is_refused_with_a_suggestion(
    command_line: CommandLine, state: Path, command: str
) -> None:
    called = command_line("alarms", command, "--machine", "fan1", "--state", state)
    assert (called.code, called.out) == (2, "")
    assert "there is no machine fan1: did you mean fan01?" in called.message


def test_a_machine_without_alarms_is_known(command_line: CommandLine, state: Path) -> None:
    with Journal(state) as journal:
        MachineJournal(journal, "mill")
    called = command_line("alarms", "list", "--machine", "mill", "--state", state)
    assert (called.code, called.out) == (0, "")
    assert "no alarm of mill" in called.message


def test_the_figures_are_printed_beside_those_of_isa(state: Path) -> None:
    shown = run(state, "stats", "--days", "36500").stdout
    assert re.search(r"alarms an hour +\d+\.\d\d +about 6, at most 12\n", shown)
    assert re.search(r"\nalarms +2\n", shown)
    document = json.loads(run(state, "stats", "--days", "36500", "--json").stdout)
    assert (document["alarms"], document["busiest_10_min"], document["top_share"]) == (2, 2, 0.5)
    one = json.loads(run(state, "stats", "-m", "fan01", "--days", "36500", "--json").stdout)
    assert (one["alarms"], one["top_machine"]) == (1, "fan01")
    assert "write one above 0" in str(run(state, "stats", "--days", "0").exception)


def test_figures_of_less_than_a_day_have_no_rates(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        MachineJournal(journal, "fan01").record(RAISED, datetime.now(UTC), "v1")
    shown = run(tmp_path, "stats").stdout
    assert re.search(r"\nalarms an hour +too little data +about 6, at most 12\n", shown)
    assert re.search(r"\ntime in floods +too little data +less than 1 %\n", shown)
    document = json.loads(run(tmp_path, "stats", "--json").stdout)
    assert (document["alarms"], document["per_day"], document["flood_share"]) == (1, None, None)
