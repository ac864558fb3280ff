"""The alarm score: the quantity that the alarm rule compares with the thresholds.

It is the highest of the alarm scores of the time scales (`asd_monitor.alarm.time_scales`): of the
median of the last ten seconds, and of the means of the longer scales that are usable.  Evidence of
ten seconds that reaches the bound of the effect's size raises it to the threshold of the alarm,
whatever the tails say, and lesser evidence to the square of its share of the bound: the score of a
model of minutes, whose tails are wide, shows a change before it is an alarm.

The longer scales are for changes that ten seconds do not show.  Their blocks are limited to the
evidence that is an alarm at ten seconds: a minute of very loud noise would raise the mean of an
hour otherwise, and its alarm would stay active for an hour.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from asd_monitor.alarm.block_means import BlockDivision, BlockMean
from asd_monitor.alarm.re_alarm import ScoreAtScale
from asd_monitor.alarm.running_means import RunningMeans
from asd_monitor.alarm.scale_tail import ScaleTail
from asd_monitor.alarm.span_median import SpanMedian
from asd_monitor.alarm.state import AlarmRule
from asd_monitor.alarm.time_scales import STEP_S, evidence_at, scale_score


@dataclass(frozen=True, slots=True)
class ScoreLevel:
    """The mean evidence over one time scale, and the means at the thresholds."""

    time_scale_s: float
    mean: float | None  # None: not usable
    warning: float
    alarm: float


class AlarmScore:
    """Alarm score of one machine, from the evidence of its running windows."""

    def __init__(self, rule: AlarmRule, rate_hz: int, history: Iterable[BlockMean] = ()) -> None:
        """Begin with an empty span.

        Args:
            rule: the alarm rule.
            rate_hz: sampling rate of the sample indices.
            history: block means of earlier sound of this model, the oldest first.

        """
        self._rule = rule
        self._longer = tuple(tail for tail in rule.tails if tail.seconds > STEP_S)
        self._shortest = next((tail for tail in rule.tails if tail.seconds == STEP_S), None)
        self._span = SpanMedian(rule.hop_s)
        self._division = BlockDivision(rule.hop_s, rate_hz)
        self._rate_hz = rate_hz
        self._means = self._no_means()
        self._limit = rule.effect_bound
        if self._shortest is not None:
            alarm = evidence_at(self._shortest, rule.thresholds.alarm)
            self._limit = min(self._limit, alarm)
        self._append(history)
        thresholds = rule.thresholds
        self._levels = [
            ScoreLevel(
                tail.seconds,
                None,
                evidence_at(tail, thresholds.warning),
                evidence_at(tail, thresholds.alarm),
            )
            for tail in self._longer
        ]
        self.scores: Sequence[ScoreAtScale] = ()
        """The alarm scores of the newest window, of each time scale that is usable."""
        self._known: dict[float, tuple[float, float]] = {}  # by scale: the mean and its score

    @property
    def full(self) -> bool:
        """Whether every window of the last ten seconds has a score."""
        return self._span.full

    @property
    def blocks(self) -> list[BlockMean]:
        """The block means, the oldest first; an alarm score of the same model can begin with them.

        They are of the last day of running time at most.
        """
        return self._means.blocks

    def push(self, evidence: float, end: int, hops: int = 1) -> ScoreAtScale:
        """Add a running window and return the alarm score.

        Args:
            evidence: that of the window.
            end: sample index one past its last sample.
            hops: hops that the window stands for, 1 unless windows are skipped under load.

        Raises:
            ValueError: the evidence is not a finite number.

        """
        median = self._span.push(evidence, hops)
        self._append(self._division.push(evidence, end, hops))
        scores = [ScoreAtScale(self._score_of_span(median), STEP_S)]
        for tail, mean in zip(self._longer, self._means.means(end), strict=True):
            if mean is not None:
                scores.append(ScoreAtScale(self._score_of_mean(tail, mean), tail.seconds))
        self.scores = scores
        return max(scores, key=lambda each: each.score)  # the shortest of equal ones

    def push_missing(self, windows: int, end: int) -> None:
        """Add windows without a score, the last of which ends at ``end``."""
        self._span.push_missing(windows)
        self._append(self._division.push_missing(windows, end))

    def interrupt(self) -> None:
        """Empty the last ten seconds; the means over the longer scales are kept."""
        self._span.reset()
        self._division.reset()

    def discard_since(self, sample: int) -> None:
        """Empty the last ten seconds, and forget the longer time scales since this sample index."""
        self.interrupt()
        self.forget_means_since(sample)

    def forget_means_since(self, sample: float) -> None:
        """Forget the blocks that end after this sample index; the last ten seconds are kept."""
        length = round(self._division.size * self._rule.hop_s * self._rate_hz)
        kept = [block for block in self._means.blocks if block.begin + length <= sample]
        self._means = self._no_means()
        self._append(kept)

    def levels(self, now: int) -> Sequence[ScoreLevel]:
        """Return the level at each of the longer time scales at this sample index."""
        means = self._means.means(now)
        return [replace(level, mean=mean) for level, mean in zip(self._levels, means, strict=True)]

    def _no_means(self) -> RunningMeans:
        scales_s = [tail.seconds for tail in self._longer]
        return RunningMeans(scales_s, self._division.size * self._rule.hop_s, self._rate_hz)

    def _append(self, blocks: Iterable[BlockMean]) -> None:
        for block in blocks:
            self._means.append(BlockMean(block.begin, min(block.mean, self._limit)))

    def _score_of_span(self, median: float) -> float:
        rule = self._rule
        score = 0.0 if self._shortest is None else scale_score(self._shortest, median)
        share = min(1.0, max(0.0, median) / rule.effect_bound)
        return max(score, rule.thresholds.alarm * share * share)

    def _score_of_mean(self, tail: ScaleTail, mean: float) -> float:
        known = self._known.get(tail.seconds)
        if known is None or known[0] != mean:
            self._known[tail.seconds] = known = (mean, scale_score(tail, mean))
        return known[1]
