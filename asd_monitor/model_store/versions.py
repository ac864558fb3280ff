"""The versions of the machines' models: their names, and which one is in use.

Version n of a machine is the folder ``models/<machine>/v<n>/``; the file
``models/<machine>/current`` contains the name of the version in use.
"""

from __future__ import annotations

from pathlib import Path

from asd_monitor.errors import OperationError
from asd_monitor.model_store.atomic_files import replace_durably

MANIFEST = "manifest.json"
CURRENT = "current"


class BundleError(OperationError):
    """A bundle is missing or invalid; ``reason`` is one line, also for state messages."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def versions(models: Path, machine: str) -> list[str]:
    """Return the names of the complete versions, oldest first."""
    home = models / machine
    names = [path.parent.name for path in home.glob(f"v*/{MANIFEST}")]
    return sorted((name for name in names if name[1:].isdecimal()), key=version_number)


def version_number(version: str) -> int:
    """Return the number of a version from its name."""
    return int(version[1:])


def next_version(models: Path, machine: str) -> str:
    """Return the name of the version after the newest."""
    newest = versions(models, machine)[-1:]
    return f"v{version_number(newest[0]) + 1 if newest else 1}"


def machines_with_models(models: Path) -> list[str]:
    """Return the names of the machines that have a version, sorted."""
    if not models.is_dir():
        return []
    return sorted(path.name for path in models.iterdir() if versions(models, path.name))


def current_version(models: Path, machine: str) -> str | None:
    """Return the name of the version in use, or None if there is none.

    Raises:
        BundleError: the file that names it is malformed or cannot be read.

    """
    path = models / machine / CURRENT
    try:
        name = path.read_text("utf-8").strip()
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise no_permission(error) from error
    except NotADirectoryError as error:
        raise BundleError(
            f"{models / machine} is not a folder: correct the path of the models folder"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(
            f"{path} cannot be read ({error}): {promote_remedy(models, machine)}"
        ) from error
    if not (name.startswith("v") and name[1:].isdecimal()):
        raise BundleError(
            f"{path} does not contain the name of a version: {promote_remedy(models, machine)}"
        )
    return name


def set_current(models: Path, machine: str, version: str) -> None:
    """Put a version into use, atomically.  Raises OSError."""
    replace_durably(models / machine / CURRENT, f"{version}\n".encode())


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
    return (
        f"choose a version with `asd-monitor models promote --machine {machine} --version "
        f"{newest[0]} --models {models}`"
    )


def train_remedy(models: Path, machine: str) -> str:
    """Return the remedy for a machine without a usable version."""
    return (
        f"train again with `asd-monitor train --machine {machine} --models {models} --normal PATH`"
    )


def damage_remedy(models: Path, machine: str, version: str) -> str:
    """Return the remedy for a damaged version: the one before it, or a new one."""
    if any(version_number(name) < version_number(version) for name in versions(models, machine)):
        return (
            f"return to an older version with `asd-monitor models rollback --machine {machine} "
            f"--models {models}`"
        )
    return train_remedy(models, machine)
