"""The box as a device of Home Assistant: connection, conditions, self-test, figures."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from asd_monitor.publish.homeassistant.components import (
    Availability,
    Component,
    Device,
    on_where,
    shortened_text,
)
from asd_monitor.publish.homeassistant.identifiers import Identifiers
from asd_monitor.publish.messages import OFFLINE, ONLINE
from asd_monitor.publish.topics import Topics
from asd_monitor.records import MachineState
from asd_monitor.self_test.checks import Result

_LISTED = 10
"""Conditions among the attributes: their database takes 16 KB."""


class _Figure(NamedTuple):
    """A figure of the status of the box."""

    name: str
    icon: str
    expression: str
    keys: Mapping[str, Any] = MappingProxyType({"state_class": "measurement"})


_IN_ALARM = (
    f"value_json.machines.values() | selectattr('state', 'eq', '{MachineState.ALARM}') | list"
    " | count"
)
_FIGURES = {
    "version": _Figure("Version", "mdi:tag", "value_json.version", {}),
    "machines": _Figure("Machines", "mdi:factory", "value_json.machines | count"),
    "machines_in_alarm": _Figure("Machines in alarm", "mdi:alert-box", _IN_ALARM),
    "alarms": _Figure(
        "Alarms of the last 30 days",
        "mdi:counter",
        "value_json.alarms.alarms if value_json.alarms else none",
    ),
    "load": _Figure("Load", "mdi:cpu-64-bit", "value_json.load[0]"),
    "scoring": _Figure(
        "Scoring load",
        "mdi:speedometer",
        "(100 * value_json.scoring.busy) | round if value_json.scoring else none",
        {"state_class": "measurement", "unit_of_measurement": "%"},
    ),
    "lost_samples": _Figure(
        "Lost samples",
        "mdi:waveform",
        "value_json.dropped.samples",
        {"state_class": "total_increasing"},
    ),
    "waiting_events": _Figure(
        "Waiting events",
        "mdi:tray-full",
        "value_json.outbox.waiting if value_json.outbox else none",
    ),
}


def box_device(
    topics: Topics, ids: Identifiers, *, version: str, page_url: str | None = None
) -> Device:
    """Return the box as a device.

    Args:
        topics: Topics of its messages.
        ids: Ids and topics of the discovery.
        version: Version of asd-monitor.
        page_url: Address of a page about the box.

    """
    available = Availability(topics.availability)
    components = {
        "connection": Component(
            "binary_sensor",
            "Connection",
            "mdi:lan-connect",
            {
                "state_topic": topics.availability,
                "payload_on": ONLINE.decode(),
                "payload_off": OFFLINE.decode(),
                "device_class": "connectivity",
            },
            is_diagnostic=True,
        ),
        **_conditions(topics.box_alarm, available),
        "self_test": _self_test(topics.self_test, available),
    }
    for key, figure in _FIGURES.items():
        keys = {
            "state_topic": topics.status,
            "value_template": f"{{{{ {figure.expression} }}}}",
            **figure.keys,
        }
        components[key] = Component(
            "sensor", figure.name, figure.icon, keys, (available,), is_diagnostic=True
        )
    return Device(
        ids.box_device,
        f"asd-monitor {topics.box}",
        "Box that monitors machines",
        version,
        components,
        page_url=page_url,
    )


def _conditions(topic: str, available: Availability) -> dict[str, Component]:
    listed = f"value_json.conditions[:{_LISTED}] | map(attribute='text') | list"
    disk = "value_json.conditions | selectattr('kind', 'eq', 'disk') | list"
    return {
        "problem": Component(
            "binary_sensor",
            "Problem",
            "mdi:alert-circle",
            {
                "state_topic": topic,
                "value_template": on_where("value_json.active"),
                "device_class": "problem",
                "json_attributes_topic": topic,
                "json_attributes_template": (
                    f"{{{{ {{'count': value_json.count, 'conditions': {listed}}} | tojson }}}}"
                ),
            },
            (available,),
        ),
        "problem_text": Component(
            "sensor",
            "Problem text",
            "mdi:text-box-search",
            {
                "state_topic": topic,
                "value_template": shortened_text(
                    "value_json.conditions[0].text if value_json.conditions else 'none'"
                ),
            },
            (available,),
        ),
        "disk": Component(
            "binary_sensor",
            "Disk",
            "mdi:harddisk",
            {
                "state_topic": topic,
                "value_template": on_where(disk),
                "device_class": "problem",
            },
            (available,),
            is_diagnostic=True,
        ),
    }


def _self_test(topic: str, available: Availability) -> Component:
    """Return the worst result of all machines and of the broker."""
    failed, not_possible, passed = Result.FAILED, Result.NOT_POSSIBLE, Result.PASSED
    worst = (
        "{% set found = ([value_json.broker] + value_json.machines.values() | list) | select"
        " | map(attribute='result') | list %}"
        f"{{{{ '{failed}' if '{failed}' in found else '{not_possible}' if '{not_possible}' in found"
        f" else '{passed}' if found else none }}}}"
    )
    return Component(
        "sensor",
        "Self-test",
        "mdi:clipboard-check",
        {
            "state_topic": topic,
            "value_template": worst,
            "device_class": "enum",
            "options": [str(result) for result in Result],
        },
        (available,),
        is_diagnostic=True,
    )
