"""What is diagnosed: a configuration, its folders, and the service that reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asd_monitor.config.settings import Config

SERVICE_FILES = Path("/etc/asd-monitor")
"""Folder of the configurations of services: ``NAME.yaml`` is that of ``asd-monitor@NAME``."""
SERVICE_STATE = Path("/var/lib/asd-monitor")
"""Folder of their state, each in ``NAME``."""


@dataclass(frozen=True, slots=True)
class ConfigurationRead:
    """The result of reading the configuration as `run` does."""

    path: Path | None
    """None: the options of the command line, or nothing."""
    config: Config | None
    """None: it has errors, or there is none."""
    errors: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    remedy: str | None = None
    """Where none was given: how to give one that is on this computer."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is diagnosed."""

    read: ConfigurationRead
    models: Path
    state: Path
    unit: str | None = None
    """Name of the service that reads the configuration; None: none does."""
    root: Path = Path("/")
    """Below it are /proc, /sys, /dev and /etc."""

    @property
    def config(self) -> Config | None:
        """The configuration; None: there is none that can be used."""
        return self.read.config


def unit_of(path: Path | None) -> str | None:
    """Return the name of the service that reads a configuration; None: none does."""
    name = instance_of(path)
    return None if name is None else f"asd-monitor@{name}.service"


def instance_of(path: Path | None) -> str | None:
    """Return the instance of the service that reads a configuration; None: none does."""
    if path is None or path.absolute().parent != SERVICE_FILES:
        return None
    return path.stem
