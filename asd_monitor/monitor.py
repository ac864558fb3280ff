"""The monitor of one machine: blocks of sound → readings, alarms, dead channel.

    Monitor = dead channel + scorer (blocks → window scores) + alarm logic

Pure: time is the sample index, and the division of a stream into blocks does not affect the
readings.  The monitors of several machines are evaluated together by `push_batch`.

While the channel is dead nothing is scored, as in a gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from asd_monitor.alarm.logic import AlarmLogic
from asd_monitor.alarm.state import Alarm, AlarmRule, Transition
from asd_monitor.batching import result_or_raise
from asd_monitor.dead_channel import DeadChannelDetector
from asd_monitor.dsp.sample_faults import usable_parts
from asd_monitor.pipeline import Pipeline, score_pending
from asd_monitor.records import Block, MachineState, MicrophoneState, Stream, WindowScore


class Scorer(Protocol):
    """Computes window scores from sound, as a pipeline does."""

    def push(self, block: Block) -> list[WindowScore]:
        """Return the scores of the windows that the next block completes, in order.

        No window spans a gap.
        """


@dataclass(frozen=True, slots=True)
class Reading:
    """The state of a machine after a window, or after a transition of the microphone."""

    sample: int  # sample index one past the newest sample that it depends on
    window: WindowScore | None  # None: a transition of the microphone
    alarm_score: float  # 0 for an idle window and without a window
    state: MachineState
    microphone_fault: bool  # the channel is dead, and `state` is the last known one
    alarm: Alarm | None  # the newest alarm
    transitions: tuple[Transition, ...]


class Monitor:
    """The monitor of one machine."""

    def __init__(
        self, scorer: Scorer, rule: AlarmRule, rate_hz: int, standing: Alarm | None = None
    ) -> None:
        """Begin with the stream of the first block.

        Args:
            scorer: computes the window scores.
            rule: the alarm rule.
            rate_hz: sampling rate of the stream.
            standing: `alarm` of an earlier monitor of this machine.

        """
        self.scorer = scorer
        self.stride = 1
        """Every n-th window is scored."""
        self._requested_stride = 1
        self._rate_hz = rate_hz
        self._alarm_logic = AlarmLogic(rule, rate_hz, standing)
        self._channel = DeadChannelDetector(rate_hz)
        self._dead = False  # at the newest reading
        self._stream: Stream | None = None
        self._end: int | None = None  # of the newest block
        self._evaluated: int | None = None  # end of the newest part with sound

    @property
    def state(self) -> MachineState:
        """State of the machine, the last known one while the sound is not evaluated."""
        return self._alarm_logic.state

    @property
    def alarm(self) -> Alarm | None:
        """The newest alarm; the next monitor of the machine takes it as ``standing``."""
        return self._alarm_logic.alarm

    @property
    def microphone_fault(self) -> bool:
        """Whether the channel is dead."""
        return self._dead

    @property
    def rule(self) -> AlarmRule:
        """The alarm rule."""
        return self._alarm_logic.rule

    def set_stride(self, stride: int) -> None:
        """Score every n-th window from now on, with n up to `pipeline.max_stride`."""
        if stride != self._requested_stride and isinstance(self.scorer, Pipeline):
            self._requested_stride = stride
            self.stride = self.scorer.windows.set_stride(stride)

    def push(self, block: Block) -> list[Reading]:
        """Process the next block of the stream and return the readings in order.

        Raises:
            ValueError: the block begins before the end of the previous one, is of another stream,
                or has another rate.

        """
        return self.process(self.split(block))

    def split(self, block: Block) -> list[Block | Transition]:
        """Return the parts of the next block: sound to be scored and microphone transitions.

        Unusable samples (`asd_monitor.dsp.sample_faults`) are a gap between two parts.  Every
        part must be passed to `evaluate` in order, with the scores of the windows that it
        completes.  Raises as `push`.
        """
        if self._stream is None and block.rate_hz == self._rate_hz:
            self._stream = block.stream
        if block.stream is not self._stream:
            raise ValueError(f"a block of another stream, at {block.rate_hz} Hz")
        if self._end is not None and block.start < self._end:
            raise ValueError(f"block at {block.start} overlaps the one that ended at {self._end}")
        self._end = block.end
        return [part for usable in usable_parts(block) for part in self._channel.split(usable)]

    def process(self, parts: Sequence[Block | Transition]) -> list[Reading]:
        """Score and evaluate the parts of a block."""
        readings: list[Reading] = []
        for part in parts:
            scores = [] if isinstance(part, Transition) else self.scorer.push(part)
            readings += self.evaluate(part, scores)
        return readings

    def evaluate(self, part: Block | Transition, scores: Sequence[WindowScore]) -> list[Reading]:
        """Return the readings of a part of a block from the scores of its windows."""
        if isinstance(part, Transition):
            self._dead = part.after == MicrophoneState.FAULT
            self.interrupt()
            return [self._reading(part.sample, None, 0.0, (part,))]
        if self._evaluated is not None and part.start > self._evaluated:
            self._alarm_logic.interrupt()
        self._evaluated = part.end
        readings = []
        for window in scores:
            alarm_score, transitions = self._alarm_logic.push(window)
            readings.append(self._reading(window.end, window, alarm_score, transitions))
        return readings

    def interrupt(self) -> None:
        """Process an interrupted capture: delays restart, the span of the alarm score is empty."""
        self._alarm_logic.reset()

    def acknowledge(self, number: int, who: str, why: str) -> tuple[Transition, ...]:
        """Acknowledge the newest alarm; another number or a second time changes nothing."""
        return self._alarm_logic.acknowledge(self._end or 0, number, who, why)

    def _reading(
        self,
        sample: int,
        window: WindowScore | None,
        alarm_score: float,
        transitions: tuple[Transition, ...],
    ) -> Reading:
        return Reading(
            sample=sample,
            window=window,
            alarm_score=alarm_score,
            state=self.state,
            microphone_fault=self._dead,
            alarm=self.alarm,
            transitions=transitions,
        )


def push_batch(
    monitors: Sequence[Monitor], blocks: Sequence[Block]
) -> list[list[Reading] | Exception]:
    """Return the readings of the next block of each monitor; each monitor occurs once.

    The sound of all is scored in shared calls (`asd_monitor.pipeline.score_pending`), which costs
    less than one monitor after the other.  An exception takes the place of the readings of the
    monitor that raises it.
    """
    outcomes: list[list[Reading] | Exception] = []
    pending: list[tuple[int, Pipeline, Block]] = []
    for number, (monitor, block) in enumerate(zip(monitors, blocks, strict=True)):
        try:
            parts = monitor.split(block)
            scorer = monitor.scorer
            if len(parts) == 1 and isinstance(scorer, Pipeline) and isinstance(parts[0], Block):
                scorer.windows.append(parts[0])
                pending.append((number, scorer, parts[0]))
                outcomes.append([])
            else:  # a transition of the microphone, which is rare
                outcomes.append(monitor.process(parts))
        except Exception as error:  # noqa: BLE001 - the outcome of this monitor only
            outcomes.append(error)
    scored = score_pending([pipeline for _, pipeline, _ in pending])
    for (number, _, part), scores in zip(pending, scored, strict=True):
        try:
            outcomes[number] = monitors[number].evaluate(part, result_or_raise(scores))
        except Exception as error:  # noqa: BLE001 - the outcome of this monitor only
            outcomes[number] = error
    return outcomes
