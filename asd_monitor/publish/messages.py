"""What is said on MQTT: one frozen dataclass a payload.

``schema`` names kind and version; adding keys is compatible, removing or changing one
raises the number.  Times are RFC 3339 in UTC with milliseconds.  JSON knows neither NaN
nor infinity: such a number is sent as null.

Availability is no JSON but the plain text ``online`` or ``offline``.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from numbers import Integral, Real
from typing import Annotated, Any, ClassVar

import pydantic

from asd_monitor.records import MachineState, MicrophoneState, Thresholds

ONLINE = b"online"
OFFLINE = b"offline"

_EVALUATING = {
    MachineState.IDLE,
    MachineState.NORMAL,
    MachineState.WARNING,
    MachineState.ALARM,
}
_DEAF = {MicrophoneState.FAULT, MicrophoneState.NO_DEVICE}


def is_evaluated(state: MachineState, microphone: MicrophoneState) -> bool:
    """Tell whether somebody listens; otherwise alarms neither rise nor clear."""
    return state in _EVALUATING and microphone not in _DEAF


class _Payload:
    """Gives a dataclass its JSON form."""

    __slots__ = ()
    SCHEMA: ClassVar[str]

    def payload(self) -> bytes:
        """Return the message as one JSON object in UTF-8.

        Raises ValueError where a time has no time zone.
        """
        fields = dataclasses.fields(self)  # type: ignore[arg-type]  # subclasses are dataclasses
        # `from` is a word of Python's own, hence a field `from_`
        keys = {f.name.rstrip("_"): getattr(self, f.name) for f in fields}
        document = {"schema": self.SCHEMA, **keys, **self._derived()}
        return json.dumps(
            _plain(document), ensure_ascii=False, allow_nan=False, separators=(",", ":")
        ).encode()

    def _derived(self) -> dict[str, object]:
        return {}


@dataclass(frozen=True, slots=True)
class Score(_Payload):
    """One window's verdict (``<machine>/score``)."""

    SCHEMA: ClassVar[str] = "asd.score/1"

    machine: str
    time: datetime  # of the window's end
    sample: int  # sample index of the window's end
    seq: int  # counts the windows since the daemon's start
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
    """What is known of a machine now (``<machine>/state``, retained).

    The key ``evaluated`` follows from state and microphone and so is no field.
    """

    SCHEMA: ClassVar[str] = "asd.state/1"

    machine: str
    time: datetime
    state: MachineState
    microphone: MicrophoneState
    since: datetime  # when this state began
    score: float | None  # the newest
    model: str | None
    box: str
    clock_synced: bool | None  # null: the system does not tell
    reason: str | None  # why, in one line, where there is something to tell

    @property
    def evaluated(self) -> bool:
        """Whether somebody listens."""
        return is_evaluated(self.state, self.microphone)

    def _derived(self) -> dict[str, object]:
        return {"evaluated": self.evaluated}


@dataclass(frozen=True, slots=True)
class Alarm(_Payload):
    """The alarm condition now (``<machine>/alarm``, retained).

    Before a machine's first alarm there is no ``id``: see `no_alarm`.
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
    """Return the alarm condition of a machine that has never had an alarm."""
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
    id: str  # unique, so that a message received twice is known
    time: datetime
    alarm_id: str | None
    from_: Annotated[str, pydantic.Field(alias="from")]
    to: str
    who: str | None
    why: str | None
    historical: bool  # told late, for example after the broker was away
    score: float | None = None


@dataclass(frozen=True, slots=True)
class MachineStatus:
    """One machine's line in the status of the box."""

    state: MachineState
    microphone: MicrophoneState
    model: str | None
    lost_samples: int
    gaps: int
    restarts: int  # of the microphone
    drift_ppm: float | None = None
    passed_over: int = 0  # windows, for the box is too slow; their frames were heard


@dataclass(frozen=True, slots=True)
class Scoring:
    """How the box keeps up with its machines."""

    busy: float  # share of a core that scoring took in the last second
    behind_s: float  # sound that waits, of the machine that is furthest behind
    every: int  # which windows are scored: all, every second one, …
    carries: int | None  # machines like these that it could listen to, as tried at the start


@dataclass(frozen=True, slots=True)
class Status(_Payload):
    """How the box does (``box/<box>/status``, retained)."""

    SCHEMA: ClassVar[str] = "asd.status/1"

    box: str
    time: datetime
    version: str
    uptime_s: float
    machines: Mapping[str, MachineStatus]
    load: Sequence[float]  # load averages over 1, 5 and 15 minutes
    dropped: Mapping[str, int]  # what was lost, by kind
    restarted: Mapping[str, int]  # what had to be started again, by kind
    scoring: Scoring | None = None


Message = Score | State | Alarm | Event | Status

_KINDS: dict[str, type[Message]] = {
    kind.SCHEMA: kind for kind in (Score, State, Alarm, Event, Status)
}


def read(payload: bytes) -> Message:
    """Return the message that a payload holds; keys that are unknown are passed over.

    Raises ValueError for anything else than a message of ours.
    """
    document = json.loads(payload)
    schema = document.get("schema") if isinstance(document, dict) else None
    if not isinstance(schema, str) or schema not in _KINDS:
        raise ValueError(f"no message of asd-monitor: schema {schema!r}")
    return _reader(schema).validate_json(payload)


@cache
def _reader(schema: str) -> pydantic.TypeAdapter[Message]:
    return pydantic.TypeAdapter(_KINDS[schema])


def time_text(time: datetime) -> str:
    """Return RFC 3339 in UTC with milliseconds; raise ValueError without a time zone."""
    if time.tzinfo is None:
        raise ValueError(f"the time {time} has no time zone")
    text = time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
    return f"{text}Z"


def _plain(value: Any) -> object:
    match value:
        case None | bool() | str():
            return value
        case datetime():
            return time_text(value)
        case Real():
            return _number(value)
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:  # a dataclass; fields() raises TypeError for what has no place in a message
            return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}


def _number(value: Real) -> int | float | None:
    if isinstance(value, Integral):  # numpy's are registered as such
        return int(value)
    number = float(value)
    return number if math.isfinite(number) else None
