"""Two channels of one device on a real PortAudio and sound server: one process for both."""

import asyncio
import os
import signal

import numpy as np
import pytest
from tests.doubles.capture_processes import capture_processes
from tests.doubles.scripted_microphone import Ear

from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.audio.opening import Devices
from asd_monitor.audio.source import Opened
from asd_monitor.records import Block, MicrophoneState

RATE = 16000

pytestmark = pytest.mark.slow


def tones(*amplitudes: float) -> np.ndarray:
    """(samples, channels): a tone of another amplitude on each."""
    tone = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    return tone[:, np.newaxis] * amplitudes


def rms(block: Block) -> float:
    return float(np.sqrt(np.mean(np.square(block.samples))))


class Hall:
    def __init__(self) -> None:
        self.devices = Devices()
        self.ears: list[Ear] = []

    def listen(self, *devices: str) -> list[Ear]:
        ears = [Ear(self.devices.open(parse_device(device))) for device in devices]
        self.ears += ears
        return ears

    def expect(self, *devices: str) -> None:
        self.devices.expect(map(parse_device, devices))


@pytest.fixture
async def hall():
    hall = Hall()
    yield hall
    for ear in hall.ears:
        await ear.end()
    assert capture_processes() == []


@pytest.mark.parametrize("device", ["hw:1", "pulse:fan"])
async def test_each_machine_hears_every_sample_of_its_own_channel(virtual_sound, hall, device):
    sound = virtual_sound({"fan": 1}, rate_hz=RATE, channels=2)
    noise = np.random.default_rng(5).integers(-20000, 20000, (2 * RATE, 2)).astype(np.int16)
    hall.expect(device, f"{device}#1")
    ears = hall.listen(device, f"{device}#1")
    for ear in ears:
        await ear.hears(3)
        assert ear.events[0] == Opened(RATE, 2, ear.events[0].name)
    assert len(capture_processes()) == 1
    sound["fan"].play(noise / 32768)
    began = []
    for channel, ear in enumerate(ears):
        await ear.until(lambda ear=ear: ear.blocks[-1].end > 6 * RATE)
        heard = np.concatenate([block.samples for block in ear.blocks])
        first = np.flatnonzero(np.abs(heard) > 0.1)[0]
        wanted = noise[:, channel] / 32768
        start = next(k for k in range(max(0, first - 20), first + 1) if heard[k] == wanted[0])
        np.testing.assert_array_equal(heard[start : start + 2 * RATE], wanted)
        began.append(ear.blocks[0].start + start)
        assert ear.source.lost_samples == ear.source.gaps == ear.source.restarts == 0
    assert began[0] == began[1]


async def test_a_late_one_brings_its_channel_and_one_that_leaves_ends_nothing(virtual_sound, hall):
    sound = virtual_sound({"fan": 1}, rate_hz=RATE, channels=2)
    sound["fan"].play(tones(0.5, 0.1), loop=True)
    (fan,) = hall.listen("hw:1")
    await fan.hears(5)
    (only,) = capture_processes()
    (pump,) = hall.listen("hw:1#1")
    await pump.hears(5)
    (both,) = capture_processes()
    assert both != only
    before = len(fan.blocks)
    await fan.hears(before + 3)
    (outage,) = fan.outages
    assert outage.reason == "hw:1: it is opened again, to hear channel 1 too"
    assert (fan.source.restarts, fan.source.gaps) == (1, 1)
    assert 0 < fan.source.lost_samples < 20 * RATE
    assert (pump.source.restarts, pump.source.lost_samples) == (0, 0)
    assert pump.blocks[0].start > fan.blocks[4].end

    await fan.end()
    heard = len(pump.blocks)
    await pump.hears(heard + 5)
    assert capture_processes() == [both]
    (again,) = hall.listen("hw:1")
    await again.hears(5)
    assert capture_processes() == [both]
    assert again.source.lost_samples == 0
    assert rms(again.blocks[-1]) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)
    assert rms(pump.blocks[-1]) == pytest.approx(0.1 / np.sqrt(2), rel=0.1)


@pytest.mark.parametrize("device", ["hw:1", "pulse:fan"])
async def test_unplugging_is_seen_and_heals_for_both(virtual_sound, hall, device):
    sound = virtual_sound({"fan": 1, "spare": 2}, rate_hz=RATE, channels=2)
    sound["fan"].play(tones(0.5, 0.1), loop=True)
    hall.expect(device, f"{device}#1")
    ears = hall.listen(device, f"{device}#1")
    for ear in ears:
        await ear.hears(5)
    sound["fan"].unplug()
    for ear in ears:
        await ear.until(lambda ear=ear: ear.outages)
        assert ear.outages[0].state is MicrophoneState.NO_DEVICE
    before = [len(ear.blocks) for ear in ears]
    sound["fan"].plug()
    for ear, blocks in zip(ears, before, strict=True):
        await ear.hears(blocks + 5)
        assert ear.source.restarts == ear.source.gaps == 1
        assert ear.source.lost_samples > 0
    for ear, amplitude in zip(ears, (0.5, 0.1), strict=True):
        assert rms(ear.blocks[-1]) == pytest.approx(amplitude / np.sqrt(2), rel=0.1)
    assert len(capture_processes()) == 1


async def test_a_channel_that_is_not_there_disturbs_nobody(virtual_sound, hall):
    virtual_sound({"fan": 1}, rate_hz=RATE, channels=2)
    hall.expect("hw:1", "hw:1#2")
    fan, none = hall.listen("hw:1", "hw:1#2")
    await fan.hears(10)
    (outage,) = none.outages
    assert outage.reason == (
        "hw:1#2: it has no channel 2: it has 2 channels: choose one from 0 to 1"
    )
    assert outage.state is MicrophoneState.FAULT
    assert not fan.outages
    assert not none.blocks


async def test_a_killed_child_is_replaced_for_both(virtual_sound, hall):
    virtual_sound({"fan": 1}, rate_hz=RATE, channels=2)
    hall.expect("hw:1", "hw:1#1")
    ears = hall.listen("hw:1", "hw:1#1")
    for ear in ears:
        await ear.hears(3)
    (child,) = capture_processes()
    os.kill(child, signal.SIGKILL)
    for ear in ears:
        await ear.until(lambda ear=ear: ear.source.restarts == 1)
        assert "SIGKILL" in ear.outages[0].reason
    async with asyncio.timeout(30):
        await asyncio.gather(*(ear.hears(len(ear.blocks) + 3) for ear in ears))
