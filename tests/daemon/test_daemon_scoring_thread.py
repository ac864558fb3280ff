"""The thread that scores all machines: what goes together, and that nobody harms another."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from tests.doubles import daemon_fakes
from tests.doubles.synthetic_sounds import machine_sound

from asd_monitor.alarm.state import AlarmRule
from asd_monitor.batching import result_or_raise
from asd_monitor.daemon import scoring_thread as scoring_module
from asd_monitor.daemon.scoring_thread import Scoring
from asd_monitor.encoders.session import EncoderError
from asd_monitor.features.windows import WindowStream, extract_pending
from asd_monitor.monitor import Monitor, Reading, push_batch
from asd_monitor.pipeline import Pipeline
from asd_monitor.records import Block, Thresholds, WindowScore

RATE_HZ = 16_000
RULE = AlarmRule(Thresholds(3.0, 5.0), hop_s=0.512, on_delay_s=3.0, off_delay_s=10.0)
LONG_S = 5.0  # no test waits so long: a batch that is complete goes at once


def monitor() -> Monitor:
    return Monitor(Pipeline(daemon_fakes.LevelDetector(), RATE_HZ), RULE, RATE_HZ)


def blocks(seconds: float, seed: int = 0) -> list[Block]:
    sound = machine_sound(seconds, seed=seed)
    return [Block(k, sound[k : k + 1600]) for k in range(0, len(sound), 1600)]


@pytest.fixture
async def scoring() -> AsyncIterator[Scoring]:
    made = Scoring(LONG_S)
    yield made
    await made.close()


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return how many machines each batch had."""
    sizes: list[int] = []

    def counted(monitors: list[Monitor], given: list[Block]) -> object:
        sizes.append(len(monitors))
        return push_batch(monitors, given)

    monkeypatch.setattr(scoring_module, "push_batch", counted)
    return sizes


async def test_machines_whose_sound_is_there_go_together(
    scoring: Scoring, batches: list[int]
) -> None:
    scoring.machines = 3
    monitors = [monitor() for _ in range(3)]
    told: list[list[Reading]] = [[], [], []]
    for block in blocks(4.0):
        found = await asyncio.gather(*(scoring.push(each, block) for each in monitors))
        for readings, new in zip(told, found, strict=True):
            readings.extend(new)
    assert batches == [3] * 40
    alone = monitor()
    expected = [reading for block in blocks(4.0) for reading in alone.push(block)]
    assert told == [expected] * 3


async def test_a_batch_waits_for_others_no_longer_than_it_should(batches: list[int]) -> None:
    scoring = Scoring(0.01)
    scoring.machines = 2  # one of which is away
    async with asyncio.timeout(LONG_S):
        await scoring.push(monitor(), blocks(0.2)[0])
    assert batches == [1]
    await scoring.close()


async def test_what_breaks_in_one_machine_is_told_to_that_alone(scoring: Scoring) -> None:
    scoring.machines = 2
    good, bad = monitor(), monitor()
    first, second, *_ = blocks(3.0)
    await asyncio.gather(scoring.push(good, first), scoring.push(bad, first))
    found = await asyncio.gather(
        scoring.push(good, second), scoring.push(bad, first), return_exceptions=True
    )
    assert found[0] == []
    assert isinstance(found[1], ValueError)  # a block that was there already


async def test_a_machine_that_is_removed_meanwhile_disturbs_nobody(scoring: Scoring) -> None:
    scoring.machines = 2
    one = asyncio.create_task(scoring.push(monitor(), blocks(0.2)[0]))
    await asyncio.sleep(0)
    one.cancel()
    assert await scoring.push(monitor(), blocks(0.2)[0]) == []


async def test_windows_are_passed_over_when_it_is_asked_to(scoring: Scoring) -> None:
    scoring.machines, scoring.every = 1, 2
    subject = monitor()
    windows = [
        reading.window for block in blocks(8.0) for reading in await scoring.push(subject, block)
    ]
    hops = [window.hops for window in windows if window is not None]
    assert hops[0] == 1
    assert set(hops[1:]) == {2}
    assert scoring.busy_s > 0


def test_a_network_that_fails_stops_its_own_machine_only() -> None:
    sound = machine_sound(3.0)
    first, second = Block(0, sound[:1600]), Block(1600, sound[1600:])
    monitors = [monitor() for _ in range(3)]
    push_batch(monitors, [first] * 3)
    failing = monitors[1].scorer
    assert isinstance(failing, Pipeline)

    class Broken:
        """As an analysis whose network cannot be run."""

        def first(self, *_: object) -> None:
            raise RuntimeError("no")

    failing.windows.stream.analysis = Broken()  # type: ignore[assignment]
    told = push_batch(monitors, [second] * 3)
    assert isinstance(told[1], RuntimeError)
    alone = monitor()
    alone.push(first)
    assert told[0] == told[2] == alone.push(second)
    assert len(told[0]) == 2


class Stubborn:
    """A network of the user's own that fails once its windows are due."""

    def push(self, _: object) -> None:
        """Take sound."""

    def between(self, *_: object) -> None:
        raise EncoderError("it cannot be run")


def test_the_reason_is_told_and_the_others_lose_no_window() -> None:
    sound = machine_sound(3.0)
    streams = [WindowStream(daemon_fakes.FrontEnd()) for _ in range(3)]
    streams[1]._others = [Stubborn()]  # type: ignore[list-item]
    for stream in streams:
        stream.append(sound)
    told = extract_pending(streams)
    assert isinstance(told[1], EncoderError)
    alone = WindowStream(daemon_fakes.FrontEnd()).push(sound)
    for windows in (told[0], told[2]):
        assert [window.start for window in result_or_raise(windows)] == [w.start for w in alone]


async def test_a_score_that_is_no_number_ends_no_other_machine(
    scoring: Scoring, monkeypatch: pytest.MonkeyPatch
) -> None:
    scoring.machines = 2
    window = WindowScore(0, 1600, 0.0, 0.0, 0.0, {}, -20.0, idle=False)
    bad = replace(window, sustained=float("nan"))
    monkeypatch.setattr("asd_monitor.monitor.score_pending", lambda _: [[window], [bad]])
    block = blocks(0.2)[0]
    found = await asyncio.gather(
        scoring.push(monitor(), block), scoring.push(monitor(), block), return_exceptions=True
    )
    assert isinstance(found[0], list)
    assert isinstance(found[1], ValueError)


async def test_a_defect_is_told_to_all_and_ends_nothing(
    scoring: Scoring, monkeypatch: pytest.MonkeyPatch
) -> None:
    scoring.machines = 1
    block = blocks(0.2)[0]

    def failing(*_: object) -> None:
        raise RuntimeError("a defect")

    with monkeypatch.context() as patch:
        patch.setattr(scoring_module, "push_batch", failing)
        with pytest.raises(RuntimeError, match="a defect"):
            await scoring.push(monitor(), block)
    assert await scoring.push(monitor(), block) == []
