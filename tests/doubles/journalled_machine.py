"""One machine with its monitor and its journal, without a daemon."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from asd_monitor.alarm.state import Alarm, AlarmCondition, AlarmRule, Transition, TransitionKind
from asd_monitor.journal.alarm_records import Event
from asd_monitor.journal.commands import make_request
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.machine_requests import MachineRequests
from asd_monitor.journal.requests import Request, Verb
from asd_monitor.journal.store import Journal
from asd_monitor.monitor import Monitor
from asd_monitor.records import Block, Thresholds, WindowScore
from tests.doubles.blocks import block_at
from tests.doubles.direct_tail import DirectTail
from tests.doubles.single_scorer import SingleScorer

NOW = datetime(2026, 11, 23, 4, 45, 0, 512000, UTC)
LATER = NOW + timedelta(hours=1)
FAN_ALARM = "fan01-20261123T044500Z"
"""Id of an alarm of fan01 raised at `NOW`."""
_RATE_HZ = 100
_HOP = 50


def alarm_transition(
    before: AlarmCondition,
    after: AlarmCondition,
    *,
    number: int = 1,
    peak: float = 7.0,
    who: str | None = None,
) -> Transition:
    """Return a transition of an alarm."""
    alarm = Alarm(number, after, peak)
    return Transition(100, TransitionKind.ALARM, before, after, "a test", who, alarm=alarm)


RAISED = alarm_transition(AlarmCondition.NORMAL, AlarmCondition.UNACKNOWLEDGED)
RETURNED = alarm_transition(AlarmCondition.UNACKNOWLEDGED, AlarmCondition.RETURNED)


def state_transition() -> Transition:
    """Return a transition of the machine's state, without an alarm."""
    return Transition(1, TransitionKind.STATE, "normal", "idle", "off")


class ConstantScorer(SingleScorer):
    """Gives each window of half a second the same score."""

    def __init__(self) -> None:
        super().__init__()
        self.score = 0.0

    def push(self, block: Block) -> list[WindowScore]:
        ends = range(block.start + _HOP, block.end + 1, _HOP)
        return [
            WindowScore(end - _HOP, end, 0.0, 0.0, self.score, {}, -30.0, idle=False)
            for end in ends
        ]


class JournalledMachine:
    """The machine fan01; `play` evaluates sound, `poll` applies requests."""

    def __init__(self, journal: Journal, *, latch: bool = True) -> None:
        self.journal = journal
        self.machine = MachineJournal(journal, "fan01")
        self.requests = MachineRequests(self.machine)
        rule = AlarmRule(Thresholds(4.0, 6.0), hop_s=0.5, tails=(DirectTail(),), latch=latch)
        self._scorer = ConstantScorer()
        self.monitor = Monitor(
            self._scorer,
            rule,
            _RATE_HZ,
            self.machine.restored_alarm(),
            in_service=self.machine.out_of_service is None,
        )
        self._end = 0
        self.now = NOW

    def play(self, score: float, seconds: float) -> None:
        """Evaluate so much sound with this score."""
        self._scorer.score = score
        count = round(seconds * _RATE_HZ)
        noise = np.random.default_rng(self._end).uniform(-1, 1, count)
        for reading in self.monitor.push(block_at(self._end, noise.astype(np.float32), _RATE_HZ)):
            for transition in reading.transitions:
                self.machine.record(transition, self.now, "v1")
        self._end += count
        self.now += timedelta(seconds=seconds)

    def poll(self) -> list[str]:
        """Apply requests where another process has written; return the transitions."""
        return self.apply() if self.journal.maintain() else []

    def apply(self) -> list[str]:
        """Apply requests; return the transitions of alarms as text."""
        return _path(self.requests.apply(self.monitor, self.now, "v1"))

    def expire(self) -> list[str]:
        """End the shelving where its time is over; return the transitions of alarms as text."""
        return _path(self.requests.expire_shelf(self.monitor, self.now, "v1"))


def _path(events: list[Event]) -> list[str]:
    return [f"{e.before}→{e.after}" for e in events if e.kind is TransitionKind.ALARM]


def acknowledgement(
    alarm_id: str = FAN_ALARM, who: str = "ann", why: str | None = "greased", time: datetime = LATER
) -> Request:
    """Return the request to acknowledge an alarm, whose id begins with its machine."""
    machine = alarm_id.rpartition("-")[0]
    return Request(Verb.ACK, machine, who, time, alarm_id=alarm_id, why=why)


def acknowledge(state_dir: Path, alarm_id: str = FAN_ALARM) -> None:
    """Request the acknowledgement of an alarm as the command `alarms ack` does."""
    make_request(state_dir, acknowledgement(alarm_id))


def apply_requests(journal: MachineJournal, now: datetime = LATER) -> list[Event]:
    """Apply the requests of a machine without a monitor; return the transitions."""
    return MachineRequests(journal).apply(None, now, "v1")
