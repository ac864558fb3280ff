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

from asd_monitor.config.credentials import with_password_credential
from asd_monitor.config.error_wording import dotted, example, suggestion, what
from asd_monitor.config.notices import notices
from asd_monitor.config.settings import Config, Machine, Mqtt
from asd_monitor.config.yaml_places import find, written
from asd_monitor.config.yaml_text import Document, Fault, Place, read_yaml
from asd_monitor.config.yaml_text import Path as KeyPath
from asd_monitor.errors import UsageError
from asd_monitor.names import check_id

DeviceCheck = Callable[[str], object]
"""Raises `UsageError` on a malformed device string: `audio.devices.parse_device`."""

ProviderCheck = Callable[[str], object]
"""Raises `UsageError` where this computer lacks it: `features.runtime.check_provider`."""


class ConfigError(UsageError):
    """The configuration is malformed; ``problems`` has one line per error."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = tuple(problems)
        several = len(problems) > 1
        head = [f"{len(problems)} errors in the configuration:"] if several else []
        super().__init__("\n".join([*head, *problems]))


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
    *,
    check_provider: ProviderCheck | None = None,
) -> ConfigFile:
    """Read the file and what is to be noticed in it.

    ``host`` stands for the name of this computer, for a file without `box`.  Raises
    `ConfigError` with every error.
    """
    document = read_yaml(_content(path))
    config, faults = None, list(document.faults)
    if document.value is not None:
        config, more = _validate(path, document, check_device, environ, host)
        faults += more
        if config is not None and check_provider is not None:
            given = ("inference", "provider")
            faults += _checked(document, given, config.inference.provider, check_provider)
    if faults or config is None:
        raise ConfigError([_line(path, fault) for fault in sorted(set(faults))])
    found = sorted({*document.notices, *notices(document, config)})
    return ConfigFile(path, config, tuple(_line(path, notice) for notice in found))


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
            mqtt=with_password_credential(mqtt or Mqtt(), environ),
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
        told = "no such file: correct the path"
    except IsADirectoryError:
        told = "this is a folder: name the file in it"
    except PermissionError:
        told = "no permission to read it: `sudo chmod a+r`, or run as a user who may"
    except OSError as error:
        told = f"cannot be read: {error.strerror or error}"
    raise ConfigError([f"{path}: {told}"])


def _validate(
    path: Path,
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
    merged = _with_files(_with_defaults(value), path.absolute().parent)
    if merged.get("box") is None:
        try:
            merged["box"] = default_box(environ, host)
        except UsageError as error:
            faults.append(Fault(Place(1, 1), str(error)))
            merged["box"] = "unnamed"
    config = None
    try:
        config = Config.model_validate(merged)
        config = _with_credential(config, environ)
    except ValidationError as error:
        faults += [_fault(document, details) for details in _own(document, error)]
    except UsageError as error:
        faults.append(Fault(find(document, ("mqtt",)), str(error)))
    if check_device is not None:
        faults += _bad_devices(document, merged, check_device)
    return config, faults


def _with_defaults(value: dict[str, Any]) -> dict[str, Any]:
    """Give each machine the keys of `defaults` that it does not set itself."""
    value = _without_empty(value, "mqtt", "inference", "defaults")
    defaults, machines = value.get("defaults", {}), value.get("machines")
    if isinstance(defaults, dict):
        defaults = _without_empty(defaults, "alarm", "evidence")
        if isinstance(machines, dict):
            machines = {
                machine: _merge(defaults, _without_empty(own, "alarm", "evidence"))
                if isinstance(own, dict)
                else own
                for machine, own in machines.items()
            }
            value["machines"] = machines
        value["defaults"] = defaults
    return value


def _without_empty(section: dict[str, Any], *names: str) -> dict[str, Any]:
    """Leave out what has all its keys commented out."""
    return {k: v for k, v in section.items() if v is not None or k not in names}


def _with_files(value: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Complete relative paths of files with the folder of the configuration."""
    if not isinstance(value.get("mqtt"), dict):
        return value
    mqtt = _with_paths(value["mqtt"], folder, "password_file")
    if isinstance(mqtt.get("tls"), dict):
        mqtt["tls"] = _with_paths(mqtt["tls"], folder, "ca", "cert", "key")
    return {**value, "mqtt": mqtt}


def _with_credential(config: Config, environ: Mapping[str, str]) -> Config:
    mqtt = with_password_credential(config.mqtt, environ)
    return config if mqtt is config.mqtt else config.model_copy(update={"mqtt": mqtt})


def _with_paths(section: dict[str, Any], folder: Path, *names: str) -> dict[str, Any]:
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


def _bad_devices(
    document: Document, merged: dict[str, Any], check_device: DeviceCheck
) -> Iterator[Fault]:
    machines = merged.get("machines")
    for machine, settings in machines.items() if isinstance(machines, dict) else ():
        device = settings.get("device") if isinstance(settings, dict) else None
        if isinstance(device, str) and device:
            yield from _checked(document, ("machines", machine, "device"), device, check_device)


def _checked(
    document: Document, path: KeyPath, value: str, check: Callable[[str], object]
) -> Iterator[Fault]:
    try:
        check(value)
    except UsageError as error:
        yield Fault(find(document, path), f"{dotted(path)}: {error}")


def _own(document: Document, error: ValidationError) -> Iterator[ErrorDetails]:
    """Yield the errors, without those that a machine only inherits from `defaults`."""
    found = error.errors(include_url=False)
    of_defaults = {(d["loc"][1:], d["msg"]) for d in found if d["loc"][:1] == ("defaults",)}
    for details in found:
        loc = details["loc"]
        inherited = loc[:1] == ("machines",) and loc not in document.values
        if not (inherited and (loc[2:], details["msg"]) in of_defaults):
            yield details


def _fault(document: Document, details: ErrorDetails) -> Fault:
    loc, kind = details["loc"], details["type"]
    if loc and loc[-1] == "[key]":
        return Fault(find(document, loc[:-1], of_key=True), f"{dotted(loc[:-2])}: {what(details)}")
    if kind == "extra_forbidden":
        place, path = find(document, loc, of_key=True), written(document, loc)
        where = f"{dotted(path[:-1])}: " if path[:-1] else ""
        return Fault(place, f"{where}unknown key {str(loc[-1])!r}: {suggestion(loc)}")
    if kind == "missing":
        place = find(document, loc[:-1])
        where = f"{dotted(loc[:-1])}: " if loc[:-1] else ""
        return Fault(place, f"{where}the key {str(loc[-1])!r} is missing: add `{example(loc)}`")
    path = written(document, loc)
    return Fault(find(document, loc), f"{dotted(path)}: {what(details, document.raw.get(path))}")


def _line(path: Path, fault: Fault) -> str:
    return f"{path}:{fault.place.line}:{fault.place.column}: {fault.told}"
