"""Notices about settings without effect and files that cannot be read."""

from __future__ import annotations

from pathlib import Path

from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.config.loading import read_config
from tests.doubles.command_line import without_privileges
from tests.doubles.config_files import HOST, SMALLEST, notices


def test_missing_files_are_noticed(file: Path) -> None:
    (file.parent / "ca.pem").touch()
    text = (
        "version: 1\nmqtt:\n  username: u\n  port: 8883\n  password_file: absent.txt\n"
        "  tls:\n    ca: ca.pem\n    cert: .\n    key: none/key.pem\n"
        "machines: {fan01: {device: 'hw:1'}}\n"
    )
    password, cert, key = notices(file, text)
    folder = file.parent
    places = ("5:3: mqtt.password_file", "8:5: mqtt.tls.cert", "9:5: mqtt.tls.key")
    files = (f"{folder}/absent.txt", str(folder), f"{folder}/none/key.pem")
    causes = ("No such file", "Is a directory", "No such file")
    for notice, place, path, cause in zip(
        (password, cert, key), places, files, causes, strict=True
    ):
        assert notice.startswith(f"{place}: {path}: cannot be read ({cause}")


def test_an_unreadable_password_file_is_noticed(open_folder: Path) -> None:
    secret = open_folder / "password"
    secret.touch()
    text = "version: 1\nmqtt: {username: u, password_file: password}\n"
    text += "machines: {fan01: {device: 'hw:1'}}\n"
    assert notices(open_folder / "edge.yaml", text) == []
    secret.chmod(0)
    with without_privileges():
        file = read_config(open_folder / "edge.yaml", parse_device, {}, host=HOST)
    [notice] = file.notices
    assert "mqtt.password_file" in notice
    assert "Permission denied" in notice


def test_settings_without_effect_are_noticed(file: Path) -> None:
    text = """\
version: 1
mqtt: {tls: {}, commands: true}
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
        "2:17: mqtt.commands: commands over MQTT are not available yet",
        "4:11: defaults.alarm.false_alarms: fewer warnings than false alarms",
        "5:3: defaults.evidence: evidence of alarms is not stored yet",
        "8:10: machines.pump.device: the same device and channel as fan01",
        "10:13: #2 after a space is a comment: if it is the channel, use quotes",
    ]
    for line, start in zip(notices(file, text), starts, strict=True):
        assert line.startswith(start)


def test_the_smallest_file_has_no_notices(file: Path) -> None:
    assert notices(file, SMALLEST) == []
