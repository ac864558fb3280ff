"""What the machines of the daemon are doing now, for whoever looks on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from asd_monitor.daemon.broker_interface import Broker
from asd_monitor.daemon.supervised_session import SupervisedSession
from asd_monitor.journal.alarm_records import AlarmRecord
from asd_monitor.records import MachineState, MicrophoneState, Thresholds

INTERVAL_S = 0.5
_OFTEN = 16  # machines; with more of them the interval is longer, so that its cost stays


@dataclass(frozen=True, slots=True)
class MachineOverview:
    """One machine now."""

    machine: str
    state: MachineState
    microphone: MicrophoneState
    reason: str | None
    level_dbfs: float | None  # of the newest tenth of a second; None: no sound
    alarm_score: float | None  # of the newest window; None: it is not evaluated
    thresholds: Thresholds | None
    last_evaluated: datetime | None
    alarm: AlarmRecord | None = None  # the newest one, unless it is closed
    is_starting: bool = False  # it is not known yet whether there is sound


@dataclass(frozen=True, slots=True)
class Overview:
    """All machines now."""

    machines: tuple[MachineOverview, ...]
    is_connected: bool  # to the broker


class Observer(Protocol):
    """Looks on."""

    def observe(self, overview: Overview) -> None:
        """Take note of an overview; returns at once."""


class Overviews:
    """Shows an observer what the machines are doing, twice a second; many machines less often."""

    def __init__(self, observer: Observer, broker: Broker) -> None:
        self._observer = observer
        self._broker = broker

    async def run(self, machines: Mapping[str, SupervisedSession]) -> None:
        """Show it until cancelled."""
        while True:
            self._observer.observe(
                Overview(
                    tuple(_overview(each) for each in machines.values()), self._broker.connected
                )
            )
            await asyncio.sleep(INTERVAL_S * max(1.0, len(machines) / _OFTEN))


def _overview(supervised: SupervisedSession) -> MachineOverview:
    condition, newest = supervised.condition, supervised.newest_score
    session, last = supervised.active_session, supervised.last_evaluated
    alarm = supervised.alarm
    return MachineOverview(
        machine=supervised.machine,
        state=condition.state,
        microphone=condition.microphone,
        reason=condition.explanation,
        level_dbfs=None if session is None else session.level_dbfs,
        alarm_score=None if newest is None else newest.alarm_score,
        thresholds=None if newest is None else newest.thresholds,
        last_evaluated=None if last is None else last.time,
        alarm=None if alarm is None or alarm.closed else alarm,
        is_starting=supervised.is_starting,
    )
