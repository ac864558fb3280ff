"""A reload that hangs is ended and made again; one that is slow is not."""

from __future__ import annotations

import asyncio

from structlog.testing import capture_logs

from asd_monitor.daemon.machine_registry import MachineRegistry
from tests.doubles.in_process_daemon import InProcessDaemon
from tests.doubles.level_detector import make_config
from tests.doubles.waiting import until
from tests.doubles.watched_daemon import LIMITS, SHORT, conditions


async def test_a_reload_that_hangs_is_declared(fan, systemd, gate, monkeypatch):
    fan.service.parts.config_reload._read = gate.wait
    fan.service.request_reload()
    await until(lambda: ("standstill", "the reload") in conditions(fan))
    fed = systemd.fed
    await until(lambda: systemd.fed > fed + 3)


async def test_a_slow_reload_that_advances_is_not_ended(daemon, systemd, environment, monkeypatch):
    remove = MachineRegistry.remove

    async def remove_slowly(registry: MachineRegistry, machine: str, reason: str) -> None:
        await asyncio.sleep(0.7 * LIMITS.reload_s)
        await remove(registry, machine, reason)

    monkeypatch.setattr(MachineRegistry, "remove", remove_slowly)
    daemon.environment |= environment
    daemon.start(make_config(**machines_on(1)), intervals=SHORT)
    await until(lambda: "READY=1" in systemd.received())
    daemon.file = make_config(**machines_on(11))
    daemon.service.request_reload()
    with capture_logs() as logs:
        await until(lambda: systemd.received().count("READY=1") == 2)
    assert devices(daemon) == ["hw:11", "hw:12", "hw:13"]
    assert daemon.service.config is daemon.file
    assert not [entry for entry in logs if "has not advanced" in entry["event"]]


async def test_a_reload_that_was_ended_halfway_is_made_again(
    daemon, systemd, environment, monkeypatch
):
    remove, is_first = MachineRegistry.remove, True

    async def remove_or_hang(registry: MachineRegistry, machine: str, reason: str) -> None:
        nonlocal is_first
        await remove(registry, machine, reason)
        if machine == "pump" and is_first:
            is_first = False
            await asyncio.Event().wait()

    monkeypatch.setattr(MachineRegistry, "remove", remove_or_hang)
    daemon.environment |= environment
    daemon.start(make_config(**machines_on(1)), intervals=SHORT)
    await until(lambda: "READY=1" in systemd.received())
    daemon.file = make_config(**machines_on(11))
    daemon.service.request_reload()
    notified = {"READY=1", "RELOADING=1"}
    expected = ["READY=1", "RELOADING=1", "READY=1", "RELOADING=1", "READY=1"]
    with capture_logs() as logs:
        await until(lambda: [each for each in systemd.received() if each in notified] == expected)
    assert any("the reload has not advanced" in entry["event"] for entry in logs)
    assert sorted(devices(daemon)) == ["hw:11", "hw:12", "hw:13"]
    assert daemon.service.config is daemon.file
    await until(lambda: ("standstill", "the reload") not in conditions(daemon))


def machines_on(first: int) -> dict[str, dict[str, str]]:
    """Return the settings of three machines on devices from this number on."""
    return {
        machine: {"device": f"hw:{number}"}
        for number, machine in enumerate(("fan", "pump", "mill"), first)
    }


def devices(daemon: InProcessDaemon) -> list[str]:
    """Return the devices of the machines that are monitored."""
    return [each.settings.device_text for each in daemon.service.parts.registry.machines.values()]
