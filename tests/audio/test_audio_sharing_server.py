"""Sharing of the daemon's sound: clients receive the blocks of a published channel."""

import asyncio
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.audio.sharing.client import SharedSource, connect
from asd_monitor.audio.sharing.server import PublishedChannel, SharingServer
from asd_monitor.audio.source import Opened
from asd_monitor.errors import OperationError
from asd_monitor.records import Block
from tests.doubles.blocks import block_at, described, stream_at
from tests.doubles.event_collector import EventCollector
from tests.doubles.waiting import until

RATE = 16_000


def block(start: int, count: int = 1600) -> Block:
    rng = np.random.default_rng(start)
    samples = rng.integers(-(2**15), 2**15, count) / 2**15
    return block_at(start, samples.astype(np.float32))


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[SharingServer]:
    server = SharingServer(tmp_path)
    await server.start()
    yield server
    await server.stop()
    assert not server.path.exists()


def publish(
    server: SharingServer, machine: str = "fan", device: str = "hw:1", *, opened: bool = True
) -> PublishedChannel:
    channel = server.publish(machine, parse_device(device))
    channel.opened = Opened(stream_at(RATE), 2, "USB microphone") if opened else None
    return channel


async def connected(server: SharingServer, **request: str) -> SharedSource:
    source = await connect(server.path, **request)  # type: ignore[arg-type]
    assert source is not None
    return source


async def test_blocks_are_received_exactly_with_their_gaps(server):
    channel = publish(server)
    source = await connected(server, device="hw:1")
    collector = EventCollector(source)
    await collector.until(lambda: collector.events)
    assert described(collector.events[0]) == (RATE, 2, "USB microphone")
    assert (source.shared.device, source.shared.channel) == ("hw:1", 0)
    for start in (32_000, 33_600, 64_000):
        channel.send_block(block(start), 1.0)
    await collector.until_blocks(3)
    for start, received in zip((32_000, 33_600, 64_000), collector.blocks, strict=True):
        assert received.start == start
        np.testing.assert_array_equal(received.samples, block(start).samples)
    assert (source.stream.gaps, source.stream.lost_samples) == (1, 64_000 - 35_200)
    server.withdraw(channel)
    await collector.until(lambda: collector.outages)
    await collector.close()


@pytest.mark.parametrize(
    ("request_", "channel"),
    [({"device": "hw:1"}, 0), ({"device": "hw:1#1"}, 1), ({"machine": "right"}, 1)],
)
async def test_channel_is_selected_by_device_or_machine(server, request_, channel):
    publish(server, "left", "hw:1#0")
    publish(server, "right", "hw:1#1")
    source = await connected(server, **request_)
    assert source.shared.channel == channel
    await source.close()


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"device": "hw:2"}, "no machine uses the device hw:2; in use: hw:1, hw:3"),
        ({"device": "hw:1#3"}, "no machine uses the device hw:1#3"),
        ({"machine": "pump"}, "no machine pump; monitored: fan, mill"),
        ({"machine": "mill"}, "hw:3 delivers no sound at present"),
        ({"device": "nonsense"}, "nonsense"),
    ],
)
async def test_unavailable_sound_is_refused_with_the_available(server, request_, reason):
    publish(server)
    publish(server, "mill", "hw:3", opened=False)
    with pytest.raises(OperationError, match=reason):
        await connect(server.path, **request_)


async def test_malformed_requests_do_not_affect_other_clients(server):
    channel = publish(server)
    for line in (b"\xff\x00\n", b"{}\n", b"x" * 200_000, b""):
        _, writer = await asyncio.open_unix_connection(server.path)
        writer.write(line)
        writer.close()
    source = await connected(server, machine="fan")
    collector = EventCollector(source)
    await collector.until(lambda: collector.events)
    channel.send_block(block(0), 1.0)
    await collector.until_blocks(1)
    await collector.close()


async def test_client_that_does_not_read_is_disconnected(server):
    channel = publish(server)
    with socket.socket(socket.AF_UNIX) as idle:
        idle.connect(str(server.path))
        idle.sendall(b'{"machine": "fan"}\n')
        start = 0

        def send() -> bool:
            nonlocal start
            channel.send_block(block(start, 160_000), 1.0)
            start += 160_000
            return bool(server.dropped_clients == 1)

        await until(send)


async def test_socket_is_accessible_to_owner_and_group_only(server):
    assert stat.S_IMODE(server.path.stat().st_mode) == 0o660


async def test_socket_left_by_a_crash_is_replaced(tmp_path):
    for _ in range(2):
        with socket.socket(socket.AF_UNIX) as left:
            (tmp_path / "sound.sock").unlink(missing_ok=True)
            left.bind(str(tmp_path / "sound.sock"))
        server = SharingServer(tmp_path)
        await server.start()
        publish(server)
        source = await connected(server, machine="fan")
        await source.close()
        await server.stop()


async def test_socket_path_that_is_too_long_does_not_stop_the_daemon(tmp_path):
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    server = SharingServer(folder)
    await server.start()
    assert await connect(server.path, machine="fan") is None
    await server.stop()
