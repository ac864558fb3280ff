"""The payloads published by MQTT: one frozen dataclass for each kind.

A payload is one JSON object.  ``schema`` is its kind and version: adding keys is compatible,
removing or changing a key raises the version.  Times are RFC 3339 in UTC with milliseconds.
Numbers have three decimals at most: scores are logarithms of probabilities, of which more digits
say nothing.  A number that JSON does not have (NaN, infinity) is sent as null.

The payload of the availability is the plain text ``online`` or ``offline``.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, lru_cache
from numbers import Integral, Real
from typing import Annotated, Any, ClassVar

import pydantic

from asd_monitor.records import MachineState, MicrophoneState, Thresholds
from asd_monitor.wording import rfc3339

ONLINE = b"online"
OFFLINE = b"offline"
DECIMALS = 3  # of all numbers that are no counts
_LEVEL_DECIMALS = 2  # of a level in dB
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


class _Payload:
    """A dataclass with a form in JSON."""

    __slots__ = ()
    SCHEMA: ClassVar[str]

    def payload(self) -> bytes:
        """Return the message as one JSON object in UTF-8.

        Raises ValueError for a time without time zone.
        """
        fields = dataclasses.fields(self)  # type: ignore[arg-type]  # subclasses are dataclasses
        # `from` is a keyword of Python, hence the field `from_`
        keys = {f.name.rstrip("_"): getattr(self, f.name) for f in fields}
        return _ENCODER.encode(_plain({"schema": self.SCHEMA, **keys})).encode()


@dataclass(frozen=True, slots=True)
class Score(_Payload):
    """The score of one window (``<machine>/score``)."""

    SCHEMA: ClassVar[str] = "asd.score/1"

    machine: str
    time: datetime  # of the window's end
    sample: int  # sample index of the window's end
    seq: int  # number of the window since the daemon's start
    window_s: float
    score: float | None
    alarm_score: float | None
    views: Mapping[str, float | None]
    thresholds: Thresholds  # on the scale of alarm_score
    state: MachineState
    microphone: MicrophoneState
    rms_dbfs: float | None
    lost_samples: int  # since the daemon's start
    model: str | None

    def payload(self) -> bytes:
        """Return the message as one JSON object in UTF-8; raises as for the other messages.

        Each machine has one for each window, so the text is formed without the detour over a
        dictionary.
        """
        views = ",".join([f"{_text(name)}:{_decimal(view)}" for name, view in self.views.items()])
        thresholds = self.thresholds
        return (
            f'{{"schema":"{self.SCHEMA}","machine":{_text(self.machine)},'
            f'"time":"{rfc3339(self.time)}","sample":{int(self.sample)},"seq":{int(self.seq)},'
            f'"window_s":{_decimal(self.window_s)},"score":{_decimal(self.score)},'
            f'"alarm_score":{_decimal(self.alarm_score)},"views":{{{views}}},'
            f'"thresholds":{{"warning":{_decimal(thresholds.warning)},'
            f'"alarm":{_decimal(thresholds.alarm)}}},'
            f'"state":"{self.state}","microphone":"{self.microphone}",'
            f'"rms_dbfs":{_decimal(self.rms_dbfs, _LEVEL_DECIMALS)},'
            f'"lost_samples":{int(self.lost_samples)},"model":{_text(self.model)}}}'
        ).encode()


@dataclass(frozen=True, slots=True)
class LastEvaluated:
    """The state of a machine when its sound was last evaluated."""

    state: MachineState
    time: datetime  # of the end of the newest window


@dataclass(frozen=True, slots=True)
class State(_Payload):
    """The state of a machine (``<machine>/state``, retained)."""

    SCHEMA: ClassVar[str] = "asd.state/2"

    machine: str
    time: datetime
    state: MachineState
    microphone: MicrophoneState
    evaluated: bool  # whether the machine's sound is evaluated
    since: datetime  # when this state began
    last_evaluated: LastEvaluated | None  # None: not since the daemon's start
    score: float | None  # of the newest window
    alarm_score: float | None  # of the newest window
    model: str | None
    provisional: bool  # whether the model cannot support the accepted rate of false alarms yet
    box: str
    clock_synced: bool | None  # None: unknown
    reason: str | None  # one line, where the state needs an explanation


@dataclass(frozen=True, slots=True)
class Alarm(_Payload):
    """The alarm condition of a machine (``<machine>/alarm``, retained).

    Before the first alarm ``id`` is None: see `no_alarm`.
    """

    SCHEMA: ClassVar[str] = "asd.alarm/2"

    machine: str
    id: str | None
    active: bool
    acknowledged: bool
    shelved_until: datetime | None
    suppressed: bool
    out_of_service: bool
    latched: bool
    provisional: bool  # whether the model was, see `State`
    severity: str | None
    raised: datetime | None
    cleared: datetime | None
    acknowledged_at: datetime | None
    peak_alarm_score: float | None
    time_scale_s: float | None  # of the alarm score that raised it
    reason: str | None  # one sentence
    views: Mapping[str, float]  # highest deviations of views in the window that raised it
    evidence: str | None
    model: str | None


def no_alarm(machine: str, model: str | None, *, provisional: bool = False) -> Alarm:
    """Return the alarm condition of a machine before its first alarm."""
    return Alarm(
        machine=machine,
        id=None,
        active=False,
        acknowledged=False,
        shelved_until=None,
        suppressed=False,
        out_of_service=False,
        latched=False,
        provisional=provisional,
        severity=None,
        raised=None,
        cleared=None,
        acknowledged_at=None,
        peak_alarm_score=None,
        time_scale_s=None,
        reason=None,
        views={},
        evidence=None,
        model=model,
    )


@dataclass(frozen=True, slots=True)
class Event(_Payload):
    """One transition (``<machine>/event``)."""

    SCHEMA: ClassVar[str] = "asd.event/2"

    machine: str
    id: str  # unique: a message received twice has the same
    seq: int | None  # number of the machine's event; None: the journal cannot be written now
    time: datetime
    alarm_id: str | None
    from_: Annotated[str, pydantic.Field(alias="from")]
    to: str
    who: str | None
    why: str | None
    alarm_score: float | None  # that caused it, where one did
    time_scale_s: float | None  # of this alarm score
    historical: bool  # published more than 10 s late, or by a later run of the daemon


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
    dropped: Mapping[str, int]  # by kind of transition
    set_aside: int  # kept in the journal: the broker does not accept them
    refused: int
    retried: int  # refused ones that were sent again


@dataclass(frozen=True, slots=True)
class Status(_Payload):
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
class SelfTest(_Payload):
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
class BoxAlarm(_Payload):
    """The conditions of the box itself (``box/<box>/alarm``, retained)."""

    SCHEMA: ClassVar[str] = "asd.box-alarm/1"

    box: str
    time: datetime
    active: bool  # whether there is a condition
    count: int  # of conditions
    conditions: Sequence[BoxCondition]  # the oldest first, at most 200


Message = Score | State | Alarm | Event | Status | SelfTest | BoxAlarm

_KINDS: dict[str, type[Message]] = {
    kind.SCHEMA: kind for kind in (Score, State, Alarm, Event, Status, SelfTest, BoxAlarm)
}


def read(payload: bytes) -> Message:
    """Return the message of a payload; unknown keys are ignored.

    Raises ValueError for a payload that is none of these messages.
    """
    document = json.loads(payload)
    schema = document.get("schema") if isinstance(document, dict) else None
    if not isinstance(schema, str) or schema not in _KINDS:
        raise ValueError(f"not a message of asd-monitor: schema {schema!r}")
    return _reader(schema).validate_json(payload)


@cache
def _reader(schema: str) -> pydantic.TypeAdapter[Message]:
    return pydantic.TypeAdapter(_KINDS[schema])


def _plain(value: Any) -> object:
    match value:
        case None | bool() | str():
            return value
        case datetime():
            return rfc3339(value)
        case Real():
            return _number(value)
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:  # a dataclass; fields() raises TypeError for anything else
            return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}


def _number(value: Real) -> int | float | None:
    if isinstance(value, Integral):  # those of numpy are registered as such
        return int(value)
    number = float(value)
    return round(number, DECIMALS) if math.isfinite(number) else None


def _decimal(value: float | None, decimals: int = DECIMALS) -> str:
    """Return a number as JSON."""
    return f"{value:.{decimals}f}" if value is not None and math.isfinite(value) else "null"


@lru_cache(maxsize=4096)
def _text(value: str | None) -> str:
    """Return a name as JSON; the names of a daemon are few."""
    return _ENCODER.encode(value)
