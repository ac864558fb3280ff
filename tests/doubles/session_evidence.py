"""Alarms of a session, from normal sound to the evidence."""

from __future__ import annotations

from tests.doubles.monitored_machine import MonitoredMachine
from tests.doubles.waiting import until

ALARM_LEVEL = 0.6
NORMAL_LEVEL = 0.05
RATE_HZ = 16_000


async def raise_alarm(machine: MonitoredMachine, normal_s: int = 20) -> str:
    """Play normal sound and that of an alarm; return the id of the alarm."""
    machine.start()
    machine.source.open()
    await machine.play(normal_s, NORMAL_LEVEL)
    await machine.play(15, ALARM_LEVEL)
    await machine.until_state("alarm")
    alarm_id: str = machine.broker.alarm("fan")["id"]
    return alarm_id


async def until_evidence(machine: MonitoredMachine) -> str:
    """Wait until the alarm has evidence; return its path."""
    await until(lambda: machine.broker.alarm("fan")["evidence"])
    path: str = machine.broker.alarm("fan")["evidence"]
    return path
