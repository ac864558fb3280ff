"""Deletion of a version by a person."""

from __future__ import annotations

import shutil
from pathlib import Path

from asd_monitor.errors import OperationError, UsageError
from asd_monitor.model_store.atomic_files import hide_for_removal, sync_folder, writing_to
from asd_monitor.model_store.bundle import load_bundle
from asd_monitor.model_store.catalogue import access_reported, require_version, version_to_return_to
from asd_monitor.model_store.versions import (
    CURRENT,
    BundleError,
    current_version,
    note_deleted,
)


def delete_version(models: Path, machine: str, version: str, *, anyway: bool) -> None:
    """Delete a version: it is there completely or not at all.

    Args:
        models: the models folder.
        machine: id of the machine.
        version: name of the version.
        anyway: also one that is needed: in use, the one that a rollback returns to, or the trained
            model that the one in use extends.

    Raises:
        UsageError: it is needed.
        OperationError: it does not exist, or the folder cannot be written.

    """
    require_version(models, machine, version)
    home = models / machine
    with access_reported(home), writing_to(home):
        require_version(models, machine, version)  # a refit may have deleted it meanwhile
        in_use = _version_in_use(models, machine)
        need = _need_of(models, machine, version, in_use)
        if need is not None and not anyway:
            raise UsageError(
                f"{machine} {version} {need}: it is not deleted; promote another version first, or "
                "delete it with --anyway"
            )
        if version == in_use:
            (home / CURRENT).unlink()
            sync_folder(home)
        note_deleted(models, machine, version)
        hidden = hide_for_removal(home / version)
        shutil.rmtree(hidden)


def _version_in_use(models: Path, machine: str) -> str | None:
    try:
        current = current_version(models, machine)
    except BundleError as error:
        raise OperationError(
            f"{error.reason}: before that nothing is deleted, since any version may be in use"
        ) from error
    return None if current is None else current.name


def _need_of(models: Path, machine: str, version: str, in_use: str | None) -> str | None:
    """Return why a version is needed; None: it is not."""
    if in_use is None:
        return "may be needed, since no version is in use"
    if version == in_use:
        return "is in use"
    if version == version_to_return_to(models, machine):
        return f"is the version before {in_use}, which a rollback returns to"
    try:
        first = load_bundle(models, machine, in_use).first
    except BundleError:
        return f"may be needed, since {in_use}, which is in use, is damaged"
    if version == first.version:
        return f"is the trained model that {in_use} in use extends"
    return None
