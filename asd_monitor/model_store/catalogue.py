"""The catalogue of versions: listing, verifying, choosing and copying them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from asd_monitor.errors import OperationError
from asd_monitor.limited_reading import read_limited
from asd_monitor.model_store.atomic_files import (
    create_folder_durably,
    os_errors_reported,
    writing_to,
)
from asd_monitor.model_store.bundle import Bundle, load_bundle
from asd_monitor.model_store.encoder_files import store_encoders
from asd_monitor.model_store.manifest import (
    MAX_FILE_BYTES,
    MAX_MANIFEST_BYTES,
)
from asd_monitor.model_store.promoted import approved_manifests, promote_version
from asd_monitor.model_store.versions import (
    MANIFEST,
    BundleError,
    current_version,
    machines_with_models,
    next_version,
    no_current,
    versions,
)
from asd_monitor.sealed_json import parsed_json, sealed_json


@dataclass(frozen=True, slots=True, eq=False)
class VersionEntry:
    """One version in the catalogue."""

    machine: str
    version: str
    current: bool
    manifest: Mapping[str, Any]  # empty if the version cannot be used
    problem: str | None  # why the version cannot be used

    def to_json(self) -> dict[str, Any]:
        """Return the entry for ``models list --json``."""
        training = self.manifest.get("training") or {}
        return {
            "machine": self.machine,
            "version": self.version,
            "current": self.current,
            "trained": self.manifest.get("trained"),
            "seconds": training.get("seconds"),
            "files": len(training["files"]) if "files" in training else None,
            "reason": self.manifest.get("reason"),
            "moved": self.manifest.get("moved"),
            "candidate": self.manifest.get("candidate", False),
            "problem": self.problem,
        }


def list_versions(models: Path, machine: str | None = None) -> list[VersionEntry]:
    """Return the versions of a machine, or of all machines; each is verified.

    Raises:
        OperationError: the folder is missing or cannot be read.

    """
    with access_reported(models):
        os.scandir(models).close()
        names = [machine] if machine else machines_with_models(models)
        return [
            _entry(models, name, version, current=version == current)
            for name in names
            for current in [version_in_use(models, name)]
            for version in versions(models, name)
        ]


def _entry(models: Path, machine: str, version: str, *, current: bool) -> VersionEntry:
    try:
        manifest, problem = load_bundle(models, machine, version).manifest, None
    except BundleError as error:
        manifest, problem = {}, error.reason
    return VersionEntry(machine, version, current, manifest, problem)


def version_in_use(models: Path, machine: str) -> str | None:
    """Return the name of the version in use; None: there is none, or `current` is damaged."""
    try:
        current = current_version(models, machine)
    except BundleError:
        return None
    return None if current is None else current.name


def promote(models: Path, machine: str, version: str) -> Bundle:
    """Put a version into use.

    Raises:
        OperationError: it does not exist or cannot be used, or the folder cannot be written.

    """
    require_version(models, machine, version)
    bundle = load_bundle(models, machine, version)
    with access_reported(models / machine), writing_to(models / machine):
        require_version(models, machine, version)  # a refit may have deleted it meanwhile
        promote_version(models, machine, version, bundle.sha256)
    return bundle


def rollback(models: Path, machine: str) -> Bundle:
    """Put the newest usable version before the one in use into use.

    A candidate is passed over, unless a person has put it into use and has not left it since.

    Raises:
        OperationError: there is none, or the folder cannot be read or written.

    """
    with access_reported(models / machine):
        if not versions(models, machine):
            raise no_current(models, machine)
    version = version_to_return_to(models, machine)
    if version is not None:
        return promote(models, machine, version)
    current = version_in_use(models, machine) or "the current one"
    raise OperationError(
        f"{machine}: there is no usable version before {current} in {models}: "
        f"list the versions with `asd-monitor models list --machine {machine} --models {models}`"
    )


def version_to_return_to(models: Path, machine: str) -> str | None:
    """Return the version that `rollback` puts into use; None: there is none.

    Raises:
        OperationError: the folder cannot be read.

    """
    with access_reported(models / machine):
        known = versions(models, machine)
        approved = approved_manifests(models, machine)
    current = version_in_use(models, machine)
    # if `current` is damaged or names a missing version, the newest version is a candidate
    older = known[: known.index(current)] if current in known else known
    for version in reversed(older):
        try:
            bundle = load_bundle(models, machine, version)
        except BundleError:
            continue
        if bundle.sha256 in approved or not bundle.manifest.get("candidate"):
            return version
    return None


def export(models: Path, machine: str, version: str | None, into: Path) -> str:
    """Copy a version into another models folder and put it into use there.

    Returns:
        Its name there, which differs if the name is taken by another model.

    Raises:
        OperationError: it does not exist or cannot be used, or a folder cannot be written.

    """
    if version is not None:
        require_version(models, machine, version)
    bundle = load_bundle(models, machine, version)
    home = into / machine
    with access_reported(home), adding_to(bundle, into):
        name, sha256 = add_version(bundle, models, into)
        promote_version(into, machine, name, sha256)
    return name


@contextmanager
def adding_to(bundle: Bundle, into: Path) -> Iterator[None]:
    """Let this process alone add versions of a bundle's machine to a models folder.

    Its networks are stored before.  Raises OSError.
    """
    store_encoders(into, bundle.detector.encoders)
    with writing_to(into / bundle.machine):
        yield


def add_version(
    bundle: Bundle, models: Path, into: Path, documents: Mapping[str, bytes] = MappingProxyType({})
) -> tuple[str, str]:
    """Copy a version into another models folder, within `adding_to`.

    Args:
        bundle: the version, which was verified.
        models: the models folder that it is in.
        into: the other models folder.
        documents: further files by name, which are no part of the model.

    Returns:
        Its name there, which differs if the name is taken by another model, and the SHA-256 of its
        manifest.  A version that is there already is not written again.

    Raises:
        OSError: a folder cannot be read or written.

    """
    source, home = models / bundle.machine / bundle.version, into / bundle.machine
    for name in versions(into, bundle.machine):
        if (sha256 := _sha256_of_same(bundle, home / name)) is not None:
            return name, sha256
    name = bundle.version
    if (home / name).exists():
        name = next_version(into, bundle.machine)
    files = {file: read_limited(source / file, MAX_FILE_BYTES) for file in bundle.manifest["files"]}
    content, sha256 = sealed_json(dict(bundle.manifest) | {"version": name})
    create_folder_durably(home / name, {**files, **documents, MANIFEST: content})
    load_bundle(into, bundle.machine, name)
    return name, sha256


def _sha256_of_same(bundle: Bundle, other: Path) -> str | None:
    """Return the hash of a version's manifest, where it is the same model; else None."""
    try:
        manifest = parsed_json(read_limited(other / MANIFEST, MAX_MANIFEST_BYTES))
    except (FileNotFoundError, ValueError):
        return None
    sha256 = str(manifest.pop("sha256", ""))
    is_same = manifest | {"version": bundle.version} == dict(bundle.manifest)
    return sha256 if is_same else None


def require_version(models: Path, machine: str, version: str) -> None:
    """Raise `OperationError` where a machine has no such version."""
    with access_reported(models / machine):
        known = versions(models, machine)
    if version not in known:
        available = f"it has {', '.join(known)}" if known else "it has no versions"
        raise OperationError(f"{machine} has no version {version} in {models}: {available}")


def access_reported(folder: Path) -> AbstractContextManager[None]:
    """Raise an OSError as an `OperationError` with the remedy."""
    return os_errors_reported(
        folder, "cannot be accessed", "choose a folder that this user may read and write"
    )
