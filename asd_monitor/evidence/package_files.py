"""Packages on disk: ``evidence/<machine>/<alarm id>/`` in the state folder.

A package is complete or absent: it is written below another name and renamed after it was flushed
to the disk.  Its files are for their owner only.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from asd_monitor.errors import OperationError
from asd_monitor.evidence.contents import SCHEMA, PackageContent, document_of
from asd_monitor.evidence.package_names import EARLIER_SOUND, FOLDER, IMAGE, PAGE, SIDECAR, SOUND
from asd_monitor.evidence.package_paths import package_folder
from asd_monitor.evidence.sound_span import LOWPASS_RATE_HZ, SoundContent, lowpassed
from asd_monitor.limited_reading import read_limited
from asd_monitor.names import is_id
from asd_monitor.private_files import create_private_folder, sync_folder, write_private_file
from asd_monitor.records import Samples
from asd_monitor.sealed_json import parsed_json, seal_of, sealed_json

MAX_SIDECAR_BYTES = 16_000_000
MAX_IMAGE_BYTES = 200_000
_PARTIAL = ".partial"


class PackageError(OperationError):
    """A package is missing or damaged; the text says which, and the remedy."""


@dataclass(frozen=True, slots=True)
class StoredPackage:
    """A complete package on disk."""

    machine: str
    alarm_id: str
    bytes: int
    written_s: float
    """Unix time, in s."""


@dataclass(frozen=True, slots=True, eq=False)
class Package:
    """What was read of a package."""

    folder: Path
    document: dict[str, Any]
    """The sidecar: ``alarm``, ``sound`` (or None), ``findings``, ``scores`` …"""

    @property
    def alarm(self) -> dict[str, Any]:
        """The alarm, by the names of its message."""
        alarm: dict[str, Any] = self.document["alarm"]
        return alarm

    @property
    def sound_path(self) -> Path | None:
        """The file of its sound; None: it has none."""
        sound = self.document["sound"]
        return None if sound is None else self.folder / SOUND

    def read_sound(self) -> tuple[Samples, int] | None:
        """Return the stored sound (n,) float32 and its rate; None: the package has none.

        Raises PackageError where the file is missing or damaged.
        """
        path = self.sound_path
        if path is None:
            return None
        try:
            samples, rate_hz = soundfile.read(os.fsencode(path), dtype="float32")
        except (OSError, soundfile.SoundFileError) as error:
            raise PackageError(f"{path}: cannot be read ({error}): delete the package") from error
        sound = self.document["sound"]
        if samples.ndim != 1 or (len(samples), rate_hz) != (sound["samples"], sound["rate_hz"]):
            raise PackageError(f"{path}: is not the sound of the package: delete the package")
        return samples, int(rate_hz)


def write_package(
    state: Path, content: PackageContent, page: str, image: bytes | None = None
) -> int:
    """Write a package; return its size in bytes.

    Args:
        state: the state folder.
        content: what is in it.
        page: HTML.
        image: the spectrogram as a PNG; None: there is none.

    Raises:
        OSError: it cannot be written; nothing is left of it.  Or the folder of the machine is a
            link: packages behind it would neither be counted nor deleted.

    """
    facts = content.facts
    folder = package_folder(state, facts.machine, facts.id)
    if folder.parent.is_symlink():
        raise OSError(
            f"{folder.parent} is a link: remove it; only {state / FOLDER} as a whole may be one"
        )
    partial = folder.with_name(f".{facts.id}{_PARTIAL}")
    try:
        create_private_folder(folder.parent)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(0o700)
        samples = _write_sound(partial / SOUND, content)
        if content.earlier_sound is not None:
            write_private_file(partial / EARLIER_SOUND, content.earlier_sound)
        write_private_file(partial / PAGE, page.encode())
        if image is not None:
            write_private_file(partial / IMAGE, image)
        files = {each.name: _sha256(each) for each in sorted(partial.iterdir())}
        sidecar, _ = sealed_json(document_of(content, samples, files))
        write_private_file(partial / SIDECAR, sidecar)
        sync_folder(partial)
        size = _bytes_of(partial)
        partial.rename(folder)
        sync_folder(folder.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return size


def read_package(folder: Path) -> Package:
    """Return a package, checked by the hash of its sidecar.

    Raises:
        PackageError: it is missing, damaged or of another format.

    """
    path = folder / SIDECAR
    try:
        content = read_limited(path, MAX_SIDECAR_BYTES)
        sealed = seal_of(content)
        document = parsed_json(content)
    except FileNotFoundError as error:
        raise PackageError(
            f"{folder}: there is no package: it was deleted, or never was"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise PackageError(f"{path}: is damaged ({error}): delete the package") from error
    if sealed is None or document.get("schema") != SCHEMA:
        raise PackageError(f"{path}: is no evidence of this version: delete the package")
    if not isinstance(document.get("alarm"), dict) or "sound" not in document:
        raise PackageError(f"{path}: is damaged: delete the package")
    return Package(folder, document)


def stored_packages(state: Path, machine: str | None = None) -> list[StoredPackage]:
    """Return the complete packages, of one machine or all, the oldest first.

    What cannot be read is left out.
    """
    return sorted(_packages(state, machine), key=lambda each: (each.written_s, each.alarm_id))


def set_written(state: Path, package: StoredPackage, written_s: float) -> StoredPackage:
    """Correct when a package was written, in Unix time in s; return it so.  Raises OSError."""
    folder = package_folder(state, package.machine, package.alarm_id)
    os.utime(folder / SIDECAR, (written_s, written_s))
    return replace(package, written_s=written_s)


def newest_image(state: Path, machine: str) -> bytes | None:
    """Return the spectrogram of the newest alarm of a machine as a PNG; None: it has none."""
    packages = stored_packages(state, machine)
    if not packages:
        return None
    try:
        path = package_folder(state, machine, packages[-1].alarm_id) / IMAGE
        return read_limited(path, MAX_IMAGE_BYTES)
    except (OSError, ValueError):  # not there, or deleted meanwhile
        return None


def delete_package(state: Path, package: StoredPackage) -> None:
    """Delete a package, so that it is complete or absent at any time.  Raises OSError."""
    folder = package_folder(state, package.machine, package.alarm_id)
    hidden = folder.with_name(f".{package.alarm_id}{_PARTIAL}")
    shutil.rmtree(hidden, ignore_errors=True)
    folder.rename(hidden)
    shutil.rmtree(hidden)
    with suppress(OSError):  # other packages are in it
        folder.parent.rmdir()


def remove_unfinished(state: Path) -> int:
    """Remove what interrupted writings and deletions have left; return how many there were."""
    found = 0
    for machine in _machine_folders(state):
        with suppress(OSError):
            for partial in Path(machine.path).glob(f".*{_PARTIAL}"):
                shutil.rmtree(partial, ignore_errors=True)
                found += 1
    return found


def disk_folder(state: Path) -> Path:
    """Return a folder on the disk of the packages, which a link may lead to."""
    folder = state / FOLDER
    return folder if folder.is_dir() else state


def _packages(state: Path, machine: str | None) -> Iterator[StoredPackage]:
    for each in _machine_folders(state):
        if machine in (None, each.name):
            yield from _packages_of(each)


def _machine_folders(state: Path) -> Iterator[os.DirEntry[str]]:
    """Yield the folders of machines; links are not followed out of the folder of the packages."""
    with suppress(OSError):
        for each in os.scandir(state / FOLDER):
            if is_id(each.name) and each.is_dir(follow_symlinks=False):
                yield each


def _packages_of(machine: os.DirEntry[str]) -> Iterator[StoredPackage]:
    with suppress(OSError):
        for entry in os.scandir(machine.path):
            if entry.name.startswith(".") or not entry.is_dir(follow_symlinks=False):
                continue
            with suppress(OSError):
                folder = Path(entry.path)
                written_s = (folder / SIDECAR).stat().st_mtime
                yield StoredPackage(machine.name, entry.name, _bytes_of(folder), written_s)


def _bytes_of(folder: Path) -> int:
    """Return the space that the files of a package take on the disk."""
    return sum(each.stat().st_blocks * 512 for each in folder.iterdir())


def _write_sound(path: Path, content: PackageContent) -> int:
    """Write the sound that is to be stored, if any; return how many samples."""
    sound = content.sound
    if sound is None or content.content is SoundContent.NONE:
        return 0
    samples, rate_hz = sound.samples, sound.rate_hz
    if content.content is SoundContent.LOWPASS:
        samples, rate_hz = lowpassed(sound), LOWPASS_RATE_HZ
    write_private_file(path, b"")
    # by name: an open file would need a callback in writable and executable memory, which the
    # service unit forbids
    try:
        limited = np.clip(np.nan_to_num(samples), -1.0, 1.0)
        soundfile.write(os.fsencode(path), limited, rate_hz, "PCM_16", format="FLAC")
    except soundfile.SoundFileError as error:
        raise OSError(f"{path}: {error}") from error
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return len(samples)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
