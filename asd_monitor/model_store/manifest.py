"""The contents of a bundle: a detector as ``manifest.json`` and ``views.npz``.

The manifest holds the format version, the front end, the views and calibrations, references to the
encoders, the facts of the training, and the SHA-256 of every other file.  The arrays of the back
ends are in ``views.npz`` as ``<view>.<array>``.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asd_monitor import __version__
from asd_monitor.detector.calibration import ParetoTail
from asd_monitor.detector.detector import Detector
from asd_monitor.detector.views import VIEW_KINDS, View, encoder_views
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.model_store.atomic_files import read_limited
from asd_monitor.model_store.versions import MANIFEST, BundleError

FORMAT = 4  # versions up to 3 were fitted to other features
ARRAYS = "views.npz"
MAX_FILE_BYTES = 256 * 2**20  # far above the size of any file of a bundle


def manifest_of(
    machine: str,
    version: str,
    detector: Detector,
    *,
    encoders: Sequence[Mapping[str, Any]],
    facts: Mapping[str, Any],
    files: Mapping[str, bytes],
) -> dict[str, Any]:
    """Return the manifest of a bundle.

    Args:
        machine: id of the machine.
        version: name of the version.
        detector: the fitted detector.
        encoders: the references to its encoders (`encoder_files.store_encoders`).
        facts: further keys, such as training set and thresholds.
        files: contents of the other files of the bundle, by name.

    """
    return {
        "format": FORMAT,
        "package": __version__,
        "machine": machine,
        "version": version,
        "front_end": detector.front_end.to_json(),
        "idle_dbfs": detector.idle_dbfs,
        "encoders": encoders,
        "views": [
            {"name": v.kind.name, "back_end": v.back_end.kind, "tail": v.calibration.to_json()}
            for v in detector.views
        ],
        "tail": detector.calibration.to_json(),
        "lasting": detector.sustained_calibration.to_json(),
        **facts,
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    }


def manifest_bytes(manifest: Mapping[str, Any]) -> bytes:
    """Return the content of ``manifest.json``; raises ValueError on NaN and infinity."""
    return (json.dumps(manifest, indent=1, allow_nan=False) + "\n").encode()


def array_bytes(detector: Detector) -> bytes:
    """Return the content of ``views.npz``."""
    buffer = io.BytesIO()
    arrays = {
        f"{view.kind.name}.{name}": array
        for view in detector.views
        for name, array in view.back_end.arrays().items()
    }
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a bundle after the hashes of all its files were verified.

    Raises:
        BundleError: another format.
        ValueError: it is malformed, or a file differs from the one that was written.
        OSError: a file is missing or cannot be read.

    """
    content = read_limited(folder / MANIFEST, MAX_FILE_BYTES)
    manifest = json.loads(content, parse_constant=_refuse_constant)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise ValueError(f"{MANIFEST} is malformed")  # noqa: TRY004 - one class for any damage
    found = manifest.get("format")
    if found != FORMAT:
        newer = isinstance(found, int) and found > FORMAT
        remedy = "upgrade asd-monitor, or train again" if newer else "train again"
        raise BundleError(
            f"{folder}: format {found}, written by asd-monitor {manifest.get('package', '?')}, "
            f"but asd-monitor {__version__} reads format {FORMAT}: {remedy}"
        )
    for name, expected in manifest["files"].items():
        if Path(name).name != name:
            raise ValueError(f"{MANIFEST} names a file outside the folder: {name}")
        content = read_limited(folder / name, MAX_FILE_BYTES)
        if hashlib.sha256(content).hexdigest() != expected:
            raise ValueError(f"{name} was changed: its hash differs from that in {MANIFEST}")
    return manifest


def read_detector(
    folder: Path, manifest: Mapping[str, Any], encoders: Sequence[Encoder]
) -> Detector:
    """Return the detector of a bundle.

    Args:
        folder: folder of the bundle.
        manifest: its verified manifest.
        encoders: the encoders that the manifest refers to, in order.

    Raises:
        KeyError, TypeError, ValueError, BadZipFile: the content is invalid.
        OSError: a file cannot be read.

    """
    arrays = _read_arrays(folder, manifest)
    kinds = {kind.name: kind for kind in VIEW_KINDS}
    for encoder in encoders:
        kinds |= {kind.name: kind for kind in encoder_views(encoder.card)}
    views = []
    for entry in manifest["views"]:
        kind = kinds[entry["name"]]
        if kind.back_end.kind != entry["back_end"]:
            raise ValueError(f"the view {kind.name} was fitted by another version of asd-monitor")
        prefix = f"{kind.name}."
        own = {
            name.removeprefix(prefix): array.astype(np.float32)
            for name, array in arrays.items()
            if name.startswith(prefix)
        }
        views.append(View(kind, kind.back_end.restore(own), ParetoTail.from_json(entry["tail"])))
    front_end = FrontEnd(**manifest["front_end"])
    if not all(isinstance(n, int) and n > 0 for n in front_end.to_json().values()):
        raise ValueError(f"{MANIFEST}: the front end is invalid")
    for encoder in encoders:
        if reason := encoder.incompatibility(front_end):
            raise ValueError(f"{MANIFEST}: the network {encoder.name} cannot be used: {reason}")
    idle = manifest["idle_dbfs"]
    return Detector(
        front_end,
        tuple(views),
        ParetoTail.from_json(manifest["tail"]),
        ParetoTail.from_json(manifest["lasting"]),
        None if idle is None else (float(idle[0]), float(idle[1])),
        tuple(encoders),
    )


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{MANIFEST} contains {name}")


def _read_arrays(folder: Path, manifest: Mapping[str, Any]) -> dict[str, npt.NDArray[np.generic]]:
    if ARRAYS not in manifest["files"]:
        raise ValueError(f"{MANIFEST} does not list {ARRAYS}")
    content = io.BytesIO(read_limited(folder / ARRAYS, MAX_FILE_BYTES))
    with np.load(content, allow_pickle=False) as stored:
        arrays = dict(stored)
    for name, array in arrays.items():
        if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            raise ValueError(f"{ARRAYS}: {name} contains values that are not finite numbers")
    return arrays
