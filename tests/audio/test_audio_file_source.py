"""Recordings as a source: order, gaps, pace, and files that cannot be read."""

import asyncio
import itertools
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import soundfile

from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.audio.files.file_source import FileSource
from asd_monitor.audio.files.recordings import RecordingReader
from asd_monitor.audio.opening import open_source
from asd_monitor.audio.source import Opened, Outage
from asd_monitor.errors import UsageError
from asd_monitor.records import Block, MicrophoneState
from tests.doubles.blocks import described

RATE = 8000


def write(path, value: float, seconds: float = 1.0, rate_hz: int = RATE):
    sound = np.full(round(seconds * rate_hz), value, np.float32)
    soundfile.write(path, sound, rate_hz, subtype="FLOAT")


async def collect(source):
    return [event async for event in source.events()]


def blocks_of(events):
    return [event for event in events if isinstance(event, Block)]


async def test_recording_is_delivered_gapless_and_ends(tmp_path):
    write(tmp_path / "a.wav", 0.5, 2.5)
    source = open_source(parse_device(f"file:{tmp_path}/a.wav"), speed=0)
    events = await collect(source)
    assert described(events[0]) == (RATE, 1, str(tmp_path / "a.wav"))
    blocks = blocks_of(events)
    assert blocks[0].start == 0
    assert [b.start for b in blocks[1:]] == [b.end for b in blocks[:-1]]
    assert blocks[-1].end == 2.5 * RATE
    assert source.gaps == source.lost_samples == source.restarts == 0


async def test_recordings_of_a_folder_are_delivered_in_order_with_gaps_between(tmp_path):
    for number in (10, 9, 1):
        write(tmp_path / f"{number}.wav", number / 100)
    source = FileSource(parse_device(f"file:{tmp_path}"), speed=0)
    blocks = blocks_of(await collect(source))
    assert [round(float(block.samples[0]) * 100) for block in blocks] == [1, 9, 10]
    assert all(after.start > before.end for before, after in itertools.pairwise(blocks))
    assert source.gaps == 2
    assert source.lost_samples == 0


async def test_loop_starts_again_after_a_gap(tmp_path):
    write(tmp_path / "a.wav", 0.5)
    source = FileSource(parse_device(f"file:{tmp_path}/a.wav?loop"), speed=0)
    blocks = []
    async for event in source.events():
        if isinstance(event, Block):
            blocks.append(event)
            if len(blocks) == 3:
                await source.close()
    assert [block.start for block in blocks] == [0, RATE + 1, 2 * RATE + 2]


async def test_recordings_are_resampled_to_the_rate_of_the_first(tmp_path):
    notices: list[str] = []
    write(tmp_path / "1.wav", 0.5, rate_hz=RATE)
    write(tmp_path / "2.wav", 0.5, rate_hz=3 * RATE)
    source = FileSource(parse_device(f"file:{tmp_path}"), speed=0, notice=notices.append)
    events = await collect(source)
    assert sum(isinstance(event, Opened) for event in events) == 1
    assert sum(len(block.samples) for block in blocks_of(events)) == pytest.approx(2 * RATE, abs=2)
    assert any("resampled to the 8000 Hz" in text for text in notices)


async def test_samples_that_are_not_finite_are_a_gap(tmp_path):
    sound = np.zeros(RATE, np.float32)
    sound[100:200] = np.nan
    soundfile.write(tmp_path / "a.wav", sound, RATE, subtype="FLOAT")
    notices: list[str] = []
    source = FileSource(parse_device(f"file:{tmp_path}/a.wav"), speed=0, notice=notices.append)
    assert [(b.start, b.end) for b in blocks_of(await collect(source))] == [(0, 100), (200, RATE)]
    assert source.gaps == 1
    assert any("not finite" in text for text in notices)


async def test_unreadable_recording_is_an_outage_until_the_next(tmp_path):
    write(tmp_path / "1.wav", 0.1)
    (tmp_path / "2.wav").touch()
    write(tmp_path / "3.wav", 0.3)
    source = FileSource(parse_device(f"file:{tmp_path}"), speed=0)
    kinds = [type(event) for event in await collect(source)]
    assert kinds == [Opened, Block, Outage, Opened, Block]
    assert source.restarts == 1
    assert source.gaps == 1


async def test_folder_without_a_readable_recording_is_refused(tmp_path):
    (tmp_path / "2.wav").touch()
    source = FileSource(parse_device(f"file:{tmp_path}"), speed=0)
    events = source.events()
    outage = await anext(events)
    assert isinstance(outage, Outage)
    assert outage.state is MicrophoneState.FAULT
    with pytest.raises(UsageError, match="0 bytes"):
        await anext(events)


async def test_absent_path_is_tried_again_until_it_exists(tmp_path):
    source = FileSource(parse_device(f"file:{tmp_path}/a.wav"), speed=0, retry_s=0.01)
    events = source.events()
    first = await anext(events)
    assert isinstance(first, Outage)
    assert first.state is MicrophoneState.NO_DEVICE
    write(tmp_path / "later.wav", 0.5)
    (tmp_path / "later.wav").rename(tmp_path / "a.wav")
    assert isinstance(await anext(events), Opened)
    await events.aclose()


async def test_close_ends_the_wait_for_an_absent_path(tmp_path):
    source = FileSource(parse_device(f"file:{tmp_path}/a.wav"), speed=0)
    collecting = asyncio.create_task(collect(source))
    await asyncio.sleep(0)
    await source.close()
    assert len(await collecting) <= 1


async def test_speed_2_delivers_at_twice_real_time(tmp_path):
    write(tmp_path / "a.wav", 0.5, 1.0)
    source = FileSource(parse_device(f"file:{tmp_path}/a.wav"), speed=2)
    began = time.monotonic()
    blocks = blocks_of(await collect(source))
    assert time.monotonic() - began > 0.45
    assert len(blocks) == 10
    assert blocks[-1].end == RATE


async def test_slow_consumer_loses_nothing(tmp_path):
    write(tmp_path / "a.wav", 0.5, 0.5)
    source = FileSource(parse_device(f"file:{tmp_path}/a.wav"), speed=100)
    received = 0
    async for event in source.events():
        if isinstance(event, Block):
            await asyncio.sleep(0.02)
            received += len(event.samples)
    assert received == RATE // 2


def test_negative_speed_is_refused():
    for speed in (-1.0, float("nan")):
        with pytest.raises(UsageError, match="speed"):
            FileSource(parse_device("file:a"), speed=speed)


@pytest.mark.parametrize("times", [1, 2])
async def test_close_before_the_iteration(tmp_path, times):
    write(tmp_path / "a.wav", 0.5)
    source = FileSource(parse_device(f"file:{tmp_path}/a.wav"))
    for _ in range(times):
        await source.close()
    assert await collect(source) == []


async def test_file_is_closed_after_the_read_in_progress_when_cancelled(tmp_path, monkeypatch):
    write(tmp_path / "a.wav", 0.5)
    reading, may_continue, closed = threading.Event(), threading.Event(), threading.Event()
    closed_while_read = []

    def slow_blocks(_: RecordingReader) -> Iterator[Block]:
        reading.set()
        assert may_continue.wait(30.0)
        closed_while_read.append(closed.is_set())
        yield from ()

    monkeypatch.setattr(RecordingReader, "blocks", slow_blocks)
    close = RecordingReader.close
    monkeypatch.setattr(RecordingReader, "close", lambda each: (close(each), closed.set()))
    source = FileSource(parse_device(f"file:{tmp_path}/a.wav"))
    collecting = asyncio.create_task(collect(source))
    assert await asyncio.to_thread(reading.wait, 30.0)
    collecting.cancel()
    await asyncio.wait((collecting,), timeout=5.0)
    assert collecting.cancelled()  # a folder that hangs does not delay the cancellation
    may_continue.set()
    assert await asyncio.to_thread(closed.wait, 30.0)
    assert closed_while_read == [False]
