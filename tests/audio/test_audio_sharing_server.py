"""Other programs hear what the daemon hears."""

import asyncio
import socket
import stat

import numpy as np
import pytest
from tests.doubles import daemon_fakes

from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.audio.sharing.client import connect
from asd_monitor.audio.sharing.server import Outlet, SoundSharing
from asd_monitor.audio.source import Opened, Outage
from asd_monitor.errors import OperationError
from asd_monitor.records import Block

RATE = 16_000


def block(start: int, count: int = 1600) -> Block:
    rng = np.random.default_rng(start)
    samples = rng.integers(-(2**15), 2**15, count) / 2**15
    return Block(start, samples.astype(np.float32))


@pytest.fixture
async def sharing(tmp_path):
    sharing = SoundSharing(tmp_path)
    await sharing.start()
    yield sharing
    await sharing.stop()
    assert not sharing.path.exists()


def listening(sharing: SoundSharing, machine: str = "fan", device: str = "hw:1") -> Outlet:
    outlet = sharing.outlet(machine, parse_device(device))
    outlet.opened = Opened(RATE, 2, "USB microphone")
    return outlet


async def test_the_sound_arrives_bit_for_bit_with_its_gaps(sharing):
    outlet = listening(sharing)
    heard = await connect(sharing.path, device="hw:1")
    assert heard is not None
    events = heard.events()
    assert await anext(events) == Opened(RATE, 2, "USB microphone")
    assert (heard.device, heard.channel) == ("hw:1", 0)
    for start in (32_000, 33_600, 64_000):
        outlet.hand_over(block(start), 1.0)
        got = await anext(events)
        assert isinstance(got, Block)
        assert got.start == start
        np.testing.assert_array_equal(got.samples, block(start).samples)
    assert (heard.gaps, heard.lost_samples) == (1, 64_000 - 35_200)
    sharing.withdraw(outlet)
    assert isinstance(await anext(events), Outage)
    await heard.close()


async def test_by_machine_and_by_channel(sharing):
    listening(sharing, "left", "hw:1#0")
    listening(sharing, "right", "hw:1#1")
    for question, channel in [
        ({"device": "hw:1"}, 0),
        ({"device": "hw:1#1"}, 1),
        ({"machine": "right"}, 1),
    ]:
        heard = await connect(sharing.path, **question)
        assert heard is not None
        assert heard.channel == channel
        await heard.close()


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ({"device": "hw:2"}, "no machine here listens to hw:2; there are: hw:1, hw:3"),
        ({"device": "hw:1#3"}, "no machine here listens to hw:1#3"),
        ({"machine": "pump"}, "no machine pump here; there are: fan, mill"),
        ({"machine": "mill"}, "hw:3 is not heard at the moment"),
        ({"device": "nonsense"}, "nonsense"),
    ],
)
async def test_what_cannot_be_heard_is_refused_with_what_can(sharing, question, answer):
    listening(sharing)
    listening(sharing, "mill", "hw:3").opened = None
    with pytest.raises(OperationError, match=answer):
        await connect(sharing.path, **question)


async def test_garbage_and_silence_do_no_harm(sharing):
    outlet = listening(sharing)
    for line in (b"\xff\x00\n", b"{}\n", b"x" * 200_000, b""):
        _, writer = await asyncio.open_unix_connection(sharing.path)
        writer.write(line)
        writer.close()
    heard = await connect(sharing.path, machine="fan")
    assert heard is not None
    events = heard.events()
    await anext(events)
    outlet.hand_over(block(0), 1.0)
    assert isinstance(await anext(events), Block)
    await heard.close()


async def test_a_reader_that_does_not_read_is_cut_off(sharing):
    outlet = listening(sharing)
    with socket.socket(socket.AF_UNIX) as lazy:
        lazy.connect(str(sharing.path))
        lazy.sendall(b'{"machine": "fan"}\n')
        start = 0

        def push() -> bool:
            nonlocal start
            outlet.hand_over(block(start, 160_000), 1.0)
            start += 160_000
            return sharing.dropped_clients == 1

        await daemon_fakes.until(push)


async def test_only_owner_and_group_may_hear(sharing):
    assert stat.S_IMODE(sharing.path.stat().st_mode) == 0o660


async def test_a_socket_left_by_a_crash_is_replaced(tmp_path):
    for _ in range(2):
        with socket.socket(socket.AF_UNIX) as left:
            (tmp_path / "sound.sock").unlink(missing_ok=True)
            left.bind(str(tmp_path / "sound.sock"))
        sharing = SoundSharing(tmp_path)
        await sharing.start()
        listening(sharing)
        heard = await connect(sharing.path, machine="fan")
        assert heard is not None
        await heard.close()
        await sharing.stop()


async def test_a_path_that_is_too_long_does_not_stop_the_daemon(tmp_path):
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    sharing = SoundSharing(folder)
    await sharing.start()
    await sharing.stop()
