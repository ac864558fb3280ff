"""Tar files of a strict form, in which every byte is accounted for.

The first member names kind and format of the archive.  The last is ``manifest.json``, which the
reader compares with the members before it.  Members are regular files of this form only (POSIX.1
ustar): a header that differs by one byte from the one that is written here is refused, and with it
links, devices, extensions and sparse files.  Nothing is compressed, so an archive never contains
more than its own size.
"""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from asd_monitor import __version__

MANIFEST = "manifest.json"
"""Name of the last member."""
BLOCK_BYTES = tarfile.BLOCKSIZE
CHUNK_BYTES = 1 << 20
"""Content that is read and written at once."""
END = bytes(2 * BLOCK_BYTES)


class ArchiveError(ValueError):
    """A file is not an archive of its kind, or damaged; the message completes ``FILE: …``."""


@dataclass(frozen=True, slots=True)
class ArchiveKind:
    """What an archive contains, and the format in which it is written."""

    word: str  # one word: backup, model
    format: int

    @property
    def first(self) -> str:
        """The name of the first member."""
        return f"asd-monitor-{self.word}"

    @property
    def content(self) -> bytes:
        """The content of the first member."""
        return f"asd-monitor {self.word}, format {self.format}\n".encode()


def write_member(file: IO[bytes], name: str, content: bytes, time_s: int) -> None:
    """Write a member with its padding.  Raises ArchiveError, OSError."""
    file.write(member_header(name, len(content), time_s))
    file.write(content)
    file.write(padding(len(content)))


def member_header(name: str, size: int, time_s: int) -> bytes:
    """Return the header of a member; raises ArchiveError for a name that cannot be stored."""
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = size, time_s, 0o600
    try:
        return info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "surrogateescape")
    except ValueError as error:  # a name or a size beyond the form
        raise ArchiveError(f"{name[:300]!r} cannot be stored ({error})") from error


def padding(size: int) -> bytes:
    """Return the bytes that follow a content of this size."""
    return bytes(-size % BLOCK_BYTES)


def member_chunks(file: IO[bytes], size: int) -> Iterator[bytes]:
    """Yield the next ``size`` bytes.  Raises ArchiveError where there are fewer."""
    while size:
        chunk = file.read(min(size, CHUNK_BYTES))
        if not chunk:
            raise ArchiveError("it is incomplete: its end is missing")
        size -= len(chunk)
        yield chunk


def members(file: IO[bytes], kind: ArchiveKind) -> Iterator[tuple[str, int, int]]:
    """Yield name, size and offset of each member but the first; the caller reads its content.

    The last is `MANIFEST`.  Raises ArchiveError, OSError.
    """
    total = file.seek(0, os.SEEK_END)
    file.seek(0)
    _check_first(file, kind)
    name = ""
    while name != MANIFEST:
        name, size = _parsed_header(_block(file))
        offset = file.tell()
        if offset + size > total:
            raise ArchiveError("it is incomplete: its end is missing")
        yield name, size, offset
        if any(file.read(-size % BLOCK_BYTES)):
            raise ArchiveError("it is damaged: there is data between its members")
    if file.read(len(END) + 1) != END:
        raise ArchiveError("it is damaged: its end differs")


def _check_first(file: IO[bytes], kind: ArchiveKind) -> None:
    """Check that it is an archive of this kind, of a format that is known."""
    header = file.read(BLOCK_BYTES)
    if header[: len(kind.first) + 1] != kind.first.encode() + b"\0":
        raise ArchiveError(f"it is not a {kind.word} of asd-monitor")
    _, size = _parsed_header(header)
    content = file.read(BLOCK_BYTES)
    pattern = f"asd-monitor {kind.word}, format ([0-9]{{1,6}})\n".encode()
    found = re.fullmatch(pattern, content[:size])
    if found is None or any(content[size:]) or len(content) < BLOCK_BYTES:
        raise ArchiveError("it is damaged: its format cannot be read")
    if int(found[1]) > kind.format:
        raise ArchiveError(
            f"it has format {int(found[1])}, and asd-monitor {__version__} reads format "
            f"{kind.format}: upgrade asd-monitor"
        )
    if int(found[1]) != kind.format:
        raise ArchiveError("it is damaged: its format cannot be read")


def _block(file: IO[bytes]) -> bytes:
    block = file.read(BLOCK_BYTES)
    if len(block) < BLOCK_BYTES:
        raise ArchiveError("it is incomplete: its end is missing")
    return block


def _parsed_header(block: bytes) -> tuple[str, int]:
    """Return name and size of a member; its header must be exactly as it is written here."""
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        is_ours = block == member_header(info.name, info.size, int(info.mtime))
    except (tarfile.TarError, ValueError) as error:
        raise ArchiveError(f"it is damaged: a header of a member is invalid ({error})") from error
    if not is_ours:
        raise ArchiveError(
            f"its member {info.name[:100]!r} is no plain file as asd-monitor writes it"
        )
    return info.name, info.size
