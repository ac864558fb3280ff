"""Every command of docs/after-a-repair.md, in its order, on a repaired machine."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from asd_monitor.journal.commands import read_journal
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.machine_requests import MachineRequests
from asd_monitor.journal.store import Journal
from asd_monitor.wording import rfc3339
from tests.doubles.changed_machine import changed_machine, changed_sound, faulty_sound
from tests.doubles.command_line import CommandLine
from tests.doubles.guide_commands import check_other_program, commands_of
from tests.doubles.model_versions import current, versions_of
from tests.doubles.synthetic_sounds import write


def apply_requests(state: Path) -> None:
    with Journal(state) as journal:
        MachineRequests(MachineJournal(journal, "fan01")).apply(None, datetime.now(UTC), None)


@pytest.mark.usefixtures("unmeasured")
def test_the_commands_take_a_repaired_machine_to_its_own_model(
    command_line: CommandLine,
    own_models: Path,
    commissioned: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASD_MONITOR_MODELS", str(own_models))
    monkeypatch.setenv("ASD_MONITOR_STATE", str(commissioned))
    machine = changed_machine(commissioned)
    fault = machine.add_alarm(faulty_sound(), 1.0)
    since = rfc3339(machine.begin + timedelta(hours=4))
    examples = {
        "fan01-20261123T101500Z": fault,
        "2026-11-23T14:30": since,
    }
    used = []
    for name, *words in commands_of("after-a-repair.md"):
        if name != "asd-monitor":
            check_other_program([name, *words])
            continue
        arguments = [examples.get(word, word) for word in words]
        used.append(" ".join(words[:2]))
        if words[0] == "record":  # there is no device: its options are those of the page
            options = command_line("record", "--help").out
            assert all(word in options for word in words if word.startswith("--"))
            write(tmp_path / "after-repair/1.wav", changed_sound(60.0, seed=70))
            continue
        if words[0] == "train":
            arguments = [*arguments, "--models", str(tmp_path / "trained")]
        result = command_line(*arguments)
        assert result.code == 0, (words, result.err)
        if words[:2] == ["models", "refit"]:
            assert "promote fan01 v2" in result.out
            assert re.search(rf"{fault} +valid .*as before", result.out)
        if words[:2] == ["models", "promote"]:
            assert current(own_models) == "v2"
        apply_requests(commissioned)
        journal = read_journal(commissioned)
        assert journal is not None
        if words[:2] == ["alarms", "out-of-service"]:
            assert "fan01" in journal.out_of_service
        if words[:2] == ["alarms", "in-service"]:
            assert journal.out_of_service == {}
            for number in range(3):
                newest = machine.add_alarm(changed_sound(seed=60 + number), 5.0 + number)
            examples["fan01-20261123T144500Z"] = newest
        if words[:2] == ["alarms", "shelve"]:
            assert journal.alarms[0].shelved
        if words[:2] == ["alarms", "unshelve"]:
            assert not journal.alarms[0].shelved
    assert current(own_models) == "v1"
    assert versions_of(command_line, own_models) == ["v1", "v2"]
    assert used == [
        "alarms label",
        "alarms ack",
        "alarms out-of-service",
        "alarms in-service",
        "alarms shelve",
        "models refit",
        "record --device",
        "train --machine",
        "models promote",
        "alarms unshelve",
        "models rollback",
    ]
