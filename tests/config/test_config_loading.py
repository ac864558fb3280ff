"""What a valid configuration means."""

from __future__ import annotations

from pathlib import Path

import pytest

from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.config.loading import as_yaml, default_box, machine_from_options
from asd_monitor.errors import UsageError
from tests.doubles.config_files import SMALLEST, errors, load

CONTRACT = """\
version: 1
box: edge-07                      # default: host name; <host>.<instance> under the template unit
mqtt: {host: localhost, port: 1883, prefix: asd, username: null, password_file: null, tls: null, commands: false}
inference: {provider: cpu, threads: 1}
defaults:                         # each key can be repeated per machine
  window_s: 1.984                 # seconds, rounded to whole frames; both apply at training,
  hop_s: 0.512                    # a bundle that differs wins, with a warning
  alarm: {false_alarms: 1 per month, warnings: 1 per day, on_delay_s: 3, off_delay_s: 10, latch: true}
  evidence: {keep_before_s: 10, keep_after_s: 10, max_bytes: 2 GB, max_age_days: 30}
machines:
  fan01: {device: "hw:1", channel: 0}
  pump02: {device: "usb-id:0d8c:0014", alarm: {false_alarms: 1 per week}}
"""  # noqa: E501


def test_the_documented_defaults_are_the_defaults(file: Path) -> None:
    written, bare = load(file, CONTRACT), load(file, SMALLEST)
    assert written.mqtt == bare.mqtt
    assert written.inference == bare.inference
    assert written.defaults == bare.defaults
    assert written.box == bare.box
    fan = written.machines["fan01"]
    assert (fan.device, fan.channel, fan.device_text) == ("hw:1", 0, "hw:1#0")
    assert fan.alarm == bare.machines["fan01"].alarm


def test_a_machine_overrides_single_keys_of_the_defaults(file: Path) -> None:
    config = load(
        file,
        "version: 1\n"
        "defaults: {alarm: {on_delay_s: 5, latch: false}, hop_s: 0.25, learn: 30m}\n"
        "machines:\n"
        "  fan01: {device: 'hw:1', alarm: {on_delay_s: 1}}\n"
        "  fan02: {device: 'hw:2', alarm: }\n",
    )
    first, second = config.machines["fan01"], config.machines["fan02"]
    assert (first.alarm.on_delay_s, first.alarm.latch, first.hop_s) == (1, False, 0.25)
    assert (second.alarm.on_delay_s, second.alarm.latch) == (5, False)
    assert first.learn is not None
    assert first.learn.seconds == 1800


def test_sections_without_values_are_ignored(file: Path) -> None:
    text = "mqtt:\ninference:\ndefaults:\nbox:\n" + SMALLEST
    assert load(file, text) == load(file, SMALLEST)


def test_the_printed_configuration_reads_back(file: Path) -> None:
    config = load(file, CONTRACT)
    assert load(file, as_yaml(config)) == config


@pytest.mark.parametrize("key", ["on", "1", "null", "0x10", "1_0", "yes"])
def test_ids_are_text(file: Path, key: str) -> None:
    config = load(file, f"version: 1\nmachines: {{{key}: {{device: default}}}}\n")
    assert list(config.machines) == [key]


def test_the_box_id_is_the_host_name_and_the_instance(file: Path) -> None:
    assert load(file, SMALLEST).box == "edge-07"
    assert load(file, SMALLEST, ASD_MONITOR_INSTANCE="hall3").box == "edge-07.hall3"
    assert load(file, "box: b\n" + SMALLEST, ASD_MONITOR_INSTANCE="hall3").box == "b"
    assert default_box({}, host="h") == "h"


@pytest.mark.parametrize("host", ["", "box", "my host", "x" * 65])
def test_a_host_name_that_is_not_an_id_is_an_error(file: Path, host: str) -> None:
    (line,) = errors(file, SMALLEST, host=host)
    assert "cannot be the id of this box: add `box: …`" in line


def test_relative_paths_start_at_the_configuration(file: Path) -> None:
    text = "mqtt: {username: u, password_file: secret, tls: {ca: /etc/ca.pem, cert: c.pem}}\n"
    mqtt = load(file, text + SMALLEST).mqtt
    assert mqtt.password_file == file.parent / "secret"
    assert mqtt.tls is not None
    assert (mqtt.tls.ca, mqtt.tls.cert) == (Path("/etc/ca.pem"), file.parent / "c.pem")


def test_the_configuration_of_a_single_machine() -> None:
    config = machine_from_options(
        "hw:1#2", "fan01", check_device=parse_device, learn="30m", box="edge"
    )
    machine = config.machines["fan01"]
    assert machine.device_text == "hw:1#2"
    assert machine.learn is not None
    assert machine.learn.seconds == 1800


@pytest.mark.parametrize(
    ("device", "machine", "learn", "message"),
    [
        ("hw:1", "../x", None, "cannot be an id"),
        ("hw:1", "box", None, "cannot be an id"),
        ("", "fan01", None, "device"),
        ("nonsense:1", "fan01", None, "device"),
        ("hw:1", "fan01", "10s", "too short to train"),
        ("hw:1", "fan01", "soon", "is not a duration"),
    ],
)
def test_options_are_checked_like_the_file(
    device: str, machine: str, learn: str | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        machine_from_options(device, machine, check_device=parse_device, learn=learn, box="b")
