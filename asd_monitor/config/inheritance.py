"""Settings completed before they are validated: defaults of machines, paths of files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asd_monitor.config.machine_settings import (
    AlarmSettings,
    BearingSettings,
    CommissioningSettings,
    EvidenceSettings,
    GeometrySettings,
    MachineDefaults,
    RunningSettings,
)
from asd_monitor.config.section import Section

_SECTIONS: dict[str, type[Section]] = {
    "alarm": AlarmSettings,
    "evidence": EvidenceSettings,
    "commissioning": CommissioningSettings,
}
"""Sections of a machine."""
_OPTIONAL_SECTIONS: dict[str, type[Section]] = {
    "running": RunningSettings,
    "geometry": GeometrySettings,
    "bearing": BearingSettings,  # of the geometry
}
"""Sections that a machine can remove by `null`."""


def with_defaults(value: dict[str, Any]) -> dict[str, Any]:
    """Return the settings in which each machine has the keys of `defaults` that it does not set.

    Unknown keys of `defaults` are errors there and are not repeated in the machines.
    """
    value = _without_empty(value, "mqtt", "inference", "defaults")
    defaults, machines = value.get("defaults", {}), value.get("machines")
    if isinstance(defaults, dict):
        defaults = _without_empty(defaults, *_SECTIONS)
        if isinstance(machines, dict):
            inherited = _known(defaults)
            value["machines"] = {
                machine: _merge(inherited, _without_empty(own, *_SECTIONS))
                if isinstance(own, dict)
                else own
                for machine, own in machines.items()
            }
        value["defaults"] = defaults
    return value


def with_absolute_paths(value: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the settings with relative paths of files completed by the configuration's folder."""
    if isinstance(value.get("http"), dict):
        value = {**value, "http": _absolute(value["http"], folder, "token_file")}
    if not isinstance(value.get("mqtt"), dict):
        return value
    mqtt = _absolute(value["mqtt"], folder, "password_file")
    if isinstance(mqtt.get("tls"), dict):
        mqtt["tls"] = _absolute(mqtt["tls"], folder, "ca", "cert", "key")
    return {**value, "mqtt": mqtt}


def _without_empty(section: dict[str, Any], *names: str) -> dict[str, Any]:
    """Leave out sections without a value, such as those with all keys commented out."""
    return {k: v for k, v in section.items() if v is not None or k not in names}


def _known(defaults: dict[str, Any]) -> dict[str, Any]:
    """Return the keys of `defaults` that a machine has too."""
    return _with_fields(defaults, MachineDefaults)


def _with_fields(values: dict[str, Any], section: type[Section]) -> dict[str, Any]:
    """Return the keys that a section has, also in the sections within it."""
    sections = _SECTIONS | _OPTIONAL_SECTIONS
    return {
        key: _with_fields(value, sections[key])
        if key in sections and isinstance(value, dict)
        else value
        for key, value in values.items()
        if key in section.model_fields
    }


def _absolute(section: dict[str, Any], folder: Path, *names: str) -> dict[str, Any]:
    return {
        key: str(folder / value) if key in names and isinstance(value, str) else value
        for key, value in section.items()
    }


def _merge(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = {**under, **over}
    for key in under.keys() & over.keys():
        if isinstance(under[key], dict) and isinstance(over[key], dict):
            merged[key] = _merge(under[key], over[key])
    return merged
