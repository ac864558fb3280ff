"""The payloads published by MQTT: one frozen dataclass for each kind.

A payload is one JSON object.  ``schema`` is its kind and version: adding keys is compatible,
removing or changing a key raises the version.  Times are RFC 3339 in UTC with milliseconds.  A
number that JSON does not have (NaN, infinity) is sent as null.

The payload of the availability is the plain text ``online`` or ``offline``.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from numbers import Integral, Real
from typing import Annotated, Any, ClassVar

import pydantic

from asd_monitor.records import MachineState, MicrophoneState, Thresholds, is_evaluated
from asd_monitor.wording import rfc3339

ONLINE = b"online"
OFFLINE = b"offline"


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
        document = {"schema": self.SCHEMA, **keys, **self._derived()}
        return json.dumps(
            _plain(document), ensure_ascii=False, allow_nan=False, separators=(",", ":")
        ).encode()

    def _derived(self) -> dict[str, object]:
        return {}


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


@dataclass(frozen=True, slots=True)
class State(_Payload):
    """The state of a machine (``<machine>/state``, retained).

    The key ``evaluated`` is derived from state and microphone and so is not a field.
    """

    SCHEMA: ClassVar[str] = "asd.state/1"

    machine: str
    time: datetime
    state: MachineState
    microphone: MicrophoneState
    since: datetime  # when this state began
    score: float | None  # of the newest window
    model: str | None
    box: str
    clock_synced: bool | None  # None: unknown
    reason: str | None  # one line, where the state needs an explanation

    @property
    def evaluated(self) -> bool:
        """Whether the machine's sound is evaluated."""
        return is_evaluated(self.state, self.microphone)

    def _derived(self) -> dict[str, object]:
        return {"evaluated": self.evaluated}


@dataclass(frozen=True, slots=True)
class Alarm(_Payload):
    """The alarm condition of a machine (``<machine>/alarm``, retained).

    Before the first alarm ``id`` is None: see `no_alarm`.
    """

    SCHEMA: ClassVar[str] = "asd.alarm/1"

    machine: str
    id: str | None
    active: bool
    acknowledged: bool
    shelved: bool
    latched: bool
    severity: str | None
    raised: datetime | None
    cleared: datetime | None
    acknowledged_at: datetime | None
    peak_score: float | None
    evidence: str | None
    model: str | None


def no_alarm(machine: str, model: str | None) -> Alarm:
    """Return the alarm condition of a machine before its first alarm."""
    return Alarm(
        machine=machine,
        id=None,
        active=False,
        acknowledged=False,
        shelved=False,
        latched=False,
        severity=None,
        raised=None,
        cleared=None,
        acknowledged_at=None,
        peak_score=None,
        evidence=None,
        model=model,
    )


@dataclass(frozen=True, slots=True)
class Event(_Payload):
    """One transition (``<machine>/event``)."""

    SCHEMA: ClassVar[str] = "asd.event/1"

    machine: str
    id: str  # unique: a message received twice has the same
    time: datetime
    alarm_id: str | None
    from_: Annotated[str, pydantic.Field(alias="from")]
    to: str
    who: str | None
    why: str | None
    historical: bool  # published late, for example after a lost connection
    score: float | None = None


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
    passed_over: int = 0  # windows skipped under load; their frames were analysed


@dataclass(frozen=True, slots=True)
class Scoring:
    """The load of scoring."""

    busy: float  # share of one processor core used in the last second
    behind_s: float  # unscored sound, of the machine furthest behind
    every: int  # every n-th window is scored
    carries: int | None  # such machines that the box can monitor, as measured


@dataclass(frozen=True, slots=True)
class Status(_Payload):
    """The status of the box (``box/<box>/status``, retained)."""

    SCHEMA: ClassVar[str] = "asd.status/1"

    box: str
    time: datetime
    version: str
    uptime_s: float
    machines: Mapping[str, MachineStatus]
    load: Sequence[float]  # load averages over 1, 5 and 15 minutes
    dropped: Mapping[str, int]  # counts of lost data, by kind
    restarted: Mapping[str, int]  # counts of restarts, by kind
    scoring: Scoring | None = None


Message = Score | State | Alarm | Event | Status

_KINDS: dict[str, type[Message]] = {
    kind.SCHEMA: kind for kind in (Score, State, Alarm, Event, Status)
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
    return number if math.isfinite(number) else None
