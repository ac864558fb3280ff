"""Every command of the guides for operators, in their order, on a machine with an alarm."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from asd_monitor.journal.commands import read_journal
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.machine_requests import MachineRequests
from asd_monitor.journal.requests import OutcomeEntry
from asd_monitor.journal.store import Journal
from tests.doubles.changed_machine import ChangedMachine, changed_machine, changed_sound
from tests.doubles.command_line import CommandLine
from tests.doubles.guide_commands import check_other_program, commands_of
from tests.doubles.model_versions import current

ALARM = "fan01-20261129T053412Z"
"""The alarm that the guides take as their example."""


@pytest.fixture
def machine(commissioned: Path, monkeypatch: pytest.MonkeyPatch) -> ChangedMachine:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    return changed_machine(commissioned)


def run_page(
    page: str,
    command_line: CommandLine,
    machine: ChangedMachine,
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> list[str]:
    """Run a page about an alarm in changed sound; return what each command printed."""
    alarm = machine.add_alarm(changed_sound(), 1.0)
    folders = {
        "ASD_MONITOR_STATE": ("/var/lib/asd-monitor/hall", str(machine.state)),
        "ASD_MONITOR_MODELS": ("/var/lib/asd-monitor/hall/models", str(models)),
    }
    printed = []
    for words in commands_of(page):
        if words[0] == "export":
            for name, value in (word.split("=") for word in words[1:]):
                assert value == folders[name][0]
                monkeypatch.setenv(name, folders[name][1])
            continue
        if words[0] != "asd-monitor":
            check_other_program(words)
            continue
        if (
            words[2] == "shelve"
        ):  # the sound of the first one is normal: its acknowledgement closed it
            alarm = machine.add_alarm(changed_sound(), 2.0)
        result = command_line(*(alarm if word == ALARM else word for word in words[1:]))
        assert result.code == 0, (words, result.err)
        printed.append(result.out)
        _apply_requests(machine.state)
    return printed


def _apply_requests(state: Path) -> None:
    outcomes: list[OutcomeEntry] = []
    with Journal(state) as journal:
        journal.requests.listen(outcomes.append)
        MachineRequests(MachineJournal(journal, "fan01")).apply(None, datetime.now(UTC), None)
    assert [each.outcome for each in outcomes if not each.accepted] == []


def test_the_page_beside_the_machine(
    command_line: CommandLine,
    own_models: Path,
    machine: ChangedMachine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listed, shown, opened, *_ = run_page(
        "at-an-alarm.md", command_line, machine, own_models, monkeypatch
    )
    journal = read_journal(machine.state)
    assert journal is not None
    shelved, record = journal.alarms
    assert record.id in listed
    assert shown.startswith(record.id)
    assert "index.html" in opened
    assert (record.label, record.closed) == ("valid", True)
    assert shelved.closed  # by the return to service
    assert journal.out_of_service == {}


def test_the_page_of_false_alarms_ends_with_the_model_before(
    command_line: CommandLine,
    own_models: Path,
    machine: ChangedMachine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    printed = run_page("at-a-false-alarm.md", command_line, machine, own_models, monkeypatch)
    journal = read_journal(machine.state)
    assert journal is not None
    (record,) = journal.alarms
    assert (record.label, record.closed) == ("invalid", True)
    (refit,) = (text for text in printed if "candidate" in text)
    assert "promote" in refit
    assert current(own_models) == "v1"


def test_the_page_of_upgrades_backs_up_what_it_then_upgrades(
    command_line: CommandLine, own_models: Path, machine: ChangedMachine, tmp_path: Path
) -> None:
    config = tmp_path / "hall.yaml"
    config.write_text('version: 1\nmachines:\n  fan01: {device: "hw:1"}\n')
    machine.add_alarm(changed_sound(), 1.0)
    archive = tmp_path / "hall.tar"
    places = {
        "/etc/asd-monitor/hall.yaml": config,
        "/var/lib/asd-monitor/hall/models": own_models,
        "/var/lib/asd-monitor/hall": machine.state,
        "/var/backups/hall.tar": archive,
    }
    used = []
    for words in commands_of("upgrade-and-removal.md"):
        if words[0] != "asd-monitor":
            check_other_program(words)
            continue
        result = command_line(*(places.get(word, word) for word in words[1:]))
        assert result.code == 0, (words, result.err)
        used.append(words[1])
    assert used == ["box", "config"]
    assert command_line("box", "restore", "--check", archive).code == 0
