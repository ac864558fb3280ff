"""The messages of a box: status, self-test, its own conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from asd_monitor.publish.json_payload import Payload
from asd_monitor.records import MachineState, MicrophoneState


@dataclass(frozen=True, slots=True)
class ScoreLevel:
    """The level of a machine's scores over one time scale, in spreads of normal sound."""

    time_scale_s: float
    mean: float | None  # of the evidence; None: too little sound yet
    warning: float  # the mean at which the alarm score reaches the threshold
    alarm: float


@dataclass(frozen=True, slots=True)
class CommissioningStatus:
    """The first days of a model, in which it is extended from live sound."""

    day: int  # from 1
    days: float
    blocks: int  # of live sound that are stored
    next_refit: datetime | None  # None: the model is extended no more
    last_refit: datetime | None
    result: str | None  # of the last refit, in a few words


@dataclass(frozen=True, slots=True)
class RunningStatus:
    """The signal that says whether a machine runs."""

    running: bool
    problem: str | None  # missing, malformed or stale: the machine is taken to be running
    age_s: float | None  # of the newest message; None: none was received
    malformed: int  # messages without a value
    dropped: int  # messages that were too large


@dataclass(frozen=True, slots=True)
class MachineStatus:
    """The entry of one machine in the status of the box."""

    state: MachineState
    microphone: MicrophoneState
    model: str | None
    lost_samples: int
    gaps: int
    restarts: int  # of the microphone
    drift_ppm: float | None = None
    skipped_windows: int = 0  # under load; their frames were analysed
    score_levels: Sequence[ScoreLevel] = field(default_factory=list)
    """Over an hour and a day of running time."""
    commissioning: CommissioningStatus | None = None  # None: not in its first days
    running: RunningStatus | None = None  # None: none is configured


@dataclass(frozen=True, slots=True)
class Scoring:
    """The load of scoring."""

    busy: float  # share of one processor core used in the last second
    backlog_s: float  # unscored sound, of the machine with the most
    stride: int  # every n-th window is scored
    capacity: int | None  # such machines that the box can monitor, as measured


@dataclass(frozen=True, slots=True)
class OutboxStatus:
    """The events that wait to be published; counts since the start of the daemon."""

    waiting: int
    bytes: int
    oldest_s: float | None  # since the oldest was recorded, while a daemon ran; None: none waits
    dropped: Mapping[str, int]  # by kind of transition; `lost` with the file: of any kind
    set_aside: int  # kept in the journal: the broker does not accept them
    refused: int
    retried: int  # refused ones that were sent again


@dataclass(frozen=True, slots=True)
class AlarmStatus:
    """The alarms of the last 30 days; see `asd_monitor.alarm.figures`."""

    days: float  # fewer where the box is monitored since then
    alarms: int  # raised, raised again or shown again
    per_day: float | None  # None, as for all rates: less than a day
    per_hour: float | None
    busiest_10_min: int
    share_of_10_min_over_10: float | None
    floods: int
    flood_share: float | None  # of the time
    chattering: int
    fleeting: int
    standing_over_24_h: int
    longest_unacknowledged_s: float
    top_machine: str | None
    top_share: float
    shelved: int
    out_of_service: int  # machines


@dataclass(frozen=True, slots=True)
class Status(Payload):
    """The status of the box (``box/<box>/status``, retained)."""

    SCHEMA: ClassVar[str] = "asd.status/2"

    box: str
    time: datetime
    version: str
    uptime_s: float
    machines: Mapping[str, MachineStatus]
    load: Sequence[float]  # load averages over 1, 5 and 15 minutes
    dropped: Mapping[str, int]  # counts of lost data, by kind
    restarted: Mapping[str, int]  # counts of restarts, by kind
    scoring: Scoring | None = None
    outbox: OutboxStatus | None = None
    alarms: AlarmStatus | None = None
    reason: str | None = None  # one line, where the box needs attention
    counters: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """All counts since the start of the daemon, by component and kind."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check of a self-test."""

    result: str  # passed, failed or not_possible
    reason: str | None  # one sentence
    remedy: str | None
    numbers: Mapping[str, float | None]  # units in the names


@dataclass(frozen=True, slots=True)
class SelfTestResult:
    """The newest self-test of a machine, or of the box."""

    result: str  # the worst of the checks: failed, not_possible, passed
    time: datetime
    completed: datetime | None  # end of the last test that was possible; None: none was
    overdue: bool
    checks: Mapping[str, CheckResult]


@dataclass(frozen=True, slots=True)
class SelfTest(Payload):
    """The newest self-test (``box/<box>/selftest``, retained)."""

    SCHEMA: ClassVar[str] = "asd.selftest/1"

    box: str
    time: datetime
    mode: str  # daily or off
    broker: SelfTestResult | None  # None: not tested yet
    machines: Mapping[str, SelfTestResult]  # those that were tested


@dataclass(frozen=True, slots=True)
class BoxCondition:
    """A condition of the box itself that needs attention."""

    kind: str  # a value of `asd_monitor.daemon.box_conditions.ConditionKind`
    machine: str | None  # None: of the whole box
    check: str | None  # of the self-test, or what was found; None: the kind has one only
    since: datetime
    text: str  # one sentence
    remedy: str | None


@dataclass(frozen=True, slots=True)
class BoxAlarm(Payload):
    """The conditions of the box itself (``box/<box>/alarm``, retained)."""

    SCHEMA: ClassVar[str] = "asd.box-alarm/1"

    box: str
    time: datetime
    active: bool  # whether there is a condition
    count: int  # of conditions
    conditions: Sequence[BoxCondition]  # the oldest first, at most 200
