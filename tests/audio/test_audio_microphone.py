"""Microphones on a real PortAudio and sound server: stalls, unplugging, rerouting, recovery."""

import asyncio
import contextlib
import ctypes
import fcntl
import os
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from asd_monitor.audio.capture.child_process import CaptureChild
from asd_monitor.audio.capture.child_protocol import CaptureRequest
from asd_monitor.audio.capture.microphone import Microphone
from asd_monitor.audio.capture.shared_device import ChannelSource, SharedDevice
from asd_monitor.audio.devices.cards import Cards
from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.audio.source import Opened, Outage
from asd_monitor.audio.wire import Frame, StreamParser
from asd_monitor.records import Block, MicrophoneState
from tests.doubles.capture_processes import capture_processes
from tests.doubles.card_tree import add_card
from tests.doubles.event_collector import EventCollector

RATE = 16000
LIMIT_S = 60.0

pytestmark = pytest.mark.slow


def is_outage(state: MicrophoneState) -> Callable[[object], bool]:
    return lambda event: isinstance(event, Outage) and event.state is state


def source_of(device: str, cards: Cards | None = None) -> ChannelSource:
    spec = parse_device(device)
    return ChannelSource(SharedDevice(spec, lambda: Microphone(spec, cards=cards)), spec)


@contextlib.asynccontextmanager
async def capture(device: str, cards: Cards | None = None) -> AsyncIterator[EventCollector]:
    collector = EventCollector(source_of(device, cards))
    try:
        yield collector
    finally:
        await collector.close()
        await collector.task


async def outage_of(collector: EventCollector, state: MicrophoneState) -> str:
    """Wait for an outage of this state from now on; return its reason."""
    outage = await collector.new_event(is_outage(state))
    assert isinstance(outage, Outage)
    return outage.reason


def tone(amplitude: float) -> npt.NDArray[np.float64]:
    """Return 1 s of 440 Hz."""
    return amplitude * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)


def rms(block: Block) -> float:
    return float(np.sqrt(np.mean(np.square(block.samples))))


async def test_captures_every_sample_exactly(virtual_sound):
    sound = virtual_sound({"fan": 1}, rate_hz=RATE)
    noise = np.random.default_rng(5).integers(-20000, 20000, 2 * RATE).astype(np.int16)
    async with capture("hw:1") as fan:
        await fan.until_new_blocks()
        opened = fan.events[0]
        assert isinstance(opened, Opened)
        assert (opened.rate_hz, opened.channels) == (RATE, 1)
        sound["fan"].play(noise / 32768)
        await fan.until(lambda: sum(len(b.samples) for b in fan.blocks) > 6 * RATE)
        captured = np.concatenate([block.samples for block in fan.blocks])
    first = np.flatnonzero(np.abs(captured) > 0.1)[0]
    start = next(k for k in range(max(0, first - 20), first + 1) if captured[k] == noise[0] / 32768)
    np.testing.assert_array_equal(captured[start : start + 2 * RATE], noise / 32768)
    assert fan.source.stream.lost_samples == fan.source.stream.gaps == 0


async def test_card_1_and_card_10_are_distinct(virtual_sound):
    sound = virtual_sound({"fan": 1, "pump": 10})
    sound["fan"].play(tone(0.5), loop=True)
    sound["pump"].play(tone(0.1), loop=True)
    async with capture("hw:1") as fan, capture("hw:10,0") as pump:
        await fan.until_new_blocks(10)
        await pump.until_new_blocks(10)
        assert rms(fan.blocks[-1]) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)
        assert rms(pump.blocks[-1]) == pytest.approx(0.1 / np.sqrt(2), rel=0.1)


async def test_stall_is_an_outage_and_recovers(virtual_sound):
    sound = virtual_sound({"fan": 1, "pump": 10})
    async with capture("hw:1") as fan, capture("pulse:pump") as pump:
        await fan.until_new_blocks()
        await pump.until_new_blocks()
        sound["fan"].pause()
        assert "no sound for 3 s" in await outage_of(fan, MicrophoneState.FAULT)
        sound["fan"].resume()
        await fan.until_new_blocks()
        assert fan.source.stream.restarts == fan.source.stream.gaps == 1
        assert fan.source.stream.lost_samples > 3 * RATE
        assert not pump.outages


@pytest.mark.parametrize("device", ["hw:1", "pulse:fan", "default"])
async def test_unplugging_is_an_outage_and_recovers(virtual_sound, device):
    sound = virtual_sound({"fan": 1, "pump": 10})
    sound["fan"].play(tone(0.5), loop=True)
    sound["pump"].play(tone(0.1), loop=True)
    async with capture(device) as fan:
        await fan.until_new_blocks()
        before = fan.blocks[-1].end
        sound["fan"].unplug()
        await outage_of(fan, MicrophoneState.NO_DEVICE)
        sound["fan"].plug()
        opened = await fan.new_event(lambda event: isinstance(event, Opened))
        assert isinstance(opened, Opened)
        assert opened.rate_hz == RATE
        await fan.until_new_blocks()
        assert fan.source.stream.restarts == 1
        jumps = sum(
            after.start - block.end
            for block, after in zip(fan.blocks, fan.blocks[1:], strict=False)
        )
        assert jumps == fan.source.stream.lost_samples > 0
        assert fan.blocks[-1].end > before
        assert all(rms(block) > 0.2 for block in fan.blocks[3:])  # never the pump


@pytest.mark.parametrize("device", ["hw:1", "pulse:fan", "default"])
async def test_rerouted_stream_is_an_outage_and_delivers_nothing_of_the_other_source(
    virtual_sound, device
):
    sound = virtual_sound({"fan": 1, "pump": 10})
    sound["fan"].play(tone(0.5), loop=True)
    sound["pump"].play(tone(0.1), loop=True)
    async with capture(device) as fan:
        await fan.until_new_blocks(5)
        sound["fan"].unplug_rerouted()
        reason = await outage_of(fan, MicrophoneState.FAULT)
        assert "pump" in reason
        assert "instead of fan" in reason
        sound["fan"].plug()
        await fan.until_new_blocks(5)
        sound["fan"].move_to(sound["pump"])
        await outage_of(fan, MicrophoneState.FAULT)
        await fan.until_new_blocks(5)
        of_the_pump = [b.start for b in fan.blocks if 0.04 < rms(b) < 0.2]
        partial = [b.start for b in fan.blocks if rms(b) < 0.04]
        assert of_the_pump == []
        assert len(partial) <= 3  # where a stream begins


async def test_absent_device_is_opened_when_plugged_in(virtual_sound):
    sound = virtual_sound({"fan": 1, "pump": 10})
    sound["fan"].unplug()
    async with capture("pulse:fan") as fan:
        await outage_of(fan, MicrophoneState.NO_DEVICE)
        sound["fan"].plug()
        await fan.until_new_blocks()
        assert fan.blocks[0].start == 0
        assert fan.source.stream.restarts == 0


async def test_absent_card_is_reported_with_the_available_inputs(virtual_sound):
    virtual_sound({"pump": 10})
    async with capture("hw:1") as fan:
        reason = await outage_of(fan, MicrophoneState.NO_DEVICE)
        assert "mic.pump: Virtual (hw:10,0)" in reason


@pytest.mark.parametrize("device", ["hw:1", "pulse:fan"])
@pytest.mark.parametrize("channel", [3, 99])
async def test_missing_channel_is_a_fault(virtual_sound, device, channel):
    virtual_sound({"fan": 1})
    async with capture(f"{device}#{channel}") as fan:
        assert await outage_of(fan, MicrophoneState.FAULT) == (
            f"{device}#{channel}: no channel {channel}: the device has 1 channel: "
            "choose channel 0, or omit it"
        )
        assert not fan.blocks


async def test_absent_source_is_reported_with_the_available_sources(virtual_sound):
    virtual_sound({"fan": 1, "pump": 10})
    async with capture("pulse:nosuch") as none:
        assert await outage_of(none, MicrophoneState.NO_DEVICE) == (
            "pulse:nosuch: not found: plug it in, or choose an available device: "
            "pulse:fan; pulse:pump"
        )


async def test_card_that_cannot_be_opened_is_reported_with_the_remedy(virtual_sound):
    sound = virtual_sound({"fan": 1, "pump": 10})
    sound["fan"].unplug()
    async with capture("hw:1") as fan:
        reason = await outage_of(fan, MicrophoneState.NO_DEVICE)
        assert reason.startswith(
            "hw:1: found but cannot be opened: unplug it and plug it in again; "
            "`asd-monitor devices` lists the available devices ("
        )
        for internal in ("RawInputStream", "-9999", "ALSA error"):
            assert internal not in reason


async def test_stable_name_opens_the_card(virtual_sound, tmp_path):
    virtual_sound({"fan": 3})
    add_card(tmp_path, 3, "press3", usb_id="0d8c:0014", usb_path="1-1.4")
    async with capture("usb-path:1-1.4", Cards(tmp_path)) as fan:
        await fan.until_new_blocks()


async def test_killed_child_is_replaced(virtual_sound):
    virtual_sound({"fan": 1})
    async with capture("hw:1") as fan:
        await fan.until_new_blocks()
        (child,) = capture_processes()
        os.kill(child, signal.SIGKILL)
        assert "SIGKILL" in await outage_of(fan, MicrophoneState.NO_DEVICE)
        await fan.until_new_blocks()


async def test_child_stopped_for_less_than_its_buffers_loses_nothing(virtual_sound):
    virtual_sound({"fan": 1})
    async with capture("hw:1") as fan:
        await fan.until_new_blocks()
        (child,) = capture_processes()
        os.kill(child, signal.SIGSTOP)
        await asyncio.sleep(1.5)
        os.kill(child, signal.SIGCONT)
        await fan.until_new_blocks(20)
        assert not fan.outages


async def test_missing_portaudio_is_reported_with_the_command_that_installs_it(
    tmp_path, monkeypatch
):
    (tmp_path / "sounddevice.py").write_text('raise OSError("PortAudio library not found")\n')
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    async with capture("hw:1") as fan:
        assert "apt install libportaudio2" in await outage_of(fan, MicrophoneState.FAULT)


def start_child(wanted: tuple[int, ...] = (0,), **options) -> subprocess.Popen[bytes]:
    request = CaptureRequest(hw=(1, None), wanted=wanted)
    return subprocess.Popen(
        [sys.executable, "-m", "asd_monitor.audio.capture.child", "capture", request.encode()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def first_frame(child: subprocess.Popen[bytes]) -> Frame:
    assert child.stdout
    assert child.stderr
    parser = StreamParser()
    while data := os.read(child.stdout.fileno(), 1 << 16):
        if frames := parser.feed(data):
            return frames[0]
    raise AssertionError(child.stderr.read())


def test_child_captures_where_executable_memory_is_forbidden(virtual_sound):
    """`MemoryDenyWriteExecute=` of systemd does this."""
    virtual_sound({"fan": 1})
    libc = ctypes.CDLL(None)

    def forbid() -> None:
        if libc.prctl(65, 1, 0, 0, 0):  # PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN
            os._exit(77)

    with start_child(preexec_fn=forbid) as child:
        try:
            if child.poll() == 77:
                pytest.skip("this kernel cannot forbid it")
            assert first_frame(child).samples == 4800
        finally:
            child.kill()


def test_child_does_not_load_numpy(virtual_sound):
    virtual_sound({"fan": 1})
    with start_child() as child:
        try:
            first_frame(child)
            assert "numpy" not in Path(f"/proc/{child.pid}/maps").read_text()
        finally:
            child.kill()


def bytes_waiting(child: subprocess.Popen[bytes]) -> int:
    assert child.stdout
    return int.from_bytes(fcntl.ioctl(child.stdout, termios.FIONREAD, bytes(4)), sys.byteorder)


@pytest.mark.parametrize(("channels", "least_s"), [(1, 10.0), (2, 5.0)])
def test_reader_of_the_pipe_may_stall_for_seconds(virtual_sound, channels, least_s):
    """Measures the pipe alone; the device's own buffer adds to it."""
    virtual_sound({"fan": 1}, rate_hz=48000, channels=channels)
    parser = StreamParser()
    with start_child(tuple(range(channels))) as child:
        assert child.stdout
        try:
            frames: list[Frame] = []
            while not frames:
                frames += parser.feed(os.read(child.stdout.fileno(), 1 << 16))
            received, waiting = len(frames), -1
            began = full = time.monotonic()
            while time.monotonic() - full < 1.0:
                if waiting < (waiting := bytes_waiting(child)):
                    full = time.monotonic()
                time.sleep(0.02)
            sys.stdout.write(f"{channels} of 48 kHz: full after {full - began:.1f} s\n")
            frames += parser.feed(os.read(child.stdout.fileno(), waiting))
        finally:
            child.kill()
    assert [each.sequence for each in frames] == list(range(len(frames)))
    assert 0.1 * (len(frames) - received) >= least_s


def test_child_ends_with_its_parent(virtual_sound):
    virtual_sound({"fan": 1})
    parent = (
        "import asyncio\n"
        "from asd_monitor.audio.devices.device_strings import parse_device\n"
        "from asd_monitor.audio.opening import open_source\n"
        "from tests.doubles.event_collector import EventCollector\n"
        "async def main():\n"
        "    collector = EventCollector(open_source(parse_device('hw:1')))\n"
        "    await collector.until_blocks(1)\n"
        "    print('captured', flush=True)\n"
        "    await asyncio.sleep(1000)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"captured\n"
        (pid,) = capture_processes(process.pid)
        with contextlib.closing(os.fdopen(os.pidfd_open(pid))) as ended:
            process.kill()
            process.wait()
            assert select.select([ended], [], [], LIMIT_S)[0]


async def test_child_that_the_kernel_holds_is_reported_until_it_ends(tmp_path, monkeypatch):
    """As in an uninterruptible sleep, in which SIGKILL has no effect."""
    (tmp_path / "sounddevice.py").write_text('raise OSError("PortAudio library not found")\n')
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    end = CaptureChild.end
    held = [True] * 3

    async def end_late(child: CaptureChild, limit_s: float) -> bool:
        return await end(child, limit_s) and not (held and held.pop())

    monkeypatch.setattr(CaptureChild, "end", end_late)
    async with capture("hw:1") as fan:
        await fan.until(lambda: any("does not release" in each.reason for each in fan.outages))
        await fan.new_event(lambda event: isinstance(event, Outage) and "apt" in event.reason)
        assert not held
