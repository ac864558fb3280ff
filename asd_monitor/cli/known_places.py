"""Configurations and state folders that are on this computer, for a command that was given none."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import platformdirs

from asd_monitor.diagnosis.subject import SERVICE_FILES, SERVICE_STATE

_NAMED = 3


def known_configurations(services: Path = SERVICE_FILES) -> list[Path]:
    """Return the configurations of services, then that of the user, which `setup` writes."""
    own = Path(platformdirs.user_config_dir("asd-monitor"))
    return [file for folder in (services, own) for file in sorted(folder.glob("*.yaml"))]


def configuration_hint(files: Sequence[Path]) -> str | None:
    """Return the options that name these configurations; None: there is none."""
    return _either("--config", files)


def state_hint(state: Path, services: Path = SERVICE_FILES) -> str | None:
    """Return the options that name the state folders of services; None: there is no other one.

    The configurations tell the names: the state of a service may be closed to this user.
    """
    names = [file.stem for file in sorted(services.glob("*.yaml"))]
    return _either("--state", [each for n in names if (each := SERVICE_STATE / n) != state])


def _either(option: str, paths: Sequence[Path]) -> str | None:
    options = [f"`{option} {shlex.quote(str(each))}`" for each in paths[:_NAMED]]
    return " or ".join(options) or None
