"""The versions of the machines' models: their names, and which one is in use.

Version n of a machine is the folder ``models/<machine>/v<n>/``.  The file
``models/<machine>/current`` contains one line, the name of the version in use and the SHA-256 of
its manifest, so that a changed digit does not select another version.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from asd_monitor.errors import OperationError
from asd_monitor.limited_reading import read_limited
from asd_monitor.model_store.atomic_files import replace_durably

MANIFEST = "manifest.json"
CURRENT = "current"
DELETED = "deleted"
"""The file that names the newest version that a person has deleted."""

_VERSION = re.compile("v[0-9]{1,18}")
_CURRENT = re.compile(rb"(v[0-9]{1,18})(?: ([0-9a-f]{64}))?\n?")
MAX_CURRENT_BYTES = 4096


class BundleError(OperationError):
    """A bundle is missing or invalid; ``reason`` is one line, also for state messages."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class CurrentVersion:
    """The version in use."""

    name: str
    sha256: str | None
    """SHA-256 of its manifest; None where the file names no more than the version."""


def versions(models: Path, machine: str) -> list[str]:
    """Return the names of the complete versions, oldest first.

    One that this user may not read is among them; where that is their folder, there are none.
    """
    home = models / machine
    try:
        names = [path.name for path in home.iterdir() if _VERSION.fullmatch(path.name)]
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
    return sorted((name for name in names if _is_complete(home / name)), key=version_number)


def _is_complete(version: Path) -> bool:
    """Return whether a version has a manifest, also one that this user may not look for."""
    try:
        (version / MANIFEST).stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except PermissionError:
        return True
    return True


def version_number(version: str) -> int:
    """Return the number of a version from its name."""
    return int(version[1:])


def next_version(models: Path, machine: str) -> str:
    """Return the name of the version after the newest; that of a deleted one is not used again."""
    newest = versions(models, machine)[-1:]
    number = version_number(newest[0]) if newest else 0
    return f"v{max(number, _highest_deleted(models, machine)) + 1}"


def note_deleted(models: Path, machine: str, version: str) -> None:
    """Note that a version is deleted: alarms may refer to it.  Raises OSError."""
    if version_number(version) > _highest_deleted(models, machine):
        replace_durably(models / machine / DELETED, f"{version}\n".encode())


def _highest_deleted(models: Path, machine: str) -> int:
    """Return the number of the newest version that a person has deleted; 0: none is known."""
    try:
        name = read_limited(models / machine / DELETED, MAX_CURRENT_BYTES).decode("ascii").strip()
    except (OSError, ValueError):
        return 0
    return version_number(name) if _VERSION.fullmatch(name) else 0


def machines_with_models(models: Path) -> list[str]:
    """Return the names of the machines that have a version, sorted."""
    if not models.is_dir():
        return []
    return sorted(path.name for path in models.iterdir() if versions(models, path.name))


def current_version(models: Path, machine: str) -> CurrentVersion | None:
    """Return the version in use, or None if there is none.

    Raises:
        BundleError: the file that names it is malformed or cannot be read.

    """
    path = models / machine / CURRENT
    try:
        content = read_limited(path, MAX_CURRENT_BYTES)
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise no_permission(error) from error
    except NotADirectoryError as error:
        raise BundleError(
            f"{models / machine} is not a folder: correct the path of the models folder"
        ) from error
    except (OSError, ValueError) as error:
        raise BundleError(
            f"{path} cannot be read ({error}): {promote_remedy(models, machine)}"
        ) from error
    found = _CURRENT.fullmatch(content)
    if found is None:
        raise BundleError(
            f"{path} does not contain the name of a version and the hash of its manifest: "
            f"{promote_remedy(models, machine)}"
        )
    name, sha256 = found.groups()
    return CurrentVersion(name.decode(), sha256.decode() if sha256 else None)


def set_current(models: Path, machine: str, version: str, sha256: str) -> None:
    """Put a version into use, atomically; ``sha256`` is that of its manifest.  Raises OSError."""
    replace_durably(models / machine / CURRENT, f"{version} {sha256}\n".encode())


def no_current(models: Path, machine: str) -> BundleError:
    """Return the error that no version is in use."""
    if versions(models, machine):
        path = models / machine / CURRENT
        return BundleError(
            f"{path} is missing, so no version is in use: {promote_remedy(models, machine)}"
        )
    return BundleError(
        f"no model of {machine} in {models}: record its normal sound, then "
        f"`asd-monitor train --machine {machine} --models {models} --normal PATH`"
    )


def no_permission(error: PermissionError) -> BundleError:
    """Return the error that a file may not be read."""
    return BundleError(f"{error.filename}: no permission to read it: grant this user read access")


def promote_remedy(models: Path, machine: str) -> str:
    """Return the remedy for a machine of which no version is in use."""
    newest = versions(models, machine)[-1:] or ["VERSION"]
    return f"choose a version with `{promote_command(models, machine, newest[0])}`"


def promote_command(models: Path, machine: str, version: str) -> str:
    """Return the command that puts a version into use."""
    return f"asd-monitor models promote {machine} {version} --models {models}"


def train_remedy(models: Path, machine: str) -> str:
    """Return the remedy for a machine without a usable version."""
    return (
        f"train again with `asd-monitor train --machine {machine} --models {models} --normal PATH`"
    )


def damage_remedy(models: Path, machine: str, version: str) -> str:
    """Return the remedy for a damaged version: the one before it, or a new one."""
    if any(version_number(name) < version_number(version) for name in versions(models, machine)):
        return (
            f"return to an older version with `asd-monitor models rollback {machine} "
            f"--models {models}`"
        )
    return train_remedy(models, machine)
