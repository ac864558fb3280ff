"""What is received from the broker is checked and bounded before it is decoded."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.publish.checked_socket import MAX_PACKET_BYTES, Acknowledgement, CheckedSocket

CONNACK, PINGRESP = bytes([0x20, 3, 0, 0, 0]), bytes([0xD0, 0])
PUBACK = bytes([0x40, 2, 0, 7])


class ReceivedPieces:
    """A socket that delivers pieces; it would block where there are no more."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces: Iterator[bytes] = iter(pieces)
        self.delivered = 0

    def recv(self, buffer_size: int) -> bytes:
        piece = next(self._pieces, None)
        if piece is None:
            raise BlockingIOError
        assert len(piece) <= buffer_size
        self.delivered += len(piece)
        return piece

    def send(self, buffer: bytes | bytearray) -> int:
        return len(buffer)

    def close(self) -> None:
        pass

    def fileno(self) -> int:
        return -1

    def setblocking(self, flag: bool) -> None:
        pass


def read_all(sock: CheckedSocket) -> tuple[bytes, bool]:
    """Return what can be read, and whether the socket has ended."""
    read = b""
    while True:
        try:
            byte = sock.recv(1)
        except BlockingIOError:
            return read, False
        if not byte:
            return read, True
        read += byte


@given(st.lists(st.sampled_from([CONNACK, PINGRESP, PUBACK]), max_size=8), st.integers(1, 7))
def test_expected_packets_pass_unchanged_however_they_are_cut(
    packets: list[bytes], size: int
) -> None:
    stream = b"".join(packets)
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    sock = CheckedSocket(ReceivedPieces(pieces))
    assert read_all(sock) == (stream, False)
    assert sock.violation is None
    assert not sock.has_received_bytes


@pytest.mark.parametrize("code", [0x95, 0x96, 0xC3, 0xFF])
def test_an_unlisted_reason_code_of_a_puback_is_replaced_and_kept(code: int) -> None:
    sock = CheckedSocket(ReceivedPieces([bytes([0x40, 3, 1, 4, code])]))
    assert read_all(sock) == (bytes([0x40, 3, 1, 4, 0x80]), False)
    assert list(sock.acknowledgements) == [Acknowledgement(0x0104, code)]


@pytest.mark.parametrize("code", [0x00, 0x10, 0x87, 0x97])
def test_a_listed_reason_code_passes_without_its_properties(code: int) -> None:
    text = b"\x1f\x00\x03why"
    packet = bytes([0x40, 4 + len(text), 1, 4, code, len(text)]) + text
    sock = CheckedSocket(ReceivedPieces([packet]))
    assert read_all(sock) == (bytes([0x40, 3, 1, 4, code]), False)
    assert list(sock.acknowledgements) == [Acknowledgement(0x0104, code)]


def test_an_unlisted_reason_code_of_a_disconnect_is_replaced_and_kept() -> None:
    sock = CheckedSocket(ReceivedPieces([bytes([0xE0, 2, 0xC3, 0])]))
    assert read_all(sock) == (bytes([0xE0, 1, 0x80]), False)
    assert sock.disconnect_code == 0xC3


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_the_first_message_that_was_not_requested_ends_the_connection(qos: int) -> None:
    huge = itertools.chain(
        [CONNACK, bytes([0x30 | qos << 1, 0xFF, 0xFF, 0xFF, 0x7F, 0, 5]) + b"a/b/c"],
        itertools.repeat(bytes(4096)),
    )
    source = ReceivedPieces(huge)
    sock = CheckedSocket(source)
    assert read_all(sock) == (CONNACK, True)
    assert sock.violation is not None
    assert "a message on 'a/b/c'" in sock.violation
    assert source.delivered < 100


@pytest.mark.parametrize("kind", [1, 5, 6, 7, 8, 9, 10, 11, 12, 15, 0])
def test_other_packets_end_the_connection(kind: int) -> None:
    sock = CheckedSocket(ReceivedPieces([bytes([kind << 4, 0])]))
    assert read_all(sock) == (b"", True)
    assert sock.violation is not None


@pytest.mark.parametrize("kind", [0x20, 0x40, 0xD0, 0xE0])
def test_a_packet_above_the_limit_ends_the_connection_before_it_is_received(kind: int) -> None:
    head = bytes([kind, 0xFF, 0xFF, 0xFF, 0x7F])
    source = ReceivedPieces(itertools.chain([head], itertools.repeat(bytes(4096))))
    sock = CheckedSocket(source)
    assert read_all(sock) == (b"", True)
    assert sock.violation == "the broker sent a packet of 268435460 bytes"
    assert source.delivered < MAX_PACKET_BYTES


def test_an_invalid_length_ends_the_connection() -> None:
    sock = CheckedSocket(ReceivedPieces([bytes([0x40, 0x80, 0x80, 0x80, 0x80, 1])]))
    assert read_all(sock) == (b"", True)
    assert sock.violation == "the broker sent a packet with an invalid length"


@given(st.binary(max_size=300))
def test_any_bytes_are_passed_on_or_refused(stream: bytes) -> None:
    sock = CheckedSocket(ReceivedPieces([stream] if stream else []))
    read, ended = read_all(sock)
    assert len(read) <= len(stream)
    assert ended == (sock.violation is not None)
