"""What the header of an uncompressed recording declares, and what lies behind its samples.

libsndfile corrects a length that is longer than the file, and ignores what follows a length that
is shorter, both without notice.

RIFF/WAVE: Microsoft and IBM, "Multimedia Programming Interface and Data Specifications 1.0", 1991.
RF64: EBU Tech 3306, 2009.  W64: Sonic Foundry, "Sony Wave64", 2003.  AIFF and AIFC: Apple, 1989 and
1991.  CAF: Apple Core Audio Format 1.0, 2005.  AU: Sun Microsystems, ``audio(5)``.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

MAX_CHUNKS = 10_000
"""Chunks that are looked at; a recording has a few."""
_UNKNOWN = 0xFFFFFFFF
_W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_W64_GUID_END = bytes.fromhex("f3acd3118cd100c04f8edb8a")
_MAX_OGG_PAGE = 65_307
_AU_BYTES = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk of a container; ``size`` is None where the header declares no size."""

    name: bytes
    begin: int  # of its header
    content: int  # after its header
    size: int | None  # of its content
    end: int  # with padding


@dataclass(frozen=True, slots=True)
class _Layout:
    """How the chunks of a container are written."""

    first: int  # position of the first chunk
    header: struct.Struct  # name and size of the content
    alignment: int
    size_includes_header: bool
    sound: bytes  # name of the chunk of samples


_RIFF = _Layout(12, struct.Struct("<4sI"), 2, size_includes_header=False, sound=b"data")
_RIFX = _Layout(12, struct.Struct(">4sI"), 2, size_includes_header=False, sound=b"data")
_AIFF = _Layout(12, struct.Struct(">4sI"), 2, size_includes_header=False, sound=b"SSND")
_CAF = _Layout(8, struct.Struct(">4sq"), 1, size_includes_header=False, sound=b"data")
_W64 = _Layout(40, struct.Struct("<16sQ"), 8, size_includes_header=True, sound=b"data")
_LAYOUTS = {
    b"RIFF": _RIFF,
    b"RF64": _RIFF,
    b"BW64": _RIFF,
    b"RIFX": _RIFX,
    b"FORM": _AIFF,
    b"caff": _CAF,
    b"riff": _W64,
}


def declared_frames(file: BinaryIO) -> int | None:
    """Return the samples of one channel that the header declares.

    None: a container that is not known here, or one that declares no length.
    """
    file.seek(0)
    head = file.read(24)
    if head[:4] == b".snd" and len(head) == 24:
        _, size, encoding, _, channels = struct.unpack(">5I", head[4:])
        width = _AU_BYTES.get(encoding, 0) * channels
        return size // width if width and size != _UNKNOWN else None
    layout = _layout(head)
    if layout is None:
        return None
    bytes_per_frame = 0
    for chunk in _chunks(file, layout):
        if chunk.name == b"COMM":
            return int.from_bytes(_content(file, chunk, 6)[2:6], "big")
        if chunk.name == b"fmt ":
            order = ">H" if layout is _RIFX else "<H"
            [bytes_per_frame] = struct.unpack(order, _content(file, chunk, 16)[12:14])
        elif chunk.name == b"desc":
            bytes_per_frame = int.from_bytes(_content(file, chunk, 20)[16:20], "big")
        elif chunk.name == layout.sound:
            if chunk.size is None or not bytes_per_frame:
                return None
            edit_count = 4 if layout is _CAF else 0  # before the samples
            return max(0, chunk.size - edit_count) // bytes_per_frame
    return None


def unread_bytes(file: BinaryIO, read_end: int, size: int) -> int:
    """Return the bytes from ``read_end`` to the end of a file that are in no chunk of metadata.

    ``read_end`` is where reading the samples has ended, ``size`` the size of the file.
    """
    unread = size - read_end
    file.seek(0)
    layout = _layout(file.read(24))
    if layout is None or unread <= 0:
        return max(0, unread)
    for chunk in _chunks(file, layout):
        is_behind = chunk.begin >= read_end - layout.alignment
        is_text = all(0x20 <= byte < 0x7F for byte in chunk.name)
        if is_behind and is_text and chunk.size is not None and chunk.content + chunk.size <= size:
            unread -= (chunk.end - chunk.begin) if chunk.name != layout.sound else 0
    return max(0, unread)


def has_ogg_end(file: BinaryIO, size: int) -> bool:
    """Return whether the last page of an Ogg file is marked as the last one (RFC 3533, 6)."""
    file.seek(max(0, size - 2 * _MAX_OGG_PAGE))
    tail = file.read(2 * _MAX_OGG_PAGE)
    page = tail.rfind(b"OggS")
    return page >= 0 and len(tail) > page + 5 and bool(tail[page + 5] & 4)


def _layout(head: bytes) -> _Layout | None:
    layout = _LAYOUTS.get(head[:4])
    return None if layout is _W64 and head[:16] != _W64_RIFF else layout


def _chunks(file: BinaryIO, layout: _Layout) -> Iterator[Chunk]:
    """Iterate over the chunks, also those that extend beyond the end of the file."""
    end = file.seek(0, os.SEEK_END)
    begin = layout.first
    size_of_rf64: int | None = None  # of the samples, in a chunk before them
    for _ in range(MAX_CHUNKS):
        file.seek(begin)
        header = file.read(layout.header.size)
        if len(header) < layout.header.size:
            return
        name, declared = layout.header.unpack(header)
        if layout is _W64:
            name = name[:4] if name[4:] == _W64_GUID_END else b"\x00\x00\x00\x00"
        content = begin + layout.header.size
        if layout is _RIFF and name == b"ds64":
            size_of_rf64 = int.from_bytes(file.read(16)[8:], "little")
        if declared == _UNKNOWN and layout in (_RIFF, _RIFX):
            declared = -1 if size_of_rf64 is None else size_of_rf64
        size = declared - layout.header.size * layout.size_includes_header
        if size < 0:
            yield Chunk(name, begin, content, None, end)
            return
        past = -(-(content + size) // layout.alignment) * layout.alignment
        yield Chunk(name, begin, content, size, past)
        begin = past
        if begin >= end:
            return


def _content(file: BinaryIO, chunk: Chunk, size: int) -> bytes:
    """Return the first bytes of a chunk, filled with zeros."""
    file.seek(chunk.content)
    return file.read(size).ljust(size, b"\x00")
