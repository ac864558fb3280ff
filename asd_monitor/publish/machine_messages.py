"""The messages of one machine: score, state, alarm, event, answers to commands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, ClassVar

import pydantic

from asd_monitor.publish.json_payload import Payload, decimal_json, text_json
from asd_monitor.records import MachineState, MicrophoneState, Thresholds
from asd_monitor.wording import rfc3339

_LEVEL_DECIMALS = 2  # of a level in dB


@dataclass(frozen=True, slots=True)
class Score(Payload):
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
        views = ",".join(
            [f"{text_json(name)}:{decimal_json(view)}" for name, view in self.views.items()]
        )
        thresholds = self.thresholds
        return (
            f'{{"schema":"{self.SCHEMA}","machine":{text_json(self.machine)},'
            f'"time":"{rfc3339(self.time)}","sample":{int(self.sample)},"seq":{int(self.seq)},'
            f'"window_s":{decimal_json(self.window_s)},"score":{decimal_json(self.score)},'
            f'"alarm_score":{decimal_json(self.alarm_score)},"views":{{{views}}},'
            f'"thresholds":{{"warning":{decimal_json(thresholds.warning)},'
            f'"alarm":{decimal_json(thresholds.alarm)}}},'
            f'"state":"{self.state}","microphone":"{self.microphone}",'
            f'"rms_dbfs":{decimal_json(self.rms_dbfs, _LEVEL_DECIMALS)},'
            f'"lost_samples":{int(self.lost_samples)},"model":{text_json(self.model)}}}'
        ).encode()


@dataclass(frozen=True, slots=True)
class LastEvaluated:
    """The state of a machine when its sound was last evaluated."""

    state: MachineState
    time: datetime  # of the end of the newest window


@dataclass(frozen=True, slots=True)
class State(Payload):
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
class Alarm(Payload):
    """The alarm condition of a machine (``<machine>/alarm``, retained).

    Before the first alarm ``id`` is None: see `no_alarm`.
    """

    SCHEMA: ClassVar[str] = "asd.alarm/2"

    machine: str
    id: str | None
    active: bool  # about the sound: also where it is hidden
    acknowledged: bool
    shelved_until: datetime | None
    suppressed: bool
    out_of_service: bool  # the machine
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
    chattering: bool = False  # raised again and again within minutes


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
class Event(Payload):
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
class Response(Payload):
    """The answer to a command (``<machine>/cmd/<verb>/response``, or the topic that it names)."""

    SCHEMA: ClassVar[str] = "asd.response/1"

    machine: str
    verb: str
    time: datetime
    accepted: bool | None  # None: it waits, and a second answer has its outcome
    outcome: str  # one sentence, with the remedy where the command is refused
    alarm: str | None  # id; None: the command is about no alarm
    request: str | None  # id in the journal; None: there is none
