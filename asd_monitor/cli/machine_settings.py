"""The settings of one machine: from a configuration file, or the defaults."""

from __future__ import annotations

from pathlib import Path

from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.config.loading import load_config
from asd_monitor.config.quantities import parse_budget
from asd_monitor.config.settings import AlarmSettings, MachineDefaults
from asd_monitor.errors import UsageError


def settings_of(machine: str, path: Path | None) -> MachineDefaults:
    """Return what the file says of this machine.

    Raises:
        UsageError: the file is malformed, or does not have this machine.

    """
    if path is None:
        return MachineDefaults()
    config = load_config(path, parse_device)
    if machine not in config.machines:
        known = ", ".join(sorted(config.machines))
        raise UsageError(f"{path}: there is no machine {machine}: it has {known}")
    return config.machines[machine]


def with_options(
    settings: AlarmSettings,
    *,
    false_alarms: str | None = None,
    warnings: str | None = None,
    latch: bool | None = None,
) -> AlarmSettings:
    """Return the alarm settings with what the command line says instead.

    Raises:
        UsageError: a budget is malformed.

    """
    changed: dict[str, object] = {}
    if false_alarms is not None:
        changed["false_alarms"] = parse_budget(false_alarms)
    if warnings is not None:
        changed["warnings"] = parse_budget(warnings)
    if latch is not None:
        changed["latch"] = latch
    return settings.model_copy(update=changed)
