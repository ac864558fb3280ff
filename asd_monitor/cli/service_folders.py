"""The folders and the environment of the service that reads a configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from asd_monitor.diagnosis.subject import SERVICE_STATE, instance_of


def service_state(file: Path) -> Path | None:
    """Return the state folder of the service that reads a file; None: no service does."""
    name = instance_of(file)
    return None if name is None else SERVICE_STATE / name


def service_environment(file: Path) -> Mapping[str, str]:
    """Return the environment in which `run` reads a file: under the unit it names the instance."""
    name = instance_of(file)
    return os.environ if name is None else {**os.environ, "ASD_MONITOR_INSTANCE": name}
