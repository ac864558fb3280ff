"""Loading of a configuration: from a file or from the options of `run`.

All errors of a file are reported together, each as a line `file:line:column: what: remedy`.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from asd_monitor.config.credentials import with_credentials, with_token
from asd_monitor.config.error_messages import describe, dotted, finding_of
from asd_monitor.config.ineffective_settings import find_notices, notice_at
from asd_monitor.config.inheritance import with_absolute_paths, with_defaults
from asd_monitor.config.machine_settings import Machine, device_text
from asd_monitor.config.settings import MAX_MACHINES, Config, Mqtt
from asd_monitor.config.yaml_places import find_place, written_path
from asd_monitor.config.yaml_text import Document, Finding, Place, read_yaml
from asd_monitor.config.yaml_text import Path as KeyPath
from asd_monitor.errors import UsageError
from asd_monitor.limited_reading import read_limited
from asd_monitor.names import check_id
from asd_monitor.wording import quoted

T = TypeVar("T")

_MAX_FILE_BYTES = 1 << 19
_MAX_ERRORS = 500

DeviceCheck = Callable[[str], object]
"""Raises `UsageError` for a malformed device string: `audio.devices.parse_device`."""

Checks = Mapping[KeyPath, Callable[[Config], object]]
"""Checks of settings against this computer; each raises `UsageError`, which is an error at the key.
"""

Notice = tuple[KeyPath, str]
"""The path of a setting, and a notice about it."""


class ConfigError(UsageError):
    """The configuration is invalid; ``problems`` has one line for each error."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = tuple(problems)
        several = len(problems) > 1
        head = [f"{len(problems)} errors in the configuration:"] if several else []
        super().__init__("\n".join([*head, *problems]))


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A configuration and the notices about it."""

    path: Path
    config: Config
    notices: tuple[str, ...]  # lines like those of errors


def load_config(
    path: Path,
    check_device: DeviceCheck | None = None,
    environ: Mapping[str, str] = os.environ,
    host: str | None = None,
) -> Config:
    """Return the configuration of a file.  Raises `ConfigError` with every error."""
    return read_config(path, check_device, environ, host).config


def read_config(
    path: Path,
    check_device: DeviceCheck | None = None,
    environ: Mapping[str, str] = os.environ,
    host: str | None = None,
    *,
    checks: Checks | None = None,
    find_more: Callable[[Config], Iterable[Notice]] = lambda _: (),
) -> ConfigFile:
    """Return the configuration of a file and the notices about it.

    ``host`` replaces the name of this computer, which is used for a file without `box`.  The
    ``checks`` are made for a file without other errors, and ``find_more`` returns further notices.
    Raises `ConfigError` with every error.
    """
    document = read_yaml(_content(path))
    config, errors = None, list(document.errors)
    if document.value is not None:
        config, more = _validate(path, document, check_device, environ, host)
        errors += more
        if config is not None:
            for key, check in (checks or {}).items():
                errors += _checked(document, key, config, check)
    if errors or config is None:
        raise ConfigError(_error_lines(path, errors))
    here = (notice_at(document, key, message) for key, message in find_more(config))
    notices = sorted({*document.notices, *find_notices(document, config), *here})
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
    settings = {"device": device} if learn is None else {"device": device, "learn": learn}
    try:
        return Config(
            version=1,
            box=box or default_box(environ),
            mqtt=with_credentials(mqtt or Mqtt(), environ),
            machines={machine: Machine.model_validate(settings)},
        )
    except ValidationError as error:
        details = error.errors(include_url=False)[0]
        raise UsageError(f"--{dotted(details['loc'])}: {describe(details)}") from error


def default_box(environ: Mapping[str, str] = os.environ, host: str | None = None) -> str:
    """Return the host name, under the template unit with the instance: `<host>.<instance>`.

    The unit passes the instance in `ASD_MONITOR_INSTANCE`.  Raises `UsageError` where that is not
    a valid id.
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
    """Return the content of the file.  Raises `ConfigError`."""
    try:
        return read_limited(path, _MAX_FILE_BYTES)
    except ValueError as error:
        message = f"{error}: name a configuration file"
    except IsADirectoryError:
        message = "this is a folder: name a file in it"
    except FileNotFoundError:
        message = "no such file: correct the path"
    except PermissionError:
        closed = _closed_folder(path)
        message = (
            f"no permission for the folder {closed}: move the file to another, such as "
            "/etc/asd-monitor, or run as another user"
            if closed
            else f"no permission to read it: `sudo chmod a+r {path}`, or run as another user"
        )
    except OSError as error:
        message = f"cannot be read ({error.strerror or error}): correct the path"
    raise ConfigError([f"{path}: {message}"])


def _closed_folder(path: Path) -> Path | None:
    """Return the first folder of the path that this user may not enter."""
    for folder in reversed(path.absolute().parents):
        if not os.access(folder, os.X_OK, effective_ids=True):
            return folder
    return None


def _error_lines(path: Path, errors: list[Finding]) -> list[str]:
    ordered = sorted(set(errors))
    lines = [_line(path, error) for error in ordered[:_MAX_ERRORS]]
    if len(ordered) > _MAX_ERRORS:
        message = "more errors follow: correct these first"
        lines.append(_line(path, Finding(ordered[_MAX_ERRORS].place, message)))
    return lines


def _validate(
    path: Path,
    document: Document,
    check_device: DeviceCheck | None,
    environ: Mapping[str, str],
    host: str | None,
) -> tuple[Config | None, list[Finding]]:
    value, errors = document.value, []
    if not isinstance(value, dict):
        message = "the file must consist of keys with values: begin with `version: 1`"
        return None, [Finding(Place(1, 1), message)]
    version, machines = value.get("version"), value.get("machines")
    if version is not None and version != 1:
        message = f"version {quoted(version)} is not known: this release reads `version: 1`"
        errors.append(Finding(document.values[("version",)], message))
        value = {**value, "version": 1}
    if isinstance(machines, dict) and len(machines) > MAX_MACHINES:
        message = (
            f"machines: {len(machines)} are too many for one box: write at most {MAX_MACHINES}, "
            "and the others in the configurations of other boxes"
        )
        return None, [*errors, Finding(document.values[("machines",)], message)]
    merged = with_absolute_paths(with_defaults(value), path.absolute().parent)
    if merged.get("box") is None:
        try:
            merged["box"] = default_box(environ, host)
        except UsageError as error:
            errors.append(Finding(Place(1, 1), str(error)))
            merged["box"] = "unnamed"
    config = None
    try:
        config = Config.model_validate(merged)
    except ValidationError as error:
        found = islice(_not_reported(document, error), _MAX_ERRORS + 1)
        errors += [finding_of(document, details) for details in found]
    if config is not None:
        config, more = _with_credentials(document, config, environ)
        errors += more
    if check_device is not None:
        errors += _device_errors(document, merged, check_device)
    return config, errors


def _with_credentials(
    document: Document, config: Config, environ: Mapping[str, str]
) -> tuple[Config, list[Finding]]:
    """Return the configuration with the secrets that systemd passes, and the errors."""
    errors: list[Finding] = []
    changes: dict[str, object] = {}
    try:
        changes["mqtt"] = with_credentials(config.mqtt, environ)
    except UsageError as error:
        errors.append(Finding(find_place(document, ("mqtt",)), str(error)))
    if config.http is not None:
        try:
            changes["http"] = with_token(config.http, environ)
        except UsageError as error:
            errors.append(Finding(find_place(document, ("http", "listen")), str(error)))
    return config.model_copy(update=changes), errors


def _device_errors(
    document: Document, merged: dict[str, Any], check_device: DeviceCheck
) -> Iterator[Finding]:
    machines = merged.get("machines")
    for machine, settings in machines.items() if isinstance(machines, dict) else ():
        device = settings.get("device") if isinstance(settings, dict) else None
        if isinstance(device, str) and device:
            text = device_text(device, settings.get("channel"))
            yield from _checked(document, ("machines", machine, "device"), text, check_device)


def _checked(
    document: Document, path: KeyPath, value: T, check: Callable[[T], object]
) -> Iterator[Finding]:
    try:
        check(value)
    except UsageError as error:
        yield Finding(find_place(document, path), f"{dotted(path)}: {error}")


def _not_reported(document: Document, error: ValidationError) -> Iterator[ErrorDetails]:
    """Yield the errors, without those that a machine inherits from `defaults`.

    A value that could not be read has its error already.
    """
    found = error.errors(include_url=False)
    of_defaults = {(d["loc"][1:], d["msg"]) for d in found if d["loc"][:1] == ("defaults",)}
    for details in found:
        path = details["loc"]
        if written_path(document, path) in document.unreadable:
            continue
        inherited = path[:1] == ("machines",) and path not in document.values
        if not (inherited and (path[2:], details["msg"]) in of_defaults):
            yield details


def _line(path: Path, finding: Finding) -> str:
    return f"{path}:{finding.place.line}:{finding.place.column}: {finding.message}"
