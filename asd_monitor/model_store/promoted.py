"""The versions that a person has put into use: they are not deleted when refits supersede them.

The file ``models/<machine>/promoted`` contains a line for each, the name of the version and the
SHA-256 of its manifest, in the order in which they were put into use last.
"""

from __future__ import annotations

import re
from pathlib import Path

from asd_monitor.limited_reading import read_limited
from asd_monitor.model_store.atomic_files import replace_durably
from asd_monitor.model_store.versions import BundleError, set_current, version_number

PROMOTED = "promoted"

_LINE = re.compile(rb"(v[0-9]{1,18}) ([0-9a-f]{64})")
_MAX_BYTES = 1 << 20  # ten thousand versions


def promote_version(models: Path, machine: str, version: str, sha256: str) -> None:
    """Put a version into use for a person; ``sha256`` is that of its manifest.

    The caller is the only one that writes to the machine's folder.

    Raises:
        BundleError: the list of promoted versions is no such file.
        OSError: the folder cannot be written.

    """
    lines, line = _lines(models, machine), f"{version} {sha256}".encode()
    if lines[-1:] != [line]:
        others = [each for each in lines if each != line]
        replace_durably(models / machine / PROMOTED, b"\n".join([*others, line, b""]))
    set_current(models, machine, version, sha256)


def promoted_manifests(models: Path, machine: str) -> set[str]:
    """Return the SHA-256 of the manifests of the versions that a person has put into use.

    Raises:
        BundleError: a line of the list is damaged.
        OSError: the list cannot be read.

    """
    return {sha256 for _, sha256 in _promotions(models, machine)}


def promoted_versions(models: Path, machine: str) -> set[str]:
    """Return the versions that a person has put into use, each by name and by hash.

    So a changed digit of one does not hide the version.

    Raises:
        BundleError: a line of the list is damaged.
        OSError: the list cannot be read.

    """
    return {part for line in _promotions(models, machine) for part in line}


def approved_manifests(models: Path, machine: str) -> set[str]:
    """Return those of `promoted_manifests` that no person has left for an older version since.

    Raises:
        BundleError: a line of the list is damaged.
        OSError: the list cannot be read.

    """
    approved: set[str] = set()
    oldest_since: int | None = None
    for version, sha256 in reversed(_promotions(models, machine)):
        number = version_number(version)
        if oldest_since is None or number < oldest_since:
            approved.add(sha256)
            oldest_since = number
    return approved


def _promotions(models: Path, machine: str) -> list[tuple[str, str]]:
    """Return version and SHA-256 of each line."""
    found = [_LINE.fullmatch(line) for line in _lines(models, machine)]
    intact = [(match[1].decode(), match[2].decode()) for match in found if match is not None]
    if len(intact) < len(found):
        raise _malformed(models, machine, "a line is damaged")
    return intact


def _lines(models: Path, machine: str) -> list[bytes]:
    try:
        return read_limited(models / machine / PROMOTED, _MAX_BYTES).splitlines()
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise _malformed(models, machine, str(error)) from error


def _malformed(models: Path, machine: str, why: str) -> BundleError:
    return BundleError(
        f"{models / machine / PROMOTED} does not list the versions that were promoted ({why}): "
        "delete it, and promote again what is to be kept"
    )
