"""Deletion of refits that newer ones have superseded: without it each night leaves a version."""

from __future__ import annotations

import shutil
from pathlib import Path

from asd_monitor.model_store.atomic_files import hide_for_removal, writing_to
from asd_monitor.model_store.bundle import Bundle
from asd_monitor.model_store.manifest import read_files
from asd_monitor.model_store.versions import (
    BundleError,
    current_version,
    version_number,
    versions,
)


def delete_superseded(models: Path, replaced: Bundle, version: str) -> list[str]:
    """Delete the refits of a model that are older than the one that a new refit has replaced.

    Kept are the trained model, the version in use, the one before it, candidates, versions that are
    damaged, and those of other trained models.

    Args:
        models: the models folder.
        replaced: the version that was in use before the new refit.
        version: the new refit; nothing is deleted where it is not in use any more.

    Returns:
        The names of the deleted versions.

    Raises:
        OSError: a version cannot be deleted.

    """
    machine, deleted = replaced.machine, []
    with writing_to(models / machine):
        current = current_version(models, machine)
        if current is None or current.name != version:
            return []
        for name in versions(models, machine):
            is_older = version_number(name) < version_number(replaced.version)
            if is_older and _is_refit_in_use_before(models, replaced, name):
                shutil.rmtree(hide_for_removal(models / machine / name))
                deleted.append(name)
    return deleted


def _is_refit_in_use_before(models: Path, bundle: Bundle, version: str) -> bool:
    """Return whether a version is a refit of the same trained model, and no candidate."""
    try:
        manifest = read_files(models, bundle.machine, version).manifest
    except (BundleError, OSError, ValueError):
        return False
    first = (manifest.get("commissioning") or {}).get("first")
    is_of_same = first == {"version": bundle.first.version, "sha256": bundle.first.sha256}
    return is_of_same and not manifest.get("candidate")
