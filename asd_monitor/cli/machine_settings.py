"""The settings of one machine: from a configuration file, or the defaults."""

from __future__ import annotations

from pathlib import Path

from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.config.loading import load_config
from asd_monitor.config.machine_settings import AlarmSettings, MachineDefaults
from asd_monitor.config.quantities import parse_budget
from asd_monitor.names import unknown_machine


def machine_settings(machine: str, config: Path | None) -> MachineDefaults:
    """Return the settings of a machine in a configuration file; without one, the defaults.

    Raises:
        UsageError: the file is malformed, or the machine is not in it.

    """
    if config is None:
        return MachineDefaults()
    machines = load_config(config, parse_device).machines
    if machine not in machines:
        raise unknown_machine(machine, machines, config)
    return machines[machine]


def with_options(
    settings: AlarmSettings,
    *,
    false_alarms: str | None = None,
    warnings: str | None = None,
    latch: bool | None = None,
) -> AlarmSettings:
    """Return the alarm settings with those replaced that the command line sets.

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
