"""Machines' sound in, verdicts and alarms out: pure, and driven by sample index alone.

    Monitor = Scorer (block → window scores) + alarm score + alarm rule + dead channel

Many are asked in one go (`push_batch`), which costs less than one after the other.

How a stream is cut into blocks changes nothing.

**Idle windows are skipped**: the alarm score and the delays of the alarm rule go on after a
pause where they stood before it.  Windows lost in a gap count as missed, also at a pause.

A **dead channel** gives the same sample for two seconds or more (a muted or broken
converter; no microphone is that quiet).  From then on nothing is scored, as if the stream
had a gap, until the sample value changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from asd_monitor.alarm.score import AlarmScore
from asd_monitor.alarm.state import Alarm, AlarmMachine, AlarmRule, Transition, TransitionKind
from asd_monitor.batching import result_or_raise
from asd_monitor.pipeline import Pipeline, score_due
from asd_monitor.records import Block, MachineState, MicrophoneState, WindowScore

DEAD_CHANNEL_S = 2.0


class Scorer(Protocol):
    """What turns sound into window scores; the pipeline is one."""

    def push(self, block: Block) -> list[WindowScore]:
        """Take the next block; return the windows that it completes, in order.

        Forgets what it heard before a gap.
        """


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known after one window, or after a change that no window brought."""

    sample: int  # index one past the newest sample that it knows
    window: WindowScore | None  # None: nothing was scored, only `transitions` tell something
    alarm_score: float  # 0 while the machine is idle and where nothing was scored
    state: MachineState
    microphone_fault: bool  # the channel is dead: `state` is the last one known
    alarm: Alarm | None  # the newest alarm
    transitions: tuple[Transition, ...]


class Monitor:
    """Watches one machine."""

    def __init__(
        self, scorer: Scorer, rule: AlarmRule, rate_hz: int, standing: Alarm | None = None
    ) -> None:
        """Take up ``standing``, the alarm that an earlier monitor of this machine left."""
        self.scorer = scorer
        self._machine = AlarmMachine(rule, rate_hz, standing)
        self._score = AlarmScore(rule.hop_s)
        self._hop = rule.hop_s * rate_hz
        self._newest_end = 0  # of the newest window, idle or running
        self._channel = _DeadChannel(round(DEAD_CHANNEL_S * rate_hz))
        self.every = 1
        """Which windows are scored: all, or every second one, …"""
        self._asked = 1
        self._dead = False  # as told: the channel itself may know more already
        self._end: int | None = None  # of the newest block

    @property
    def state(self) -> MachineState:
        """The state of the machine, the last one known while nobody listens."""
        return self._machine.state

    @property
    def alarm(self) -> Alarm | None:
        """The newest alarm, to hand to the next monitor as ``standing``."""
        return self._machine.alarm

    @property
    def microphone_fault(self) -> bool:
        """Whether the channel is dead."""
        return self._dead

    @property
    def rule(self) -> AlarmRule:
        """The rule in use."""
        return self._machine.rule

    def widen(self, every: int) -> None:
        """Score only every so-manieth window from now on, as far as alarms bear it."""
        if every != self._asked and isinstance(self.scorer, Pipeline):
            self._asked = every
            self.every = self.scorer.windows.widen(every)

    def push(self, block: Block) -> list[Reading]:
        """Take the next block of the stream; return what it told, in order.

        Raises `ValueError` when the block lies before the end of the one before.
        """
        return self.tell_each(self.hear(block))

    def tell_each(self, parts: Sequence[Block | Transition]) -> list[Reading]:
        """Score and tell what was heard."""
        readings: list[Reading] = []
        for part in parts:
            scores = [] if isinstance(part, Transition) else self.scorer.push(part)
            readings += self.tell(part, scores)
        return readings

    def hear(self, block: Block) -> list[Block | Transition]:
        """Take the next block; return what of it is to be scored and told, in order.

        Each part is to be given to `tell`, with the scores of the windows that it completes.
        Raises as `push`.
        """
        if self._end is not None and block.start < self._end:
            raise ValueError(f"block at {block.start} overlaps the one that ended at {self._end}")
        if self._end is not None and block.start > self._end:
            self._machine.interrupt()
        self._end = block.end
        return list(self._channel.split(block))

    def tell(self, part: Block | Transition, scores: Sequence[WindowScore]) -> list[Reading]:
        """Return what a part of the stream told."""
        if isinstance(part, Transition):
            self._dead = part.after == MicrophoneState.FAULT
            self.outage()
            return [self._reading(part.sample, None, 0.0, (part,))]
        return [self._judge(window) for window in scores]

    def outage(self) -> None:
        """Nobody listens from here on, until the next block; what was heard counts no more."""
        self._score.reset()
        self._machine.interrupt()

    def acknowledge(self, number: int, who: str, why: str) -> tuple[Transition, ...]:
        """Acknowledge the alarm of that number; an older one or a seen one changes nothing."""
        return self._machine.acknowledge(self._end or 0, number, who, why)

    def _judge(self, window: WindowScore) -> Reading:
        hops = round((window.end - self._newest_end) / self._hop)
        self._score.miss(max(0, hops - window.hops))
        self._newest_end = window.end
        if window.idle:
            return self._reading(window.end, window, 0.0, self._machine.rest(window.end))
        alarm_score = self._score.push(window.sustained, window.hops)
        changes = self._machine.observe(window.end, alarm_score, settled=self._score.full)
        return self._reading(window.end, window, alarm_score, changes)

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
            state=self._machine.state,
            microphone_fault=self._dead,
            alarm=self._machine.alarm,
            transitions=transitions,
        )


def push_batch(
    monitors: Sequence[Monitor], blocks: Sequence[Block]
) -> list[list[Reading] | Exception]:
    """Return what the next block of each monitor told; each is named once.

    It costs less than one after the other (`asd_monitor.pipeline.score_due`).  What one of them
    raises comes in the place of its readings, and the others do not notice.
    """
    told: list[list[Reading] | Exception] = []
    waiting: list[tuple[int, Pipeline, Block]] = []
    for number, (monitor, block) in enumerate(zip(monitors, blocks, strict=True)):
        try:
            parts = monitor.hear(block)
            scorer = monitor.scorer
            if len(parts) == 1 and isinstance(scorer, Pipeline) and isinstance(parts[0], Block):
                scorer.windows.take(parts[0])
                waiting.append((number, scorer, parts[0]))
                told.append([])
            else:  # a channel that dies or comes back is rare
                told.append(monitor.tell_each(parts))
        except Exception as error:  # noqa: BLE001 - whatever breaks one must not break others
            told.append(error)
    found = score_due([pipeline for _, pipeline, _ in waiting])
    for (number, _, part), scores in zip(waiting, found, strict=True):
        try:
            told[number] = monitors[number].tell(part, result_or_raise(scores))
        except Exception as error:  # noqa: BLE001 - the same
            told[number] = error
    return told


class _DeadChannel:
    """Cuts the dead stretches out of a stream."""

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self.dead = False
        self._value: np.float32 | None = None  # of the newest sample
        self._since = 0  # sample index from which on it has not changed
        self._end: int | None = None

    def split(self, block: Block) -> Iterator[Block | Transition]:
        """Yield the living stretches and, between them, the changes of the microphone."""
        if not len(block.samples):
            return
        if block.start != self._end and not self.dead:
            self._value = None
        self._end = block.end
        if not self.dead and self._is_lively(block):
            yield block
            return
        begin = block.start
        for start, end in self._runs(block):
            if self.dead and start != self._since:
                self.dead = False
                begin = start
                yield self._change(start, "the samples change again")
            self._since = start
            dies = start + self._patience
            if not self.dead and end >= dies:
                if dies > begin:
                    yield Block(begin, block.samples[begin - block.start : dies - block.start])
                self.dead = True
                seconds = f"{DEAD_CHANNEL_S:g} s"
                yield self._change(dies, f"every sample has the same value for {seconds}")
        if not self.dead:
            yield Block(begin, block.samples[begin - block.start :])

    def _is_lively(self, block: Block) -> bool:
        """Tell that no constant run can end the channel here, and note where the last one began.

        Only a run that began before, or one as long as the patience, could.
        """
        samples = block.samples
        if not 2 <= len(samples) < self._patience or samples[-1] == samples[-2]:
            return False
        if self._value is not None and samples[0] == self._value:
            return False
        self._value, self._since = samples[-1], block.end - 1
        return True

    def _runs(self, block: Block) -> list[tuple[int, int]]:
        """Return the (start, end) of the constant runs that matter.

        They are the first, which may have begun in a block before, the last, the long ones
        and those that end one.
        """
        samples = block.samples
        edges = np.flatnonzero(samples[1:] != samples[:-1]) + 1
        starts = np.concatenate(([0], edges)) + block.start
        ends = np.concatenate((edges, [len(samples)])) + block.start
        if self._value is not None and samples[0] == self._value:
            starts[0] = self._since
        self._value = samples[-1]
        long = ends - starts >= self._patience
        matters = long.copy()
        matters[1:] |= long[:-1]  # where the sound returns
        matters[[0, -1]] = True
        if self.dead:
            matters[:2] = True
        return [(int(s), int(e)) for s, e in zip(starts[matters], ends[matters], strict=True)]

    def _change(self, sample: int, why: str) -> Transition:
        states = (MicrophoneState.OK, MicrophoneState.FAULT)
        before, after = states if self.dead else states[::-1]
        return Transition(sample, TransitionKind.MICROPHONE, before, after, why)
