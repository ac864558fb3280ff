"""Notices about settings without effect."""

from __future__ import annotations

from pathlib import Path

from asd_monitor.config.settings import file_schema
from tests.doubles.config_files import SMALLEST, load, notices


def test_settings_without_effect_are_noticed(file: Path) -> None:
    text = """\
version: 1
mqtt: {tls: {}}
defaults:
  alarm: {false_alarms: 1 per hour}
  evidence: {max_age_days: 3}
machines:
  fan01: {device: "hw:1", channel: 0}
  pump: {device: "hw:1"}
  other:
    device: name:USB Mic #2
"""
    starts = [
        "2:8: mqtt.tls: TLS on port 1883",
        "4:11: defaults.alarm.false_alarms: fewer warnings than false alarms",
        "5:14: defaults.evidence.max_age_days: evidence of alarms is not stored yet",
        "8:10: machines.pump.device: the same device and channel as fan01",
        "10:13: #2 after a space is a comment: if it is the channel, use quotes",
    ]
    for line, start in zip(notices(file, text), starts, strict=True):
        assert line.startswith(start)


def test_the_smallest_file_has_no_notices(file: Path) -> None:
    assert notices(file, SMALLEST) == []


def test_settings_without_effect_are_not_shown_as_settings_in_effect(file: Path) -> None:
    text = "defaults: {evidence: {max_bytes: 1 GB}}\n"
    shown = load(file, text + SMALLEST).as_written()
    assert shown["defaults"]["evidence"] == {"sound": "full"}
    assert shown["machines"]["fan01"]["evidence"] == {"sound": "full"}


def test_commands_are_a_setting_with_effect(file: Path) -> None:
    assert notices(file, "mqtt: {commands: true}\n" + SMALLEST) == []
    assert (
        load(file, "mqtt: {commands: true}\n" + SMALLEST).as_written()["mqtt"]["commands"] is True
    )
    assert load(file, SMALLEST).as_written()["mqtt"]["commands"] is False
    commands = file_schema()["$defs"]["Mqtt"]["properties"]["commands"]
    assert (commands["type"], commands["default"]) == ("boolean", False)
    assert "deprecated" not in commands
