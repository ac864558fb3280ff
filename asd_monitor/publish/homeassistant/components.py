"""Entities and devices in the form of Home Assistant's MQTT discovery.

A device is one retained message with its entities (``cmps``) and its origin (``o``):
https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from asd_monitor.publish.messages import OFFLINE, ONLINE

ON, OFF = "ON", "OFF"
"""Payloads of a binary sensor."""
MAX_STATE_CHARS = 255
"""Of the state of an entity; a longer one is not taken."""

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Availability:
    """A topic that says whether an entity has a value."""

    topic: str
    template: str | None = None
    """Renders ``online`` or ``offline``; None: the message is one of them."""

    def as_json(self) -> dict[str, str]:
        """Return it in the form of the discovery."""
        shown = {
            "topic": self.topic,
            "payload_available": ONLINE.decode(),
            "payload_not_available": OFFLINE.decode(),
        }
        return shown if self.template is None else {**shown, "value_template": self.template}


@dataclass(frozen=True, slots=True)
class Component:
    """One entity of a device."""

    platform: str
    name: str
    icon: str
    keys: Mapping[str, Any]
    """Of its platform."""
    availability: Sequence[Availability] = ()
    """Each of them has to be ``online``."""
    is_diagnostic: bool = False
    """Whether it is about the monitoring, not about the machine."""

    def as_json(self, unique_id: str) -> dict[str, Any]:
        """Return it in the form of the discovery."""
        shown = {
            "platform": self.platform,
            "unique_id": unique_id,
            "name": self.name,
            "icon": self.icon,
            **self.keys,
        }
        if self.availability:
            shown["availability"] = [each.as_json() for each in self.availability]
            shown["availability_mode"] = "all"
        if self.is_diagnostic:
            shown["entity_category"] = "diagnostic"
        return shown


@dataclass(frozen=True, slots=True)
class Device:
    """A device with its entities."""

    object_id: str
    name: str
    model: str
    version: str
    """Of asd-monitor."""
    components: Mapping[str, Component] = field(default_factory=dict)
    """By a key that does not change: with the object id it is the unique id."""
    removed: Mapping[str, str] = field(default_factory=dict)
    """Platforms of entities that it may have had, by their keys: one that is only missing stays."""
    via: str | None = None
    """Object id of the device that it is connected by."""
    page_url: str | None = None
    """Address of a page about it."""

    def payload(self) -> bytes:
        """Return the message of its discovery."""
        device = {
            "identifiers": [self.object_id],
            "name": self.name,
            "manufacturer": "asd-monitor",
            "model": self.model,
            "sw_version": self.version,
        }
        if self.via is not None:
            device["via_device"] = self.via
        if self.page_url is not None:
            device["configuration_url"] = self.page_url
        message = {
            "dev": device,
            "o": {"name": "asd-monitor", "sw_version": self.version},
            "cmps": {
                key: each.as_json(f"{self.object_id}-{key}")
                for key, each in self.components.items()
            }
            | {key: {"platform": platform} for key, platform in self.removed.items()},
        }
        return _ENCODER.encode(message).encode()


def on_where(condition: str) -> str:
    """Return the template of a binary sensor that is on where a condition holds."""
    return f"{{{{ '{ON}' if {condition} else '{OFF}' }}}}"


def online_where(condition: str) -> str:
    """Return the template of an availability that is given where a condition holds."""
    return f"{{{{ '{ONLINE.decode()}' if {condition} else '{OFFLINE.decode()}' }}}}"


def shortened_text(expression: str) -> str:
    """Return the template of a text, cut to the length of a state."""
    return (
        f"{{% set text = {expression} %}}"
        f"{{{{ text if text | length <= {MAX_STATE_CHARS} else"
        f" text[:{MAX_STATE_CHARS - 1}] ~ '…' }}}}"
    )
