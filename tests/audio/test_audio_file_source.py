"""Recordings as a source: order, gaps, pace, and files that cannot be read."""

import asyncio
import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.audio.files.file_source import FileSource
from asd_monitor.audio.files.recording_search import FoundRecordings
from asd_monitor.audio.files.recordings import RecordingReader
from asd_monitor.audio.opening import open_source
from asd_monitor.audio.source import Opened, Outage
from asd_monitor.audio.stream import StreamState
from asd_monitor.errors import UsageError
from asd_monitor.records import Block, MicrophoneState
from tests.doubles.blocks import described
from tests.doubles.event_collector import EventCollector, all_events

RATE = 8000


def write(path, value: float, seconds: float = 1.0, rate_hz: int = RATE):
    sound = np.full(round(seconds * rate_hz), value, np.float32)
    soundfile.write(path, sound, rate_hz, subtype="FLOAT")


def blocks_of(events):
    return [event for event in events if isinstance(event, Block)]


async def test_recording_is_delivered_gapless_and_ends(tmp_path):
    write(tmp_path / "a.wav", 0.5, 2.5)
    source = open_source(parse_device(f"file:{tmp_path}/a.wav"), speed=0)
    events = await all_events(source)
    assert described(events[0]) == (RATE, 1, str(tmp_path / "a.wav"))
    blocks = blocks_of(events)
    assert blocks[0].start == 0
    assert [b.start for b in blocks[1:]] == [b.end for b in blocks[:-1]]
    assert blocks[-1].end == 2.5 * RATE
    assert source.stream.gaps == source.stream.lost_samples == source.stream.restarts == 0


async def test_recordings_of_a_folder_are_delivered_in_order_with_gaps_between(tmp_path):
    for number in (10, 9, 1):
        write(tmp_path / f"{number}.wav", number / 100)
    source = FileSource(parse_device(f"file:{tmp_path}"), speed=0)
    blocks = blocks_of(await all_events(source))
    assert [round(float(block.samples[0]) * 100) for block in blocks] == [1, 9, 10]
    assert all(after.start > before.end for before, after in itertools.pairwise(blocks))
    assert source.stream.gaps == 2
    assert source.stream.lost_samples == 0


async def test_loop_starts_again_after_a_gap(tmp_path):
    write(tmp_path / "a.wav", 0.5)
    source = FileSource(parse_device(f"file:{tmp_path}/a.wav?loop"), speed=0)
    collector = EventCollector(source)
    await collector.until_blocks(3)
    await collector.close()
    assert [block.start for block in collector.blocks[:3]] == [0, RATE + 1, 2 * RATE + 2]


async def test_recordings_are_resampled_to_the_rate_of_the_first(tmp_path):
    notices: list[str] = []
    write(tmp_path / "1.wav", 0.5, rate_hz=RATE)
    write(tmp_path / "2.wav", 0.5, rate_hz=3 * RATE)
    source = FileSource(parse_device(f"file:{tmp_path}"), speed=0, notice=notices.append)
    events = await all_events(source)
    assert sum(isinstance(event, Opened) for event in events) == 1
    assert sum(len(block.samples) for block in blocks_of(events)) == pytest.approx(2 * RATE, abs=2)
    assert any("resampled to the 8000 Hz" in text for text in notices)


async def test_files_that_are_left_out_are_reported_once(tmp_path):
    write(tmp_path / "1.wav", 0.1)
    (tmp_path / "notes.txt").write_text("x")
    notices: list[str] = []
    source = FileSource(parse_device(f"file:{tmp_path}?loop"), speed=0, notice=notices.append)
    collector = EventCollector(source)
    await collector.until_blocks(3)
    await collector.close()
    assert sum("1 file left out" in text for text in notices) == 1


async def test_samples_that_are_not_finite_are_a_gap(tmp_path):
    sound = np.zeros(RATE, np.float32)
    sound[100:200] = np.nan
    soundfile.write(tmp_path / "a.wav", sound, RATE, subtype="FLOAT")
    notices: list[str] = []
    source = FileSource(parse_device(f"file:{tmp_path}/a.wav"), speed=0, notice=notices.append)
    blocks = blocks_of(await all_events(source))
    assert [(b.start, b.end) for b in blocks] == [(0, 100), (200, RATE)]
    assert source.stream.gaps == 1
    assert any("not finite" in text for text in notices)


async def test_unreadable_recording_is_an_outage_until_the_next(tmp_path):
    write(tmp_path / "1.wav", 0.1)
    (tmp_path / "2.wav").touch()
    write(tmp_path / "3.wav", 0.3)
    source = FileSource(parse_device(f"file:{tmp_path}"), speed=0)
    kinds = [type(event) for event in await all_events(source)]
    assert kinds == [Opened, Block, Outage, Opened, Block]
    assert source.stream.restarts == 1
    assert source.stream.gaps == 1


async def test_folder_without_a_readable_recording_is_refused(tmp_path):
    (tmp_path / "2.wav").touch()
    source = FileSource(parse_device(f"file:{tmp_path}"), speed=0)
    collector = EventCollector(source)
    with pytest.raises(UsageError, match="0 bytes"):
        await collector.task
    (outage,) = collector.outages
    assert outage.state is MicrophoneState.FAULT


async def test_absent_path_is_tried_again_until_it_exists(tmp_path):
    source = FileSource(parse_device(f"file:{tmp_path}/a.wav"), speed=0, retry_s=0.01)
    collector = EventCollector(source)
    await collector.until(lambda: collector.events)
    assert collector.outages[0].state is MicrophoneState.NO_DEVICE
    write(tmp_path / "later.wav", 0.5)
    (tmp_path / "later.wav").rename(tmp_path / "a.wav")
    await collector.task
    assert [type(event) for event in collector.events] == [Outage, Opened, Block]


async def test_close_ends_the_wait_for_an_absent_path(tmp_path):
    source = FileSource(parse_device(f"file:{tmp_path}/a.wav"), speed=0)
    collecting = asyncio.create_task(all_events(source))
    await asyncio.sleep(0)
    await source.close()
    assert len(await collecting) <= 1


async def test_speed_2_delivers_at_twice_real_time(tmp_path):
    write(tmp_path / "a.wav", 0.5, 1.0)
    source = FileSource(parse_device(f"file:{tmp_path}/a.wav"), speed=2)
    began = time.monotonic()
    blocks = blocks_of(await all_events(source))
    assert time.monotonic() - began > 0.45
    assert len(blocks) == 10
    assert blocks[-1].end == RATE


async def test_slow_consumer_loses_nothing(tmp_path):
    write(tmp_path / "a.wav", 0.5, 0.5)
    source = FileSource(parse_device(f"file:{tmp_path}/a.wav"), speed=100)

    class Slow(EventCollector):
        async def room(self, samples: int) -> None:
            await asyncio.sleep(0.02)

    collector = Slow(source)
    await collector.task
    assert sum(len(block.samples) for block in collector.blocks) == RATE // 2


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
    assert await all_events(source) == []


async def test_file_is_closed_after_the_read_in_progress_when_cancelled(tmp_path, monkeypatch):
    write(tmp_path / "a.wav", 0.5)
    reading, may_continue, closed = threading.Event(), threading.Event(), threading.Event()
    closed_while_read = []

    def slow_blocks(_: RecordingReader, max_samples: int) -> Iterator[Block]:
        reading.set()
        assert may_continue.wait(30.0)
        closed_while_read.append(closed.is_set())
        yield from ()

    monkeypatch.setattr(RecordingReader, "blocks", slow_blocks)
    close = RecordingReader.close

    def close_noted(reader: RecordingReader) -> None:
        close(reader)
        closed.set()

    monkeypatch.setattr(RecordingReader, "close", close_noted)
    source = FileSource(parse_device(f"file:{tmp_path}/a.wav"))
    collecting = asyncio.create_task(all_events(source))
    assert await asyncio.to_thread(reading.wait, 30.0)
    collecting.cancel()
    await asyncio.wait((collecting,), timeout=5.0)
    assert collecting.cancelled()  # a folder that hangs does not delay the cancellation
    may_continue.set()
    assert await asyncio.to_thread(closed.wait, 30.0)
    assert closed_while_read == [False]


@pytest.mark.parametrize("seconds", [0.05, 0.512, 1.7])
async def test_blocks_have_the_length_asked_for(tmp_path, seconds):
    write(tmp_path / "a.wav", 0.5, 5.0)
    source = FileSource(parse_device(f"file:{tmp_path}/a.wav"), speed=20, block_s=seconds / 2)
    blocks = blocks_of(await all_events(source))
    assert {len(block.samples) for block in blocks[:-1]} <= {round(seconds * RATE)}
    assert [block.start for block in blocks[1:]] == [block.end for block in blocks[:-1]]
    assert blocks[-1].end == 5 * RATE


@pytest.mark.parametrize("how", ["close", "cancel"])
async def test_access_that_hangs_delays_neither_close_nor_cancellation(tmp_path, monkeypatch, how):
    begun, may_continue = threading.Event(), threading.Event()

    def hang(path: Path) -> FoundRecordings:
        begun.set()
        may_continue.wait(30.0)
        return FoundRecordings((path,), ())

    monkeypatch.setattr("asd_monitor.audio.files.file_source.search_recordings", hang)
    source = FileSource(parse_device(f"file:{tmp_path}/a.wav"))
    collector = EventCollector(source)
    await asyncio.to_thread(begun.wait, 30.0)
    async with asyncio.timeout(1.0):
        if how == "close":
            await source.close()
            await source.close()
        else:
            collector.task.cancel()
        await asyncio.wait((collector.task,))
    assert source.stream.state is StreamState.CLOSED
    assert collector.events == []
    may_continue.set()


def test_access_that_hangs_does_not_keep_the_process_alive(tmp_path):
    program = """
import asyncio, sys, time
from asd_monitor.audio.files import file_source
from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.audio.files.file_source import FileSource
from tests.doubles.event_collector import EventCollector
file_source.search_recordings = lambda _: time.sleep(1000)
async def main():
    collector = EventCollector(FileSource(parse_device(f"file:{sys.argv[1]}/a.wav")))
    await asyncio.sleep(0.2)
    await collector.close()
asyncio.run(main())
"""
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path)], timeout=30, check=False)
    assert ended.returncode == 0
