"""One machine's sound in, verdicts and alarms out: pure, and driven by sample index alone.

    Monitor = Scorer (block → window scores) + alarm score + alarm rule + dead channel

How a stream is cut into blocks changes nothing.

A **dead channel** gives the same sample for two seconds or more (a muted or broken
converter; no microphone is that quiet).  From then on nothing is scored, as if the stream
had a gap, until the sample value changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from asd_monitor.alarm.machine import Alarm, AlarmMachine, AlarmRule, Transition, TransitionKind
from asd_monitor.alarm.score import AlarmScore
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
        self._scorer = scorer
        self._machine = AlarmMachine(rule, rate_hz, standing)
        self._score = AlarmScore(rule.hop_s)
        self._hop = rule.hop_s * rate_hz
        self._scored_end = 0  # of the newest window that the alarm score knows
        self._channel = _DeadChannel(round(DEAD_CHANNEL_S * rate_hz))
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
        return self._channel.dead

    @property
    def rule(self) -> AlarmRule:
        """The rule in use."""
        return self._machine.rule

    def push(self, block: Block) -> list[Reading]:
        """Take the next block of the stream; return what it told, in order.

        Raises `ValueError` when the block lies before the end of the one before.
        """
        if self._end is not None and block.start < self._end:
            raise ValueError(f"block at {block.start} overlaps the one that ended at {self._end}")
        if self._end is not None and block.start > self._end:
            self._machine.interrupt()
        self._end = block.end
        readings: list[Reading] = []
        for part in self._channel.split(block):
            if isinstance(part, Transition):
                self.outage()
                readings.append(self._reading(part.sample, None, 0.0, (part,)))
            else:
                readings += [self._judge(window) for window in self._scorer.push(part)]
        return readings

    def outage(self) -> None:
        """Nobody listens from here on, until the next block; what was heard counts no more."""
        self._score.reset()
        self._machine.interrupt()

    def acknowledge(self, number: int, who: str, why: str) -> tuple[Transition, ...]:
        """Acknowledge the alarm of that number; an older one or a seen one changes nothing."""
        return self._machine.acknowledge(self._end or 0, number, who, why)

    def _judge(self, window: WindowScore) -> Reading:
        if window.idle:
            self._score.reset()
            return self._reading(window.end, window, 0.0, self._machine.rest(window.end))
        hops = round((window.end - self._scored_end) / self._hop)
        self._score.miss(max(0, hops - 1))
        self._scored_end = window.end
        alarm_score = self._score.push(window.lasting)
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
            microphone_fault=self._channel.dead,
            alarm=self._machine.alarm,
            transitions=transitions,
        )


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
