"""The feed of the page: bounded, and complete for a process that starts later."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from datetime import UTC, datetime

import numpy as np
import pytest

from asd_monitor.daemon.failure_cause import StatedFailureError
from asd_monitor.daemon.live_spectrum import highest_hz, level_dbfs, spectrogram_columns
from asd_monitor.daemon.page_feed import MAX_LIVE_LINES, MAX_WATCHED, PageFeed
from asd_monitor.daemon.page_process import PageProcess
from asd_monitor.daemon.page_protocol import BANDS, LOWEST_DBFS, STEP_DB, PageSetup, read_line
from asd_monitor.records import Block, Stream
from tests.doubles.waiting import until

NOW = datetime(2026, 3, 2, tzinfo=UTC)
SETUP = PageSetup("127.0.0.1:9464", None, "/state", "/models", None, "edge", "1")


def take_all(feed: PageFeed) -> list[bytes]:
    lines: list[bytes] = []
    while more := feed.take():
        lines += more
    return lines


def sine(rate_hz: int, hz: float, seconds: float = 0.512) -> Block:
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    return Block(Stream(rate_hz), 0, np.sin(2 * np.pi * hz * t).astype(np.float32))


def test_of_a_retained_message_the_newest_is_passed() -> None:
    feed = PageFeed()
    feed.note_retained("a/state", b'{"n":1}')
    feed.note_retained("b/state", b'{"n":2}')
    feed.note_retained("a/state", b'{"n":3}')
    feed.note_retained("box/availability", b"online")
    assert take_all(feed) == [b'{"n":2}', b'{"n":3}']


def test_a_message_that_was_removed_is_passed_no_more() -> None:
    feed = PageFeed()
    feed.note_retained("homeassistant/device/x/config", b'{"device":{}}')
    feed.note_retained("homeassistant/device/x/config", b"")
    assert take_all(feed) == []
    assert read_line(b'{"device":{}}') is None  # a kind that is not known


async def test_a_process_that_starts_later_gets_every_retained_message() -> None:
    feed = PageFeed()
    feed.note_retained("a/state", b'{"n":1}')
    take_all(feed)
    feed.put(b"live")
    feed.begin(asyncio.get_running_loop())
    assert take_all(feed) == [b'{"n":1}']


def test_the_oldest_live_values_are_dropped_and_counted() -> None:
    feed = PageFeed()
    for number in range(MAX_LIVE_LINES + 5):
        feed.put(b"%d" % number)
    lines = take_all(feed)
    assert lines[0] == b"5"
    assert len(lines) == MAX_LIVE_LINES
    assert feed.counters.dropped == 5


def test_without_a_process_nothing_is_queued_or_dropped() -> None:
    feed = PageFeed()
    feed.end()
    for _ in range(MAX_LIVE_LINES + 5):
        feed.put(b"live")
    assert take_all(feed) == []
    assert feed.counters.dropped == 0


def test_only_watched_sound_is_passed() -> None:
    feed, block = PageFeed(), sine(16_000, 1000.0)
    feed.show_sound("fan01", block, NOW)
    assert take_all(feed) == []
    feed.watch(["fan01"])
    feed.show_sound("fan01", block, NOW)
    feed.show_sound("fan02", block, NOW)
    assert [json.loads(line)["machine"] for line in take_all(feed)] == ["fan01"]
    feed.watch([f"m{number}" for number in range(100)])
    for number in range(100):
        feed.show_sound(f"m{number}", block, NOW)
    assert len(take_all(feed)) == MAX_WATCHED


@pytest.mark.parametrize("rate_hz", [8000, 16_000, 44_100, 48_000])
def test_a_tone_of_full_scale_is_in_its_band(rate_hz: int) -> None:
    columns = np.frombuffer(
        base64.b64decode(spectrogram_columns(sine(rate_hz, 1000.0))), np.uint8
    ).reshape(-1, BANDS)
    assert len(columns) == 4
    levels = LOWEST_DBFS + STEP_DB * columns[1]
    assert -6 < levels.max() < 3
    assert (levels > levels.max() - 20).sum() <= 4
    assert highest_hz(rate_hz) == min(8000, rate_hz / 2)


def test_what_is_no_number_or_silent_has_a_spectrogram() -> None:
    for value in (np.nan, np.inf, 0.0):
        block = Block(Stream(16_000), 0, np.full(8192, value, np.float32))
        with np.errstate(all="ignore"):
            assert len(base64.b64decode(spectrogram_columns(block))) == 4 * BANDS
            assert level_dbfs(block) is None


class Child:
    """A program in the place of the page's process."""

    def __init__(self, script: str) -> None:
        self.feed = PageFeed()
        self.reloads: list[bool] = []
        self.process = PageProcess(
            SETUP,
            self.feed,
            is_connected=lambda: True,
            machines=lambda: ["fan01"],
            request_reload=lambda: self.reloads.append(True),
            program=(sys.executable, "-c", script),
        )

    async def failure(self) -> StatedFailureError:
        with pytest.raises(StatedFailureError) as caught:
            await self.process.run()
        return caught.value


async def test_the_process_gets_its_setup_then_the_feed() -> None:
    script = (
        "import sys; lines = [sys.stdin.readline() for _ in range(3)];"
        "import json; sys.exit(json.dumps({'failed': ''.join(lines), 'remedy': 'none'}))"
    )
    child = Child(script)
    child.feed.note_retained("a/state", b'{"n":1}')
    lines = (await child.failure()).cause.text.strip().split("\n")
    assert read_line(lines[0].encode()) == SETUP
    assert {'{"n":1}'} < set(lines)
    assert any('"broker_connected":true' in line for line in lines)


async def test_the_reason_of_its_end_is_reported() -> None:
    stated = '{"failed": "the port is used", "remedy": "choose another"}'
    cause = (await Child(f"import sys; sys.exit('{stated}')").failure()).cause
    assert (cause.text, cause.remedy) == ("the port is used", "choose another")
    cause = (await Child("raise ValueError('no')").failure()).cause
    assert cause.text == "the process of the page ended with code 1: ValueError: no"
    kill = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert "was ended by signal 9" in (await Child(kill).failure()).cause.text


async def test_what_is_watched_comes_from_the_process() -> None:
    script = """import sys, json
print('not json', flush=True)
print(json.dumps({'watched': 7}), flush=True)
print(json.dumps({'reload': True}), flush=True)
print(json.dumps({'watched': ['fan01']}), flush=True)
for line in sys.stdin:
    if '"asd.page-sound/1"' in line:
        sys.exit(json.dumps({'failed': 'sound', 'remedy': ''}))
"""
    child = Child(script)

    async def feed_sound() -> None:
        while True:
            child.feed.show_sound("fan01", sine(16_000, 100.0), NOW)
            await asyncio.sleep(0.02)  # another process asks for it

    sound = asyncio.create_task(feed_sound())
    assert (await child.failure()).cause.text == "sound"
    sound.cancel()
    assert child.reloads == [True]


@pytest.mark.parametrize(
    "script",
    [
        "import sys; sys.stdin.read()",
        "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)",
    ],
    ids=["willing", "hanging"],
)
async def test_a_cancellation_ends_the_process(script: str) -> None:
    child = Child(script)
    running = asyncio.create_task(child.process.run())
    await until(lambda: child.process.beats > 0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(20):
            await running


async def test_without_the_extra_the_remedy_is_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asd_monitor.extras.importlib.util.find_spec", lambda _: None)
    child = Child("pass")
    cause = (await child.failure()).cause
    child.feed.put(b"live")
    assert take_all(child.feed) == []
    assert cause.text == "http (the page) needs starlette, which is not installed"
    assert "'.[web]'" in cause.remedy
