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
    """Time scale of the mean."""
    mean: float | None
    """Mean of the evidence; None: too little sound yet."""
    warning: float
    """Mean at which the alarm score reaches the threshold of a warning."""
    alarm: float
    """Mean at which it reaches the threshold of an alarm."""


@dataclass(frozen=True, slots=True)
class CommissioningStatus:
    """The first days of a model, in which it is extended from live sound."""

    day: int
    """Day, from 1."""
    days: float
    """Days in which the model is extended."""
    blocks: int
    """Blocks of live sound that are stored."""
    next_refit: datetime | None
    """When it is refitted next; None: it is extended no more."""
    last_refit: datetime | None
    """When it was refitted last."""
    result: str | None
    """Of the last refit, in a few words."""


@dataclass(frozen=True, slots=True)
class RunningStatus:
    """The signal that says whether a machine runs."""

    running: bool
    """Whether the machine is taken to be running."""
    problem: str | None
    """Why the signal does not count: missing, malformed or stale."""
    age_s: float | None
    """Of the newest message; None: none was received."""
    malformed: int
    """Messages without a value."""
    dropped: int
    """Messages that were too large."""


@dataclass(frozen=True, slots=True)
class MachineStatus:
    """The entry of one machine in the status of the box."""

    state: MachineState
    """State of the machine."""
    microphone: MicrophoneState
    """State of the microphone."""
    model: str | None
    """Version of the model."""
    lost_samples: int
    """Samples lost since the daemon's start."""
    gaps: int
    """Interruptions of the sound."""
    restarts: int
    """Restarts of the microphone."""
    drift_ppm: float | None = None
    """Deviation of its sample clock."""
    skipped_windows: int = 0
    """Windows not scored under load; their frames were analysed."""
    score_levels: Sequence[ScoreLevel] = field(default_factory=list)
    """Over an hour and a day of running time."""
    commissioning: CommissioningStatus | None = None
    """Its first days; None: it is not in them."""
    running: RunningStatus | None = None
    """The signal of `running`; None: none is configured."""


@dataclass(frozen=True, slots=True)
class Scoring:
    """The load of scoring."""

    busy: float
    """Share of one processor core used in the last second."""
    backlog_s: float
    """Unscored sound of the machine with the most."""
    stride: int
    """Every n-th window is scored."""
    capacity: int | None
    """How many such machines the box can monitor, as measured; None: not measured yet."""


@dataclass(frozen=True, slots=True)
class OutboxStatus:
    """The events that wait to be published; counts since the start of the daemon."""

    waiting: int
    """Events that wait."""
    bytes: int
    """Their size."""
    oldest_s: float | None
    """Age of the oldest, while a daemon ran; None: none waits."""
    dropped: Mapping[str, int]
    """By kind of transition; `lost`: of any kind, with a file that was overwritten."""
    set_aside: int
    """Kept in the journal: the broker does not accept them."""
    refused: int
    """Refused by the broker."""
    retried: int
    """Refused ones that were sent again."""


@dataclass(frozen=True, slots=True)
class AlarmStatus:
    """The alarms of the last 30 days; see `asd_monitor.alarm.figures`."""

    days: float
    """Days that are counted: fewer than 30 where the monitoring began later."""
    alarms: int
    """Alarms that were raised, raised again or shown again."""
    per_day: float | None
    """Alarms a day; None, as for all rates: less than a day."""
    per_hour: float | None
    """Alarms an hour."""
    busiest_10_min: int
    """Most alarms within ten minutes."""
    share_of_10_min_over_10: float | None
    """Share of the periods of ten minutes with more than ten alarms."""
    floods: int
    """More than ten alarms in ten minutes begin one, fewer than five end it."""
    flood_share: float | None
    """Their share of the time."""
    chattering: int
    """Times that alarms of a machine began to chatter."""
    fleeting: int
    """Alarms that returned to normal within a minute and were not raised again soon."""
    standing_over_24_h: int
    """Alarms that are active for more than a day now, without hidden ones."""
    longest_unacknowledged_s: float
    """Longest time until an acknowledgement."""
    top_machine: str | None
    """Machine with the most alarms."""
    top_share: float
    """Its share of the alarms."""
    shelved: int
    """Alarms that are shelved now."""
    out_of_service: int
    """Machines that are out of service now."""


@dataclass(frozen=True, slots=True)
class Status(Payload):
    """The status of the box (``box/<box>/status``, retained)."""

    SCHEMA: ClassVar[str] = "asd.status/2"

    box: str
    """Id of the box."""
    time: datetime
    """When it was published."""
    version: str
    """Version of asd-monitor."""
    uptime_s: float
    """Since the start of the daemon."""
    machines: Mapping[str, MachineStatus]
    """By id."""
    load: Sequence[float]
    """Load averages over 1, 5 and 15 minutes."""
    dropped: Mapping[str, int]
    """Counts of lost data, by kind."""
    restarted: Mapping[str, int]
    """Counts of restarts, by kind."""
    scoring: Scoring | None = None
    """Load of scoring."""
    outbox: OutboxStatus | None = None
    """Events that wait."""
    alarms: AlarmStatus | None = None
    """Alarms of the last 30 days."""
    reason: str | None = None
    """One line, where the box needs attention."""
    counters: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """All counts since the start of the daemon, by component and kind."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check of a self-test."""

    result: str
    """`passed`, `failed` or `not_possible`."""
    reason: str | None
    """One sentence."""
    remedy: str | None
    """What to do."""
    numbers: Mapping[str, float | None]
    """What was measured; units are in the names."""


@dataclass(frozen=True, slots=True)
class SelfTestResult:
    """The newest self-test of a machine, or of the box."""

    result: str
    """The worst of the checks: `failed`, `not_possible`, `passed`."""
    time: datetime
    """End of the test."""
    completed: datetime | None
    """End of the last test that was possible; None: none was."""
    overdue: bool
    """Whether none was possible for more than 25 hours."""
    checks: Mapping[str, CheckResult]
    """By name."""


@dataclass(frozen=True, slots=True)
class SelfTest(Payload):
    """The newest self-test (``box/<box>/selftest``, retained)."""

    SCHEMA: ClassVar[str] = "asd.selftest/1"

    box: str
    """Id of the box."""
    time: datetime
    """When it was published."""
    mode: str
    """`daily` or `off`."""
    broker: SelfTestResult | None
    """Of the broker; None: not tested yet."""
    machines: Mapping[str, SelfTestResult]
    """Those that were tested, by id."""


@dataclass(frozen=True, slots=True)
class BoxCondition:
    """A condition of the box itself that needs attention."""

    kind: str
    """What it is, such as `disk`: the kinds are in deploy/README.md."""
    machine: str | None
    """Machine; None: of the whole box."""
    check: str | None
    """Check of the self-test, or what was found; None: the kind has one only."""
    since: datetime
    """When it began, over all runs."""
    text: str
    """One sentence."""
    remedy: str | None
    """What to do."""


@dataclass(frozen=True, slots=True)
class BoxAlarm(Payload):
    """The conditions of the box itself (``box/<box>/alarm``, retained)."""

    SCHEMA: ClassVar[str] = "asd.box-alarm/1"

    box: str
    """Id of the box."""
    time: datetime
    """When it was published."""
    active: bool
    """Whether there is a condition."""
    count: int
    """Of conditions."""
    conditions: Sequence[BoxCondition]
    """The oldest first, at most 200."""
