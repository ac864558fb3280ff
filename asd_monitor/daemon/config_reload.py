"""Reload: the configuration and the models are read again while the daemon runs.

Machines whose configuration has not changed go on without a gap and load their current model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.audio.opening import DevicePool, ExpectedSource
from asd_monitor.config.settings import Config, Machine, RunningSettings
from asd_monitor.daemon.block_length import block_length_s
from asd_monitor.daemon.machine_registry import MachineRegistry
from asd_monitor.daemon.running_input import RunningInputs
from asd_monitor.errors import UsageError
from asd_monitor.journal.sqlite_errors import JournalError
from asd_monitor.worker_thread import WorkerThread

log = structlog.get_logger()

_NOT_USED = "the new configuration is not used, the present one stays in use"


@dataclass(frozen=True, slots=True)
class ReloadCounters:
    """Counts since the start of the daemon."""

    reloads: int = 0
    refused_configurations: int = 0
    """New configurations that were not used."""
    unmonitored_machines: int = 0
    """Machines that could not be added, since their alarms cannot be read."""


class ConfigReload:
    """The configuration in use, and its replacement.

    Args:
        config: The configuration at start-up.
        read: Reads the configuration again; raises UsageError. None: there is no file, and a
            reload loads models only.
        registry: The machines.
        devices: The devices that machines share.
        running: The signals that say whether machines run.

    """

    def __init__(
        self,
        config: Config,
        read: Callable[[], Config] | None,
        registry: MachineRegistry,
        devices: DevicePool,
        running: RunningInputs,
    ) -> None:
        self.config = config
        """The configuration in use."""
        self.counters = ReloadCounters()
        self.is_reloading = False
        """Whether a reload is in progress."""
        self._read = read
        self._registry = registry
        self._devices = devices
        self._running = running

    async def start_machines(self) -> None:
        """Begin to monitor the machines of the configuration."""
        self._devices.expect(_expected_sources(self.config))
        self._running.configure(_running_settings(self.config))
        for machine, settings in self.config.machines.items():
            await self._add(machine, settings)

    async def reload(self) -> None:
        """Read the configuration again and apply the changes of machines.

        A configuration that cannot be read is logged, and the present one stays in use.
        """
        self.is_reloading = True
        try:
            await self._reload()
        finally:
            self.is_reloading = False
        self.counters = replace(self.counters, reloads=self.counters.reloads + 1)

    async def _reload(self) -> None:
        config = await self._read_again()
        if _restart_settings(config) != _restart_settings(self.config):
            log.warning(
                "changes of `box`, `mqtt` and `inference` need a restart; all others are applied",
                hint="restart the daemon",
            )
        self._devices.expect(_expected_sources(config))
        self._running.configure(_running_settings(config))
        old, new = dict(self.config.machines), dict(config.machines)
        for machine in old:
            if machine not in new:
                await self._registry.remove(machine, "removed from the configuration")
                log.info("machine removed", machine=machine)
        for machine, settings in new.items():
            supervised = self._registry.machines.get(machine)
            if supervised is not None and settings == old.get(machine):
                if supervised.session is not None:
                    supervised.session.reload_model()
                continue
            if supervised is not None:
                await self._registry.remove(machine, "its configuration has changed")
            if await self._add(machine, settings):
                log.info("machine added", machine=machine)
        self.config = config

    async def _add(self, machine: str, settings: Machine) -> bool:
        """Begin to monitor a machine; a journal that cannot be read affects this machine only."""
        try:
            await self._registry.add(machine, settings)
        except JournalError as error:
            reason = str(error)
            unmonitored = self.counters.unmonitored_machines + 1
            self.counters = replace(self.counters, unmonitored_machines=unmonitored)
        else:
            return True
        log.error(
            "machine not monitored: its alarms cannot be read",
            machine=machine,
            reason=reason,
            hint="correct that, then reload (SIGHUP)",
        )
        return False

    async def _read_again(self) -> Config:
        if self._read is None:
            return self.config
        reading = WorkerThread("read configuration")
        try:
            return await reading.run(self._read)
        except UsageError as error:
            reason = str(error)
        except Exception:  # whatever reading raises, the machines go on
            self._count_refusal()
            log.exception(_NOT_USED, reason="a defect of asd-monitor", hint="please report it")
            return self.config
        finally:
            reading.close()
        self._count_refusal()
        log.error(_NOT_USED, reason=reason)
        return self.config

    def _count_refusal(self) -> None:
        refused = self.counters.refused_configurations + 1
        self.counters = replace(self.counters, refused_configurations=refused)


def _expected_sources(config: Config) -> list[ExpectedSource]:
    return [
        ExpectedSource(parse_device(each.device_text), block_length_s(each.window_s, each.hop_s))
        for each in config.machines.values()
    ]


def _running_settings(config: Config) -> dict[str, RunningSettings | None]:
    return {machine: settings.running for machine, settings in config.machines.items()}


def _restart_settings(config: Config) -> tuple[object, ...]:
    """Return the settings that only a restart applies."""
    return config.box, config.mqtt, config.inference
