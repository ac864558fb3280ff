"""Machines are added, changed, interrupted and removed in any order: nothing is left behind.

The daemon runs with real capture children and a stub for the sound library.
"""

import asyncio
import os
import random
import signal
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from asd_monitor.audio.capture.capture_attempt import CaptureTiming
from asd_monitor.audio.capture.microphone import Microphone
from asd_monitor.audio.devices.device_strings import DeviceSpec
from tests.doubles.capture_processes import capture_processes
from tests.doubles.in_process_daemon import InProcessDaemon
from tests.doubles.level_detector import make_config
from tests.doubles.waiting import until

# two devices, which exist while the file of their name does; sound is delivered at its real pace

STUB = """
import array, os, random, time
from pathlib import Path
FOLDER = Path(os.environ["STUB_FOLDER"])
class PortAudioError(Exception): pass
def query_devices():
    return [dict(name=name, index=index, max_input_channels=2, default_samplerate=16000.0)
            for index, name in enumerate(("left", "right")) if (FOLDER / name).exists()]
class RawInputStream:
    def __init__(self, samplerate, device, channels, dtype, latency):
        self.samplerate, self.channels = samplerate, channels
        self.name = ("left", "right")[device]
        self.position = 0
    def start(self): self.began_s = time.monotonic()
    @property
    def read_available(self):
        captured = int((time.monotonic() - self.began_s) * self.samplerate)
        return max(0, captured - self.position)
    def read(self, frames):
        self.position += frames
        due_s = self.began_s + self.position / self.samplerate
        time.sleep(max(0.0, due_s - time.monotonic()))
        if not (FOLDER / self.name).exists(): raise PortAudioError("unplugged", -9999)
        noise = random.randbytes(2 * frames * self.channels)
        return bytes(array.array("h", (value >> 5 for value in array.array("h", noise)))), False
"""
TIMING = CaptureTiming(
    pauses_s=(0.05,), unstable_pauses_s=(0.05,), stable_s=0.0, release_s=2.0, probation_s=0.0
)
DEVICES: dict[str, dict[str, object]] = {
    "fan": {"device": "name:left"},
    "pump": {"device": "name:left", "channel": 1},
    "mill": {"device": "name:right"},
}


class Plant:
    """The daemon, its configuration and its devices, changed at random."""

    def __init__(self, daemon: InProcessDaemon, folder: Path, seed: int) -> None:
        self._daemon, self._folder = daemon, folder
        self._random = random.Random(seed)
        self.machines: dict[str, dict[str, object]] = {"fan": dict(DEVICES["fan"])}
        self._changes = 0

    async def change(self) -> None:
        """Do one thing, and wait for up to half a second."""
        machine = self._random.choice(list(DEVICES))
        match self._random.randrange(6):
            case 0:
                self.machines[machine] = dict(DEVICES[machine])
                self.reload()
            case 1 if len(self.machines) > 1:
                self.machines.pop(machine, None)
                self.reload()
            case 2 if machine in self.machines:
                self._changes += 1
                self.machines[machine]["score_every_s"] = self._changes % 7 / 100
                self.reload()
            case 3:
                path = self._folder / self._random.choice(("left", "right"))
                path.unlink() if path.exists() else path.touch()
            case 4:
                for pid in capture_processes():
                    with suppress(ProcessLookupError):  # it has just ended
                        os.kill(pid, signal.SIGKILL)
            case _:
                self.reload()
        await asyncio.sleep(self._random.choice((0.0, 0.01, 0.1, 0.5)))

    def reload(self) -> None:
        self._daemon.file = make_config(**self.machines)
        self._daemon.service.request_reload()

    def plug_all(self) -> None:
        for name in ("left", "right"):
            (self._folder / name).touch()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
async def test_nothing_is_left_and_no_stream_is_silent(
    daemon: InProcessDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    folder = tmp_path / "stub"
    folder.mkdir()
    (folder / "sounddevice.py").write_text(STUB)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setenv("STUB_FOLDER", str(folder))

    def open_microphone(spec: DeviceSpec) -> Microphone:
        return Microphone(spec, timing=TIMING)

    plant = Plant(daemon, folder, seed)
    plant.plug_all()
    before = descriptors()
    daemon.start(make_config(**plant.machines), open_source=None, open_microphone=open_microphone)
    await until(lambda: daemon.broker.state("fan"))
    for _ in range(12):
        await plant.change()
    plant.plug_all()
    plant.reload()
    await until(lambda: set(daemon.service.config.machines) == set(plant.machines))
    scores = {name: len(daemon.broker.messages(f"{name}/score")) for name in plant.machines}

    def is_scored(name: str) -> bool:
        return len(daemon.broker.messages(f"{name}/score")) > scores[name] + 1

    for name in plant.machines:
        await until(partial(is_scored, name), f"{name} is silent")
    began_s = time.monotonic()
    daemon.service.stop()
    await daemon.finish()
    assert time.monotonic() - began_s < 5.0
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert capture_processes() == []
    assert descriptors() <= before
