"""The labels of a machine's alarms, read alarm by alarm."""

from __future__ import annotations

from pathlib import Path

from asd_monitor.cli.machine_labels import labels_of
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.labelled_alarms import labelled_alarms
from asd_monitor.journal.requests import Verb
from tests.doubles.changed_machine import changed_machine


def test_the_labels_are_those_that_commands_read(tmp_path: Path) -> None:
    machine = changed_machine(tmp_path)
    valid, invalid, _ = (machine.add_alarm(None, hours) for hours in (1.0, 2.0, 3.0))
    machine.ask(Verb.LABEL, valid, "a bearing", label="valid")
    machine.ask(Verb.LABEL, invalid, label="invalid")
    found = labelled_alarms(tmp_path, "fan01")
    assert found.damage is None
    assert found.labels == labels_of(tmp_path, "fan01").said.labels
    assert [each.alarm_id for each in found.labels] == [valid, invalid]
    assert labelled_alarms(tmp_path, "pump02").labels == ()


def test_without_a_journal_there_are_no_labels(tmp_path: Path) -> None:
    assert labelled_alarms(tmp_path, "fan01").labels == ()
    assert labelled_alarms(tmp_path, "fan01").damage is None


def test_a_changed_alarm_is_damage(tmp_path: Path) -> None:
    machine = changed_machine(tmp_path)
    alarm_id = machine.add_alarm(None, 1.0)
    machine.ask(Verb.LABEL, alarm_id, "a bearing", label="valid")
    path = tmp_path / FILE_NAME
    content = path.read_bytes()
    assert b"a bearing" in content
    path.write_bytes(content.replace(b"a bearing", b"a bearinG"))
    found = labelled_alarms(tmp_path, "fan01")
    assert found.labels == ()
    assert found.damage is not None
    assert "labels may be missing (an alarm cannot be read)" in found.damage
    path.write_bytes(b"no journal")
    damage = labelled_alarms(tmp_path, "fan01").damage
    assert damage is not None
    assert "not a journal of alarms" in damage
