"""What the demonstration has seen so far: the daemon's messages, in order of sound."""

from __future__ import annotations

from dataclasses import dataclass, field

from asd_monitor.demo.scenario import GROWS_FROM_S
from asd_monitor.publish.messages import Alarm, Message, Score, State
from asd_monitor.records import MachineState


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened, at seconds since the recording's start."""

    at_s: float
    state: MachineState
    text: str


@dataclass(slots=True)
class Timeline:
    """Takes messages one by one; knows nothing of MQTT, terminals or clocks."""

    rate_hz: int
    scores: list[Score] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)
    alarm: Alarm | None = None
    alarm_at_s: float | None = None
    state: MachineState | None = None
    reason: str | None = None

    @property
    def at_s(self) -> float:
        """How much of the sound has been judged, in seconds."""
        return self.end_s(self.scores[-1]) if self.scores else 0.0

    def end_s(self, score: Score) -> float:
        """End of a score's window, in seconds since the recording's start."""
        return score.sample / self.rate_hz

    def take(self, message: Message) -> list[Moment]:
        """Take the next message; return what happened by it."""
        before = len(self.moments)
        match message:
            case Score():
                self.scores.append(message)
                self._change(message.state)
            case State():
                self.reason = message.reason
                if message.state is MachineState.NO_MODEL:
                    self._change(message.state)
            case Alarm() if message.active and self.alarm is None:
                self.alarm = message
                self.alarm_at_s = self._moment_of(message)
            case _:
                pass
        return self.moments[before:]

    @property
    def peak(self) -> float:
        """The highest alarm score so far."""
        return max(((score.alarm_score or 0.0) for score in self.scores), default=0.0)

    def verdict(self) -> str | None:
        """Return None where the alarm came as it should, else why it did not."""
        if not self.scores:
            why = f": it says {self.reason!r}" if self.reason else ""
            return f"the daemon sent no score{why}"
        if self.alarm is None or self.alarm_at_s is None:
            needed = self.scores[-1].thresholds.alarm
            return (
                f"no alarm: after {self.at_s:.0f} s of sound the alarm score had reached "
                f"{self.peak:.1f}, and {needed:.1f} is needed"
            )
        if self.alarm_at_s < GROWS_FROM_S:
            return (
                f"a false alarm, at {self.alarm_at_s:.0f} s: the fault began at {GROWS_FROM_S:g} s"
            )
        return None

    def _moment_of(self, alarm: Alarm) -> float:
        if alarm.raised is None or not self.scores:
            return self.at_s
        newest = self.scores[-1]
        return self.end_s(newest) + (alarm.raised - newest.time).total_seconds()

    def _change(self, state: MachineState) -> None:
        if state is self.state:
            return
        words = {
            MachineState.NORMAL: "sounds as it was learned",
            MachineState.WARNING: "warning: this would come by chance about once a day",
            MachineState.ALARM: "ALARM: this would come by chance about once a month",
            MachineState.NO_MODEL: self.reason or "no model",
        }
        self.moments.append(Moment(self.at_s, state, words.get(state, str(state))))
        self.state = state
