"""A device that opens and fails at once: the pauses grow, and its state does not alternate."""

import asyncio
from pathlib import Path

import pytest

from asd_monitor.audio.capture.capture_attempt import CaptureTiming
from asd_monitor.audio.capture.microphone import Microphone
from asd_monitor.audio.capture.shared_device import ChannelSource, SharedDevice
from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.audio.source import Opened
from tests.doubles.event_collector import EventCollector
from tests.doubles.waiting import until

# delivers blocks, and fails after the number of blocks in the file `blocks`; notes each opening
STUB = """
import os, time
from pathlib import Path
FOLDER = Path(os.environ["STUB_FOLDER"])
class PortAudioError(Exception): pass
def query_devices():
    return [dict(name="stub", index=0, max_input_channels=1, default_samplerate=16000.0)]
class RawInputStream:
    def __init__(self, samplerate, device, channels, dtype, latency):
        self.samplerate, self.channels = samplerate, channels
        self.left = int((FOLDER / "blocks").read_text())
        with (FOLDER / "openings").open("a") as file: file.write("x")
    read_available = 0
    def start(self): pass
    def read(self, frames):
        self.left -= 1
        if self.left < 0: raise PortAudioError("unplugged", -9999)
        time.sleep(0.005)
        return bytes(2 * frames * self.channels), False
"""
SPEC = parse_device("name:stub")
PAUSES_S = (0.01, 0.02, 0.04, 1000.0)


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "sounddevice.py").write_text(STUB)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("STUB_FOLDER", str(tmp_path))
    return tmp_path


def microphone(
    *, stable_s: float, probation_s: float, pauses_s: tuple[float, ...]
) -> EventCollector:
    timing = CaptureTiming(unstable_pauses_s=pauses_s, stable_s=stable_s, probation_s=probation_s)
    device = SharedDevice(SPEC, lambda: Microphone(SPEC, timing=timing))
    return EventCollector(ChannelSource(device, SPEC))


def openings(stub: Path) -> int:
    path = stub / "openings"
    return len(path.read_text()) if path.exists() else 0


async def test_pauses_grow_until_the_device_has_worked_for_a_while(stub: Path) -> None:
    (stub / "blocks").write_text("2")
    collector = microphone(stable_s=1000.0, probation_s=1000.0, pauses_s=PAUSES_S)
    await until(lambda: openings(stub) == len(PAUSES_S))
    await asyncio.sleep(0.3)
    assert openings(stub) == len(PAUSES_S), "the last pause is long"
    await collector.close()


async def test_state_of_an_unstable_device_does_not_alternate(stub: Path) -> None:
    (stub / "blocks").write_text("2")
    collector = microphone(stable_s=1000.0, probation_s=1000.0, pauses_s=(0.001,))
    await until(lambda: openings(stub) >= 8)
    await collector.close()
    opened = [event for event in collector.events if isinstance(event, Opened)]
    assert len(opened) == 3
    assert len(collector.outages) == 3
    assert len({outage.reason for outage in collector.outages}) == 1


async def test_unstable_device_counts_as_open_after_its_probation(stub: Path) -> None:
    (stub / "blocks").write_text("2")
    collector = microphone(stable_s=1000.0, probation_s=0.1, pauses_s=(0.001,))
    await until(lambda: openings(stub) >= 5)
    (stub / "blocks").write_text("1000000")
    blocks = len(collector.blocks)
    await collector.until_blocks(blocks + 1)
    assert collector.source.stream.gaps == collector.source.stream.restarts
    await collector.close()


async def test_device_that_worked_for_a_while_is_tried_again_at_once(stub: Path) -> None:
    (stub / "blocks").write_text("2")
    collector = microphone(stable_s=0.0, probation_s=1000.0, pauses_s=(0.001, 1000.0))
    await until(lambda: openings(stub) >= 4)
    await collector.close()
