"""Capture on a busy computer: sound that is read late is not lost, and lost sound is counted."""

import json
from pathlib import Path

import pytest

from asd_monitor.audio.capture.microphone import Microphone
from asd_monitor.audio.capture.sample_clock import TOLERANCE_S
from asd_monitor.audio.capture.shared_device import ChannelSource, SharedDevice
from asd_monitor.audio.devices.device_strings import parse_device
from tests.doubles.event_collector import EventCollector

RATE_HZ = 48000
BLOCK = 4800

# PortAudio, and a clock that its reads advance: device time, and how late each block is read
STUB = """
import json, os, time
from pathlib import Path
class PortAudioError(Exception): pass
PLAN = json.loads((Path(os.environ["STUB_FOLDER"]) / "plan.json").read_text())
NOW_S, SLEEP = [1000.0], time.sleep
time.monotonic_ns = lambda: round(NOW_S[0] * 1e9)
def query_devices():
    return [dict(name="stub", index=0, max_input_channels=1, default_samplerate=48000.0)]
class RawInputStream:
    def __init__(self, samplerate, device, channels, dtype, latency):
        self.samplerate, self.channels = samplerate, channels
        self.blocks, self.read_s, self.lost_s = 0, 0.0, 0.0
    def start(self): pass
    def read(self, frames):
        SLEEP(0.002)
        self.blocks += 1
        if self.blocks == PLAN["loss_at"]: self.lost_s += PLAN["loss_s"]
        self.read_s += frames / self.samplerate
        late_s = PLAN["late_s"] if self.blocks > PLAN["late_from"] else 0.0
        NOW_S[0] = 1000.0 + self.read_s + self.lost_s + late_s
        self.waiting = round(late_s * self.samplerate)
        return bytes(2 * frames * self.channels), False
    @property
    def read_available(self):
        if self.blocks == PLAN["overflow_at"]: raise PortAudioError("Input overflowed", -9981)
        return self.waiting
"""
SPEC = parse_device("name:stub")
PLAN = {"late_from": 10, "late_s": 0.0, "loss_at": 0, "loss_s": 0.0, "overflow_at": 0}


@pytest.fixture
def captured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that starts a capture of the stub with a plan; collects its blocks."""
    (tmp_path / "sounddevice.py").write_text(STUB)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("STUB_FOLDER", str(tmp_path))

    def start(**plan: float) -> EventCollector:
        (tmp_path / "plan.json").write_text(json.dumps(PLAN | plan))
        return EventCollector(ChannelSource(SharedDevice(SPEC, lambda: Microphone(SPEC)), SPEC))

    return start


async def test_blocks_that_are_read_late_for_long_are_not_lost(captured):
    collector = captured(late_s=0.2)
    await collector.until_blocks(60)
    stream = collector.source.stream
    assert (stream.gaps, stream.lost_samples) == (0, 0)
    await collector.close()


async def test_loss_is_counted_although_the_blocks_after_it_are_read_late(captured):
    collector = captured(late_s=0.2, loss_at=30, loss_s=0.5)
    await collector.until_blocks(60)
    stream = collector.source.stream
    assert stream.gaps == 1
    assert stream.lost_samples == pytest.approx(0.5 * RATE_HZ + BLOCK, abs=TOLERANCE_S * RATE_HZ)
    await collector.close()


async def test_buffer_that_overflows_between_two_reads_does_not_end_the_capture(captured):
    collector = captured(overflow_at=20)
    await collector.until_blocks(40)
    assert not collector.outages
    assert collector.source.stream.gaps == 0
    await collector.close()
