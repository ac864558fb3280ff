"""Facts of the state folder and of its disk."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
import time
from functools import partial
from pathlib import Path

from asd_monitor.daemon.disk_check import read_disk
from asd_monitor.diagnosis.disk import DiskFacts, Ownership
from asd_monitor.diagnosis.programs import within
from asd_monitor.private_files import write_private_file

ANSWER_S = 10.0
"""Within which a disk has to answer; a hanging one, as of a network, may never."""
_TRIAL = b"written by asd-monitor doctor\n"


def read_state_folder(state: Path, *, mounts: Path = Path("/proc/self/mountinfo")) -> DiskFacts:
    """Look at the state folder, or where it will be created; writes a file and deletes it."""
    exists, access_error = _look(state)
    folder = state if exists else _first_existing(state)
    try:
        disk = os.statvfs(folder)
        mode, owner = folder.stat().st_mode, folder.stat().st_uid
        inodes, free_inodes = disk.f_files, disk.f_favail
    except OSError:
        mode, owner, inodes, free_inodes = 0, -1, 0, 0  # the reading has the reason
    file_system, device = mount_of(folder, mounts)
    late: str | None = f"no answer within {ANSWER_S:g} s"
    return DiskFacts(
        state=state,
        exists=exists,
        reading=read_disk(folder, wall_s=time.time()),
        write_error=access_error or within(ANSWER_S, partial(_write_error, folder), late),
        file_system=file_system,
        device=device,
        inodes=inodes,
        free_inodes=free_inodes,
        models=_ownership(state / "models", owner),
        is_closed=not mode & (stat.S_IROTH | stat.S_IXOTH),
    )


def answers(path: Path) -> bool:
    """Return whether the disk of a folder answers within `ANSWER_S`, also that it is absent."""

    def look() -> bool:
        with contextlib.suppress(OSError):
            os.listdir(path)  # noqa: PTH208 - opens it, too
        return True

    return within(ANSWER_S, look, otherwise=False)


def is_absent(path: Path) -> bool:
    """Return whether there is certainly no such file; one that may not be looked at may exist."""
    try:
        path.lstat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def _look(state: Path) -> tuple[bool, str | None]:
    """Return whether there is a state folder, and why it cannot be used at all."""
    try:
        mode = state.stat().st_mode
    except FileNotFoundError:
        return False, None
    except OSError as error:
        return True, f"{error.strerror or error}; run doctor with sudo, or as its user"
    return True, None if stat.S_ISDIR(mode) else "it is not a folder"


def _first_existing(path: Path) -> Path:
    """Return the nearest folder above that exists."""
    return next((each for each in path.absolute().parents if os.path.isdir(each)), Path("/"))  # noqa: PTH112 - never raises


def _write_error(folder: Path) -> str | None:
    """Return why no file can be written; None: one was."""
    trial = folder / f".doctor-{secrets.token_hex(4)}"
    try:
        write_private_file(trial, _TRIAL)
    except OSError as error:
        return error.strerror or str(error)
    finally:
        with contextlib.suppress(OSError):
            trial.unlink(missing_ok=True)
    return None


def _ownership(models: Path, folder_owner: int) -> Ownership | None:
    """Return who owns the models folder, or the first folder in it of another user."""
    try:
        owners = [(models, models.stat().st_uid)]
        owners += [(each, each.stat().st_uid) for each in models.iterdir() if each.is_dir()]
    except OSError:
        return None
    others = [owner for _, owner in owners if owner != folder_owner]
    return Ownership(models, others[0] if others else folder_owner, folder_owner)


def mount_of(folder: Path, mounts: Path) -> tuple[str, str]:
    """Return type and device of the file system of a folder; empty where they are unknown."""
    here = os.path.realpath(folder)
    best, found = "", ("", "")
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return found
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, rest = before.split(), after.split()
        if len(fields) < 5 or len(rest) < 2:
            continue
        point = re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), fields[4])
        inside = here == point or here.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):  # a later mount hides an earlier one
            best, found = point, (rest[0], rest[1])
    return found
