"""Two channels of one device on a real PortAudio and sound server: one process for both."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import numpy as np
import numpy.typing as npt
import pytest

from asd_monitor.audio.opening import DevicePool
from asd_monitor.records import Block, MicrophoneState
from tests.doubles.blocks import described
from tests.doubles.capture_processes import capture_processes
from tests.doubles.event_collector import PoolCollectors

RATE = 16000

pytestmark = pytest.mark.slow


def tones(*amplitudes: float) -> npt.NDArray[np.float64]:
    """Return 1 s of 440 Hz, (samples, channels), with an amplitude for each channel."""
    tone = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    return tone[:, np.newaxis] * amplitudes


def rms(block: Block) -> float:
    return float(np.sqrt(np.mean(np.square(block.samples))))


@pytest.fixture
async def plant() -> AsyncIterator[PoolCollectors]:
    plant = PoolCollectors(DevicePool())
    yield plant
    await plant.close()
    assert capture_processes() == []


@pytest.mark.parametrize("device", ["hw:1", "pulse:fan"])
async def test_each_machine_receives_every_sample_of_its_channel(virtual_sound, plant, device):
    sound = virtual_sound({"fan": 1}, rate_hz=RATE, channels=2)
    noise = np.random.default_rng(5).integers(-20000, 20000, (2 * RATE, 2)).astype(np.int16)
    plant.expect(device, f"{device}#1")
    collectors = await plant.collect(device, f"{device}#1")
    for each in collectors:
        await each.until_blocks(3)
        assert described(each.events[0]) == (RATE, 2, each.events[0].name)
    assert len(capture_processes()) == 1
    sound["fan"].play(noise / 32768)
    starts = []
    for channel, each in enumerate(collectors):
        await each.until(lambda each=each: each.blocks[-1].end > 6 * RATE)
        captured = np.concatenate([block.samples for block in each.blocks])
        first = np.flatnonzero(np.abs(captured) > 0.1)[0]
        played = noise[:, channel] / 32768
        start = next(k for k in range(max(0, first - 20), first + 1) if captured[k] == played[0])
        np.testing.assert_array_equal(captured[start : start + 2 * RATE], played)
        starts.append(each.blocks[0].start + start)
        assert (
            each.source.stream.lost_samples
            == each.source.stream.gaps
            == each.source.stream.restarts
            == 0
        )
    assert starts[0] == starts[1]


async def test_device_is_opened_again_for_another_channel_and_not_for_fewer(virtual_sound, plant):
    sound = virtual_sound({"fan": 1}, rate_hz=RATE, channels=2)
    sound["fan"].play(tones(0.5, 0.1), loop=True)
    (fan,) = await plant.collect("hw:1")
    await fan.until_blocks(5)
    (child_of_one,) = capture_processes()
    (pump,) = await plant.collect("hw:1#1")
    await pump.until_blocks(5)
    (child_of_both,) = capture_processes()
    assert child_of_both != child_of_one
    await fan.until_new_blocks(3)
    (outage,) = fan.outages
    assert outage.reason == "hw:1: opened again to add channel 1"
    assert (fan.source.stream.restarts, fan.source.stream.gaps) == (1, 1)
    assert 0 < fan.source.stream.lost_samples < 20 * RATE
    assert (pump.source.stream.restarts, pump.source.stream.lost_samples) == (0, 0)
    assert pump.blocks[0].start > fan.blocks[4].end

    await fan.close()
    await pump.until_new_blocks(5)
    assert capture_processes() == [child_of_both]
    (again,) = await plant.collect("hw:1")
    await again.until_blocks(5)
    assert capture_processes() == [child_of_both]
    assert again.source.stream.lost_samples == 0
    assert rms(again.blocks[-1]) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)
    assert rms(pump.blocks[-1]) == pytest.approx(0.1 / np.sqrt(2), rel=0.1)


@pytest.mark.parametrize("device", ["hw:1", "pulse:fan"])
async def test_unplugging_is_an_outage_and_recovers_for_both(virtual_sound, plant, device):
    sound = virtual_sound({"fan": 1, "spare": 2}, rate_hz=RATE, channels=2)
    sound["fan"].play(tones(0.5, 0.1), loop=True)
    plant.expect(device, f"{device}#1")
    collectors = await plant.collect(device, f"{device}#1")
    for each in collectors:
        await each.until_blocks(5)
    sound["fan"].unplug()
    for each in collectors:
        await each.until(lambda each=each: each.outages)
        assert each.outages[0].state is MicrophoneState.NO_DEVICE
    before = [len(each.blocks) for each in collectors]
    sound["fan"].plug()
    for each, blocks in zip(collectors, before, strict=True):
        await each.until_blocks(blocks + 5)
        assert each.source.stream.restarts == each.source.stream.gaps == 1
        assert each.source.stream.lost_samples > 0
    for each, amplitude in zip(collectors, (0.5, 0.1), strict=True):
        assert rms(each.blocks[-1]) == pytest.approx(amplitude / np.sqrt(2), rel=0.1)
    assert len(capture_processes()) == 1


async def test_missing_channel_does_not_affect_the_others(virtual_sound, plant):
    virtual_sound({"fan": 1}, rate_hz=RATE, channels=2)
    plant.expect("hw:1", "hw:1#2")
    fan, none = await plant.collect("hw:1", "hw:1#2")
    await fan.until_blocks(10)
    (outage,) = none.outages
    assert outage.reason == (
        "hw:1#2: no channel 2: the device has 2 channels: choose one from 0 to 1"
    )
    assert outage.state is MicrophoneState.FAULT
    assert not fan.outages
    assert not none.blocks


async def test_killed_child_is_replaced_for_both(virtual_sound, plant):
    virtual_sound({"fan": 1}, rate_hz=RATE, channels=2)
    plant.expect("hw:1", "hw:1#1")
    collectors = await plant.collect("hw:1", "hw:1#1")
    for each in collectors:
        await each.until_blocks(3)
    (child,) = capture_processes()
    os.kill(child, signal.SIGKILL)
    for each in collectors:
        await each.until(lambda each=each: each.source.stream.restarts == 1)
        assert "SIGKILL" in each.outages[0].reason
    await asyncio.gather(*(each.until_new_blocks(3) for each in collectors))
