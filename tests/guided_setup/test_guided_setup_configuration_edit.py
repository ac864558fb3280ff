"""A machine is added to a configuration: all else, comments included, stays as it is."""

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.config.loading import read_config
from asd_monitor.config.yaml_text import read_yaml
from asd_monitor.errors import UsageError
from asd_monitor.guided_setup.configuration_edit import (
    BrokerEntry,
    MachineEntry,
    add_machine,
    new_configuration,
)

EXAMPLE = Path(__file__).parents[2] / "deploy/example.yaml"
ENTRY = MachineEntry("fan09", "usb-path:1-1.4#1", "1 per week")


def test_a_new_file_is_valid_and_has_what_was_answered(tmp_path):
    broker = BrokerEntry("plant-broker", 8883, "edge: 7", "/etc/asd-monitor/it's a.password")
    path = tmp_path / "machines.yaml"
    path.write_text(new_configuration(broker, ENTRY))
    file = read_config(path, parse_device)
    machine = file.config.machines["fan09"]
    assert machine.device_text == "usb-path:1-1.4#1"
    assert str(machine.alarm.false_alarms) == "1 per week"
    assert (file.config.mqtt.address, file.config.mqtt.username) == ("plant-broker:8883", "edge: 7")
    assert str(file.config.mqtt.password_file) == "/etc/asd-monitor/it's a.password"
    assert file.notices == ()
    assert file.config.http is None


def test_a_new_file_has_the_page_where_one_is_wanted(tmp_path):
    path = tmp_path / "machines.yaml"
    path.write_text(new_configuration(BrokerEntry(), ENTRY, "127.0.0.1:9464"))
    http = read_config(path, parse_device).config.http
    assert http is not None
    assert http.listen == "127.0.0.1:9464"


def test_the_example_keeps_every_line():
    text = EXAMPLE.read_text()
    edited = add_machine(text, ENTRY)
    added = edited.splitlines()
    for line in text.splitlines():
        added.remove(line)
    assert [line.strip() for line in added] == [
        "fan09:",
        'device: "usb-path:1-1.4#1"',
        "alarm: {false_alarms: 1 per week}",
    ]
    assert edited.startswith(text.rstrip("\n"))


HEAD = "version: 1\n"
BASES = {
    "block": "machines:\n  a: {device: hw:1}  # left\n  b:\n    device: hw:2  # right\n",
    "block before other keys": "machines:\n    a:\n        device: hw:1\n\n# broker\nmqtt: {}\n",
    "no last line end": "machines:\n  a:\n    device: hw:1",
    "windows": "machines:\r\n  a:\r\n    device: hw:1\r\nmqtt: {}\r\n",
    "flow": "machines: {a: {device: hw:1}, b: {device: hw:2}}  # both\n",
    "flow of lines": "machines: {\n  a: {device: hw:1},\n  # the last\n}\nmqtt: {}\n",
    "empty flow": "machines: {}\n",
    "null": "machines:\nmqtt: {}\n",
    "null at the end": "machines:",
    "absent": "mqtt: {host: x}\n# end\n",
    "nested": "machines:\n  a:\n    device: hw:1\n    alarm:\n      latch: true\n    # end a\n",
    "list": "machines:\n  a:\n    device: hw:1\n    other:\n    - 1\n    - x: 2\n",
    "literal": "machines:\n  a:\n    device: |\n      hw:1\n",
    "anchor": "x: &d {device: hw:1}\nmachines:\n  a: *d\n  b: *d\n",
    "quoted": "'machines':\n  'a': {'device': \"hw:1 # no comment\"}\n",
}


@pytest.mark.parametrize("name", BASES)
def test_every_style_is_edited(name):
    text = HEAD + BASES[name]
    text = text.replace("\r", "").replace("\n", "\r\n") if name == "windows" else text
    edited = add_machine(text, ENTRY)
    before, after = read_yaml(text.encode()).value, read_yaml(edited.encode()).value
    assert after["machines"].pop("fan09") == ENTRY.value
    assert (after["machines"] or None) == (before.get("machines") or None)
    assert {**after, "machines": 0} == {**before, "machines": 0}
    assert all(comment in edited for comment in re.findall("# .*", text))
    assert ("\r\n" in edited) == ("\r\n" in text)
    assert name != "windows" or "\n" not in edited.replace("\r\n", "")


def test_a_machine_that_is_there_stays_as_it_is():
    text = HEAD + "machines:\n  fan09: {device: usb-path:1-1.4, channel: 1, learn: 30m}\n"
    assert add_machine(text, ENTRY) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("machines:\n  fan09: {device: hw:1}\n", "line 2: it has a machine fan09 already"),
        ("machines:\n  fan09:\n", "choose another id"),
        ("machines: [\n", "malformed"),
        ("- machines\n", "malformed"),
        ("", "malformed"),
    ],
)
def test_what_cannot_be_edited_is_refused_with_the_reason(text, message):
    with pytest.raises(UsageError, match=message):
        add_machine(text, ENTRY)


names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,10}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=20)


@given(names, texts, texts)
def test_names_and_devices_of_any_text_are_what_they_were(machine, device, username):
    entry = MachineEntry(machine, device)
    text = new_configuration(BrokerEntry(username=username), entry)
    value = yaml.safe_load(text)
    assert read_yaml(text.encode()).value["machines"] == {machine: {"device": device}}
    assert value["mqtt"]["username"] == username
    edited = add_machine(text, MachineEntry(f"{machine}2", device))
    assert list(read_yaml(edited.encode()).value["machines"]) == [machine, f"{machine}2"]
