"""Microphones on a real PortAudio and sound server: stalls, unplugging, moves, and healing."""

import asyncio
import contextlib
import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.doubles.card_tree import add_card

from asd_monitor.audio.capture.child_process import CaptureChild, ChildEndedError
from asd_monitor.audio.capture.microphone import Microphone
from asd_monitor.audio.devices.cards import Cards
from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.audio.source import Opened, Outage
from asd_monitor.audio.wire import Parser
from asd_monitor.records import Block, MicrophoneState

RATE = 16000
LONG_S = 60.0


class Ear:
    """Listens to a microphone in a task of its own and keeps what happened."""

    def __init__(self, device: str, **options) -> None:
        self.notices: list[str] = []
        self.microphone = Microphone(parse_device(device), notice=self.notices.append, **options)
        self.events: list = []
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for event in self.microphone.events():
            self.events.append(event)
            self._changed.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds; each event may have made it so."""
        async with asyncio.timeout(LONG_S):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    async def new(self, wanted: Callable[[object], bool]):
        """Wait for an event from now on."""
        first = len(self.events)
        await self.until(lambda: any(map(wanted, self.events[first:])))
        return next(event for event in self.events[first:] if wanted(event))

    async def hears(self, blocks: int = 3) -> None:
        """Wait until sound flows (again)."""
        wanted = len(self.blocks) + blocks
        await self.until(lambda: len(self.blocks) >= wanted)

    @property
    def blocks(self) -> list[Block]:
        return [event for event in self.events if isinstance(event, Block)]

    def outages(self) -> list[Outage]:
        return [event for event in self.events if isinstance(event, Outage)]

    async def end(self) -> None:
        await self.microphone.close()
        async with asyncio.timeout(LONG_S):
            await self._task


def is_outage(state: MicrophoneState) -> Callable[[object], bool]:
    return lambda event: isinstance(event, Outage) and event.state is state


@contextlib.asynccontextmanager
async def ear(device: str, **options):
    listener = Ear(device, **options)
    try:
        yield listener
    finally:
        await listener.end()


def tone(amplitude: float):
    return amplitude * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)


def rms(block: Block) -> float:
    return float(np.sqrt(np.mean(np.square(block.samples))))


pytestmark = pytest.mark.slow


async def test_it_hears_every_sample_as_it_was(virtual_sound):
    sound = virtual_sound({"fan": 1}, rate_hz=RATE)
    noise = np.random.default_rng(5).integers(-20000, 20000, 2 * RATE).astype(np.int16)
    async with ear("hw:1") as fan:
        await fan.hears()
        assert fan.events[0] == Opened(RATE, 1, fan.events[0].name)
        sound["fan"].play(noise / 32768)
        await fan.until(lambda: sum(len(b.samples) for b in fan.blocks) > 6 * RATE)
        heard = np.concatenate([block.samples for block in fan.blocks])
    first = np.flatnonzero(np.abs(heard) > 0.1)[0]
    start = next(k for k in range(max(0, first - 20), first + 1) if heard[k] == noise[0] / 32768)
    np.testing.assert_array_equal(heard[start : start + 2 * RATE], noise / 32768)
    assert fan.microphone.lost_samples == fan.microphone.gaps == 0


async def test_card_1_and_card_10_at_once(virtual_sound):
    sound = virtual_sound({"fan": 1, "pump": 10})
    sound["fan"].play(tone(0.5), loop=True)
    sound["pump"].play(tone(0.1), loop=True)
    async with ear("hw:1") as fan, ear("hw:10,0") as pump:
        await fan.hears(10)
        await pump.hears(10)
        assert rms(fan.blocks[-1]) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)
        assert rms(pump.blocks[-1]) == pytest.approx(0.1 / np.sqrt(2), rel=0.1)


async def test_a_stall_is_seen_and_heals(virtual_sound):
    sound = virtual_sound({"fan": 1, "pump": 10})
    async with ear("hw:1") as fan, ear("pulse:pump") as pump:
        await fan.hears()
        await pump.hears()
        sound["fan"].pause()
        outage = await fan.new(is_outage(MicrophoneState.FAULT))
        assert "no sound for 3 s" in outage.reason
        sound["fan"].resume()
        await fan.hears()
        assert fan.microphone.restarts == fan.microphone.gaps == 1
        assert fan.microphone.lost_samples > 3 * RATE
        assert not pump.outages()


@pytest.mark.parametrize("device", ["hw:1", "pulse:fan", "default"])
async def test_unplugging_is_seen_and_heals(virtual_sound, device):
    sound = virtual_sound({"fan": 1, "pump": 10})
    sound["fan"].play(tone(0.5), loop=True)
    sound["pump"].play(tone(0.1), loop=True)
    async with ear(device) as fan:
        await fan.hears()
        before = fan.blocks[-1].end
        sound["fan"].unplug()
        await fan.new(is_outage(MicrophoneState.NO_DEVICE))
        sound["fan"].plug()
        opened = await fan.new(lambda event: isinstance(event, Opened))
        assert opened.rate_hz == RATE
        await fan.hears()
        assert fan.microphone.restarts == 1
        jumps = sum(
            after.start - block.end
            for block, after in zip(fan.blocks, fan.blocks[1:], strict=False)
        )
        assert jumps == fan.microphone.lost_samples > 0
        assert fan.blocks[-1].end > before
        assert all(rms(block) > 0.2 for block in fan.blocks[3:])  # never the pump


@pytest.mark.parametrize("device", ["hw:1", "pulse:fan", "default"])
async def test_another_microphone_is_never_heard_in_its_place(virtual_sound, device):
    sound = virtual_sound({"fan": 1, "pump": 10})
    sound["fan"].play(tone(0.5), loop=True)
    sound["pump"].play(tone(0.1), loop=True)
    async with ear(device) as fan:
        await fan.hears(5)
        sound["fan"].move_away()
        outage = await fan.new(is_outage(MicrophoneState.FAULT))
        assert "pump" in outage.reason
        assert "instead of fan" in outage.reason
        sound["fan"].plug()
        await fan.hears(5)
        sound["fan"].move_to(sound["pump"])
        await fan.new(is_outage(MicrophoneState.FAULT))
        await fan.hears(5)
        quiet = [b.start for b in fan.blocks if 0.04 < rms(b) < 0.2]
        partly = [b.start for b in fan.blocks if rms(b) < 0.04]
        assert quiet == []
        assert len(partly) <= 3  # where a stream begins


async def test_an_absent_device_is_waited_for(virtual_sound):
    sound = virtual_sound({"fan": 1, "pump": 10})
    sound["fan"].unplug()
    async with ear("pulse:fan") as fan:
        await fan.new(is_outage(MicrophoneState.NO_DEVICE))
        sound["fan"].plug()
        await fan.hears()
        assert fan.blocks[0].start == 0
        assert fan.microphone.restarts == 0


async def test_what_there_is_is_told_where_nothing_matches(virtual_sound):
    virtual_sound({"pump": 10})
    async with ear("hw:1") as fan:
        outage = await fan.new(is_outage(MicrophoneState.NO_DEVICE))
        assert "mic.pump: Virtual (hw:10,0)" in outage.reason


@pytest.mark.parametrize("device", ["hw:1", "pulse:fan"])
@pytest.mark.parametrize("channel", [3, 99])
async def test_a_channel_that_is_not_there(virtual_sound, device, channel):
    virtual_sound({"fan": 1})
    async with ear(f"{device}#{channel}") as fan:
        outage = await fan.new(is_outage(MicrophoneState.FAULT))
        assert outage.reason == (
            f"{device}#{channel}: it has no channel {channel}: it has 1 channel: "
            "choose channel 0, or none"
        )
        assert not fan.blocks


async def test_the_sources_there_are_are_told(virtual_sound):
    virtual_sound({"fan": 1, "pump": 10})
    async with ear("pulse:nosuch") as none:
        outage = await none.new(is_outage(MicrophoneState.NO_DEVICE))
        assert outage.reason == (
            "pulse:nosuch: it is not there: plug it in, or choose one that is: "
            "pulse:fan; pulse:pump"
        )


async def test_without_a_sound_server_a_source_of_it_says_so(virtual_sound, monkeypatch, tmp_path):
    virtual_sound({"fan": 1})
    monkeypatch.setattr(Microphone, "_first_frames", _give_up)
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/nothing")
    async with ear("pulse:fan") as fan:
        outage = await fan.new(is_outage(MicrophoneState.NO_DEVICE))
        assert "is PulseAudio or PipeWire running" in outage.reason


async def _give_up(microphone: Microphone, _: CaptureChild) -> None:
    raise await microphone._why_not(ChildEndedError("No such device", absent=True))


async def test_a_card_that_cannot_be_opened_says_what_to_do(virtual_sound):
    sound = virtual_sound({"fan": 1, "pump": 10})
    sound["fan"].unplug()
    async with ear("hw:1") as fan:
        outage = await fan.new(is_outage(MicrophoneState.NO_DEVICE))
        assert outage.reason.startswith(
            "hw:1: it is there but cannot be opened: unplug it and plug it in again; "
            "`asd-monitor devices` lists what there is ("
        )
        for raw in ("RawInputStream", "-9999", "ALSA error"):
            assert raw not in outage.reason


async def test_a_lasting_name_finds_the_card(virtual_sound, tmp_path):
    virtual_sound({"fan": 3})
    add_card(tmp_path, 3, "press3", usb_id="0d8c:0014", usb_path="1-1.4")
    async with ear("usb-path:1-1.4", cards=Cards(tmp_path)) as fan:
        await fan.hears()


async def test_a_killed_child_is_replaced(virtual_sound):
    virtual_sound({"fan": 1})
    async with ear("hw:1") as fan:
        await fan.hears()
        child = fan.microphone._child
        os.kill(child.pid, signal.SIGKILL)
        outage = await fan.new(is_outage(MicrophoneState.NO_DEVICE))
        assert "SIGKILL" in outage.reason
        await fan.hears()


async def test_a_stopped_child_loses_nothing_when_it_goes_on_in_time(virtual_sound):
    virtual_sound({"fan": 1})
    async with ear("hw:1") as fan:
        await fan.hears()
        pid = fan.microphone._child.pid
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(1.5)
        os.kill(pid, signal.SIGCONT)
        await fan.hears(20)
        assert not fan.outages()


async def test_without_portaudio_it_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "sounddevice.py").write_text('raise OSError("PortAudio library not found")\n')
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    async with ear("hw:1") as fan:
        outage = await fan.new(is_outage(MicrophoneState.FAULT))
        assert "apt install libportaudio2" in outage.reason


def start_capture(wanted=(0,), **options) -> subprocess.Popen[bytes]:
    request = {"hw": [1, None], "wanted": wanted, "rate_hz": None, "channels": None}
    return subprocess.Popen(
        [sys.executable, "-m", "asd_monitor.audio.capture.child", json.dumps(request)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def first_frame(child: subprocess.Popen[bytes]):
    parser = Parser()
    while data := os.read(child.stdout.fileno(), 1 << 16):
        if frames := parser.feed(data):
            return frames[0]
    raise AssertionError(child.stderr.read())


def test_it_may_be_forbidden_to_make_code(virtual_sound):
    """`MemoryDenyWriteExecute=` of systemd does this."""
    virtual_sound({"fan": 1})
    libc = ctypes.CDLL(None)

    def forbid() -> None:
        if libc.prctl(65, 1, 0, 0, 0):  # PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN
            os._exit(77)

    with start_capture(preexec_fn=forbid) as child:
        try:
            if child.poll() == 77:
                pytest.skip("this kernel cannot forbid it")
            assert first_frame(child).samples == 4800
        finally:
            child.kill()


def test_it_stays_small_and_loads_no_numpy(virtual_sound):
    virtual_sound({"fan": 1})
    with start_capture() as child:
        try:
            first_frame(child)
            assert "numpy" not in Path(f"/proc/{child.pid}/maps").read_text()
        finally:
            child.kill()


def bytes_waiting(child: subprocess.Popen[bytes]) -> int:
    return int.from_bytes(fcntl.ioctl(child.stdout, termios.FIONREAD, bytes(4)), sys.byteorder)


@pytest.mark.slow
@pytest.mark.parametrize(("channels", "least_s"), [(1, 10.0), (2, 5.0)])
def test_who_reads_it_may_stall_for_seconds(virtual_sound, channels, least_s):
    """What docs/realtime.md says of the pipe; the device's own buffer comes on top."""
    virtual_sound({"fan": 1}, rate_hz=48000, channels=channels)
    parser = Parser()
    with start_capture(list(range(channels))) as child:
        try:
            frames = []
            while not frames:
                frames += parser.feed(os.read(child.stdout.fileno(), 1 << 16))
            heard, waiting = len(frames), -1
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
    assert 0.1 * (len(frames) - heard) >= least_s


def test_it_dies_with_its_parent(virtual_sound):
    virtual_sound({"fan": 1})
    parent = (
        "import asyncio, os\n"
        "from asd_monitor.audio.devices.device_strings import parse_device\n"
        "from asd_monitor.audio.capture.microphone import Microphone\n"
        "async def main():\n"
        "    microphone = Microphone(parse_device('hw:1'))\n"
        "    async for event in microphone.events():\n"
        "        if hasattr(event, 'samples'):\n"
        "            print(microphone._child.pid, flush=True)\n"
        "            await asyncio.sleep(1000)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as process:
        pid = int(process.stdout.readline())
        watch = os.pidfd_open(pid)
        process.kill()
        process.wait()
        with contextlib.closing(os.fdopen(watch)) as ended:
            import select

            assert select.select([ended], [], [], LONG_S)[0]


async def test_a_child_that_the_kernel_holds_is_told_and_waited_for(tmp_path, monkeypatch):
    """As in an uninterruptible sleep: SIGKILL does nothing for a while."""
    (tmp_path / "sounddevice.py").write_text('raise OSError("PortAudio library not found")\n')
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    end = CaptureChild.end
    held = [True] * 3

    async def end_late(child: CaptureChild, limit_s: float) -> bool:
        return await end(child, limit_s) and not (held and held.pop())

    monkeypatch.setattr(CaptureChild, "end", end_late)
    async with ear("hw:1") as fan:
        await fan.new(lambda event: isinstance(event, Outage) and "does not let go" in event.reason)
        await fan.new(lambda event: isinstance(event, Outage) and "apt install" in event.reason)
        assert not held
