"""The model that a daemon uses: the version in use, or where that is damaged the last good one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from asd_monitor.encoders.runtime import Runtime
from asd_monitor.limited_reading import read_limited
from asd_monitor.model_store.bundle import Bundle, load_bundle
from asd_monitor.model_store.manifest import MAX_MANIFEST_BYTES
from asd_monitor.model_store.versions import (
    CURRENT,
    MANIFEST,
    MAX_CURRENT_BYTES,
    BundleError,
    version_number,
    versions,
)
from asd_monitor.sealed_json import seal_of

_NAME = re.compile(rb"v[0-9]{1,18}(?![0-9])")


def load_usable_bundle(
    models: Path,
    machine: str,
    *,
    runtime: Runtime = Runtime(),  # noqa: B008 - frozen
) -> Bundle:
    """Return the version in use; where it cannot be loaded, the last good version.

    That is, first, the version which the rest of a damaged `current` names by hash or by name; then
    the newest one before it that is intact and no candidate, or where nothing names one, the newest
    of all.  Its ``damage`` has the reason, and ``is_current`` is false.

    Args:
        models: the models folder.
        machine: id of the machine.
        runtime: how the networks are run.

    Raises:
        BundleError: there is none; the reason is that of the version in use.

    """
    try:
        return load_bundle(models, machine, runtime=runtime)
    except BundleError as error:
        reason = error.reason
        for version, is_named in _last_good_first(models, machine):
            try:
                found = load_bundle(models, machine, version, runtime=runtime)
            except BundleError:
                continue
            if is_named or not found.manifest.get("candidate"):
                damage = f"{version} is used in place of the model in use: {reason}"
                return replace(found, damage=damage, is_current=False)
        raise


def _last_good_first(models: Path, machine: str) -> Iterator[tuple[str, bool]]:
    """Yield the versions to try, and whether `current` names that one."""
    known = versions(models, machine)
    named = _named(models, machine, known)
    if named in known:
        yield named, True
    for version in reversed(known):
        if named is None or version_number(version) < version_number(named):
            yield version, False


def _named(models: Path, machine: str, known: Sequence[str]) -> str | None:
    """Return the version that `current` names, as far as it can be read; None: no name is left."""
    try:
        content = read_limited(models / machine / CURRENT, MAX_CURRENT_BYTES)
    except (OSError, ValueError):
        return None
    for version in known:
        sha256 = _sha256(models, machine, version)
        if sha256 is not None and sha256.encode() in content:
            return version
    name = _NAME.match(content)
    return None if name is None else name[0].decode()


def _sha256(models: Path, machine: str, version: str) -> str | None:
    """Return the hash with which a manifest ends; None where it is damaged."""
    try:
        path = models / machine / version / MANIFEST
        return seal_of(read_limited(path, MAX_MANIFEST_BYTES))
    except (OSError, ValueError):
        return None
