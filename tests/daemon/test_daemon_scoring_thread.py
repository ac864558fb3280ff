"""The scoring thread: its batches, and that a failure affects one machine only."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from asd_monitor.alarm.state import AlarmRule
from asd_monitor.batching import result_or_raise
from asd_monitor.daemon.scoring_thread import ScoringThread
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.encoders.session import EncoderError
from asd_monitor.features.windows import Window, WindowStream, extract_pending
from asd_monitor.monitor import Monitor, Reading, push_batch
from asd_monitor.pipeline import Pipeline
from asd_monitor.records import Block, Thresholds, WindowScore
from tests.doubles.blocks import block_at
from tests.doubles.direct_tail import DirectTail
from tests.doubles.level_detector import LevelDetector
from tests.doubles.synthetic_sounds import machine_sound

RATE_HZ = 16_000
RULE = AlarmRule(Thresholds(3.0, 5.0), hop_s=0.512, tails=(DirectTail(),))
LONG_S = 5.0  # not reached: a complete batch does not wait


def monitor() -> Monitor:
    return Monitor(Pipeline(LevelDetector()), RULE, RATE_HZ)


def blocks(seconds: float, seed: int = 0) -> list[Block]:
    sound = machine_sound(seconds, seed=seed)
    return [block_at(k, sound[k : k + 1600]) for k in range(0, len(sound), 1600)]


class CountedPush:
    """`push_batch`, with the size of each batch."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(
        self, monitors: Sequence[Monitor], blocks: Sequence[Block], stride: int
    ) -> list[list[Reading] | Exception]:
        self.sizes.append(len(monitors))
        return push_batch(monitors, blocks, stride)


@pytest.fixture
async def scoring() -> AsyncIterator[ScoringThread]:
    thread = ScoringThread(LONG_S)
    yield thread
    await thread.close()


async def test_machines_with_sound_are_scored_in_one_batch() -> None:
    push = CountedPush()
    scoring = ScoringThread(LONG_S, push=push)
    scoring.machine_count = 3
    monitors = [monitor() for _ in range(3)]
    readings: list[list[Reading]] = [[], [], []]
    for block in blocks(4.0):
        found = await asyncio.gather(*(scoring.push(each, block) for each in monitors))
        for earlier, new in zip(readings, found, strict=True):
            earlier.extend(new)
    assert push.sizes == [3] * 40
    alone = monitor()
    expected = [reading for block in blocks(4.0) for reading in alone.push(block)]
    assert readings == [expected] * 3
    await scoring.close()


async def test_batch_does_not_wait_longer_than_its_limit() -> None:
    push = CountedPush()
    scoring = ScoringThread(0.01, push=push)
    scoring.machine_count = 2  # one of which delivers no sound
    async with asyncio.timeout(LONG_S):
        await scoring.push(monitor(), blocks(0.2)[0])
    assert push.sizes == [1]
    await scoring.close()


async def test_failure_of_a_monitor_is_raised_for_its_machine_alone(
    scoring: ScoringThread,
) -> None:
    scoring.machine_count = 2
    good, bad = monitor(), monitor()
    first, second, *_ = blocks(3.0)
    await asyncio.gather(scoring.push(good, first), scoring.push(bad, first))
    found = await asyncio.gather(
        scoring.push(good, second), scoring.push(bad, first), return_exceptions=True
    )
    assert found[0] == []
    assert isinstance(found[1], ValueError)  # the same block again


async def test_removed_machine_does_not_affect_the_others(scoring: ScoringThread) -> None:
    scoring.machine_count = 2
    one = scoring.push(monitor(), blocks(0.2)[0])
    one.cancel()
    assert await scoring.push(monitor(), blocks(0.2)[0]) == []


async def test_stride_skips_windows(scoring: ScoringThread) -> None:
    scoring.machine_count, scoring.stride = 1, 2
    subject = monitor()
    windows = [
        reading.window for block in blocks(8.0) for reading in await scoring.push(subject, block)
    ]
    hops = [window.hops for window in windows if window is not None]
    assert hops[0] == 1
    assert set(hops[1:]) == {2}
    assert scoring.busy_s > 0


def test_failure_of_an_analysis_affects_its_machine_only() -> None:
    sound = machine_sound(3.0)
    first, second = block_at(0, sound[:1600]), block_at(1600, sound[1600:])
    monitors = [monitor() for _ in range(3)]
    push_batch(monitors, [first] * 3)
    failing = monitors[1].scorer
    assert isinstance(failing, Pipeline)

    class FailingAnalysis:
        """An analysis whose network cannot be run."""

        def first(self, *_: object) -> None:
            raise RuntimeError("no")

    failing.windows.stream.analysis = FailingAnalysis()  # type: ignore[assignment]
    outcomes = push_batch(monitors, [second] * 3)
    assert isinstance(outcomes[1], RuntimeError)
    alone = monitor()
    alone.push(first)
    assert outcomes[0] == outcomes[2] == alone.push(second)
    assert len(result_or_raise(outcomes[0])) == 2


class FailingStream(WindowStream):
    """A stream whose own encoder fails."""

    def complete(self, features: Mapping[str, Any], state: Any) -> list[Window]:
        super().complete(features, state)
        raise EncoderError("it cannot be run")


def test_failure_of_a_stream_loses_no_window_of_the_others() -> None:
    sound = machine_sound(3.0)
    streams = [kind(FrontEnd()) for kind in (WindowStream, FailingStream, WindowStream)]
    for stream in streams:
        stream.append(sound)
    outcomes = extract_pending(streams)
    assert isinstance(outcomes[1], EncoderError)
    alone = WindowStream(FrontEnd()).push(sound)
    for windows in (outcomes[0], outcomes[2]):
        assert [window.start for window in result_or_raise(windows)] == [w.start for w in alone]


async def test_score_that_is_not_a_number_fails_its_machine_only(
    scoring: ScoringThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    scoring.machine_count = 2
    window = WindowScore(0, 1600, 0.0, 0.0, 0.0, {}, -20.0, idle=False)
    bad = replace(window, evidence=float("nan"))
    monkeypatch.setattr("asd_monitor.pipeline.score_pending", lambda _: [[window], [bad]])
    block = blocks(0.2)[0]
    found = await asyncio.gather(
        scoring.push(monitor(), block), scoring.push(monitor(), block), return_exceptions=True
    )
    assert isinstance(found[0], list)
    assert isinstance(found[1], ValueError)


async def test_defect_is_raised_for_each_request_and_the_thread_goes_on() -> None:
    defects = [RuntimeError("a defect")]

    def push(*_: object) -> list[list[Reading] | Exception]:
        if defects:
            raise defects.pop()
        return [[]]

    scoring = ScoringThread(LONG_S, push=push)
    scoring.machine_count = 1
    block = blocks(0.2)[0]
    with pytest.raises(RuntimeError, match="a defect"):
        await scoring.push(monitor(), block)
    assert await scoring.push(monitor(), block) == []
    await scoring.close()
