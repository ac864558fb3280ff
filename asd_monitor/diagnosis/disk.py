"""Checks of the state folder and of its disk; pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from asd_monitor.daemon.disk_check import DiskCheck, DiskReading
from asd_monitor.diagnosis.findings import Area, Check, Finding

LOW_INODES_SHARE = 0.02
"""With fewer free inodes new files may soon be impossible."""
_VOLATILE = {"tmpfs", "ramfs", "overlay", "aufs"}
_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "glusterfs", "ceph", "afs"}


@dataclass(frozen=True, slots=True)
class Ownership:
    """Who owns a folder."""

    path: Path
    owner: int
    folder_owner: int  # of the state folder


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """What was found of a state folder."""

    state: Path
    exists: bool
    reading: DiskReading
    write_error: str | None  # of a trial; None: it succeeded
    file_system: str  # such as ext4; "": unknown
    device: str  # such as /dev/mmcblk0p2; "": unknown
    inodes: int  # of the file system; 0: it has no limit
    free_inodes: int
    models: Ownership | None  # None: there is no models folder in it
    is_closed: bool  # to other users than its owner


def check_disk(facts: DiskFacts, *, is_service: bool) -> Iterator[Finding]:
    """Yield the findings; ``is_service``: the folder is that of a service."""
    folder = Check(Area.DISK, "folder", str(facts.state))
    if not facts.exists:
        what = "there is no state folder yet"
        if facts.write_error is None:
            yield folder.ok(f"{what}; the daemon creates it")
        else:
            yield folder.failed(
                f"{what}, and it cannot be created ({facts.write_error})",
                "correct --state, or the permissions of the folder above it",
            )
            return
    yield from _space(facts)
    yield from _file_system(facts)
    if not facts.exists:
        return
    if facts.is_closed:
        yield folder.ok("closed to other users")
    else:
        yield folder.warning(
            "other users may read it: it holds the sound of alarms",
            f"`sudo chmod o-rx {shlex.quote(str(facts.state))}`",
        )
    if is_service and facts.models is not None:
        yield from _owner(facts.models)


def _space(facts: DiskFacts) -> Iterator[Finding]:
    found = DiskCheck(facts.state).judge(facts.reading, journal_fault=facts.write_error, now_s=0.0)
    for condition in found:
        yield Check(Area.DISK, condition.check or "disk", str(facts.state)).failed(
            condition.text, condition.remedy
        )
    kinds = {condition.check for condition in found}
    check = Check(Area.DISK, "writing", str(facts.state))
    if "writing" not in kinds and facts.exists:
        yield check.ok("can be written")
    if "space" not in kinds:
        free, total = facts.reading.free_bytes, facts.reading.total_bytes
        check = Check(Area.DISK, "space", str(facts.state))
        yield check.ok(f"{free / 1e9:.1f} GB free of {total / 1e9:.1f} GB")
    check = Check(Area.DISK, "inodes", str(facts.state))
    if facts.inodes and facts.free_inodes < LOW_INODES_SHARE * facts.inodes:
        yield check.failed(
            f"{facts.free_inodes} of {facts.inodes} inodes are free: no files can be created soon",
            "delete small files on this disk (`df -i`), or use another one",
        )
    else:
        yield check.ok("enough")


def _file_system(facts: DiskFacts) -> Iterator[Finding]:
    check = Check(Area.DISK, "file_system", str(facts.state))
    name = facts.file_system
    if not name:
        yield check.not_checked("its file system is unknown")
    elif name in _VOLATILE:
        yield check.warning(
            f"{name}: what is written there is lost at a restart of the computer or container",
            "use a state folder on a disk (--state), or mount a volume there",
        )
    elif name in _NETWORK:
        yield check.warning(
            f"{name}, a network file system: alarms wait for the network, and its locks may not "
            "hold",
            "use a state folder on a disk of this computer (--state)",
        )
    else:
        card = ", an SD card or eMMC" if "mmcblk" in facts.device else ""
        yield check.ok(f"{name}{card}")


def _owner(models: Ownership) -> Iterator[Finding]:
    check = Check(Area.DISK, "owner", str(models.path))
    if models.owner == models.folder_owner:
        yield check.ok("owned by the user of the service")
    else:
        yield check.failed(
            "owned by another user than the state folder: the service cannot write new versions",
            f"`sudo chown -R --reference={shlex.quote(f'{models.path.parent}/')} "
            f"{shlex.quote(str(models.path))}`",
        )
