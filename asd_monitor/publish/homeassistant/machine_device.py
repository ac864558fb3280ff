"""A machine as a device of Home Assistant: its state, scores, alarm, microphone and buttons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from asd_monitor.publish.homeassistant.components import (
    Availability,
    Component,
    Device,
    on_where,
    online_where,
    shortened_text,
)
from asd_monitor.publish.homeassistant.identifiers import Identifiers
from asd_monitor.publish.topics import Topics
from asd_monitor.records import MachineState, MicrophoneState, is_evaluated
from asd_monitor.self_test.checks import Result

SHELVED_FOR = "8h"
"""How long the button shelves an alarm."""
WHO = "homeassistant"
"""Who has pressed a button, in the journal: Home Assistant does not say which user it was."""


class _Button(NamedTuple):
    """A command about the alarm of a machine."""

    verb: str
    name: str
    icon: str
    condition: str
    """Under which it has an effect."""
    arguments: Mapping[str, str] = MappingProxyType({})


_BUTTON_PLATFORM = "button"
_BUTTONS = {
    "acknowledge": _Button(
        "ack",
        "Acknowledge alarm",
        "mdi:check",
        "value_json.active and not value_json.acknowledged",
    ),
    "shelve": _Button(
        "shelve",
        f"Shelve alarm for {SHELVED_FOR.removesuffix('h')} hours",
        "mdi:bell-sleep",
        "value_json.active and not value_json.shelved_until",
        {"for": SHELVED_FOR},
    ),
    "unshelve": _Button("unshelve", "Unshelve alarm", "mdi:bell-ring", "value_json.shelved_until"),
}
_IS_SHOWN = "value_json.active and not value_json.shelved_until and not value_json.out_of_service"
_EVALUATED = [str(state) for state in MachineState if is_evaluated(state)]


def machine_device(
    machine: str,
    topics: Topics,
    ids: Identifiers,
    *,
    version: str,
    commands: bool,
    page_url: str | None = None,
) -> Device:
    """Return a machine as a device.

    Args:
        machine: Id of the machine.
        topics: Topics of its messages.
        ids: Ids and topics of the discovery.
        version: Version of asd-monitor.
        commands: Whether commands over MQTT are carried out: without, there are no buttons.
        page_url: Address of a page about the machine.

    """
    box = Availability(topics.availability)
    components = {
        **_state(topics.state(machine), box),
        **_alarm(topics, machine, box),
        **_microphone(topics.state(machine), box),
        "self_test": _self_test(topics.self_test, machine, box),
    }
    removed = {}
    if commands:
        for key, button in _BUTTONS.items():
            components[key] = _button(button, topics, machine, box)
    else:
        removed = dict.fromkeys(_BUTTONS, _BUTTON_PLATFORM)
    return Device(
        ids.machine_device(machine),
        machine,
        "Machine monitored by its sound",
        version,
        components,
        removed,
        via=ids.box_device,
        page_url=page_url,
    )


def _state(topic: str, box: Availability) -> dict[str, Component]:
    attributes = ("reason", "since", "evaluated", "model", "provisional")
    state = Component(
        "sensor",
        "State",
        "mdi:state-machine",
        {
            "state_topic": topic,
            "value_template": "{{ value_json.state }}",
            "device_class": "enum",
            "options": [str(state) for state in MachineState],
            "json_attributes_topic": topic,
            "json_attributes_template": _attributes(attributes),
        },
        (box,),
    )
    is_captured = online_where(f"value_json.state != '{MachineState.UNAVAILABLE}'")
    availability = (box, Availability(topic, is_captured))
    return {
        "state": state,
        "alarm_score": _score(topic, "alarm_score", "Alarm score", "mdi:gauge", availability),
        "score": _score(topic, "score", "Score", "mdi:waveform", availability),
    }


def _score(
    topic: str, key: str, name: str, icon: str, availability: Sequence[Availability]
) -> Component:
    """Return a score, from the retained state: those of single windows may be lost."""
    keys = {
        "state_topic": topic,
        "value_template": f"{{{{ value_json.{key} }}}}",
        "state_class": "measurement",
        "suggested_display_precision": 2,
    }
    return Component("sensor", name, icon, keys, availability)


def _alarm(topics: Topics, machine: str, box: Availability) -> dict[str, Component]:
    topic = topics.alarm(machine)
    # without an evaluation there is neither an alarm nor none, unless one is active
    is_known = online_where(f"value_json.state in {_EVALUATED} or value_json.alarm_active")
    alarm = Component(
        "binary_sensor",
        "Alarm",
        "mdi:alert",
        {
            "state_topic": topic,
            "value_template": on_where(_IS_SHOWN),
            "device_class": "problem",
            "json_attributes_topic": topic,
        },
        (box, Availability(topics.state(machine), is_known)),
    )
    reason = Component(
        "sensor",
        "Alarm reason",
        "mdi:text-box-search",
        {
            "state_topic": topic,
            "value_template": shortened_text(
                "(value_json.reason or 'not known') if value_json.active else 'no alarm'"
            ),
            "json_attributes_topic": topic,
            "json_attributes_template": _attributes(("reason", "id")),
        },
        (box,),
    )
    picture = Component(
        "image",
        "Sound of the newest alarm",
        "mdi:image-search",
        {"image_topic": topics.picture(machine), "content_type": "image/png"},
        (box,),
    )
    return {"alarm": alarm, "alarm_reason": reason, "picture": picture}


def _microphone(topic: str, box: Availability) -> dict[str, Component]:
    state = Component(
        "sensor",
        "Microphone",
        "mdi:microphone",
        {
            "state_topic": topic,
            "value_template": "{{ value_json.microphone }}",
            "device_class": "enum",
            "options": [str(state) for state in MicrophoneState],
        },
        (box,),
        is_diagnostic=True,
    )
    problem = Component(
        "binary_sensor",
        "Microphone problem",
        "mdi:microphone-question",
        {
            "state_topic": topic,
            "value_template": on_where(f"value_json.microphone != '{MicrophoneState.OK}'"),
            "device_class": "problem",
        },
        (box,),
        is_diagnostic=True,
    )
    connected = Component(
        "binary_sensor",
        "Microphone connection",
        "mdi:usb-port",
        {
            "state_topic": topic,
            "value_template": on_where(f"value_json.microphone != '{MicrophoneState.NO_DEVICE}'"),
            "device_class": "connectivity",
        },
        (box,),
        is_diagnostic=True,
    )
    return {
        "microphone": state,
        "microphone_problem": problem,
        "microphone_connection": connected,
    }


def _self_test(topic: str, machine: str, box: Availability) -> Component:
    result = f"(value_json.machines.get('{machine}') or {{}}).get('result')"
    return Component(
        "sensor",
        "Self-test",
        "mdi:clipboard-check",
        {
            "state_topic": topic,
            "value_template": f"{{{{ {result} }}}}",
            "device_class": "enum",
            "options": [str(result) for result in Result],
        },
        (box,),
        is_diagnostic=True,
    )


def _button(button: _Button, topics: Topics, machine: str, box: Availability) -> Component:
    """Return a button, which is there while it has an effect.

    The command names the alarm that Home Assistant has when it is pressed: its id is an attribute
    of the button.
    """
    topic = topics.alarm(machine)
    more = "".join(f', "{key}": "{value}"' for key, value in button.arguments.items())
    keys = {
        "command_topic": topics.command_topic(machine, button.verb),
        "command_template": (
            f'{{"id": "{{{{ this.attributes.alarm_id }}}}", "who": "{WHO}"{more}}}'
        ),
        "qos": 1,
        "retain": False,
        "json_attributes_topic": topic,
        "json_attributes_template": "{{ {'alarm_id': value_json.id} | tojson }}",
    }
    there = Availability(topic, online_where(button.condition))
    return Component(_BUTTON_PLATFORM, button.name, button.icon, keys, (box, there))


def _attributes(keys: Sequence[str]) -> str:
    """Return the template of these keys of a message, as attributes."""
    pairs = ", ".join(f"'{key}': value_json.{key}" for key in keys)
    return f"{{{{ {{{pairs}}} | tojson }}}}"
