"""Replay of recordings through the pipeline and the alarm rule of the daemon."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asd_monitor.alarm.state import Alarm, AlarmRule, Transition, TransitionKind
from asd_monitor.audio.source import Opened, Outage, Source
from asd_monitor.detector.detector import Detector
from asd_monitor.evaluation.recording_scores import check_rate
from asd_monitor.monitor import Monitor, Reading
from asd_monitor.pipeline import Pipeline
from asd_monitor.records import NO_SIGNAL, Block, MachineState, MicrophoneState
from asd_monitor.wording import DAY_S


@dataclass(frozen=True, slots=True)
class RaisedAlarm:
    """An alarm, in seconds since the start of the recordings."""

    number: int
    raised_s: float
    cleared_s: float | None
    peak_alarm_score: float
    time_scale_s: float | None  # of the alarm score that raised it

    def to_json(self) -> dict[str, Any]:
        """Return the entry of the result."""
        return {
            "id": self.number,
            "severity": "alarm",
            "raised_s": round(self.raised_s, 3),
            "cleared_s": None if self.cleared_s is None else round(self.cleared_s, 3),
            "peak_alarm_score": round(self.peak_alarm_score, 4),
            "time_scale_s": self.time_scale_s,
        }


@dataclass(frozen=True, slots=True)
class StateSpan:
    """A state from a time on, until that of the next span."""

    from_s: float
    state: str


@dataclass(frozen=True, slots=True, eq=False)
class Backtest:
    """States and alarms of the daemon on the recordings."""

    seconds: float
    windows: int
    highest: float  # alarm score
    alarms: tuple[RaisedAlarm, ...]
    states: tuple[StateSpan, ...]
    microphone: tuple[StateSpan, ...]

    @property
    def no_signal_spans(self) -> tuple[tuple[float, float], ...]:
        """The intervals (from, to, in s) without a usable signal."""
        ends = [span.from_s for span in self.microphone[1:]] + [self.seconds]
        return tuple(
            (span.from_s, end)
            for span, end in zip(self.microphone, ends, strict=True)
            if span.state in NO_SIGNAL
        )

    @property
    def evaluated_s(self) -> float:
        """Seconds with a usable signal."""
        return self._evaluated_between(0.0, self.seconds)

    def _evaluated_between(self, begin: float, end: float) -> float:
        return (
            end
            - begin
            - sum(
                max(0.0, min(end, past) - max(begin, first)) for first, past in self.no_signal_spans
            )
        )

    @property
    def alarms_per_day(self) -> float | None:
        """Alarms per day of evaluated sound; None where none was evaluated."""
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
    report: Callable[[float], None] = lambda _: None,
) -> Backtest:
    """Process a source of recordings to its end.

    ``path`` names the recordings in messages; ``report`` is called with the seconds processed.

    Raises:
        UsageError: the rate of the recordings is lower than the detector's.

    """
    replay = _Replay(detector, rule, path, report)
    await source.run(replay)
    return replay.close()


class _Replay:
    """Takes the sound of the recordings and monitors it."""

    def __init__(
        self, detector: Detector, rule: AlarmRule, path: Path, report: Callable[[float], None]
    ) -> None:
        self.log = _Log()
        self.rate_hz = self.end = 0
        self._detector, self._rule = detector, rule
        self._path, self._report = path, report
        self._monitor: Monitor | None = None

    def opened(self, opened: Opened) -> None:
        if self._monitor is None:
            self.rate_hz = opened.rate_hz
            check_rate(self._detector, opened.rate_hz, self._path)
            self._monitor = Monitor(
                Pipeline(self._detector),
                self._rule,
                opened.rate_hz,
                baseline=self._detector.microphone,
            )

    def write(self, block: Block) -> None:
        if self._monitor is None:
            raise ValueError("sound before the opening")
        for reading in self._monitor.push(block):
            self.log.add(reading)
        self.end = block.end
        self._report(self.end / self.rate_hz)

    def interrupted(self, outage: Outage) -> None:  # noqa: ARG002 - the reason has been printed
        if self._monitor is not None:
            self._monitor.interrupt()

    async def room(self, samples: int) -> None:
        """Return at once: each block is processed when it is written."""

    def close(self) -> Backtest:
        """Return what was found; an alarm that is still held is raised, since no sound follows."""
        if self._monitor is not None:
            self.log.add_changes(self._monitor.raise_held(), self._monitor.state)
        return self.log.close(self.end, max(self.rate_hz, 1))


class _Log:
    """Collects alarms and state changes from the readings."""

    def __init__(self) -> None:
        self._alarms: dict[int, Alarm] = {}
        self._changes: dict[TransitionKind, list[tuple[int, str]]] = {
            TransitionKind.STATE: [(0, MachineState.NORMAL)],
            TransitionKind.MICROPHONE: [(0, MicrophoneState.OK)],
        }
        self._windows = 0
        self._highest = 0.0

    def add(self, reading: Reading) -> None:
        self._windows += reading.window is not None
        self._highest = max(self._highest, reading.alarm_score)
        self.add_changes(reading.transitions, reading.state)
        if reading.alarm is not None:
            self._alarms[reading.alarm.number] = reading.alarm

    def add_changes(self, changes: Iterable[Transition], state: MachineState) -> None:
        """Add transitions; ``state`` is that of the machine after them."""
        for change in changes:
            if change.alarm is not None:
                self._alarms[change.alarm.number] = change.alarm
            if change.kind in self._changes:
                self._changes[change.kind].append((change.sample, change.after))
            if (
                change.kind is TransitionKind.MICROPHONE
                and {change.before, change.after} & NO_SIGNAL
            ):
                unavailable = change.after in NO_SIGNAL
                found = MachineState.UNAVAILABLE if unavailable else state
                self._changes[TransitionKind.STATE].append((change.sample, found))

    def close(self, end: int, rate_hz: int) -> Backtest:
        alarms = tuple(
            RaisedAlarm(
                alarm.number,
                (alarm.raised or 0) / rate_hz,
                None if alarm.cleared is None else alarm.cleared / rate_hz,
                alarm.peak_score,
                alarm.time_scale_s,
            )
            for _, alarm in sorted(self._alarms.items())
        )
        states, microphone = (
            tuple(StateSpan(sample / rate_hz, str(state)) for sample, state in changes)
            for changes in self._changes.values()
        )
        return Backtest(end / rate_hz, self._windows, self._highest, alarms, states, microphone)
