"""Hearing through a daemon: the protocol, and a client that meets every kind of server."""

import asyncio
import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from asd_monitor.audio.sharing import client
from asd_monitor.audio.sharing.client import (
    NotSharedError,
    connect,
    decode_block,
    decode_request,
    encode_answer,
    encode_block,
    encode_refusal,
    encode_request,
)
from asd_monitor.audio.source import Opened, Outage
from asd_monitor.audio.wire import Parser, WireError
from asd_monitor.errors import OperationError
from asd_monitor.records import Block

OPENED = Opened(16000, 2, "USB: Audio (hw:1,0)")
ANSWER = encode_answer(OPENED, device="hw:1", channel=1)


def frame(start: int, count: int = 100) -> bytes:
    samples = np.arange(count, dtype=np.float32) / 32768
    return encode_block(Block(start, samples), sequence=0, time_ns=0)


@given(st_numpy.arrays(np.int16, st.integers(0, 50)), st.integers(0, 2**60))
def test_int16_comes_through_exactly(pcm, start):
    block = Block(start, pcm.astype(np.float32) / 32768)
    parser = Parser()
    (got,) = parser.feed(b"{}\n" + encode_block(block, sequence=1, time_ns=2))
    assert decode_block(got).start == start
    np.testing.assert_array_equal(decode_block(got).samples, block.samples)


def test_what_exceeds_full_scale_is_clipped_not_wrapped():
    parser = Parser()
    block = Block(0, np.array([2.0, -2.0], np.float32))
    (got,) = parser.feed(b"{}\n" + encode_block(block, sequence=0, time_ns=0))
    assert list(np.sign(decode_block(got).samples)) == [1, -1]


def test_requests():
    assert decode_request(encode_request(device="hw:1")) == ("hw:1", None)
    assert decode_request(encode_request(machine="fan01")) == (None, "fan01")
    for line in (b"{}", b'{"device": 1}', b'{"device": "a", "machine": "b"}', b"nope"):
        with pytest.raises(WireError):
            decode_request(line)
    with pytest.raises(ValueError, match="either"):
        encode_request()


@contextlib.asynccontextmanager
async def daemon(path, *answers: bytes, then_hang_up: bool = True):
    """Serve these bytes to each client after its request."""
    requests = []
    gone = asyncio.Event()

    async def serve(reader, writer):
        requests.append(await reader.readline())
        for answer in answers:
            writer.write(answer)
        if not then_hang_up:
            await gone.wait()
        writer.close()

    server = await asyncio.start_unix_server(serve, str(path))
    try:
        yield requests
    finally:
        gone.set()
        server.close()
        await server.wait_closed()


async def test_a_client_hears_the_blocks_and_their_gaps(tmp_path):
    path = tmp_path / "sound.sock"
    async with daemon(path, ANSWER, frame(1000), frame(1100), frame(1500)[:10], frame(1500)[10:]):
        source = await connect(path, device="hw:1")
        events = [event async for event in source.events()]
        await source.close()
    assert events[0] == OPENED
    assert [event.start for event in events[1:-1]] == [1000, 1100, 1500]
    assert isinstance(events[-1], Outage)
    assert (source.gaps, source.lost_samples, source.channel) == (1, 300, 1)


async def test_silence_is_an_outage_until_sound_comes(tmp_path, monkeypatch):
    monkeypatch.setattr(client, "SILENT_S", 0.05)
    path = tmp_path / "sound.sock"
    async with daemon(path, ANSWER, frame(0), then_hang_up=False):
        source = await connect(path, device="hw:1")
        events = source.events()
        kinds = [type(await anext(events)) for _ in range(3)]
        assert kinds == [Opened, Block, Outage]
        await source.close()
        assert [event async for event in events] == []


async def test_close_ends_it_at_once_whatever_has_come_already(tmp_path):
    path = tmp_path / "sound.sock"
    async with daemon(path, ANSWER, *(frame(100 * k) for k in range(9)), then_hang_up=False):
        source = await connect(path, device="hw:1")
        events = source.events()
        assert [type(await anext(events)) for _ in range(2)] == [Opened, Block]
        await source.close()
        await source.close()
        assert [event async for event in events] == []
        never_iterated = await connect(path, device="hw:1")
        await never_iterated.close()
        assert [type(event) async for event in never_iterated.events()] == []


async def test_no_daemon_is_none(tmp_path):
    assert await connect(tmp_path / "none.sock", device="hw:1") is None


async def test_a_refusal_is_its_message(tmp_path):
    path = tmp_path / "sound.sock"
    async with daemon(path, encode_refusal("no machine here listens to hw:2")) as requests:
        with pytest.raises(NotSharedError, match="listens to hw:2"):
            await connect(path, device="hw:2")
    assert requests == [encode_request(device="hw:2")]


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400\r\n", b'{"rate_hz": "x"}\n', b"[]\n"])
async def test_another_program_behind_the_socket_is_told(tmp_path, answer):
    path = tmp_path / "sound.sock"
    async with daemon(path, answer):
        with pytest.raises(OperationError, match="not understood"):
            await connect(path, device="hw:1")


async def test_a_broken_stream_is_an_outage(tmp_path):
    path = tmp_path / "sound.sock"
    async with daemon(path, ANSWER, b"x" * 100):
        with pytest.raises(OperationError, match="not understood"):
            await connect(path, device="hw:1")
