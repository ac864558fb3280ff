"""Recordings through the pipeline and the alarm rule of the daemon, as it would hear them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asd_monitor.alarm.state import Alarm, AlarmRule, TransitionKind
from asd_monitor.audio.source import Opened, Source
from asd_monitor.detector.detector import Detector
from asd_monitor.evaluation.recording_scores import check_rate
from asd_monitor.monitor import Monitor, Reading
from asd_monitor.pipeline import Pipeline
from asd_monitor.records import Block, MachineState, MicrophoneState
from asd_monitor.wording import DAY_S


@dataclass(frozen=True, slots=True)
class RaisedAlarm:
    """An alarm, in seconds since the recording's start."""

    number: int
    raised_s: float
    cleared_s: float | None
    peak_score: float

    def to_json(self) -> dict[str, Any]:
        """Return its entry in the result."""
        return {
            "id": self.number,
            "severity": "alarm",
            "raised_s": round(self.raised_s, 3),
            "cleared_s": None if self.cleared_s is None else round(self.cleared_s, 3),
            "peak_score": round(self.peak_score, 4),
        }


@dataclass(frozen=True, slots=True)
class StateSpan:
    """From then on, until the next."""

    from_s: float
    state: str


@dataclass(frozen=True, slots=True, eq=False)
class Backtest:
    """What the daemon would have done."""

    seconds: float
    windows: int
    highest: float  # alarm score
    alarms: tuple[RaisedAlarm, ...]
    states: tuple[StateSpan, ...]
    microphone: tuple[StateSpan, ...]

    @property
    def no_signal_spans(self) -> tuple[tuple[float, float], ...]:
        """The stretches (from, to, in seconds) in which nobody could listen."""
        ends = [span.from_s for span in self.microphone[1:]] + [self.seconds]
        return tuple(
            (span.from_s, end)
            for span, end in zip(self.microphone, ends, strict=True)
            if span.state != MicrophoneState.OK
        )

    @property
    def evaluated_s(self) -> float:
        """Seconds in which somebody listened."""
        return self._evaluated_between(0.0, self.seconds)

    def _evaluated_between(self, begin: float, end: float) -> float:
        return (
            end
            - begin
            - sum(max(0.0, min(end, past) - max(begin, first)) for first, past in self.no_signal_spans)
        )

    @property
    def alarms_per_day(self) -> float | None:
        """Alarms a day of evaluated sound; None where nothing was evaluated."""
        return len(self.alarms) * DAY_S / self.evaluated_s if self.evaluated_s > 0 else None

    @property
    def time_to_alarm_s(self) -> float | None:
        """Seconds until the first alarm."""
        return self.alarms[0].raised_s if self.alarms else None

    def seconds_in(self, state: str) -> float:
        """Return the evaluated seconds spent in a state."""
        ends = [span.from_s for span in self.states[1:]] + [self.seconds]
        return sum(
            self._evaluated_between(span.from_s, end)
            for span, end in zip(self.states, ends, strict=True)
            if span.state == state
        )


async def backtest(
    source: Source,
    detector: Detector,
    rule: AlarmRule,
    path: Path,
    tell: Callable[[float], None] = lambda _: None,
) -> Backtest:
    """Listen to a source of recordings to its end; ``tell`` is given the seconds heard.

    Raises:
        UsageError: none of it is a recording that this detector can hear.

    """
    monitor: Monitor | None = None
    log = _Log()
    rate_hz = end = 0
    async for event in source.events():
        match event:
            case Opened():
                if monitor is None:
                    rate_hz = event.rate_hz
                    check_rate(detector, rate_hz, path)
                    monitor = Monitor(Pipeline(detector, rate_hz), rule, rate_hz)
            case Block() if monitor is not None:
                for reading in monitor.push(event):
                    log.take(reading)
                end = event.end
                tell(end / rate_hz)
            case _ if monitor is not None:
                monitor.interrupt()
    return log.close(end, max(rate_hz, 1))


class _Log:
    """Gathers what the readings tell."""

    def __init__(self) -> None:
        self._alarms: dict[int, Alarm] = {}
        self._changes: dict[TransitionKind, list[tuple[int, str]]] = {
            TransitionKind.STATE: [(0, MachineState.NORMAL)],
            TransitionKind.MICROPHONE: [(0, MicrophoneState.OK)],
        }
        self._windows = 0
        self._highest = 0.0

    def take(self, reading: Reading) -> None:
        self._windows += reading.window is not None
        self._highest = max(self._highest, reading.alarm_score)
        for change in reading.transitions:
            if change.alarm is not None:
                self._alarms[change.alarm.number] = change.alarm
            if change.kind in self._changes:
                self._changes[change.kind].append((change.sample, change.after))
        if reading.alarm is not None:
            self._alarms[reading.alarm.number] = reading.alarm

    def close(self, end: int, rate_hz: int) -> Backtest:
        alarms = tuple(
            RaisedAlarm(
                alarm.number,
                (alarm.raised or 0) / rate_hz,
                None if alarm.cleared is None else alarm.cleared / rate_hz,
                alarm.peak_score,
            )
            for _, alarm in sorted(self._alarms.items())
        )
        states, microphone = (
            tuple(StateSpan(sample / rate_hz, str(state)) for sample, state in changes)
            for changes in self._changes.values()
        )
        return Backtest(end / rate_hz, self._windows, self._highest, alarms, states, microphone)
