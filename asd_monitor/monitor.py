"""The monitor of one machine: blocks of sound → readings, alarms, condition of the microphone.

    Monitor = dead channel + scorer (blocks → window scores) + microphone + alarm logic

Pure: time is the sample index, and the division of a stream into blocks does not affect the
readings.  The monitors of several machines are evaluated together by `push_batch`.

While the channel is dead nothing is scored, as in a gap.  In another fault of the microphone its
sound is scored, so that the end of the fault is found, but the scores are not evaluated.  Windows
with dropouts are left out, also where these are no fault.  While the
machine is off by a signal from outside (`Monitor.running`) nothing is scored either, as in an idle
pause.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from asd_monitor.alarm.alarm_hold import HeldAlarm
from asd_monitor.alarm.alarm_score import ScoreLevel
from asd_monitor.alarm.block_means import BlockMean
from asd_monitor.alarm.logic import AlarmLogic, EvaluatedWindow
from asd_monitor.alarm.re_alarm import ScoreAtScale
from asd_monitor.alarm.state import Alarm, AlarmRule, Transition, TransitionKind, Trigger
from asd_monitor.batching import each_alone, result_or_raise
from asd_monitor.dead_channel import DeadChannelDetector
from asd_monitor.dsp.sample_faults import usable_parts
from asd_monitor.microphone.baseline import MicrophoneBaseline
from asd_monitor.microphone.findings import MicrophoneCondition
from asd_monitor.microphone.recognition import CAPTURES, MicrophoneRecognition
from asd_monitor.records import Block, MachineState, MicrophoneState, Stream, WindowScore

Scores = list[WindowScore]

DEAD_CHANNEL = MicrophoneCondition(
    MicrophoneState.FAULT, "the microphone delivers a constant value: it is muted or broken"
)


class Scorer(Protocol):
    """Computes window scores from sound, as a pipeline does."""

    @property
    def missing_samples(self) -> int:
        """Samples of the stream that the next window needs at least; 0 if that is unknown."""

    @property
    def max_stride(self) -> int:
        """Largest stride with which all sound is scored."""

    def append(self, block: Block, stride: int = 1) -> None:
        """Append a block; from now on every ``stride``-th window is scored, up to `max_stride`.

        No window spans a gap.
        """

    @property
    def score_pending(self) -> Callable[[Sequence[Any]], Sequence[Scores | Exception]]:
        """A function of scorers of this kind: the windows that their blocks complete.

        It returns for each scorer its scores in order, or the exception that it raises.  It is
        the same function for all scorers that it can process together.
        """


@dataclass(frozen=True, slots=True)
class Reading:
    """The state of a machine after a window, or after a transition without one."""

    sample: int  # sample index one past the newest sample that it depends on
    window: WindowScore | None  # None: a transition of the microphone, or of an alarm that was held
    alarm_score: float  # 0 for an idle window, one at the start of a run, and without a window
    time_scale_s: float | None  # of the alarm score; None where that is 0 for such a reason
    state: MachineState
    microphone: MicrophoneState  # in a fault `state` is the last known one
    alarm: Alarm | None  # the newest alarm
    transitions: tuple[Transition, ...]
    quiet: bool = False  # the sound has been far quieter than ever in training for the on-delay
    may_be_changed: bool = False  # the microphone: in a fault, or by what its spectrum suggests
    scores: Sequence[ScoreAtScale] = ()  # of the window, at each usable time scale


class Monitor:
    """The monitor of one machine."""

    def __init__(
        self,
        scorer: Scorer,
        rule: AlarmRule,
        rate_hz: int,
        standing: Alarm | None = None,
        history: Iterable[BlockMean] = (),
        *,
        held: HeldAlarm | None = None,
        baseline: MicrophoneBaseline | None = None,
        in_service: bool = True,
    ) -> None:
        """Begin with the stream of the first block.

        Args:
            scorer: computes the window scores.
            rule: the alarm rule.
            rate_hz: sampling rate of the stream.
            standing: `alarm` of an earlier monitor of this machine.
            history: `block_means` of an earlier monitor with the same model, with sample indices
                of this stream, which may be negative.
            held: `held` of an earlier monitor of the same stream.
            baseline: what the microphone has captured in training; without one only a dead channel
                is recognised.
            in_service: whether the machine is in service: otherwise no alarm is raised.

        """
        self.scorer = scorer
        self.running = True
        """Whether the next blocks are scored: false while the machine is off by another source than
        its sound.  It is set between two blocks."""
        self.left_out_windows = 0
        """Windows that were scored and not evaluated, since they contain dropouts."""
        self._rate_hz = rate_hz
        self._alarm_logic = AlarmLogic(
            rule, rate_hz, standing, history, held, in_service=in_service
        )
        self._channel = DeadChannelDetector(rate_hz)
        self._dead = False  # at the newest reading
        self._recognition = None if baseline is None else MicrophoneRecognition(baseline, rate_hz)
        self._microphone = MicrophoneCondition()
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

    def take_up(self, standing: Alarm) -> None:
        """Take up the newest alarm of an earlier monitor, where this one has raised none."""
        self._alarm_logic.take_up(standing)

    @property
    def held(self) -> HeldAlarm | None:
        """The alarm that is delayed by a suspicion; the next monitor of the stream takes it."""
        return self._alarm_logic.held

    def raise_held(self) -> tuple[Transition, ...]:
        """Raise the alarm that is held, at the end of the monitoring."""
        return self._alarm_logic.raise_held()

    @property
    def block_means(self) -> list[BlockMean]:
        """Means of the evidence in blocks of ten seconds, the oldest first, at most a day."""
        return self._alarm_logic.block_means

    @property
    def levels(self) -> Sequence[ScoreLevel]:
        """The level of the evidence at each of the longer time scales."""
        return self._alarm_logic.levels

    @property
    def quiet(self) -> bool:
        """Whether the sound has been far quieter than ever in training for the on-delay."""
        return self._alarm_logic.quiet

    @property
    def microphone(self) -> MicrophoneCondition:
        """Condition of the microphone by its sound."""
        return self._microphone

    @property
    def rule(self) -> AlarmRule:
        """The alarm rule."""
        return self._alarm_logic.rule

    @property
    def missing_samples(self) -> int:
        """Samples that the next reading needs at least; 0 if that is unknown."""
        return 0 if self._dead or not self.running else self.scorer.missing_samples

    def push(self, block: Block, stride: int = 1) -> list[Reading]:
        """Process the next block of the stream and return the readings in order.

        Every ``stride``-th window is scored.

        Raises:
            ValueError: the block begins before the end of the previous one, is of another stream,
                or has another rate.

        """
        return self.process(self.split(block), stride)

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

    def process(self, parts: Sequence[Block | Transition], stride: int = 1) -> list[Reading]:
        """Score and evaluate the parts of a block."""
        readings: list[Reading] = []
        for part in parts:
            scores: Scores = []
            if self.running and not isinstance(part, Transition):
                self.scorer.append(part, stride)
                scores = result_or_raise(self.scorer.score_pending([self.scorer])[0])
            readings += self.evaluate(part, scores)
        if not parts and self._end != self._evaluated:
            self._alarm_logic.interrupt()  # at once, since the stream may end here
        return readings

    def evaluate(self, part: Block | Transition, scores: Sequence[WindowScore]) -> list[Reading]:
        """Return the readings of a part of a block from the scores of its windows."""
        if isinstance(part, Transition):
            return self._evaluate_channel(part)
        readings: list[Reading] = []
        if self._evaluated is not None and part.start > self._evaluated:
            self._alarm_logic.interrupt()
        self._evaluated = part.end
        if not self.running:
            return readings + self._released(self._alarm_logic.suspend(part.end))
        if self._recognition is not None:
            self._recognition.push_samples(part)
        for window in scores:
            readings += self._evaluate_window(window)
        return readings

    def _released(self, changes: Sequence[Transition]) -> list[Reading]:
        """Return the reading of transitions while nothing is evaluated."""
        if not changes:
            return []
        evaluated = EvaluatedWindow(0.0, None, tuple(changes))
        return [self._reading(changes[-1].sample, None, evaluated)]

    def _evaluate_channel(self, change: Transition) -> list[Reading]:
        """Process the begin or the end of a dead channel."""
        self._dead = change.after == MicrophoneState.FAULT
        self._alarm_logic.interrupt()
        return self._released(self._change_microphone(change.sample, change.why))

    def _evaluate_window(self, window: WindowScore) -> list[Reading]:
        recognition, spectra = self._recognition, window.spectra
        if recognition is None or spectra is None:
            return [self._reading(window.end, window, self._alarm_logic.push(window))]
        running = not (window.idle or window.quiet)
        recognition.push_window(spectra.bands, spectra.lines, window.end, running=running)
        was_fault = self._microphone.is_fault
        changes = self._change_microphone(window.end)
        if self._microphone.is_fault:
            if not was_fault:
                begin = recognition.faulty_since
                self._alarm_logic.discard_since(window.end if begin is None else begin)
            return self._released((*self._alarm_logic.release_held(window.end), *changes))
        if recognition.leaves_out_window:
            self.left_out_windows += 1
            return self._released((*self._alarm_logic.leave_out(window.end), *changes))
        suspected = recognition.suspected_since is not None
        evaluated = self._alarm_logic.push(window, suspected=suspected)
        evaluated = evaluated._replace(transitions=(*changes, *evaluated.transitions))
        return [self._reading(window.end, window, evaluated)]

    def _change_microphone(self, sample: int, why: str | None = None) -> tuple[Transition, ...]:
        """Take up the condition of the microphone; return the transition where it has changed."""
        before, after = self._microphone, MicrophoneCondition()
        if self._dead:
            after = DEAD_CHANNEL
        elif self._recognition is not None:
            after = self._recognition.condition
        self._microphone = after
        if after.state is before.state:
            return ()
        why = why or after.reason or self._recovered
        return (Transition(sample, TransitionKind.MICROPHONE, before.state, after.state, why),)

    @property
    def _may_be_changed(self) -> bool:
        recognition = self._recognition
        return self._microphone.is_fault or (recognition is not None and recognition.may_be_changed)

    @property
    def _recovered(self) -> str:
        return CAPTURES if self._recognition is None else self._recognition.recovered

    def replace_rule(self, rule: AlarmRule) -> None:
        """Decide by another rule of the same hop from the next window on."""
        self._alarm_logic.replace_rule(rule)

    def replace_baseline(self, baseline: MicrophoneBaseline | None) -> None:
        """Judge the microphone by another baseline of the same front end from now on."""
        if baseline is None:
            self._recognition = None
        elif self._recognition is None:
            self._recognition = MicrophoneRecognition(baseline, self._rate_hz)
        else:
            self._recognition.replace_baseline(baseline)

    def interrupt(self) -> None:
        """Process an interrupted capture: delays restart, the span of the alarm score is empty."""
        self._alarm_logic.reset()
        if self._recognition is not None:
            self._recognition.interrupt()

    def change(
        self, trigger: Trigger, number: int, who: str | None, why: str
    ) -> tuple[Transition, ...]:
        """Change the newest alarm by a person's trigger, or by the end of its shelving.

        Another number, or a trigger that its condition does not know, changes nothing.
        """
        return self._alarm_logic.change(trigger, self._end or 0, number, who, why)

    @property
    def in_service(self) -> bool:
        """Whether the machine is in service; the next monitor of the machine takes it."""
        return self._alarm_logic.in_service

    def change_service(self, who: str, why: str, *, in_service: bool) -> tuple[Transition, ...]:
        """Hide the newest alarm and raise none, or show it and raise them from the next window."""
        return self._alarm_logic.change_service(self._end or 0, who, why, in_service=in_service)

    def _reading(
        self,
        sample: int,
        window: WindowScore | None,
        evaluated: EvaluatedWindow,
    ) -> Reading:
        return Reading(
            sample=sample,
            window=window,
            alarm_score=evaluated.alarm_score,
            time_scale_s=evaluated.time_scale_s,
            state=self.state,
            microphone=self._microphone.state,
            alarm=self.alarm,
            transitions=evaluated.transitions,
            quiet=self.quiet,
            may_be_changed=self._may_be_changed,
            scores=evaluated.scores,
        )


def push_batch(
    monitors: Sequence[Monitor], blocks: Sequence[Block], stride: int = 1
) -> list[list[Reading] | Exception]:
    """Return the readings of the next block of each monitor; each monitor occurs once.

    The sound of all is scored in shared calls (`asd_monitor.pipeline.score_pending`), which costs
    less than one monitor after the other.  Every ``stride``-th window is scored.  An exception
    takes the place of the readings of the monitor that raises it.
    """
    work = list(zip(monitors, blocks, strict=True))
    appended = each_alone(lambda item: _append(*item, stride), work)
    together: defaultdict[Any, list[int]] = defaultdict(list)
    for number, outcome in enumerate(appended):
        if isinstance(outcome, Block):
            together[monitors[number].scorer.score_pending].append(number)
    outcomes = [[] if isinstance(outcome, Block) else outcome for outcome in appended]
    for score_pending, numbers in together.items():
        scored = score_pending([monitors[number].scorer for number in numbers])
        evaluated = each_alone(
            lambda item: _evaluate(monitors[item[0]], appended[item[0]], item[1]),
            list(zip(numbers, scored, strict=True)),
        )
        for number, readings in zip(numbers, evaluated, strict=True):
            outcomes[number] = readings
    return outcomes


def _append(monitor: Monitor, block: Block, stride: int) -> Block | list[Reading]:
    """Append a block to the scorer and return it; return the readings where it has parts."""
    parts = monitor.split(block)
    if monitor.running and len(parts) == 1 and isinstance(parts[0], Block):
        monitor.scorer.append(parts[0], stride)
        return parts[0]
    return monitor.process(parts, stride)  # a transition of the microphone, or nothing is scored


def _evaluate(
    monitor: Monitor, part: Block | list[Reading] | Exception, scores: Scores | Exception
) -> list[Reading]:
    if not isinstance(part, Block):
        raise TypeError(f"not sound: {part!r}")
    return monitor.evaluate(part, result_or_raise(scores))
