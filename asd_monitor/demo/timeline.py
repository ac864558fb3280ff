"""The daemon's messages, in order of the sound: scores, changes of state, the alarm."""

from __future__ import annotations

from dataclasses import dataclass, field

from asd_monitor.demo.scenario import FAULT_START_S
from asd_monitor.publish.messages import Alarm, Message, Score, State
from asd_monitor.records import MachineState


@dataclass(frozen=True, slots=True)
class StateChange:
    """A change of the machine's state, at seconds since the recording's start."""

    at_s: float
    state: MachineState
    text: str


@dataclass(slots=True)
class Timeline:
    """Collects messages.  Pure: no MQTT, terminal or clock."""

    rate_hz: int
    scores: list[Score] = field(default_factory=list)
    changes: list[StateChange] = field(default_factory=list)
    alarm: Alarm | None = None
    alarm_at_s: float | None = None
    state: MachineState | None = None
    reason: str | None = None

    @property
    def at_s(self) -> float:
        """End of the newest scored window, in seconds since the recording's start."""
        return self.end_s(self.scores[-1]) if self.scores else 0.0

    def end_s(self, score: Score) -> float:
        """Return the end of a score's window, in seconds since the recording's start."""
        return score.sample / self.rate_hz

    def add(self, message: Message) -> None:
        """Add the next message."""
        match message:
            case Score():
                self.scores.append(message)
                self._set_state(message.state)
            case State():
                self.reason = message.reason
                if message.state is MachineState.NO_MODEL:
                    self._set_state(message.state)
            case Alarm() if message.active and self.alarm is None:
                self.alarm = message
                self.alarm_at_s = self._raised_at_s(message)
            case _:
                pass

    @property
    def max_alarm_score(self) -> float:
        """The highest alarm score so far."""
        return max(((score.alarm_score or 0.0) for score in self.scores), default=0.0)

    def failure(self) -> str | None:
        """Return why the demonstration failed; None where the alarm came after the fault."""
        if not self.scores:
            reason = f": {self.reason}" if self.reason else ""
            return f"the daemon published no score{reason}"
        if self.alarm is None or self.alarm_at_s is None:
            threshold = self.scores[-1].thresholds.alarm
            return (
                f"no alarm: within {self.at_s:.0f} s of sound the alarm score reached "
                f"{self.max_alarm_score:.1f}, and the threshold is {threshold:.1f}"
            )
        if self.alarm_at_s < FAULT_START_S:
            return (
                f"a false alarm at {self.alarm_at_s:.0f} s: the fault starts at {FAULT_START_S:g} s"
            )
        return None

    def _raised_at_s(self, alarm: Alarm) -> float:
        if alarm.raised is None or not self.scores:
            return self.at_s
        newest = self.scores[-1]
        return self.end_s(newest) + (alarm.raised - newest.time).total_seconds()

    def _set_state(self, state: MachineState) -> None:
        if state is self.state:
            return
        texts = {
            MachineState.NORMAL: "normal: sounds as in training",
            MachineState.WARNING: "warning: unlike the training sound",
            MachineState.ALARM: "ALARM: far from the training sound",
            MachineState.NO_MODEL: self.reason or "no model",
        }
        self.changes.append(StateChange(self.at_s, state, texts.get(state, str(state))))
        self.state = state
