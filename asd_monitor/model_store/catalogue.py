"""The versions of the machines' models: which there are, which is in use, and changing that."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asd_monitor.errors import OperationError
from asd_monitor.model_store.atomic_files import write_durably
from asd_monitor.model_store.bundle import (
    MANIFEST,
    Bundle,
    BundleError,
    current_version,
    load_bundle,
    machines_with_models,
    next_version,
    set_current,
    versions,
)
from asd_monitor.model_store.encoder_files import keep_encoders


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One version."""

    machine: str
    version: str
    current: bool
    manifest: Mapping[str, Any]  # empty where it cannot be trusted
    problem: str | None  # why it cannot be used

    def to_json(self) -> dict[str, Any]:
        """Return what is told of it."""
        training = self.manifest.get("training", {})
        return {
            "machine": self.machine,
            "version": self.version,
            "current": self.current,
            "trained": self.manifest.get("trained"),
            "seconds": training.get("seconds"),
            "files": len(training["files"]) if "files" in training else None,
            "problem": self.problem,
        }


def entries(models: Path, machine: str | None = None) -> list[Entry]:
    """Return the versions of a machine, or of all, each checked.

    Raises:
        OperationError: the folder is not there or cannot be read.

    """
    with _told(models):
        os.scandir(models).close()
        names = [machine] if machine else machines_with_models(models)
        return [
            _entry(models, name, version, current=version == current)
            for name in names
            for current in [_current(models, name)]
            for version in versions(models, name)
        ]


def _entry(models: Path, machine: str, version: str, *, current: bool) -> Entry:
    try:
        manifest, problem = load_bundle(models, machine, version).manifest, None
    except BundleError as error:
        manifest, problem = {}, error.reason
    return Entry(machine, version, current, manifest, problem)


def _current(models: Path, machine: str) -> str | None:
    try:
        return current_version(models, machine)
    except BundleError:
        return None  # `current` is damaged: nothing is in use


def promote(models: Path, machine: str, version: str) -> Bundle:
    """Make a version the one in use, if it can be used.

    Raises:
        OperationError: it is not there, cannot be used, or the folder cannot be written.

    """
    _demand(models, machine, version)
    bundle = load_bundle(models, machine, version)
    with _told(models / machine):
        set_current(models, machine, version)
    return bundle


def rollback(models: Path, machine: str) -> Bundle:
    """Make the newest usable version before the one in use the one in use.

    Raises:
        OperationError: there is none, or the folder cannot be written.

    """
    with _told(models / machine):
        known = versions(models, machine)
    current = _current(models, machine)
    # where `current` is damaged or names what is gone, the newest version is as good as any
    older = known[: known.index(current)] if current in known else known
    for version in reversed(older):
        try:
            return promote(models, machine, version)
        except BundleError:
            continue
    raise OperationError(
        f"{machine}: there is no usable version before {current or 'the current one'} in {models}: "
        f"`asd-monitor models list --machine {machine}` shows what there is"
    )


def export(models: Path, machine: str, version: str | None, into: Path) -> str:
    """Copy a version into another models folder and make it the one in use there.

    Return its name there, which differs where the name is taken by another model.

    Raises:
        OperationError: it is not there, cannot be used, or a folder cannot be written.

    """
    if version is not None:
        _demand(models, machine, version)
    bundle = load_bundle(models, machine, version)
    source, home = models / machine / bundle.version, into / machine
    with _told(home):
        home.mkdir(parents=True, exist_ok=True)
        keep_encoders(into, bundle.detector.encoders)
        name = bundle.version
        if (home / name).exists():
            if _same(source, home / name):
                set_current(into, machine, name)
                return name
            name = next_version(into, machine)
        manifest = dict(bundle.manifest) | {"version": name}
        partial = home / f".{name}.{os.getpid()}.partial"
        try:
            partial.mkdir()
            for file in bundle.manifest["files"]:
                write_durably(partial / file, (source / file).read_bytes())
            text = json.dumps(manifest, indent=1, allow_nan=False) + "\n"
            write_durably(partial / MANIFEST, text.encode())
            partial.rename(home / name)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        load_bundle(into, machine, name)
        set_current(into, machine, name)
    return name


def _same(one: Path, other: Path) -> bool:
    try:
        return (one / MANIFEST).read_bytes() == (other / MANIFEST).read_bytes()
    except FileNotFoundError:
        return False


def _demand(models: Path, machine: str, version: str) -> None:
    with _told(models / machine):
        known = versions(models, machine)
    if version not in known:
        has = f"it has {', '.join(known)}" if known else "it has none"
        raise OperationError(f"{machine} has no version {version} in {models}: {has}")


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OperationError(
            f"{error.filename or folder}: {error.strerror or error}: choose a folder that this "
            "user may read and write"
        ) from error
