"""A configuration file → `Config`, or every error in it at once.

Each error is a line `file:line:column: what: mend`.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from asd_monitor.config.quantities import check_id
from asd_monitor.config.settings import Config, Machine, Mqtt
from asd_monitor.config.wording import dotted, example, suggestion, what
from asd_monitor.config.yaml_text import Document, Fault, Place, read_yaml
from asd_monitor.config.yaml_text import Path as KeyPath
from asd_monitor.errors import UsageError

DeviceCheck = Callable[[str], object]
"""Raises `UsageError` on a malformed device string: `audio.devices.parse_device`."""


class ConfigError(UsageError):
    """The configuration is malformed; ``problems`` has one line per error."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A configuration and what the user should know of it."""

    path: Path
    config: Config
    notices: tuple[str, ...]  # lines like those of errors: nothing wrong, but not as expected


def load_config(
    path: Path,
    check_device: DeviceCheck | None = None,
    environ: Mapping[str, str] = os.environ,
    host: str | None = None,
) -> Config:
    """Read the file.  Raises `ConfigError` with every error in it."""
    return read_config(path, check_device, environ, host).config


def read_config(
    path: Path,
    check_device: DeviceCheck | None = None,
    environ: Mapping[str, str] = os.environ,
    host: str | None = None,
) -> ConfigFile:
    """Read the file and what is to be noticed in it.

    ``host`` stands for the name of this computer, for a file without `box`.  Raises
    `ConfigError` with every error.
    """
    document = read_yaml(_content(path))
    config, faults = None, list(document.faults)
    if document.value is not None:
        config, more = _validate(document, check_device, environ, host)
        faults += more
    if faults or config is None:
        raise ConfigError([_line(path, fault) for fault in sorted(set(faults))])
    notices = sorted({*document.notices, *_notices(document, config)})
    return ConfigFile(path, config, tuple(_line(path, notice) for notice in notices))


def machine_from_options(
    device: str,
    machine: str,
    *,
    check_device: DeviceCheck | None = None,
    learn: str | None = None,
    mqtt: Mqtt | None = None,
    box: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Config:
    """Return the configuration of `run --device D --machine M [--learn 30m]`.

    Raises `UsageError`.
    """
    check_id(machine)
    if check_device is not None:
        check_device(device)
    try:
        return Config(
            version=1,
            box=box or default_box(environ),
            mqtt=mqtt or Mqtt(),
            machines={machine: Machine.model_validate({"device": device, "learn": learn})}
            if learn is not None
            else {machine: Machine(device=device)},
        )
    except ValidationError as error:
        details = error.errors(include_url=False)[0]
        raise UsageError(f"{dotted(details['loc'])}: {what(details)}") from error


def default_box(environ: Mapping[str, str] = os.environ, host: str | None = None) -> str:
    """Return the host name, under the template unit with the instance: `<host>.<instance>`.

    The unit tells the instance in `ASD_MONITOR_INSTANCE`.  Raises `UsageError` where that
    cannot be an id.
    """
    host = platform.node() if host is None else host
    instance = environ.get("ASD_MONITOR_INSTANCE")
    name = f"{host}.{instance}" if instance else host
    try:
        return check_id(name)
    except UsageError as error:
        raise UsageError(
            f"the host name {name!r} cannot be the id of this box: add `box: …` with an id of"
            " letters, digits, '_', '.' and '-'"
        ) from error


def as_yaml(config: Config) -> str:
    """Return every setting in the form of the file."""
    return yaml.safe_dump(config.as_written(), sort_keys=False, allow_unicode=True)


def _content(path: Path) -> bytes:
    """Read the file whole; raises `ConfigError`."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        told = "no such file: name an existing one with --config"
    except IsADirectoryError:
        told = "this is a folder: name the file in it"
    except PermissionError:
        told = "no permission to read it: `sudo chmod a+r`, or run as a user who may"
    except OSError as error:
        told = f"cannot be read: {error.strerror or error}"
    raise ConfigError([f"{path}: {told}"])


def _validate(
    document: Document,
    check_device: DeviceCheck | None,
    environ: Mapping[str, str],
    host: str | None,
) -> tuple[Config | None, list[Fault]]:
    value, faults = document.value, []
    if not isinstance(value, dict):
        told = "the file must hold keys and values: begin with `version: 1`"
        return None, [Fault(Place(1, 1), told)]
    if value.get("version") is not None and value["version"] != 1:
        told = f"version {value['version']!r} is not known: this release reads `version: 1`"
        return None, [Fault(document.values[("version",)], told)]
    merged = _with_defaults(value)
    if "box" not in merged:
        try:
            merged["box"] = default_box(environ, host)
        except UsageError as error:
            faults.append(Fault(Place(1, 1), str(error)))
            merged["box"] = "unnamed"
    config = None
    try:
        config = Config.model_validate(merged)
    except ValidationError as error:
        faults += [_fault(document, details) for details in error.errors(include_url=False)]
    if check_device is not None:
        faults += _bad_devices(document, merged, check_device)
    return config, faults


def _with_defaults(value: dict[str, Any]) -> dict[str, Any]:
    """Give each machine the keys of `defaults` that it does not set itself."""
    defaults, machines = value.get("defaults"), value.get("machines")
    if not isinstance(defaults, dict) or not isinstance(machines, dict):
        return dict(value)
    merged = {
        machine: _merge(defaults, own) if isinstance(own, dict) else own
        for machine, own in machines.items()
    }
    return {**value, "machines": merged}


def _merge(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = {**under, **over}
    for key in under.keys() & over.keys():
        if isinstance(under[key], dict) and isinstance(over[key], dict):
            merged[key] = _merge(under[key], over[key])
    return merged


def _bad_devices(
    document: Document, merged: dict[str, Any], check_device: DeviceCheck
) -> Iterator[Fault]:
    machines = merged.get("machines")
    for machine, settings in machines.items() if isinstance(machines, dict) else ():
        device = settings.get("device") if isinstance(settings, dict) else None
        if isinstance(device, str) and device:
            path = ("machines", machine, "device")
            try:
                check_device(device)
            except UsageError as error:
                yield Fault(_find(document, path), f"{dotted(path)}: {error}")


def _fault(document: Document, details: ErrorDetails) -> Fault:
    loc, kind = details["loc"], details["type"]
    if loc and loc[-1] == "[key]":
        return Fault(_find(document, loc[:-1], of_key=True), f"{dotted(loc[:-2])}: {what(details)}")
    if kind == "extra_forbidden":
        place, written = _find(document, loc, of_key=True), _written(document, loc)
        where = f"{dotted(written[:-1])}: " if written[:-1] else ""
        return Fault(place, f"{where}unknown key {str(loc[-1])!r}: {suggestion(loc)}")
    if kind == "missing":
        place = _find(document, loc[:-1])
        where = f"{dotted(loc[:-1])}: " if loc[:-1] else ""
        return Fault(place, f"{where}the key {str(loc[-1])!r} is missing: add `{example(loc)}`")
    path = _written(document, loc)
    return Fault(_find(document, loc), f"{dotted(path)}: {what(details, document.raw.get(path))}")


def _find(document: Document, path: KeyPath, *, of_key: bool = False) -> Place:
    """Return where a setting stands, or what holds it where it was not written."""
    written = _written(document, path)
    place = document.place(written, of_key=of_key)
    while place is None and written:
        written = written[:-1]
        place = document.place(written)
    return place or Place(1, 1)


def _written(document: Document, path: KeyPath) -> KeyPath:
    """Return the path as written: what a machine does not say itself, `defaults` said."""
    if path not in document.values and path[:1] == ("machines",) and len(path) > 2:
        default = ("defaults", *path[2:])
        if default in document.values:
            return default
    return path


def _notices(document: Document, config: Config) -> Iterator[Fault]:
    """Tell what is allowed but does not do what one may expect."""

    def notice(path: KeyPath, told: str) -> Fault:
        return Fault(_find(document, path, of_key=True), f"{dotted(path)}: {told}")

    if config.mqtt.commands:
        yield notice(("mqtt", "commands"), "commands over MQTT are not available yet: no effect")
    if config.mqtt.tls is not None and config.mqtt.port == 1883:
        yield notice(("mqtt", "tls"), "TLS on port 1883: most brokers listen for it on 8883")
    for path in document.keys:
        if path[-1] == "evidence" and path[0] in {"defaults", "machines"} and len(path) < 4:
            yield notice(path, "evidence of alarms is not kept yet: no effect")
    heard: dict[str, str] = {}
    for machine, settings in config.machines.items():
        device = settings.device_text.removesuffix("#0")
        if device in heard:
            told = f"the same device and channel as {heard[device]}: both hear the same"
            yield notice(("machines", machine, "device"), told)
        heard.setdefault(device, machine)
        alarm = settings.alarm
        if alarm.warnings.per_second < alarm.false_alarms.per_second:
            path = ("machines", machine, "alarm", "warnings")
            told = "rarer than `false_alarms`: warnings come together with alarms"
            yield Fault(_find(document, path), f"{dotted(path)}: {told}")


def _line(path: Path, fault: Fault) -> str:
    return f"{path}:{fault.place.line}:{fault.place.column}: {fault.told}"
