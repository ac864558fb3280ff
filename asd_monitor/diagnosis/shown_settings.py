"""The settings that a support file may show: an allow-list; pure."""

from __future__ import annotations

from typing import Any

from asd_monitor.config.machine_settings import Machine, MachineDefaults
from asd_monitor.config.settings import Config, Inference

SET = "[set]"
_MQTT = frozenset({"host", "port", "prefix", "commands"})
_HTTP = frozenset({"listen"})
_MACHINE = frozenset(Machine.model_fields)
_DEFAULTS = frozenset(MachineDefaults.model_fields)
_WHOLE = frozenset({"version", "box", "homeassistant", "selftest"})


def shown_settings(config: Config) -> dict[str, Any]:
    """Return the settings; of what is not on the list only whether it is set.

    A setting that is new is left out until it is added here.
    """
    written = config.as_written()
    shown: dict[str, Any] = {}
    for key, value in written.items():
        match key:
            case "mqtt":
                shown[key] = _only(value, _MQTT)
            case "http" if value is not None:
                shown[key] = _only(value, _HTTP)
            case "inference":
                shown[key] = _only(value, frozenset(Inference.model_fields))
            case "defaults":
                shown[key] = _only(value, _DEFAULTS)
            case "machines":
                shown[key] = {name: _only(each, _MACHINE) for name, each in value.items()}
            case _:
                shown[key] = value if key in _WHOLE else _without(value)
    return shown


def _only(section: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {key: each if key in names else _without(each) for key, each in section.items()}


def _without(value: object) -> object:
    return None if value is None else SET
