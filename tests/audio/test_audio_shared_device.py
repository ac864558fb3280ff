"""A device that several machines hear: each its own channel, and nobody another's trouble."""

import asyncio

import numpy as np
import pytest
from tests.doubles.scripted_microphone import BLOCK, PATIENCE_S, RATE, Ear, ScriptedMicrophone, ramp

from asd_monitor.audio import opening
from asd_monitor.audio.capture.shared_device import QUEUE_EVENTS
from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.audio.files.file_source import FileSource
from asd_monitor.audio.opening import Devices
from asd_monitor.audio.source import Opened, Outage
from asd_monitor.records import Block, MicrophoneState


class Hall:
    """Devices of two channels, all scripted."""

    def __init__(self) -> None:
        self.devices = Devices()
        self.made: list[ScriptedMicrophone] = []
        self.ears: list[Ear] = []
        self.opened: list[str] = []
        self.made_one = asyncio.Event()

    def make(self, spec, **_) -> ScriptedMicrophone:
        self.opened.append(str(spec))
        self.made.append(ScriptedMicrophone())
        self.made_one.set()
        return self.made[-1]

    @property
    def microphone(self) -> ScriptedMicrophone:
        return self.made[-1]

    def expect(self, *devices: str) -> None:
        self.devices.expect(map(parse_device, devices))

    async def listen(self, *devices: str) -> list[Ear]:
        ears = [Ear(self.devices.open(parse_device(device))) for device in devices]
        self.ears += ears
        await asyncio.sleep(0)  # each has joined
        return ears


@pytest.fixture
async def hall(monkeypatch):
    hall = Hall()
    monkeypatch.setattr(opening, "Microphone", hall.make)
    yield hall
    for ear in hall.ears:
        await ear.end()


def expect_channel(blocks: list[Block], channel: int, start: int, end: int) -> None:
    """These blocks are that channel of a scripted microphone, whole."""
    assert blocks[0].start == start
    heard = np.concatenate([block.samples for block in blocks])
    np.testing.assert_array_equal(heard, ramp(channel, start, end))


async def test_each_machine_hears_its_own_channel_at_the_same_sample_indices(hall):
    hall.expect("hw:1", "hw:1#1")
    fan, pump = await hall.listen("hw:1", "hw:1#1")
    assert hall.opened == ["hw:1"]
    assert hall.microphone.wanted[0] == {0, 1}  # wide at once, whoever comes first
    hall.microphone.open()
    hall.microphone.hear(5)
    for ear in (fan, pump):
        await ear.hears(5)
        assert ear.events[0] == Opened(RATE, 2, "scripted")
        assert [block.start for block in ear.blocks] == [k * BLOCK for k in range(5)]
        assert ear.source.drift_ppm == 12.0
        assert ear.source.lost_samples == ear.source.gaps == ear.source.restarts == 0
    expect_channel(fan.blocks, 0, 0, 5 * BLOCK)
    expect_channel(pump.blocks, 1, 0, 5 * BLOCK)
    both = fan.blocks[0].samples, pump.blocks[0].samples
    assert both[0].base is both[1].base is not None


async def test_two_machines_on_one_channel_hear_the_same(hall):
    fan, copy = await hall.listen("hw:1", "hw:1#0")
    hall.microphone.open()
    hall.microphone.hear(2)
    for ear in (fan, copy):
        await ear.hears(2)
        expect_channel(ear.blocks, 0, 0, 2 * BLOCK)
    assert len(hall.made) == 1


async def test_other_devices_are_opened_for_themselves(hall):
    await hall.listen("hw:1", "hw:10", "pulse:fan", "pulse:fan#1")
    assert hall.opened == ["hw:1", "hw:10", "pulse:fan"]


def test_recordings_are_read_by_each_machine_for_itself(tmp_path):
    devices = Devices()
    spec = parse_device(f"file:{tmp_path}/a.wav#1")
    devices.expect([spec])
    one, other = devices.open(spec), devices.open(spec)
    assert isinstance(one, FileSource)
    assert isinstance(other, FileSource)
    assert one is not other


async def test_a_gap_of_the_device_is_one_of_every_machine(hall):
    hall.expect("hw:1", "hw:1#1")
    fan, pump = await hall.listen("hw:1", "hw:1#1")
    hall.microphone.open()
    hall.microphone.hear()
    hall.microphone.hear(gap=700)
    for ear in (fan, pump):
        await ear.hears(2)
        assert ear.blocks[1].start == BLOCK + 700
        assert (ear.source.lost_samples, ear.source.gaps) == (700, 1)


async def test_an_outage_is_told_to_all_and_heals_for_all(hall):
    hall.expect("hw:1", "hw:1#1")
    fan, pump = await hall.listen("hw:1", "hw:1#1")
    hall.microphone.open()
    hall.microphone.hear()
    hall.microphone.lose("unplugged")
    hall.microphone.open()
    hall.microphone.hear(gap=5 * RATE)
    for ear in (fan, pump):
        await ear.hears(2)
        kinds = [type(event) for event in ear.events]
        assert kinds == [Opened, Block, Outage, Opened, Block]
        assert ear.source.restarts == ear.source.gaps == 1
        assert ear.source.lost_samples == 5 * RATE


async def test_a_channel_that_is_not_there_is_an_outage_of_that_machine_alone(hall):
    hall.expect("hw:1", "hw:1#5")
    fan, pump = await hall.listen("hw:1", "hw:1#5")
    hall.microphone.open()
    hall.microphone.hear(2)
    await fan.hears(2)
    assert not fan.outages
    assert pump.events == [
        Outage(
            "hw:1#5: it has no channel 5: it has 2 channels: choose one from 0 to 1",
            MicrophoneState.FAULT,
        )
    ]
    assert pump.source.lost_samples == pump.source.restarts == 0


async def test_who_is_slow_loses_the_oldest_sound_and_alone(hall):
    hall.expect("hw:1", "hw:1#1")
    (fan,) = await hall.listen("hw:1")
    slow = hall.devices.open(parse_device("hw:1#1"))
    told = slow.events()
    first = asyncio.ensure_future(anext(told))
    await asyncio.sleep(0)
    hall.microphone.open()
    await first
    hall.microphone.hear()
    heard = [await anext(told)]
    hall.microphone.hear(QUEUE_EVENTS + 7)
    await fan.hears(QUEUE_EVENTS + 8)
    heard += [await anext(told) for _ in range(QUEUE_EVENTS)]
    assert [block.start for block in heard[:2]] == [0, 8 * BLOCK]
    assert heard[-1].end == hall.microphone.end
    assert (slow.lost_samples, slow.gaps) == (7 * BLOCK, 1)
    assert (fan.source.lost_samples, fan.source.gaps) == (0, 0)
    await told.aclose()


async def test_who_is_slow_is_still_told_that_it_was_opened(hall):
    hall.expect("hw:1", "hw:1#1")
    (fan,) = await hall.listen("hw:1")
    slow = hall.devices.open(parse_device("hw:1#1"))
    told = slow.events()
    first = asyncio.ensure_future(anext(told))
    await asyncio.sleep(0)
    hall.microphone.lose("not plugged in")
    assert await first == Outage("not plugged in", MicrophoneState.NO_DEVICE)
    hall.microphone.open()
    hall.microphone.hear(QUEUE_EVENTS + 1)
    await fan.hears(QUEUE_EVENTS + 1)
    assert await anext(told) == Opened(RATE, 2, "scripted")
    assert (await anext(told)).start == BLOCK
    assert slow.lost_samples == BLOCK
    await told.aclose()


async def test_a_burst_fills_no_queue(hall):
    (fan,) = await hall.listen("hw:1")
    hall.microphone.open()
    hall.microphone.hear(2 * QUEUE_EVENTS)
    await fan.hears(2 * QUEUE_EVENTS)
    assert fan.source.lost_samples == 0


async def test_one_that_leaves_disturbs_nobody_and_the_last_one_releases_the_device(hall):
    hall.expect("hw:1", "hw:1#1")
    fan, pump = await hall.listen("hw:1", "hw:1#1")
    hall.microphone.open()
    hall.microphone.hear()
    await pump.hears(1)
    await fan.end()
    assert not hall.microphone.closed.is_set()
    hall.microphone.hear(2)
    await pump.hears(3)
    expect_channel(pump.blocks, 1, 0, 3 * BLOCK)
    assert len(fan.blocks) == 1
    await pump.end()
    assert hall.microphone.closed.is_set()
    assert not pump.outages


async def test_one_that_is_cancelled_leaves_too(hall):
    (fan,) = await hall.listen("hw:1")
    fan.task.cancel()
    await asyncio.wait((fan.task,), timeout=PATIENCE_S)
    assert hall.microphone.closed.is_set()


async def test_a_late_one_hears_on_from_there(hall):
    hall.expect("hw:1", "hw:1#1")
    (fan,) = await hall.listen("hw:1")
    hall.microphone.open()
    hall.microphone.hear(3)
    await fan.hears(3)
    (pump,) = await hall.listen("hw:1#1")
    hall.microphone.hear(2)
    await pump.hears(2)
    assert pump.events[0] == Opened(RATE, 2, "scripted")
    expect_channel(pump.blocks, 1, 3 * BLOCK, 5 * BLOCK)
    assert pump.source.lost_samples == pump.source.gaps == pump.source.restarts == 0
    assert len(hall.made) == 1


async def test_a_late_one_is_told_of_an_outage_that_goes_on(hall):
    (fan,) = await hall.listen("hw:1")
    hall.microphone.lose("not plugged in")
    await fan.until(lambda: fan.outages)
    (pump,) = await hall.listen("hw:1#1")
    await pump.until(lambda: pump.events)
    assert pump.events == fan.events


async def test_a_late_one_whose_channel_is_not_sent_waits_for_another_opening(hall):
    (fan,) = await hall.listen("hw:1")
    hall.microphone.open()
    hall.microphone.hear()
    await fan.hears(1)
    (pump,) = await hall.listen("hw:1#1")
    assert hall.microphone.wanted[-1] == {0, 1}
    hall.microphone.hear()
    await fan.hears(2)
    assert not pump.events
    hall.microphone.lose("it is opened again")
    hall.microphone.open()
    hall.microphone.hear(gap=RATE)
    await pump.hears(1)
    await fan.hears(3)
    expect_channel(pump.blocks, 1, 2 * BLOCK + RATE, 3 * BLOCK + RATE)
    assert (pump.source.restarts, fan.source.restarts) == (0, 1)
    assert (pump.source.lost_samples, fan.source.lost_samples) == (0, RATE)


async def test_one_that_comes_while_the_device_is_released_waits_until_that_is_done(hall):
    (fan,) = await hall.listen("hw:1")
    first = hall.microphone
    first.may_close.clear()
    hall.made_one.clear()
    ending = asyncio.create_task(fan.end())
    await asyncio.sleep(0)
    (pump,) = await hall.listen("hw:1#1")
    assert hall.made == [first]
    first.may_close.set()
    await ending
    await asyncio.wait_for(hall.made_one.wait(), PATIENCE_S)
    assert first.closed.is_set()
    hall.microphone.open()
    hall.microphone.hear()
    await pump.hears(1)
    expect_channel(pump.blocks, 1, 0, BLOCK)


async def test_a_channel_that_nobody_expects_any_more_is_left_out_of_the_next_opening(hall):
    hall.expect("hw:1", "hw:1#1")
    (fan,) = await hall.listen("hw:1")
    hall.expect("hw:1")
    await fan.end()
    await hall.listen("hw:1")
    assert [each.wanted[0] for each in hall.made] == [{0, 1}, {0}]


async def test_a_defect_breaks_every_machine_and_the_next_one_opens_anew(hall):
    hall.expect("hw:1", "hw:1#1")
    fan, pump = await hall.listen("hw:1", "hw:1#1")
    hall.microphone.open()
    hall.microphone.fail(ZeroDivisionError("a defect"))
    for ear in (fan, pump):
        with pytest.raises(ZeroDivisionError, match="a defect"):
            await asyncio.wait_for(ear.task, PATIENCE_S)
    (again,) = await hall.listen("hw:1")
    assert len(hall.made) == 2
    hall.microphone.open()
    hall.microphone.hear()
    await again.hears(1)
