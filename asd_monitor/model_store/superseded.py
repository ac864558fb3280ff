"""Deletion of refits that newer ones have superseded: without it each night leaves a version.

Only what the daemon has made by itself is deleted.
"""

from __future__ import annotations

import shutil
from collections.abc import Container
from pathlib import Path

from asd_monitor.model_store.atomic_files import hide_for_removal, writing_to
from asd_monitor.model_store.bundle import Bundle
from asd_monitor.model_store.manifest import read_files
from asd_monitor.model_store.promoted import promoted_versions
from asd_monitor.model_store.versions import (
    BundleError,
    current_version,
    version_number,
    versions,
)


def delete_superseded(models: Path, replaced: Bundle, version: str) -> list[str]:
    """Delete the refits of a model that are older than the one that a new refit has replaced.

    Kept are the trained model, the version in use, the one before it, candidates, versions that a
    person has made or put into use, those that are damaged, and those of other trained models.

    Args:
        models: the models folder.
        replaced: the version that was in use before the new refit.
        version: the new refit; nothing is deleted where it is not in use any more.

    Returns:
        The names of the deleted versions.

    Raises:
        BundleError: it is not known which version is in use, or which a person has put into use.
        OSError: a version cannot be deleted.

    """
    machine, deleted = replaced.machine, []
    with writing_to(models / machine):
        current = current_version(models, machine)
        if current is None or current.name != version:
            return []
        promoted = promoted_versions(models, machine)
        for name in versions(models, machine):
            is_older = version_number(name) < version_number(replaced.version)
            if is_older and _is_superseded(models, replaced, name, promoted):
                shutil.rmtree(hide_for_removal(models / machine / name))
                deleted.append(name)
    return deleted


def _is_superseded(models: Path, bundle: Bundle, version: str, promoted: Container[str]) -> bool:
    """Return whether a version is a refit of the same trained model without a person's part.

    A candidate waits for a person, and a promoted version was put into use by one.
    """
    try:
        files = read_files(models, bundle.machine, version)
    except (BundleError, OSError, ValueError):
        return False
    commissioning = files.manifest.get("commissioning") or {}
    first = {"version": bundle.first.version, "sha256": bundle.first.sha256}
    is_own = commissioning.get("first") == first and commissioning.get("automatic", False)
    is_promoted = version in promoted or files.sha256 in promoted
    return is_own and not files.manifest.get("candidate") and not is_promoted
