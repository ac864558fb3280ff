"""Reload: the configuration and the models are read again while the daemon runs.

Machines whose configuration has not changed go on without a gap and load their current model.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace

import structlog

from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.audio.opening import DevicePool, ExpectedSource
from asd_monitor.config.machine_settings import Machine, RunningSettings
from asd_monitor.config.settings import Config
from asd_monitor.daemon.block_length import block_length_s
from asd_monitor.daemon.box_conditions import BoxConditions, Condition, ConditionKind
from asd_monitor.daemon.failure_cause import failure_cause, shortage
from asd_monitor.daemon.machine_registry import MachineRegistry
from asd_monitor.daemon.reload_command import own_reload_command
from asd_monitor.daemon.running_input import RunningInputs
from asd_monitor.daemon.supervision import outcome_of
from asd_monitor.errors import UsageError
from asd_monitor.wording import printable, shortened
from asd_monitor.worker_thread import WorkerThread

log = structlog.get_logger()

_NAMED = 10  # machines in the outcome of a reload
_TEXT_CHARS = 400  # of errors in it
_NEEDS_RESTART = "changes of `box`, `mqtt`, `inference` and `http` need a restart"
_NOT_USED = "the new configuration is not used, the present one stays in use"


@dataclass(frozen=True, slots=True)
class ReloadCounters:
    """Counts since the start of the daemon."""

    reloads: int = 0
    refused_configurations: int = 0
    """New configurations that were not used."""
    failed_changes: int = 0
    """Changes of a machine that were not applied."""


@dataclass(frozen=True, slots=True)
class ReloadOutcome:
    """What a reload has done."""

    text: str
    """One sentence: what has changed, or why it was not used, and the remedy."""
    accepted: bool = True


class ConfigReload:
    """The configuration in use, and its replacement.

    Args:
        config: The configuration at start-up.
        read: Reads the configuration again; raises UsageError. None: there is no file, and a
            reload loads models only.
        registry: The machines.
        devices: The devices that machines share.
        running: The signals that say whether machines run.
        conditions: The conditions of the box.
        on_config: Called with a configuration before its machines are added or removed.

    """

    def __init__(
        self,
        config: Config,
        read: Callable[[], Config] | None,
        registry: MachineRegistry,
        devices: DevicePool,
        running: RunningInputs,
        *,
        conditions: BoxConditions,
        on_config: Callable[[Config], None],
    ) -> None:
        self.config = config
        """The configuration in use."""
        self.counters = ReloadCounters()
        self.is_reloading = False
        """Whether a reload is in progress."""
        self.turns = 0
        """How often a configuration was read, or the change of a machine has ended."""
        self._started_with = _restart_settings(config)
        self._read = read
        self._registry = registry
        self._devices = devices
        self._running = running
        self._conditions = conditions
        self._on_config = on_config
        self._failed: dict[str, Condition] = {}  # by machine: its newest change was not applied

    async def start_machines(self) -> None:
        """Begin to monitor the machines of the configuration.

        Raises what shows that threads, memory or files do not suffice.
        """
        machines = self.config.machines
        self._registry.configured = machines.keys()
        self._devices.expect(_expected_sources(self.config))
        self._running.configure(_running_settings(self.config))
        self._on_config(self.config)
        for machine, settings in machines.items():
            error = await self._change(machine, self._registry.add(machine, settings))
            if error is not None and shortage(error) is not None:
                raise error

    async def check_journal(self) -> None:
        """Take up what the journal has new: requests, and machines of earlier runs.

        Such machines are known once the journal is open, which may be later than the start.
        """
        for machine in await self._registry.unknown_machines():
            await self._change(machine, self._registry.take_up_unmonitored(machine))
        await self._registry.check_requests()

    async def reload(self) -> ReloadOutcome:
        """Read the configuration again and apply the changes of machines; return the outcome.

        A configuration that cannot be read is logged, and the present one stays in use.  A reload
        that was cancelled may have applied a part; another one applies the rest.
        """
        before = self.config
        self.is_reloading = True
        try:
            problem = await self._reload()
        finally:
            self.is_reloading = False
        self.counters = replace(self.counters, reloads=self.counters.reloads + 1)
        self._conditions.update("configuration", [] if problem is None else [_refused(problem)])
        if problem is not None:
            return ReloadOutcome(problem, accepted=False)
        return self._outcome(before)

    def _outcome(self, before: Config) -> ReloadOutcome:
        """Return the outcome of a reload with a valid configuration."""
        machines, earlier = self.config.machines, before.machines
        changes = {
            "added": [each for each in machines if each not in earlier],
            "removed": [each for each in earlier if each not in machines],
            "changed": [
                each for each in machines if each in earlier and machines[each] != earlier[each]
            ],
        }
        parts = [f"{what} {_named(names)}" for what, names in changes.items() if names]
        text = (
            f"reloaded: {', '.join(parts) or 'no machine has changed'}, the models are read again"
        )
        if _restart_settings(self.config) != self._started_with:
            text += f"; {_NEEDS_RESTART}: restart the daemon"
        if not self._failed:
            return ReloadOutcome(text)
        failed = [f"{each.text}: {each.remedy}" for each in self._failed.values()]
        return ReloadOutcome(f"{text}; {shortened('; '.join(failed), _TEXT_CHARS)}", accepted=False)

    async def _reload(self) -> str | None:
        """Reload; return why the configuration is not used; None: it is."""
        config, problem = await self._read_again()
        self.turns += 1
        if _restart_settings(config) != self._started_with:
            log.warning(
                f"{_NEEDS_RESTART}; all others are applied",
                hint="restart the daemon",
            )
        self._registry.configured = config.machines.keys()
        self._devices.expect(_expected_sources(config))
        self._running.configure(_running_settings(config))
        self._on_config(config)
        self._failed = {
            name: each for name, each in self._failed.items() if name in config.machines
        }
        self._conditions.update("reload", self._failed.values())
        for machine in tuple(self._registry.machines):
            if machine not in config.machines:
                await self._change(machine, self._remove(machine))
                self.turns += 1
        for machine, settings in config.machines.items():
            await self._change(machine, self._apply(machine, settings))
            self.turns += 1
        self.config = config
        return problem

    async def _remove(self, machine: str) -> None:
        await self._registry.remove(machine, "removed from the configuration")
        log.info("machine removed", machine=machine)

    async def _apply(self, machine: str, settings: Machine) -> None:
        """Monitor a machine by these settings, with its current model."""
        supervised = self._registry.machines.get(machine)
        if supervised is not None and supervised.settings == settings:
            if supervised.session is not None:
                supervised.session.reload_model()
            return
        if supervised is not None:
            await self._registry.remove(machine, "its configuration has changed")
        await self._registry.add(machine, settings)
        log.info("machine added", machine=machine)

    async def _change(self, machine: str, change: Coroutine[None, None, None]) -> Exception | None:
        """Await the change of one machine; report and return what it has raised."""
        error = await outcome_of(change)
        self._failed.pop(machine, None)
        if error is not None:
            failed = self.counters.failed_changes + 1
            self.counters = replace(self.counters, failed_changes=failed)
            cause = failure_cause(error)
            remedy = f"{cause.remedy}; `{own_reload_command()}` tries again"
            log.error(
                "the change of a machine was not applied",
                machine=machine,
                reason=cause.text,
                hint=remedy,
                exc_info=error,
            )
            self._failed[machine] = Condition(
                ConditionKind.TASK_FAILING,
                f"{machine} is not monitored as configured: {cause.text}",
                remedy,
                machine=machine,
                check="reload",
            )
        self._conditions.update("reload", self._failed.values())
        return error

    async def _read_again(self) -> tuple[Config, str | None]:
        """Return the configuration to be used, and why it is not the new one; None: it is."""
        if self._read is None:
            return self.config, None
        reading = WorkerThread("read configuration")
        try:
            found = await outcome_of(reading.run(self._read))
        finally:
            reading.close()
        if not isinstance(found, Exception):
            return found, None
        refused = self.counters.refused_configurations + 1
        self.counters = replace(self.counters, refused_configurations=refused)
        if isinstance(found, UsageError):
            log.error(_NOT_USED, reason=str(found))
            reason = printable(" ".join(str(found).split()))
        else:
            log.error(
                _NOT_USED,
                reason="a defect of asd-monitor",
                hint="please report it",
                exc_info=found,
            )
            reason = "a defect of asd-monitor: please report it, with the log"
        return self.config, f"{_NOT_USED}: {shortened(reason, _TEXT_CHARS)}"


def _refused(problem: str) -> Condition:
    """Return the condition of a file that a reload, and the next start, cannot use."""
    return Condition(
        ConditionKind.TASK_FAILING,
        problem,
        f"correct the file: the next start fails with it; `{own_reload_command()}` tries again",
        check="configuration",
    )


def _named(machines: Sequence[str]) -> str:
    more = f" and {len(machines) - _NAMED} more" if len(machines) > _NAMED else ""
    return ", ".join(machines[:_NAMED]) + more


def _expected_sources(config: Config) -> list[ExpectedSource]:
    return [
        ExpectedSource(parse_device(each.device_text), block_length_s(each.window_s, each.hop_s))
        for each in config.machines.values()
    ]


def _running_settings(config: Config) -> dict[str, RunningSettings | None]:
    return {machine: settings.running for machine, settings in config.machines.items()}


def _restart_settings(config: Config) -> tuple[object, ...]:
    """Return the settings that only a restart applies."""
    return config.box, config.mqtt, config.inference, config.http
