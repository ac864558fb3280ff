"""A device shared by several machines: each receives its channel, unaffected by the others."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from asd_monitor.audio.devices.device_strings import DeviceSpec, parse_device
from asd_monitor.audio.files.file_source import FileSource
from asd_monitor.audio.opening import DevicePool, ExpectedSource
from asd_monitor.audio.source import Opened, Outage
from asd_monitor.records import Block, MicrophoneState
from tests.doubles.blocks import described
from tests.doubles.event_collector import PoolCollectors
from tests.doubles.scripted_microphone import BLOCK, RATE_HZ, ScriptedMicrophone, ramp
from tests.doubles.waiting import TIMEOUT_S


class Plant(PoolCollectors):
    """A pool of scripted devices of two channels, and the consumers of its sources."""

    def __init__(self) -> None:
        self.pool = DevicePool(open_microphone=self._open_microphone)
        self.microphones: list[ScriptedMicrophone] = []
        self.opened: list[str] = []
        self.has_opened = asyncio.Event()
        super().__init__(self.pool)

    def _open_microphone(self, spec: DeviceSpec) -> ScriptedMicrophone:
        self.opened.append(str(spec))
        self.microphones.append(ScriptedMicrophone())
        self.has_opened.set()
        return self.microphones[-1]

    @property
    def microphone(self) -> ScriptedMicrophone:
        return self.microphones[-1]


@pytest.fixture
async def plant() -> AsyncIterator[Plant]:
    plant = Plant()
    yield plant
    await plant.close()


def assert_channel(blocks: list[Block], channel: int, start: int, end: int) -> None:
    """These blocks are this channel of a scripted microphone, gapless."""
    assert blocks[0].start == start
    samples = np.concatenate([block.samples for block in blocks])
    np.testing.assert_array_equal(samples, ramp(channel, start, end))


async def test_each_machine_receives_its_channel_at_the_same_sample_indices(plant: Plant) -> None:
    plant.expect("hw:1", "hw:1#1")
    fan, pump = await plant.collect("hw:1", "hw:1#1")
    assert plant.opened == ["hw:1"]
    assert plant.microphone.wanted[0] == {0, 1}  # whichever source is attached first
    plant.microphone.open()
    plant.microphone.play(5)
    for each in (fan, pump):
        await each.until_blocks(5)
        assert described(each.events[0]) == (RATE_HZ, 2, "scripted")
        assert [block.start for block in each.blocks] == [k * BLOCK for k in range(5)]
        assert each.source.drift_ppm == 12.0
        assert (
            each.source.stream.lost_samples
            == each.source.stream.gaps
            == each.source.stream.restarts
            == 0
        )
    assert_channel(fan.blocks, 0, 0, 5 * BLOCK)
    assert_channel(pump.blocks, 1, 0, 5 * BLOCK)
    first_of_each = fan.blocks[0].samples, pump.blocks[0].samples
    assert first_of_each[0].base is first_of_each[1].base is not None


async def test_two_machines_on_one_channel_receive_the_same(plant: Plant) -> None:
    fan, copy = await plant.collect("hw:1", "hw:1#0")
    plant.microphone.open()
    plant.microphone.play(2)
    for each in (fan, copy):
        await each.until_blocks(2)
        assert_channel(each.blocks, 0, 0, 2 * BLOCK)
    assert len(plant.microphones) == 1


async def test_each_device_is_opened_once(plant: Plant) -> None:
    await plant.collect("hw:1", "hw:10", "pulse:fan", "pulse:fan#1")
    assert plant.opened == ["hw:1", "hw:10", "pulse:fan"]


def test_recording_is_read_for_each_machine_separately(tmp_path: Path) -> None:
    pool = DevicePool()
    spec = parse_device(f"file:{tmp_path}/a.wav#1")
    pool.expect([ExpectedSource(spec)])
    one, other = pool.open(spec), pool.open(spec)
    assert isinstance(one, FileSource)
    assert isinstance(other, FileSource)
    assert one is not other


async def test_gap_of_the_device_is_a_gap_of_every_machine(plant: Plant) -> None:
    plant.expect("hw:1", "hw:1#1")
    fan, pump = await plant.collect("hw:1", "hw:1#1")
    plant.microphone.open()
    plant.microphone.play()
    plant.microphone.play(gap=700)
    for each in (fan, pump):
        await each.until_blocks(2)
        assert each.blocks[1].start == BLOCK + 700
        assert (each.source.stream.lost_samples, each.source.stream.gaps) == (700, 1)


async def test_outage_and_recovery_are_reported_to_all(plant: Plant) -> None:
    plant.expect("hw:1", "hw:1#1")
    fan, pump = await plant.collect("hw:1", "hw:1#1")
    plant.microphone.open()
    plant.microphone.play()
    plant.microphone.interrupt("unplugged")
    plant.microphone.open()
    plant.microphone.play(gap=5 * RATE_HZ)
    for each in (fan, pump):
        await each.until_blocks(2)
        kinds = [type(event) for event in each.events]
        assert kinds == [Opened, Block, Outage, Opened, Block]
        assert each.source.stream.restarts == each.source.stream.gaps == 1
        assert each.source.stream.lost_samples == 5 * RATE_HZ


async def test_missing_channel_is_an_outage_of_its_machine_only(plant: Plant) -> None:
    plant.expect("hw:1", "hw:1#5")
    fan, pump = await plant.collect("hw:1", "hw:1#5")
    plant.microphone.open()
    plant.microphone.play(2)
    await fan.until_blocks(2)
    assert not fan.outages
    assert pump.events == [
        Outage(
            "hw:1#5: no channel 5: the device has 2 channels: choose one from 0 to 1",
            MicrophoneState.FAULT,
        )
    ]
    assert pump.source.stream.lost_samples == pump.source.stream.restarts == 0


async def test_device_is_released_by_its_last_source_only(plant: Plant) -> None:
    plant.expect("hw:1", "hw:1#1")
    fan, pump = await plant.collect("hw:1", "hw:1#1")
    plant.microphone.open()
    plant.microphone.play()
    await pump.until_blocks(1)
    await fan.close()
    assert not plant.microphone.closed.is_set()
    plant.microphone.play(2)
    await pump.until_blocks(3)
    assert_channel(pump.blocks, 1, 0, 3 * BLOCK)
    assert len(fan.blocks) == 1
    await pump.close()
    assert plant.microphone.closed.is_set()
    assert not pump.outages


async def test_cancelled_consumer_releases_the_device(plant: Plant) -> None:
    (fan,) = await plant.collect("hw:1")
    fan.task.cancel()
    await asyncio.wait((fan.task,), timeout=TIMEOUT_S)
    assert plant.microphone.closed.is_set()


async def test_later_source_starts_at_the_current_sample_index(plant: Plant) -> None:
    plant.expect("hw:1", "hw:1#1")
    (fan,) = await plant.collect("hw:1")
    plant.microphone.open()
    plant.microphone.play(3)
    await fan.until_blocks(3)
    (pump,) = await plant.collect("hw:1#1")
    plant.microphone.play(2)
    await pump.until_blocks(2)
    assert described(pump.events[0]) == (RATE_HZ, 2, "scripted")
    assert_channel(pump.blocks, 1, 3 * BLOCK, 5 * BLOCK)
    assert (
        pump.source.stream.lost_samples
        == pump.source.stream.gaps
        == pump.source.stream.restarts
        == 0
    )
    assert len(plant.microphones) == 1


async def test_later_source_receives_the_outage_in_progress(plant: Plant) -> None:
    (fan,) = await plant.collect("hw:1")
    plant.microphone.interrupt("not plugged in")
    await fan.until(lambda: fan.outages)
    (pump,) = await plant.collect("hw:1#1")
    await pump.until(lambda: pump.events)
    assert pump.events == fan.events


async def test_later_source_with_another_channel_starts_at_the_next_opening(plant: Plant) -> None:
    (fan,) = await plant.collect("hw:1")
    plant.microphone.open()
    plant.microphone.play()
    await fan.until_blocks(1)
    (pump,) = await plant.collect("hw:1#1")
    assert plant.microphone.wanted[-1] == {0, 1}
    plant.microphone.play()
    await fan.until_blocks(2)
    assert not pump.events
    plant.microphone.interrupt("opened again")
    plant.microphone.open()
    plant.microphone.play(gap=RATE_HZ)
    await pump.until_blocks(1)
    await fan.until_blocks(3)
    assert_channel(pump.blocks, 1, 2 * BLOCK + RATE_HZ, 3 * BLOCK + RATE_HZ)
    assert (pump.source.stream.restarts, fan.source.stream.restarts) == (0, 1)
    assert (pump.source.stream.lost_samples, fan.source.stream.lost_samples) == (0, RATE_HZ)


async def test_source_attached_during_a_release_waits_for_its_end(plant: Plant) -> None:
    (fan,) = await plant.collect("hw:1")
    first = plant.microphone
    first.may_close.clear()
    plant.has_opened.clear()
    closing = asyncio.create_task(fan.close())
    await asyncio.sleep(0)
    (pump,) = await plant.collect("hw:1#1")
    assert plant.microphones == [first]
    first.may_close.set()
    await closing
    await asyncio.wait_for(plant.has_opened.wait(), TIMEOUT_S)
    assert first.closed.is_set()
    plant.microphone.open()
    plant.microphone.play()
    await pump.until_blocks(1)
    assert_channel(pump.blocks, 1, 0, BLOCK)


async def test_channel_no_longer_expected_is_omitted_from_the_next_opening(plant: Plant) -> None:
    plant.expect("hw:1", "hw:1#1")
    (fan,) = await plant.collect("hw:1")
    plant.expect("hw:1")
    await fan.close()
    await plant.collect("hw:1")
    assert [each.wanted[0] for each in plant.microphones] == [{0, 1}, {0}]


async def test_error_of_the_microphone_is_raised_in_every_source(plant: Plant) -> None:
    plant.expect("hw:1", "hw:1#1")
    fan, pump = await plant.collect("hw:1", "hw:1#1")
    plant.microphone.open()
    plant.microphone.fail(ZeroDivisionError("a defect"))
    for each in (fan, pump):
        with pytest.raises(ZeroDivisionError, match="a defect"):
            await asyncio.wait_for(each.task, TIMEOUT_S)
    (again,) = await plant.collect("hw:1")
    assert len(plant.microphones) == 2
    plant.microphone.open()
    plant.microphone.play()
    await again.until_blocks(1)


async def test_blocks_are_as_long_as_the_shortest_that_a_machine_asks_for(plant: Plant) -> None:
    fan, pump = parse_device("hw:1"), parse_device("hw:1#1")
    plant.pool.expect([ExpectedSource(fan, 0.5), ExpectedSource(pump, 0.25)])
    await plant.collect("hw:1")
    assert plant.microphone.block_s[0] == 0.25
