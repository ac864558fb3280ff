"""`close` in every state of a capture, with the real capture child and a stub for PortAudio."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Any

import pytest

from asd_monitor.audio.capture import child_process
from asd_monitor.audio.capture.capture_attempt import CaptureTiming
from asd_monitor.audio.capture.child_process import (
    CaptureChild,
    ChildEndedError,
    ChildStalledError,
)
from asd_monitor.audio.capture.child_protocol import CaptureRequest
from asd_monitor.audio.capture.microphone import Microphone
from asd_monitor.audio.capture.planar import PlanarReceiver
from asd_monitor.audio.capture.shared_device import ChannelSource, SharedDevice
from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.audio.devices.sound_server import SoundServer, SoundServerQueryError
from asd_monitor.records import MicrophoneState
from tests.doubles.event_collector import EventCollector, all_events
from tests.doubles.waiting import TIMEOUT_S

PORTAUDIO_STUB = """
import os, sys, time
class PortAudioError(Exception): pass
def query_devices():
    if os.environ.get("STUB_HANGS"): time.sleep(1000)
    time.sleep(float(os.environ.get("STUB_DELAY", 0)))
    device = dict(name="stub", index=0, max_input_channels=2, default_samplerate=16000.0)
    return [] if os.environ.get("STUB_ABSENT") else [device]
class RawInputStream:
    def __init__(self, samplerate, device, channels, dtype, latency):
        self.samplerate, self.channels = samplerate, channels
    read_available = 0
    def start(self):
        if os.environ.get("STUB_IS_SILENT"): time.sleep(1000)
    def read(self, frames):
        time.sleep(0.01)
        return bytes(2 * frames * self.channels), False
"""
SPEC = parse_device("name:stub")
REQUEST = CaptureRequest(name="stub")


class Children:
    """The capture children that are started, and control of their start."""

    def __init__(self) -> None:
        self.pids: list[int] = []
        self.starting = asyncio.Event()
        self.may_start = asyncio.Event()
        self.may_start.set()

    def running(self) -> list[int]:
        return [pid for pid in self.pids if Path(f"/proc/{pid}").exists()]


@pytest.fixture
async def children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Children]:
    (tmp_path / "sounddevice.py").write_text(PORTAUDIO_STUB)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    children = Children()
    start = asyncio.create_subprocess_exec

    async def start_noted(*arguments: Any, **options: Any) -> asyncio.subprocess.Process:
        children.starting.set()
        await children.may_start.wait()
        process = await start(*arguments, **options)
        children.pids.append(process.pid)
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start_noted)
    yield children
    assert children.running() == []


def limited() -> asyncio.Timeout:
    return asyncio.timeout(TIMEOUT_S)


def shared(timing: CaptureTiming | None = None) -> ChannelSource:
    return ChannelSource(SharedDevice(SPEC, lambda: Microphone(SPEC, timing=timing)), SPEC)


async def test_close_while_the_child_is_started(children: Children) -> None:
    children.may_start.clear()
    collector = EventCollector(shared())
    async with limited():
        await children.starting.wait()
        closing = asyncio.create_task(collector.source.close())
        await asyncio.sleep(0)
        children.may_start.set()
        await closing
        await collector.task
    assert collector.events == []
    assert len(children.pids) == 1


async def test_close_before_the_iteration(children: Children) -> None:
    source = shared()
    await source.close()
    await source.close()
    assert await all_events(source) == []
    assert children.pids == []


async def test_close_during_delivery_and_again(children: Children) -> None:
    collector = EventCollector(shared())
    await collector.until_blocks(3)
    async with limited():
        await asyncio.gather(collector.source.close(), collector.source.close())
        events = len(collector.events)
        await collector.task
        await collector.source.close()
    assert len(collector.events) == events
    assert len(children.pids) == 1


async def test_close_while_the_device_hangs(
    children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUB_HANGS", "1")
    collector = EventCollector(shared())
    async with asyncio.timeout(CaptureTiming().opening_s / 2):
        await children.starting.wait()
        await collector.source.close()
        await collector.task
    assert collector.events == []


@pytest.mark.parametrize(
    ("variable", "opening_s", "state", "text"),
    [
        ("STUB_ABSENT", TIMEOUT_S, MicrophoneState.NO_DEVICE, "not found"),
        ("STUB_HANGS", 1.0, MicrophoneState.FAULT, "not opened within 1 s"),
        ("STUB_IS_SILENT", TIMEOUT_S, MicrophoneState.FAULT, "no sound within 0.1 s of opening"),
    ],
)
async def test_a_slow_start_of_the_child_is_no_silence(
    children: Children, monkeypatch: pytest.MonkeyPatch, *, variable, opening_s, state, text
) -> None:
    """On a busy computer a child takes seconds to start; sound is expected from the opening on."""
    monkeypatch.setenv("STUB_DELAY", "0.5")
    monkeypatch.setenv(variable, "1")
    collector = EventCollector(shared(CaptureTiming(opening_s=opening_s, start_s=0.1)))
    await collector.until(lambda: collector.outages)
    async with limited():
        await collector.source.close()
        await collector.task
    assert [each.state for each in collector.outages] == [state]
    assert text in collector.outages[0].reason


async def test_close_in_the_pause_between_two_attempts(
    children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUB_ABSENT", "1")
    collector = EventCollector(shared(CaptureTiming(pauses_s=(1000.0,))))
    await collector.until(lambda: collector.outages)
    async with limited():
        await collector.source.close()
        await collector.task
    assert len(collector.events) == 1


async def test_close_by_the_receiver_between_two_blocks(children: Children) -> None:
    collector = EventCollector(shared())
    closing: list[asyncio.Task[None]] = []

    def close_after_three(_: object) -> None:
        if len(collector.events) == 3:
            closing.append(asyncio.create_task(collector.source.close()))

    collector.on_event = close_after_three
    async with limited():
        await collector.task
        await closing[0]
    assert 3 <= len(collector.events) <= 4


@pytest.mark.slow
async def test_close_is_bounded_if_the_kernel_holds_the_child(
    children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in an uninterruptible sleep, in which SIGKILL has no effect."""
    held: list[asyncio.subprocess.Process] = []

    def ignore_kill(process: asyncio.subprocess.Process, _number: int) -> None:
        held.append(process)

    monkeypatch.setattr(child_process, "send_signal", ignore_kill)
    monkeypatch.setenv("STUB_HANGS", "1")
    collector = EventCollector(shared(CaptureTiming(opening_s=0.2, stall_s=0.2, release_s=0.2)))
    await collector.until(
        lambda: any("does not release" in outage.reason for outage in collector.outages)
    )
    async with asyncio.timeout(5.0):
        await collector.source.close()
        await collector.task
    held[0].kill()
    async with limited():
        await held[0].wait()


async def test_child_can_be_ended_again_after_a_limit_that_was_too_short(
    children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = await CaptureChild.start(REQUEST, {})
    await child.frames(TIMEOUT_S)
    with monkeypatch.context() as patch:
        patch.setattr(child_process, "send_signal", lambda *_: None)
        assert not await child.end(0.05)
        assert not await child.end(0.05)
    assert await child.end(TIMEOUT_S)
    assert await child.end(TIMEOUT_S)


async def test_ended_child_delivers_no_frames(children: Children) -> None:
    child = await CaptureChild.start(REQUEST, {})
    await child.frames(TIMEOUT_S)
    waiting = asyncio.create_task(child.frames(TIMEOUT_S))
    ending = asyncio.create_task(child.end(TIMEOUT_S))
    await asyncio.sleep(0)
    for frames in (waiting, child.frames(TIMEOUT_S)):
        with pytest.raises(ChildEndedError, match="closed"):
            await frames
    assert await ending


@pytest.mark.slow
async def test_child_that_closes_its_output_and_runs_on_is_a_stall(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closing_stub = "import os, time\nos.close(1)\ntime.sleep(1000)\n"
    (tmp_path / "sounddevice.py").write_text(closing_stub)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    child = await CaptureChild.start(REQUEST, {})
    with pytest.raises(ChildStalledError):
        await child.frames(2.0)
    assert await child.end(TIMEOUT_S)


class Unending:
    """A `PlanarSource` with a defect: neither its iteration nor its release ends."""

    drift_ppm = 0.0

    def __init__(self) -> None:
        self.iterated = asyncio.Event()

    def request(self, channels: Collection[int], block_s: float) -> bool:
        return False

    async def run(self, receiver: PlanarReceiver) -> None:
        self.iterated.set()
        await asyncio.Event().wait()

    async def close(self) -> None:
        await asyncio.Event().wait()


async def test_release_that_does_not_end_is_cancelled_at_its_limit(
    caplog: pytest.LogCaptureFixture,
) -> None:
    microphones: list[Unending] = []

    def open_microphone() -> Unending:
        microphones.append(Unending())
        return microphones[-1]

    device = SharedDevice(SPEC, open_microphone, release_limit_s=0.05)
    for number in (1, 2):  # the device can be opened again
        collector = EventCollector(ChannelSource(device, SPEC))
        await asyncio.sleep(0)
        async with limited():
            await microphones[-1].iterated.wait()
            await collector.source.close()
            await collector.task
        assert len(microphones) == number
    assert "not released within" in caplog.text


async def test_release_continues_if_its_waiting_task_is_cancelled(children: Children) -> None:
    device = SharedDevice(SPEC, lambda: Microphone(SPEC))
    collector = EventCollector(ChannelSource(device, SPEC))
    await collector.until_blocks(1)
    closing = asyncio.create_task(collector.source.close())
    await asyncio.sleep(0)
    closing.cancel()
    collector.task.cancel()
    await asyncio.wait((closing, collector.task))
    again = EventCollector(ChannelSource(device, SPEC))
    await again.until_blocks(1)
    assert len(children.running()) == 1
    await again.close()


async def test_source_closed_while_it_waits_for_the_device_does_not_open_it(
    children: Children,
) -> None:
    device = SharedDevice(SPEC, lambda: Microphone(SPEC))
    first, second = EventCollector(ChannelSource(device, SPEC)), ChannelSource(device, SPEC)
    await first.until_blocks(1)
    ending = asyncio.create_task(first.source.close())
    await asyncio.sleep(0)
    waiting = EventCollector(second)
    await asyncio.sleep(0)
    async with limited():
        await second.close()
        await waiting.task
        await ending
        await first.task
    assert waiting.events == []
    assert len(children.pids) == 1


async def test_pending_query_of_a_sound_server_fails_when_it_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not SoundServer().has_library:
        pytest.skip("libpulse is not installed")
    with socket.socket(socket.AF_UNIX) as silent:  # accepts and does not answer
        silent.bind(str(tmp_path / "native"))
        silent.listen()
        monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/native")
        server = SoundServer()
        querying = asyncio.create_task(server.source_of_process(os.getpid()))
        connection, _ = await asyncio.to_thread(silent.accept)
        with connection:
            server.close()
            server.close()
            async with asyncio.timeout(1.0):
                with pytest.raises(SoundServerQueryError, match="closed"):
                    await querying
                with pytest.raises(SoundServerQueryError, match="closed"):
                    await server.sources()
