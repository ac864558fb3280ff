"""The form of an archive: damaged, foreign and hostile ones are refused."""

from __future__ import annotations

import hashlib
import io
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from asd_monitor.backup.archive import (
    FORMAT,
    ArchiveWriter,
    read_archive,
)
from asd_monitor.backup.sources import BoxFolders, secret_files
from asd_monitor.backup.writing import write_backup
from asd_monitor.config.loading import load_config
from asd_monitor.plain_tar import ArchiveError
from asd_monitor.sealed_json import sealed_json
from tests.backup.conftest import NOW
from tests.doubles.filled_box import SECRET, FilledBox

TIME = "2026-11-28T18:00:00.000Z"


def archive(members: dict[str, bytes]) -> bytes:
    """Return a small archive."""
    buffer = io.BytesIO()
    writer = ArchiveWriter(buffer, box="edge-07", time=TIME, time_s=1)
    for name, content in members.items():
        writer.add(name, io.BytesIO(content), len(content))
    writer.finish()
    return buffer.getvalue()


SMALL = {"models/fan01/current": b"v1", "state/alarms.db": bytes(range(256)), "state/empty": b""}


def with_members(
    headers: list[tuple[tarfile.TarInfo, bytes]], *, manifest: dict[str, object] | None = None
) -> bytes:
    """Return an archive with these members and a manifest that fits."""
    first = b"asd-monitor backup, format 1\n"
    names = [
        {"name": info.name, "bytes": len(content), "sha256": _sha256(content)}
        for info, content in headers
    ]
    document = {"format": 1, "package": "1", "box": "edge", "time": TIME, "members": names}
    seal, _ = sealed_json(document | (manifest or {}))
    result = b""
    for info, content in [
        (_info("asd-monitor-backup"), first),
        *headers,
        (_info("manifest.json"), seal),
    ]:
        if info.size == 0 and info.isreg():
            info.size = len(content)
        result += info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "surrogateescape")
        result += content + bytes(-len(content) % 512)
    return result + bytes(1024)


def _info(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size, info.mode, info.mtime = kind, link, size, 0o600, 1
    return info


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_an_archive_is_read_as_it_was_written() -> None:
    contents = read_archive(io.BytesIO(archive(SMALL)))
    assert {member.name: member.size for member in contents.members} == {
        name: len(content) for name, content in SMALL.items()
    }
    assert (contents.box, contents.time) == ("edge-07", TIME)
    assert [member.path for member in contents.of_root("state")] == ["alarms.db", "empty"]


def test_an_archive_is_a_plain_tar_file(written: Path) -> None:
    with tarfile.open(written) as tar:
        names = tar.getnames()
    assert names[0] == "asd-monitor-backup"
    assert names[-1] == "manifest.json"
    assert "models/fan01/current" in names
    assert "models/fan01/v1/microphone.npz" in names


def test_every_flipped_bit_of_a_small_archive_is_noticed() -> None:
    content = archive(SMALL)
    rng = random.Random(1)
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 1 << rng.randrange(8)
        with pytest.raises(ArchiveError):
            read_archive(io.BytesIO(bytes(damaged)))


def test_every_cut_of_a_small_archive_is_noticed() -> None:
    content = archive(SMALL)
    for end in range(len(content)):
        with pytest.raises(ArchiveError):
            read_archive(io.BytesIO(content[:end]))
    with pytest.raises(ArchiveError, match="its end differs"):
        read_archive(io.BytesIO(content + b"\0"))


def test_flipped_bytes_of_a_backup_are_noticed(written: Path) -> None:
    content = written.read_bytes()
    rng = random.Random(2)
    for _ in range(60):
        damaged = bytearray(content)
        damaged[rng.randrange(len(content))] ^= rng.randrange(1, 256)
        with pytest.raises(ArchiveError):
            read_archive(io.BytesIO(bytes(damaged)))


@pytest.mark.parametrize(
    "content", [b"", b"x" * 2000, bytes(2000), b"PK\x03\x04" * 500, b"asd-monitor-backup"]
)
def test_what_is_no_backup_is_refused(content: bytes) -> None:
    with pytest.raises(ArchiveError, match="not a backup"):
        read_archive(io.BytesIO(content))


def test_another_tar_file_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "other.tar", "w") as tar:
        tar.add(__file__, "state/alarms.db")
    with (
        (tmp_path / "other.tar").open("rb") as file,
        pytest.raises(ArchiveError, match="not a backup"),
    ):
        read_archive(file)


def test_a_newer_format_is_refused_with_the_remedy() -> None:
    content = archive({}).replace(b"format 1\n", f"format {FORMAT + 1}\n".encode(), 1)
    with pytest.raises(ArchiveError, match=r"has format 2.*upgrade asd-monitor"):
        read_archive(io.BytesIO(content))


HOSTILE: dict[str, Callable[[], bytes]] = {
    "a path out of the folder": lambda: with_members([(_info("state/../../etc/passwd"), b"x")]),
    "an absolute path": lambda: with_members([(_info("/etc/passwd"), b"x")]),
    "another root": lambda: with_members([(_info("home/x"), b"x")]),
    "no name": lambda: with_members([(_info("state/"), b"x")]),
    "an empty part": lambda: with_members([(_info("state//x"), b"x")]),
    "a deep path": lambda: with_members([(_info("state" + "/a" * 40), b"x")]),
    "a symbolic link": lambda: with_members([(_info("state/x", tarfile.SYMTYPE, "/etc"), b"")]),
    "a hard link": lambda: with_members([(_info("state/x", tarfile.LNKTYPE, "state/y"), b"")]),
    "a device": lambda: with_members([(_info("state/x", tarfile.CHRTYPE), b"")]),
    "a pipe": lambda: with_members([(_info("state/x", tarfile.FIFOTYPE), b"")]),
    "a folder": lambda: with_members([(_info("state/x", tarfile.DIRTYPE), b"")]),
    "an extended header": lambda: with_members(
        [(_info("state/x", tarfile.XHDTYPE), b""), (_info("state/y"), b"x")]
    ),
    "a long name of GNU": lambda: with_members([(_info("state/x", tarfile.GNUTYPE_LONGNAME), b"")]),
    "a sparse file": lambda: with_members([(_info("state/x", tarfile.GNUTYPE_SPARSE), b"")]),
    "a name twice": lambda: with_members([(_info("state/x"), b"1"), (_info("state/x"), b"2")]),
    "a file that is a folder": lambda: with_members(
        [(_info("state/x"), b"1"), (_info("state/x/y"), b"2")]
    ),
    "two configurations": lambda: with_members(
        [(_info("config/x"), b"1"), (_info("config/y"), b"2")]
    ),
    "a length beyond the file": lambda: with_members([(_info("state/x", size=1 << 32), b"1")]),
    "a member that the manifest does not have": lambda: with_members(
        [(_info("state/x"), b"1")], manifest={"members": []}
    ),
    "a member that is not there": lambda: with_members(
        [], manifest={"members": [{"name": "state/x", "bytes": 0, "sha256": "0" * 64}]}
    ),
    "a manifest without members": lambda: with_members([], manifest={"members": None}),
    "a box with control characters": lambda: with_members([], manifest={"box": "\x1b[2J"}),
    "a manifest that is nested too deeply": lambda: _with_text(
        b'{"x": ' + b"[" * 100_000 + b"]" * 100_000
    ),
    "a manifest with a number of many digits": lambda: _with_text(b'{"format": ' + b"9" * 9999),
}


def _with_text(body: bytes) -> bytes:
    """Return an archive whose manifest is this text with its hash."""
    seal = body + b',\n "sha256": "' + _sha256(body).encode() + b'"\n}\n'
    content = archive({})[:1024]
    info = _info("manifest.json", size=len(seal))
    content += info.tobuf(tarfile.USTAR_FORMAT) + seal + bytes(-len(seal) % 512)
    return content + bytes(1024)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(ArchiveError) as refused:
        read_archive(io.BytesIO(HOSTILE[name]()))
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300


def test_an_archive_without_damage_of_this_kind_is_accepted() -> None:
    """The archives of `HOSTILE` are refused for what they show, not for how they are made."""
    contents = read_archive(io.BytesIO(with_members([(_info("state/x"), b"1")])))
    assert [member.name for member in contents.members] == ["state/x"]


def test_no_secret_is_in_an_archive(filled: FilledBox, written: Path, tmp_path: Path) -> None:
    assert SECRET.encode() in filled.password.read_bytes()
    assert SECRET.encode() not in written.read_bytes()
    key = tmp_path / "state" / "note.txt"
    key.parent.mkdir()
    key.write_text("-----BEGIN EC PRIVATE KEY-----\n")
    (tmp_path / "state" / "broker.key").write_text("abc")
    (tmp_path / "state" / "hall.token").write_text("abc")
    for name in (
        *("page-secret", "page-history.sqlite", "page-history.sqlite-wal"),
        "page-work.json",
    ):
        (tmp_path / "state" / name).write_text("abc")
    done = write_backup(
        tmp_path / "x.tar", BoxFolders(tmp_path / "m", tmp_path / "state"), box="edge", now=NOW
    )
    assert done.contents.members == ()
    assert [notice.rpartition(": ")[2] for notice in done.notices] == [
        "there is no models folder",
        *["a secret, which is left out"] * 3,
    ]


def test_the_token_of_the_page_is_a_secret(tmp_path: Path) -> None:
    config = tmp_path / "hall.yaml"
    text = "version: 1\nbox: hall\nhttp: {token_file: door}\nmachines: {fan01: {device: 'hw:1'}}\n"
    config.write_text(text)
    assert secret_files(load_config(config)) == {tmp_path / "door"}
