"""The messages of the discovery, by the rules of Home Assistant, with the messages of the daemon.

The schema is that of its integration `mqtt` (2025.4), as far as it is used.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import jinja2.sandbox
import pytest

from asd_monitor.daemon.command_parsing import parse_command
from asd_monitor.journal.requests import Request
from asd_monitor.publish.homeassistant.box_device import box_device
from asd_monitor.publish.homeassistant.identifiers import Identifiers
from asd_monitor.publish.homeassistant.machine_device import machine_device
from asd_monitor.publish.messages import (
    AlarmStatus,
    BoxAlarm,
    BoxCondition,
    LastEvaluated,
    MachineStatus,
    Scoring,
    SelfTest,
    SelfTestResult,
    State,
    Status,
    no_alarm,
)
from asd_monitor.publish.topics import Topics
from asd_monitor.records import MachineState, MicrophoneState

NOW = datetime(2026, 11, 23, 4, 45, tzinfo=UTC)
TOPICS, IDS = Topics("asd", "edge-07"), Identifiers("homeassistant", "edge-07")
ALARM_ID = "fan.01-20261123T044500Z"
# of a state, device class by platform, keys of one platform: "Discovery schema" of each
DEVICE_CLASSES: dict[str, set[str | None]] = {
    "sensor": {None, "enum"},
    "binary_sensor": {"problem", "connectivity"},
    "button": {None},
    "image": {None},
}
OF_ALL = {
    *("platform", "unique_id", "name", "icon", "availability", "availability_mode"),
    *("entity_category", "json_attributes_topic", "json_attributes_template"),
}
REQUIRED: dict[str, set[str]] = {
    "sensor": {"state_topic"},
    "binary_sensor": {"state_topic"},
    "button": {"command_topic"},
    "image": {"image_topic"},
}
OPTIONAL: dict[str, set[str]] = {
    "sensor": {
        *("value_template", "device_class", "options", "state_class"),
        *("suggested_display_precision", "unit_of_measurement"),
    },
    "binary_sensor": {"value_template", "device_class", "payload_on", "payload_off"},
    "button": {"command_template", "qos", "retain"},
    "image": {"content_type"},
}


def document_of(device: Any) -> dict[str, Any]:
    found = json.loads(device.payload())
    assert isinstance(found, dict)
    return found


def machine(*, commands: bool = True, name: str = "fan.01", **more: Any) -> dict[str, Any]:
    return document_of(
        machine_device(name, TOPICS, IDS, version="1.2.3", commands=commands, **more)
    )


def box(**more: Any) -> dict[str, Any]:
    return document_of(box_device(TOPICS, IDS, version="1.2.3", **more))


def rendered(template: str, message: object, **more: object) -> str:
    """Return what Home Assistant renders: a sandbox, without errors for what is undefined."""
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment()
    content = message if isinstance(message, Mapping) else json.loads(message.payload())  # type: ignore[attr-defined]
    return environment.from_string(template).render(value_json=content, **more)


def value(document: Mapping[str, Any], key: str, message: object) -> str:
    return rendered(document["cmps"][key]["value_template"], message)


def is_available(document: Mapping[str, Any], key: str, message: object, topic: str) -> bool:
    """Return whether the entity is, by a message on one topic."""
    [template] = [
        each["value_template"]
        for each in document["cmps"][key]["availability"]
        if each["topic"] == topic
    ]
    shown = rendered(template, message)
    assert shown in {"online", "offline"}
    return shown == "online"


STATE = State(
    machine="fan.01",
    time=NOW,
    state=MachineState.NORMAL,
    microphone=MicrophoneState.OK,
    evaluated=True,
    since=NOW,
    last_evaluated=LastEvaluated(MachineState.NORMAL, NOW),
    score=1.25,
    alarm_score=0.5,
    model="v1",
    provisional=False,
    box="edge-07",
    clock_synced=True,
    reason='a "quoted" reason',
)
ALARM = replace(
    no_alarm("fan.01", "v1"), id=ALARM_ID, active=True, raised=NOW, reason="A tone of 1.5 kHz."
)


@pytest.mark.parametrize("document", [machine(), box()], ids=["machine", "box"])
def test_each_component_is_of_the_schema(document: dict[str, Any]) -> None:
    assert set(document) == {"dev", "o", "cmps"}
    assert document["o"]["name"] == "asd-monitor"
    assert document["dev"]["identifiers"]
    assert document["dev"]["sw_version"] == "1.2.3"
    names, ids = set(), set()
    for component in document["cmps"].values():
        platform = component["platform"]
        keys = set(component) - OF_ALL
        assert REQUIRED[platform] <= keys <= REQUIRED[platform] | OPTIONAL[platform]
        assert component.get("device_class") in DEVICE_CLASSES[platform]
        assert ("options" in component) == (component.get("device_class") == "enum")
        assert not {"options", "state_class"} <= set(component)
        assert component.get("state_class") in {None, "measurement", "total_increasing"}
        assert component.get("entity_category") in {None, "diagnostic"}
        assert component["icon"].startswith("mdi:")
        names.add(component["name"])
        ids.add(component["unique_id"])
    assert len(names) == len(ids) == len(document["cmps"])


def test_unique_ids_do_not_change() -> None:
    assert machine()["cmps"]["alarm"]["unique_id"] == "asd-edge-07-fan_2e01-alarm"
    assert box()["cmps"]["version"]["unique_id"] == "asd-edge-07-box-version"
    assert machine()["dev"]["via_device"] == box()["dev"]["identifiers"][0] == "asd-edge-07-box"
    assert IDS.config_topic("asd-edge-07-box") == "homeassistant/device/asd-edge-07-box/config"


SIMILAR = (
    "a",
    "a-a",
    "a-a-a",
    "a.a",
    "a_a",
    "a_2da",
    "a_2ea",
    "a_5f2ea",
    "a--a",
    "a-",
    "A",
    "a2da",
)


def test_no_two_devices_have_the_same_id() -> None:
    found = [
        Identifiers("homeassistant", box).machine_device(name)
        for box, name in itertools.product(SIMILAR, SIMILAR)
    ]
    found += [Identifiers("homeassistant", box).box_device for box in SIMILAR]
    assert len(set(found)) == len(SIMILAR) ** 2 + len(SIMILAR)
    assert all(re.fullmatch("[A-Za-z0-9_-]+", each) for each in found)


def test_buttons_are_removed_without_commands() -> None:
    with_buttons, without = machine()["cmps"], machine(commands=False)["cmps"]
    buttons = {key for key, each in with_buttons.items() if each["platform"] == "button"}
    assert buttons == {"acknowledge", "shelve", "unshelve"}
    # an entity that is only missing stays in Home Assistant until it is started again
    assert all(without[key] == {"platform": "button"} for key in buttons)
    others = with_buttons.keys() - buttons
    assert {key: without[key] for key in others} == {key: with_buttons[key] for key in others}
    assert without.keys() == with_buttons.keys()


@pytest.mark.parametrize(
    ("button", "arguments"),
    [("acknowledge", {}), ("shelve", {"until": "2026-11-23T12:45:00.000Z"}), ("unshelve", {})],
)
def test_a_button_asks_for_what_it_says_about_the_alarm_that_is_known(
    button: str, arguments: dict[str, str]
) -> None:
    component = machine()["cmps"][button]
    attributes = json.loads(rendered(component["json_attributes_template"], ALARM))
    payload = rendered(component["command_template"], {}, this={"attributes": attributes})
    found, verb = TOPICS.command(component["command_topic"])
    asked = parse_command(found, verb, payload.encode(), NOW)
    assert isinstance(asked, Request)
    assert (asked.machine, asked.alarm_id, asked.who) == ("fan.01", ALARM_ID, "homeassistant")
    assert {**asked.arguments} == arguments
    assert component["retain"] is False


def test_a_button_is_there_while_it_has_an_effect() -> None:
    topic, document = TOPICS.alarm("fan.01"), machine()

    def there(alarm: object) -> set[str]:
        keys = ("acknowledge", "shelve", "unshelve")
        return {key for key in keys if is_available(document, key, alarm, topic)}

    assert there(no_alarm("fan.01", None)) == set()
    assert there(ALARM) == {"acknowledge", "shelve"}
    assert there(replace(ALARM, acknowledged=True)) == {"shelve"}
    assert there(replace(ALARM, shelved_until=NOW)) == {"acknowledge", "unshelve"}


def test_a_hidden_alarm_is_no_problem() -> None:
    document = machine()
    assert value(document, "alarm", ALARM) == "ON"
    for hidden in (
        replace(ALARM, shelved_until=NOW),
        replace(ALARM, out_of_service=True),
        replace(ALARM, active=False),
        no_alarm("fan.01", None),
    ):
        assert value(document, "alarm", hidden) == "OFF"


def test_without_an_evaluation_there_is_neither_an_alarm_nor_none() -> None:
    document, topic = machine(), TOPICS.state("fan.01")
    for state in MachineState:
        message = replace(STATE, state=state)
        expected = state in {"idle", "normal", "warning", "alarm"}
        assert is_available(document, "alarm", message, topic) == expected
        assert is_available(document, "score", message, topic) == (state != "unavailable")
        assert value(document, "state", message) in document["cmps"]["state"]["options"]
        assert len(document["cmps"]["state"]["availability"]) == 1
    after_a_restart = replace(STATE, state=MachineState.UNAVAILABLE, last_evaluated=None)
    assert not is_available(document, "alarm", after_a_restart, topic)
    active = replace(after_a_restart, alarm_active=True)
    assert is_available(document, "alarm", active, topic)


def test_a_reason_has_the_length_of_a_state_at_most() -> None:
    document = machine()
    for length in (1, 255, 256, 2000):
        shown = value(document, "alarm_reason", replace(ALARM, reason="ä" * length))
        assert len(shown) == min(length, 255)
        assert shown.endswith("…") == (length > 255)
    component = document["cmps"]["alarm_reason"]
    whole = rendered(component["json_attributes_template"], replace(ALARM, reason="x" * 900))
    assert json.loads(whole) == {"reason": "x" * 900, "id": ALARM_ID}
    assert value(document, "alarm_reason", no_alarm("fan.01", None)) == "no alarm"


def test_the_state_and_the_microphone() -> None:
    document = machine()
    assert value(document, "alarm_score", STATE) == "0.5"
    assert value(document, "alarm_score", replace(STATE, alarm_score=None)) == "None"  # unknown
    attributes = rendered(document["cmps"]["state"]["json_attributes_template"], STATE)
    assert json.loads(attributes)["reason"] == 'a "quoted" reason'
    for microphone in MicrophoneState:
        message = replace(STATE, microphone=microphone)
        assert value(document, "microphone", message) in document["cmps"]["microphone"]["options"]
        problem, connection = (
            value(document, f"microphone_{key}", message) for key in ("problem", "connection")
        )
        assert (problem == "ON") == (microphone != "ok")
        assert (connection == "OFF") == (microphone == "no_device")


def result(name: str) -> SelfTestResult:
    return SelfTestResult(name, NOW, NOW, overdue=False, checks={})


def test_the_self_test() -> None:
    tested = SelfTest("edge-07", NOW, "daily", result("passed"), {"fan.01": result("failed")})
    assert value(machine(), "self_test", tested) == "failed"
    assert value(machine(name="pump"), "self_test", tested) == "None"
    assert value(box(), "self_test", tested) == "failed"
    for machines, broker, worst in (
        ({"fan.01": result("not_possible")}, result("passed"), "not_possible"),
        ({}, result("passed"), "passed"),
        ({}, None, "None"),
    ):
        message = replace(tested, machines=machines, broker=broker)
        assert value(box(), "self_test", message) == worst


def test_the_figures_of_the_box() -> None:
    entry = MachineStatus(MachineState.ALARM, MicrophoneState.OK, "v1", 3, 1, 0)
    figures = AlarmStatus(
        **dict.fromkeys(AlarmStatus.__dataclass_fields__, 0) | {"alarms": 4}  # type: ignore[arg-type]
    )
    status = Status(
        *("edge-07", NOW, "1.2.3", 5.0, {"fan.01": entry}, [0.5, 0.25, 0.125]),
        dropped={"samples": 3},
        restarted={},
        scoring=Scoring(0.256, 0.0, 1, None),
        alarms=figures,
    )
    document = box()
    shown = {
        key: value(document, key, status)
        for key, each in document["cmps"].items()
        if each.get("state_topic") == TOPICS.status
    }
    assert shown == {
        "version": "1.2.3",
        "machines": "1",
        "machines_in_alarm": "1",
        "alarms": "4",
        "load": "0.5",
        "scoring": "26.0",
        "lost_samples": "3",
        "waiting_events": "None",
    }
    assert value(document, "scoring", replace(status, scoring=None)) == "None"


def test_the_conditions_of_the_box() -> None:
    condition = BoxCondition("disk", None, "space", NOW, "less than 100 MB are free", "free some")
    message = BoxAlarm("edge-07", NOW, active=True, count=1, conditions=[condition])
    document = box()
    assert value(document, "problem", message) == value(document, "disk", message) == "ON"
    assert value(document, "problem_text", message) == "less than 100 MB are free"
    attributes = rendered(document["cmps"]["problem"]["json_attributes_template"], message)
    assert json.loads(attributes) == {"count": 1, "conditions": [condition.text]}
    other = replace(message, conditions=[replace(condition, kind="clock")])
    assert value(document, "disk", other) == "OFF"
    none = BoxAlarm("edge-07", NOW, active=False, count=0, conditions=[])
    assert [value(document, key, none) for key in ("problem", "disk")] == ["OFF", "OFF"]
    assert value(document, "problem_text", none) == "none"


def test_the_page_of_the_box() -> None:
    url = "http://edge-07:9464/"
    assert machine(page_url=url)["dev"]["configuration_url"] == url
    assert box(page_url=url)["dev"]["configuration_url"] == url
    assert "configuration_url" not in box()["dev"]
