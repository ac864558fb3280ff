"""The versions that a person has put into use: they are not deleted when refits supersede them.

The file ``models/<machine>/promoted`` contains a line for each, the name of the version and the
SHA-256 of its manifest.
"""

from __future__ import annotations

import re
from pathlib import Path

from asd_monitor.limited_reading import read_limited
from asd_monitor.model_store.atomic_files import replace_durably
from asd_monitor.model_store.versions import BundleError, set_current

PROMOTED = "promoted"

_LINE = re.compile(rb"v[0-9]{1,18} ([0-9a-f]{64})")
_MAX_BYTES = 1 << 20  # ten thousand versions


def promote_version(models: Path, machine: str, version: str, sha256: str) -> None:
    """Put a version into use for a person; ``sha256`` is that of its manifest.

    The caller is the only one that writes to the machine's folder.

    Raises:
        BundleError: the list of promoted versions is no such file.
        OSError: the folder cannot be written.

    """
    lines, line = _lines(models, machine), f"{version} {sha256}".encode()
    if line not in lines:
        replace_durably(models / machine / PROMOTED, b"\n".join([*lines, line, b""]))
    set_current(models, machine, version, sha256)


def promoted_manifests(models: Path, machine: str) -> set[str]:
    """Return the SHA-256 of the manifests of the versions that a person has put into use.

    Raises:
        BundleError: a line of the list is damaged.
        OSError: the list cannot be read.

    """
    found = [_LINE.fullmatch(line) for line in _lines(models, machine)]
    intact = [match[1].decode() for match in found if match is not None]
    if len(intact) < len(found):
        raise _malformed(models, machine, "a line is damaged")
    return set(intact)


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
