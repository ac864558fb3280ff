"""One version of a model as one archive: a tar file of the form of `asd_monitor.plain_tar`.

asd-monitor-model             kind and format
model/manifest.json, …        the files of the version
networks/SHA256.onnx          the networks that it refers to
labels.json                   labels of the machine's alarms, where there are some
manifest.json                 machine, version, SHA-256 of each member and of itself
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated

from pydantic import Field, StringConstraints

from asd_monitor import __version__
from asd_monitor.archive_manifest import ArchiveManifest, MemberEntry
from asd_monitor.encoders.session import MAX_NETWORK_BYTES
from asd_monitor.model_store.encoder_files import FOLDER as NETWORKS
from asd_monitor.model_store.labels_file import LABELS, MAX_LABELS_BYTES
from asd_monitor.model_store.manifest import MAX_FILE_BYTES
from asd_monitor.names import ID_PATTERN, is_id
from asd_monitor.plain_tar import (
    END,
    MANIFEST,
    ArchiveError,
    ArchiveKind,
    member_chunks,
    members,
    write_member,
)
from asd_monitor.sealed_json import sealed_document, sealed_json

FORMAT = 1
_KIND = ArchiveKind("model", FORMAT)
_MODEL = re.compile("model/([A-Za-z0-9][A-Za-z0-9_.-]{0,99})")
_NETWORK = re.compile(r"networks/([0-9a-f]{64})\.onnx")
_MAX_MEMBERS = 256
_MAX_MANIFEST_BYTES = 1 << 20


class _Manifest(ArchiveManifest):
    machine: Annotated[str, StringConstraints(pattern=f"^{ID_PATTERN}$")]
    version: Annotated[str, StringConstraints(pattern="^v[0-9]{1,18}$")]
    members: Annotated[list[MemberEntry], Field(max_length=_MAX_MEMBERS)]


@dataclass(frozen=True, slots=True)
class ArchivedModel:
    """What an archive contains."""

    package: str  # version of asd-monitor that wrote it
    machine: str
    version: str
    members: Mapping[str, tuple[int, int, str]]  # by name: offset, size in bytes, SHA-256


def write_model_archive(
    file: IO[bytes],
    machine: str,
    version: str,
    *,
    files: Mapping[str, bytes],
    networks: Mapping[str, bytes],
    labels: bytes | None,
    time_s: int,
) -> None:
    """Write an archive to an open file.

    Args:
        file: open for writing, at its beginning.
        machine: id of the machine.
        version: name of the version.
        files: the files of the version by name, its manifest among them.
        networks: the networks that it refers to, by SHA-256.
        labels: the content of ``labels.json``; None: there are no labels.
        time_s: Unix time of each member, in s.

    Raises:
        OSError: the archive cannot be written.

    """
    contents = {f"model/{name}": content for name, content in files.items()}
    contents |= {f"networks/{sha256}.onnx": content for sha256, content in networks.items()}
    if labels is not None:
        contents[LABELS] = labels
    write_member(file, _KIND.first, _KIND.content, time_s)
    for name, content in contents.items():
        write_member(file, name, content, time_s)
    manifest, _ = sealed_json(
        {
            "format": FORMAT,
            "package": __version__,
            "machine": machine,
            "version": version,
            "members": [
                {
                    "name": name,
                    "bytes": len(content),
                    "sha256": hashlib.sha256(content).hexdigest(),
                }
                for name, content in contents.items()
            ],
        }
    )
    write_member(file, MANIFEST, manifest, time_s)
    file.write(END)


def read_model_archive(file: IO[bytes]) -> ArchivedModel:
    """Return what an archive contains, after every byte of it was verified.

    Raises:
        ArchiveError: it is damaged, no archive of a model, or of a newer format.
        OSError: it cannot be read.

    """
    found: dict[str, tuple[int, int, str]] = {}
    manifest = b""
    for name, size, offset in members(file, _KIND):
        if name in found or len(found) == _MAX_MEMBERS:
            raise ArchiveError(f"it has a member twice, or more than {_MAX_MEMBERS} members")
        if size > _max_bytes(name):
            raise ArchiveError(f"its member {name} is larger than {_max_bytes(name) >> 20} MiB")
        if name == MANIFEST:
            manifest = b"".join(member_chunks(file, size))
        else:
            digest = hashlib.sha256()
            for chunk in member_chunks(file, size):
                digest.update(chunk)
            found[name] = offset, size, digest.hexdigest()
    return _verified(manifest, found)


def _max_bytes(name: str) -> int:
    """Return how large a member may be; raises ArchiveError for one that is not of a model."""
    if name == MANIFEST:
        return _MAX_MANIFEST_BYTES
    if name == LABELS:
        return MAX_LABELS_BYTES
    if _MODEL.fullmatch(name) and name != f"model/{LABELS}":
        return MAX_FILE_BYTES
    if _NETWORK.fullmatch(name):
        return MAX_NETWORK_BYTES
    raise ArchiveError(f"its member {name[:100]!r} is no part of a model")


def _verified(content: bytes, found: Mapping[str, tuple[int, int, str]]) -> ArchivedModel:
    """Return the contents, after comparing the members with the manifest."""
    try:
        manifest = sealed_document(content, _Manifest)
    except (ValueError, RecursionError) as error:
        raise ArchiveError(f"its manifest {error}") from error
    if not is_id(manifest.machine):
        raise ArchiveError(f"its machine {manifest.machine!r} is a reserved id")
    if [(each.name, each.bytes, each.sha256) for each in manifest.members] != [
        (name, size, sha256) for name, (_, size, sha256) in found.items()
    ]:
        raise ArchiveError("it is damaged: a hash in its manifest differs from that of its member")
    return ArchivedModel(manifest.package, manifest.machine, manifest.version, found)


def unpack_model(file: IO[bytes], archived: ArchivedModel, models: Path) -> None:
    """Write the members of an archive into an empty models folder.

    Args:
        file: the archive.
        archived: what `read_model_archive` has found in it.
        models: the folder; it gets the version and its networks.

    Raises:
        ArchiveError: the archive has changed since it was verified.
        OSError: it cannot be read, or the folder not be written.

    """
    home = models / archived.machine / archived.version
    home.mkdir(parents=True)
    (models / NETWORKS).mkdir()
    for name, (offset, size, sha256) in archived.members.items():
        if network := _NETWORK.fullmatch(name):
            path = models / NETWORKS / f"{network[1]}.onnx"
        else:
            path = home / name.removeprefix("model/")
        file.seek(offset)
        digest = hashlib.sha256()
        with path.open("xb") as output:
            for chunk in member_chunks(file, size):
                digest.update(chunk)
                output.write(chunk)
        if digest.hexdigest() != sha256:
            raise ArchiveError("it was changed while it was read")
