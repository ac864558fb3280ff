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
    """Id of the machine."""
    time: datetime
    """End of the window."""
    sample: int
    """Sample index of the window's end."""
    seq: int
    """Number of the window since the daemon's start."""
    window_s: float
    """Length of the window."""
    score: float | None
    """0 to 12: 3 means one window of normal sound in a thousand scores as high."""
    alarm_score: float | None
    """What is compared with the thresholds, over all time scales."""
    views: Mapping[str, float | None]
    """Deviation in each view, in usual spreads; 0 is usual."""
    thresholds: Thresholds
    """On the scale of `alarm_score`."""
    state: MachineState
    """State of the machine."""
    microphone: MicrophoneState
    """State of the microphone."""
    rms_dbfs: float | None
    """Level of the window."""
    lost_samples: int
    """Samples lost since the daemon's start."""
    model: str | None
    """Version of the model."""

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
    """State of the machine then."""
    time: datetime
    """End of the newest window."""


@dataclass(frozen=True, slots=True)
class State(Payload):
    """The state of a machine (``<machine>/state``, retained)."""

    SCHEMA: ClassVar[str] = "asd.state/2"

    machine: str
    """Id of the machine."""
    time: datetime
    """When it was published."""
    state: MachineState
    """State of the machine."""
    microphone: MicrophoneState
    """State of the microphone."""
    evaluated: bool
    """Whether the machine's sound is evaluated."""
    since: datetime
    """When this state began."""
    last_evaluated: LastEvaluated | None
    """State when the sound was last evaluated; None: not since the daemon's start."""
    score: float | None
    """Of the newest window; None: the sound is not evaluated."""
    alarm_score: float | None
    """Of the newest window, likewise."""
    model: str | None
    """Version of the model; None: there is none."""
    provisional: bool
    """Whether the model cannot support the accepted rate of false alarms yet."""
    box: str
    """Id of the box."""
    clock_synced: bool | None
    """Whether the clock of the box is synchronised; None: unknown."""
    reason: str | None
    """One line, where the state needs an explanation."""
    alarm_active: bool = False
    """Whether an alarm is active, also while the sound is not evaluated."""


@dataclass(frozen=True, slots=True)
class Alarm(Payload):
    """The alarm condition of a machine (``<machine>/alarm``, retained).

    Before the first alarm ``id`` is None: see `no_alarm`.
    """

    SCHEMA: ClassVar[str] = "asd.alarm/2"

    machine: str
    """Id of the machine."""
    id: str | None
    """Id of the newest alarm; None: there has been none."""
    active: bool
    """Whether it is active, by the sound: also where it is hidden."""
    acknowledged: bool
    """Whether a person has acknowledged it."""
    shelved_until: datetime | None
    """Until when it is hidden by a person; None: it is not shelved."""
    suppressed: bool
    """Whether the machine is off by `running`: alarms are neither raised nor cleared."""
    out_of_service: bool
    """Whether the machine is out of service."""
    latched: bool
    """Whether it stays active until it is acknowledged."""
    provisional: bool
    """Whether the model that raised it was provisional, see `state`."""
    severity: str | None
    """`alarm`: warnings are states."""
    raised: datetime | None
    """When it was raised."""
    cleared: datetime | None
    """When it was cleared; None: it is active."""
    acknowledged_at: datetime | None
    """When it was acknowledged."""
    peak_alarm_score: float | None
    """Highest alarm score so far."""
    time_scale_s: float | None
    """Time scale of the alarm score that raised it."""
    reason: str | None
    """One sentence about what differs in the sound, and the rule in brackets."""
    views: Mapping[str, float]
    """Highest deviations of views in the window that raised it."""
    evidence: str | None
    """Path of its evidence below the state folder; None: there is none."""
    model: str | None
    """Version of the model that raised it."""
    chattering: bool = False
    """Whether it is raised again and again within minutes."""


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
    """Id of the machine."""
    id: str
    """Unique: a message received twice has the same."""
    seq: int | None
    """Number of the machine's event; None: the journal cannot be written now."""
    time: datetime
    """When it happened."""
    alarm_id: str | None
    """Alarm that it is about; None: it is about the machine."""
    from_: Annotated[str, pydantic.Field(alias="from")]
    """State or condition before."""
    to: str
    """State or condition after."""
    who: str | None
    """Who has asked for it; None: nobody."""
    why: str | None
    """Why, in one sentence."""
    alarm_score: float | None
    """Alarm score that caused it, where one did."""
    time_scale_s: float | None
    """Time scale of this alarm score."""
    historical: bool
    """Published more than 10 s late, or by a later run of the daemon."""


@dataclass(frozen=True, slots=True)
class Response(Payload):
    """The answer to a command (``<machine>/cmd/<verb>/response``, or the topic that it names)."""

    SCHEMA: ClassVar[str] = "asd.response/1"

    machine: str
    """Id of the machine."""
    verb: str
    """Verb of the command."""
    time: datetime
    """When it was published."""
    accepted: bool | None
    """Whether it is carried out; None: it waits, and a second answer has its outcome."""
    outcome: str
    """One sentence, with the remedy where the command is refused."""
    alarm: str | None
    """Id of the alarm; None: the command is about no alarm."""
    request: str | None
    """Id in the journal; None: there is none."""
