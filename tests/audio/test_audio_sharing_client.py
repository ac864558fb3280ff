"""Client of the shared sound, against a server whose bytes are given by the test."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from asd_monitor.audio.sharing.client import SharedSource, connect
from asd_monitor.audio.sharing.protocol import (
    SharedStream,
    SharingRefusedError,
    encode_block,
    encode_refusal,
    encode_request,
    encode_response,
)
from asd_monitor.audio.source import Opened, Outage
from asd_monitor.errors import OperationError
from asd_monitor.records import Block
from tests.doubles.blocks import block_at, described, stream_at
from tests.doubles.event_collector import EventCollector, all_events

STREAM = SharedStream(Opened(stream_at(16000), 2, "USB: Audio (hw:1,0)"), "hw:1", 1)
RESPONSE = encode_response(STREAM)


def frame(start: int, count: int = 100) -> bytes:
    samples = np.arange(count, dtype=np.float32) / np.float32(32768)
    return encode_block(block_at(start, samples), sequence=0, time_ns=0)


@contextlib.asynccontextmanager
async def serve(
    path: Path, *chunks: bytes | asyncio.Event, disconnect: bool = True
) -> AsyncIterator[list[bytes]]:
    """Send these bytes to each client after its request, waiting for the events among them.

    Yields the requests received.
    """
    requests: list[bytes] = []
    ended = asyncio.Event()

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readline())
        for chunk in chunks:
            if isinstance(chunk, asyncio.Event):
                await chunk.wait()
            else:
                writer.write(chunk)
        if not disconnect:
            await ended.wait()
        writer.close()

    server = await asyncio.start_unix_server(respond, str(path))
    try:
        yield requests
    finally:
        ended.set()
        server.close()
        await server.wait_closed()


async def connected(path: Path, *, silence_limit_s: float = 5.0) -> SharedSource:
    source = await connect(path, device="hw:1", silence_limit_s=silence_limit_s)
    assert source is not None
    return source


async def test_blocks_and_their_gaps_are_received(tmp_path):
    path = tmp_path / "sound.sock"
    split = frame(1500)[:10], frame(1500)[10:]
    async with serve(path, RESPONSE, frame(1000), frame(1100), *split):
        source = await connected(path)
        events = await all_events(source)
        await source.close()
    assert described(events[0]) == described(STREAM.opened)
    blocks = [event for event in events if isinstance(event, Block)]
    assert [block.start for block in blocks] == [1000, 1100, 1500]
    assert isinstance(events[-1], Outage)
    assert (source.stream.gaps, source.stream.lost_samples) == (1, 300)
    assert (source.shared.device, source.shared.channel) == ("hw:1", 1)


async def test_silence_is_an_outage(tmp_path):
    path = tmp_path / "sound.sock"
    async with serve(path, RESPONSE, frame(0), disconnect=False):
        source = await connected(path, silence_limit_s=0.05)
        collector = EventCollector(source)
        await collector.until(lambda: collector.outages)
        await collector.close()
    assert [type(event) for event in collector.events] == [Opened, Block, Outage]


async def test_close_ends_the_delivery_before_blocks_already_received(tmp_path):
    path = tmp_path / "sound.sock"
    frames = [frame(100 * k) for k in range(9)]
    async with serve(path, RESPONSE, *frames, disconnect=False):
        source = await connected(path)
        collector = EventCollector(source)
        closing: list[asyncio.Task[None]] = []

        def close(event: object) -> None:
            if isinstance(event, Block):
                source.stream.close(0.0)
                closing.append(asyncio.create_task(source.close()))

        collector.on_event = close
        await collector.task
        await source.close()
        assert [type(event) for event in collector.events] == [Opened, Block]
        never_run = await connected(path)
        await never_run.close()
        assert await all_events(never_run) == []


async def test_absent_daemon_is_none(tmp_path):
    assert await connect(tmp_path / "none.sock", device="hw:1") is None


async def test_refusal_is_raised_with_its_reason(tmp_path):
    path = tmp_path / "sound.sock"
    async with serve(path, encode_refusal("no machine uses the device hw:2")) as requests:
        with pytest.raises(SharingRefusedError, match="uses the device hw:2"):
            await connect(path, device="hw:2")
    assert requests == [encode_request(device="hw:2")]


@pytest.mark.parametrize(
    "chunks",
    [
        (b"",),
        (b"HTTP/1.1 400\r\n",),
        (b'{"rate_hz": "x"}\n',),
        (b"[]\n",),
        (RESPONSE, b"x" * 100),
    ],
)
async def test_invalid_response_is_reported(tmp_path, chunks):
    path = tmp_path / "sound.sock"
    async with serve(path, b"".join(chunks)):
        with pytest.raises(OperationError, match="no valid response"):
            await connect(path, device="hw:1")


async def test_invalid_frame_is_an_outage_and_ends_the_source(tmp_path):
    path = tmp_path / "sound.sock"
    is_connected = asyncio.Event()
    async with serve(path, RESPONSE, is_connected, b"x" * 100):
        source = await connected(path)
        is_connected.set()
        events = await all_events(source)
    assert isinstance(events[-1], Outage)
    assert "connection to the daemon failed" in events[-1].reason
