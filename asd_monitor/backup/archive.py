"""The archive of a backup: a tar file of the form of `asd_monitor.plain_tar`.

Its manifest has the SHA-256 of each member before it and, as its last line, of itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Annotated

from pydantic import Field, StringConstraints

from asd_monitor import __version__
from asd_monitor.archive_manifest import ArchiveManifest, MemberEntry
from asd_monitor.names import ID_PATTERN
from asd_monitor.plain_tar import (
    CHUNK_BYTES,
    END,
    MANIFEST,
    ArchiveError,
    ArchiveKind,
    member_chunks,
    member_header,
    members,
    padding,
    write_member,
)
from asd_monitor.sealed_json import sealed_document, sealed_json

FORMAT = 1
ROOTS = ("models", "state", "config")
"""The first part of each member's name."""
MAX_MEMBERS = 50_000

_KIND = ArchiveKind("backup", FORMAT)
_MAX_MANIFEST_BYTES = 32 * 2**20
_MAX_DEPTH = 32


class _Manifest(ArchiveManifest):
    box: Annotated[str, StringConstraints(pattern=f"^{ID_PATTERN}$")]
    time: Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9:.TZ-]{6,30}$")]
    members: Annotated[list[MemberEntry], Field(max_length=MAX_MEMBERS)]


@dataclass(frozen=True, slots=True)
class Member:
    """One file in an archive."""

    name: str  # ROOT/PATH
    size: int  # bytes
    sha256: str
    offset: int  # of the content in the archive, in bytes

    @property
    def root(self) -> str:
        """The first part of the name, one of `ROOTS`."""
        return self.name.partition("/")[0]

    @property
    def path(self) -> str:
        """The name below the root."""
        return self.name.partition("/")[2]


@dataclass(frozen=True, slots=True)
class Contents:
    """What an archive contains."""

    package: str  # version of asd-monitor that wrote it
    box: str
    time: str  # RFC 3339
    members: tuple[Member, ...]

    def of_root(self, root: str) -> list[Member]:
        """Return the members below a root."""
        return [member for member in self.members if member.root == root]


class ArchiveWriter:
    """Writes an archive to an open file: `add` each member, then `finish`.

    Args:
        file: open for writing, at its beginning.
        box: id of the box.
        time: RFC 3339 time of the backup.
        time_s: the same as Unix time, in s; the time of each member.

    """

    def __init__(self, file: IO[bytes], *, box: str, time: str, time_s: int) -> None:
        self._file = file
        self._box = box
        self._time = time
        self._time_s = time_s
        self._names: set[str] = set()
        self.members: list[Member] = []
        """What was added so far."""
        self._write(_KIND.first, _KIND.content)

    def add(self, name: str, content: IO[bytes], size: int) -> None:
        """Write a member of ``size`` bytes.

        Raises:
            ArchiveError: the name cannot be stored, the content is shorter, or there are too many.
            OSError: the content cannot be read, or the archive not written.

        """
        _check_name(name)
        if name in self._names:
            raise ArchiveError(f"{name!r} would be in the archive twice")
        if len(self.members) == MAX_MEMBERS:
            raise ArchiveError(f"there are more than {MAX_MEMBERS} files")
        self._file.write(member_header(name, size, self._time_s))
        offset = self._file.tell()
        digest = hashlib.sha256()
        missing = size
        while missing:
            chunk = content.read(min(missing, CHUNK_BYTES))
            if not chunk:
                raise ArchiveError(f"{name!r} became shorter while it was read")
            digest.update(chunk)
            self._file.write(chunk)
            missing -= len(chunk)
        self._file.write(padding(size))
        self._names.add(name)
        self.members.append(Member(name, size, digest.hexdigest(), offset))

    def finish(self) -> Contents:
        """Write the manifest and the end.  Raises ArchiveError, OSError."""
        content, _ = sealed_json(
            {
                "format": FORMAT,
                "package": __version__,
                "box": self._box,
                "time": self._time,
                "members": [
                    {"name": each.name, "bytes": each.size, "sha256": each.sha256}
                    for each in self.members
                ],
            }
        )
        if len(content) > _MAX_MANIFEST_BYTES:
            raise ArchiveError("the names of the files are too long")
        self._write(MANIFEST, content)
        self._file.write(END)
        return Contents(__version__, self._box, self._time, tuple(self.members))

    def _write(self, name: str, content: bytes) -> None:
        write_member(self._file, name, content, self._time_s)


def read_archive(file: IO[bytes]) -> Contents:
    """Return what an archive contains, after every byte of it was verified.

    Raises:
        ArchiveError: it is damaged, no backup, or of a newer format.
        OSError: it cannot be read.

    """
    found: list[Member] = []
    manifest, is_manifest_read = b"", False
    for name, size, offset in members(file, _KIND):
        if name == MANIFEST:
            if size > _MAX_MANIFEST_BYTES:
                raise ArchiveError("its manifest is too large")
            manifest, is_manifest_read = file.read(size), True
        else:
            if len(found) == MAX_MEMBERS:
                raise ArchiveError(f"it has more than {MAX_MEMBERS} members")
            digest = hashlib.sha256()
            for chunk in member_chunks(file, size):
                digest.update(chunk)
            found.append(Member(name, size, digest.hexdigest(), offset))
    if not is_manifest_read:
        raise ArchiveError("it is incomplete: its manifest is missing")
    return _verified(manifest, found)


def _check_name(name: str) -> None:
    """Check that a name stays below its root."""
    root, *parts = name.split("/")
    is_below = root in ROOTS and 1 <= len(parts) <= _MAX_DEPTH
    if not is_below or any(part in {"", ".", ".."} or "\0" in part for part in parts):
        raise ArchiveError(f"its member {name[:100]!r} has no place below models, state or config")


def _verified(content: bytes, found: Sequence[Member]) -> Contents:
    """Return the contents, after comparing the members with the manifest."""
    for member in found:
        _check_name(member.name)
    names = {member.name for member in found}
    if len(names) < len(found):
        raise ArchiveError("it has a member twice")
    folders = {
        "/".join(name.split("/")[:n]) for name in names for n in range(1, name.count("/") + 1)
    }
    if names & folders:
        raise ArchiveError("it has a member that is both a file and a folder")
    if len([member for member in found if member.root == "config"]) > 1:
        raise ArchiveError("it has more than one configuration")
    try:
        manifest = sealed_document(content, _Manifest)
    except (ValueError, RecursionError) as error:
        raise ArchiveError(f"its manifest {error}") from error
    if [(e.name, e.bytes, e.sha256) for e in manifest.members] != [
        (m.name, m.size, m.sha256) for m in found
    ]:
        raise ArchiveError("it is damaged: a hash in its manifest differs from that of its member")
    return Contents(manifest.package, manifest.box, manifest.time, tuple(found))
