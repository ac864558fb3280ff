"""`close` in every state of a capture, with the real capture child and a stub for PortAudio."""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from tests.doubles.scripted_microphone import PATIENCE_S, Ear

from asd_monitor.audio.capture import child_process, microphone, shared_device
from asd_monitor.audio.capture.child_process import CaptureChild, ChildEndedError
from asd_monitor.audio.capture.microphone import Microphone
from asd_monitor.audio.capture.shared_device import ChannelSource, SharedDevice
from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.audio.devices.sound_server import SoundServer, SoundServerQueryError

STUB = """
import os, sys, time
class PortAudioError(Exception): pass
def query_devices():
    if os.environ.get("STUB_HANGS"): time.sleep(1000)
    device = dict(name="stub", index=0, max_input_channels=2, default_samplerate=16000.0)
    return [] if os.environ.get("STUB_ABSENT") else [device]
class RawInputStream:
    def __init__(self, samplerate, device, channels, dtype, latency):
        self.samplerate, self.channels = samplerate, channels
    def start(self): pass
    def read(self, frames):
        time.sleep(0.01)
        return bytes(2 * frames * self.channels), False
"""
SPEC = parse_device("name:stub")
REQUEST = {"name": "stub", "wanted": [0], "rate_hz": None, "channels": None}


class Children:
    """The capture children that are made."""

    def __init__(self) -> None:
        self.pids: list[int] = []
        self.starting = asyncio.Event()
        self.may_start = asyncio.Event()
        self.may_start.set()

    def running(self) -> list[int]:
        return [pid for pid in self.pids if Path(f"/proc/{pid}").exists()]


@pytest.fixture
async def children(tmp_path, monkeypatch):
    (tmp_path / "sounddevice.py").write_text(STUB)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    children = Children()
    start = asyncio.create_subprocess_exec

    async def start_noted(*arguments, **options):
        children.starting.set()
        await children.may_start.wait()
        process = await start(*arguments, **options)
        children.pids.append(process.pid)
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start_noted)
    yield children
    assert children.running() == []


def limited():
    return asyncio.timeout(PATIENCE_S)


def by_itself() -> Microphone:
    return Microphone(SPEC)


def shared() -> ChannelSource:
    return ChannelSource(SharedDevice(SPEC, lambda: Microphone(SPEC)), SPEC)


both = pytest.mark.parametrize("make", [by_itself, shared])


@both
async def test_closed_while_its_child_is_started(children, make):
    children.may_start.clear()
    ear = Ear(make())
    async with limited():
        await children.starting.wait()
        closing = asyncio.create_task(ear.source.close())
        await asyncio.sleep(0)
        children.may_start.set()
        await closing
        await ear.task
    assert ear.events == []
    assert len(children.pids) == 1


@both
async def test_closed_before_it_is_iterated(children, make):
    source = make()
    await source.close()
    await source.close()
    assert [event async for event in source.events()] == []
    assert children.pids == []


@both
async def test_closed_while_it_delivers_and_again(children, make):
    ear = Ear(make())
    await ear.hears(3)
    async with limited():
        await asyncio.gather(ear.source.close(), ear.source.close())
        heard = len(ear.events)
        await ear.task
        await ear.source.close()
    assert len(ear.events) == heard
    assert len(children.pids) == 1


@both
async def test_closed_while_the_device_gives_no_answer(children, make, monkeypatch):
    monkeypatch.setenv("STUB_HANGS", "1")
    ear = Ear(make())
    async with asyncio.timeout(microphone.START_S / 2):
        await children.starting.wait()
        await ear.source.close()
        await ear.task
    assert ear.events == []


@both
async def test_closed_in_the_pause_between_two_openings(children, make, monkeypatch):
    monkeypatch.setenv("STUB_ABSENT", "1")
    monkeypatch.setattr(microphone, "BACKOFF_S", (1000.0,))
    ear = Ear(make())
    await ear.until(lambda: ear.outages)
    async with limited():
        await ear.source.close()
        await ear.task
    assert len(ear.events) == 1


async def test_closed_by_who_iterates_it_between_two_blocks(children):
    source = by_itself()
    events = []
    async with limited(), contextlib.aclosing(source.events()) as told:
        async for event in told:
            events.append(event)
            if len(events) == 3:
                await source.close()
    assert len(events) == 3


async def test_closed_while_who_iterates_it_is_elsewhere(children):
    source = by_itself()
    async with limited(), contextlib.aclosing(source.events()) as told:
        for _ in range(3):
            await anext(told)
        closing = asyncio.create_task(source.close())
        await asyncio.sleep(0)  # it waits for the end of the child's sound
        assert [event async for event in told] == []
        await closing


async def test_a_child_held_by_the_kernel_holds_up_no_close(children, monkeypatch):
    """As in an uninterruptible sleep: SIGKILL does nothing for a while."""
    monkeypatch.setattr(microphone, "HELD_BY_KERNEL_S", 0.2)
    monkeypatch.setattr(microphone, "STALL_S", 0.2)
    kill = asyncio.subprocess.Process.kill
    held: list[asyncio.subprocess.Process] = []

    def leave_alone(process: asyncio.subprocess.Process) -> None:
        held.append(process)

    monkeypatch.setattr(asyncio.subprocess.Process, "kill", leave_alone)
    monkeypatch.setenv("STUB_HANGS", "1")
    monkeypatch.setattr(microphone, "START_S", 0.2)
    ear = Ear(shared())
    await ear.until(lambda: any("does not let go" in each.reason for each in ear.outages))
    async with asyncio.timeout(5.0):
        await ear.source.close()
        await ear.task
    kill(held[0])
    async with limited():
        await held[0].wait()


async def test_ending_a_child_twice_after_the_first_limit_was_too_short(children, monkeypatch):
    child = await CaptureChild.start(REQUEST, {})
    await child.frames(PATIENCE_S)
    kill = asyncio.subprocess.Process.kill
    monkeypatch.setattr(asyncio.subprocess.Process, "kill", lambda _: None)
    assert not await child.end(0.05)
    assert not await child.end(0.05)
    monkeypatch.setattr(asyncio.subprocess.Process, "kill", kill)
    assert await child.end(PATIENCE_S)
    assert await child.end(PATIENCE_S)


async def test_a_child_that_is_ended_gives_no_frames_any_more(children):
    child = await CaptureChild.start(REQUEST, {})
    await child.frames(PATIENCE_S)
    waiting = asyncio.create_task(child.frames(PATIENCE_S))
    ending = asyncio.create_task(child.end(PATIENCE_S))
    await asyncio.sleep(0)
    for frames in (waiting, child.frames(PATIENCE_S)):
        with pytest.raises(ChildEndedError, match="closed"):
            await frames
    assert await ending


async def test_a_child_whose_stream_ends_and_which_goes_on_is_a_stall(children, monkeypatch):
    child = await CaptureChild.start(REQUEST, {})
    await child.frames(PATIENCE_S)

    async def nothing(_: CaptureChild) -> bytes:
        return b""

    with monkeypatch.context() as patch:
        patch.setattr(CaptureChild, "_take", nothing)
        with pytest.raises(child_process.ChildStalledError):
            await child.frames(0.05)
    assert await child.end(PATIENCE_S)


class Unending:
    """A microphone with a defect: neither its iteration nor its release ends."""

    drift_ppm = 0.0

    def __init__(self) -> None:
        self.iterated = asyncio.Event()

    def want(self, channels: object) -> bool:
        return False

    async def planes(self) -> AsyncGenerator:
        self.iterated.set()
        await asyncio.Event().wait()
        yield

    async def close(self) -> None:
        await asyncio.Event().wait()


async def test_a_microphone_that_does_not_end_is_left_within_the_limit(monkeypatch, caplog):
    monkeypatch.setattr(shared_device, "RELEASE_S", 0.05)
    made: list[Unending] = []
    device = SharedDevice(SPEC, lambda: made.append(Unending()) or made[-1])
    for number in (1, 2):  # the device can be opened again
        ear = Ear(ChannelSource(device, SPEC))
        await asyncio.sleep(0)
        async with limited():
            await made[-1].iterated.wait()
            await ear.source.close()
            await ear.task
        assert len(made) == number
    assert "not released within" in caplog.text


async def test_a_release_goes_on_where_who_waits_for_it_is_cancelled(children):
    device = SharedDevice(SPEC, lambda: Microphone(SPEC))
    ear = Ear(ChannelSource(device, SPEC))
    await ear.hears(1)
    closing = asyncio.create_task(ear.source.close())
    await asyncio.sleep(0)
    closing.cancel()
    ear.task.cancel()
    await asyncio.wait((closing, ear.task))
    again = Ear(ChannelSource(device, SPEC))
    await again.hears(1)
    assert len(children.running()) == 1
    await again.end()


async def test_one_that_is_closed_while_it_waits_for_the_device_opens_nothing(children):
    device = SharedDevice(SPEC, lambda: Microphone(SPEC))
    first, second = Ear(ChannelSource(device, SPEC)), ChannelSource(device, SPEC)
    await first.hears(1)
    ending = asyncio.create_task(first.source.close())
    await asyncio.sleep(0)
    waiting = Ear(second)
    await asyncio.sleep(0)
    async with limited():
        await second.close()
        await waiting.task
        await ending
        await first.task
    assert waiting.events == []
    assert len(children.pids) == 1


async def test_what_a_sound_server_is_asked_is_answered_when_it_is_closed(monkeypatch):
    server = SoundServer()
    monkeypatch.setattr(server, "_work", lambda: None)  # it never answers
    monkeypatch.setattr("asd_monitor.audio.devices.sound_server.pulsectl", object())
    asking = asyncio.create_task(server.feed_of(os.getpid()))
    await asyncio.sleep(0)
    server.close()
    server.close()
    async with asyncio.timeout(1.0):
        with pytest.raises(SoundServerQueryError, match="closed"):
            await asking
        with pytest.raises(SoundServerQueryError, match="closed"):
            await server.sources()
