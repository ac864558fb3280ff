"""Changes of a stored bundle by somebody who also writes the hashes anew."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from asd_monitor.model_store.manifest import ARRAYS
from asd_monitor.model_store.versions import MANIFEST, set_current


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a bundle without its own hash."""
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
    manifest.pop("sha256", None)
    return manifest


def write_manifest(folder: Path, manifest: Any) -> None:
    """Write a manifest, valid or not, with its hash, and put the version into use."""
    write_manifest_text(folder, json.dumps(manifest, indent=1))


def write_manifest_text(folder: Path, text: str) -> None:
    """Write the text of a JSON object as a manifest with its hash, and put it into use."""
    body = text.rstrip().removesuffix("}").rstrip().encode()
    sha256 = hashlib.sha256(body).hexdigest()
    (folder / MANIFEST).write_bytes(body + f',\n "sha256": "{sha256}"\n}}\n'.encode())
    set_current(folder.parents[1], folder.parent.name, folder.name, sha256)


def edit_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest of a bundle and its hash."""
    manifest = read_manifest(folder)
    change(manifest)
    write_manifest(folder, manifest)


def write_arrays(folder: Path, content: bytes) -> None:
    """Replace the array file of a bundle and its hash."""
    (folder / ARRAYS).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    edit_manifest(folder, lambda manifest: manifest["files"].update({ARRAYS: digest}))
