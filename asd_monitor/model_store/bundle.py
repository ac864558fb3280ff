"""A fitted detector on disk: ``models/<machine>/<version>/``.

A version is complete or absent, and never changed: it is written under another name and
renamed when it lies safely on the disk.  ``models/<machine>/current`` names the one in
use.  What is loaded is data only (JSON, arrays without pickle), of known size and hash,
and the networks that `detector/kept_encoders.py` keeps for all versions.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from asd_monitor import __version__
from asd_monitor.detector.calibration import ParetoTail
from asd_monitor.detector.detector import Detector
from asd_monitor.detector.views import VIEW_KINDS, View, encoder_views
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.session import GpuError
from asd_monitor.errors import OperationError
from asd_monitor.model_store.atomic_files import replace_durably, sync_folder, write_durably
from asd_monitor.model_store.encoder_files import (
    StoredEncoderError,
    load_stored_encoder,
    store_encoders,
)

FORMAT = 4  # up to 3 the vectors that the views look at were others
MANIFEST = "manifest.json"
ARRAYS = "views.npz"
LARGEST_FILE = 256 * 2**20  # bytes; nothing that we write comes near it


class BundleError(OperationError):
    """A bundle that is missing or cannot be trusted; ``reason`` fits in a state message."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """One trained model version of one machine."""

    machine: str
    version: str
    manifest: Mapping[str, Any]
    detector: Detector


def save_bundle(
    models: Path,
    machine: str,
    detector: Detector,
    facts: Mapping[str, Any],
    documents: Mapping[str, str],
) -> str:
    """Write a new version, make it the current one and return its name.

    ``facts`` join the manifest (training set, thresholds); ``documents`` are further files
    by name, such as ``report.html``.  Raises OSError.
    """
    encoders = store_encoders(models, detector.encoders)
    files = {ARRAYS: _arrays_of(detector)}
    files |= {name: text.encode() for name, text in documents.items()}
    home = models / machine
    home.mkdir(parents=True, exist_ok=True)
    version = next_version(models, machine)
    manifest = {
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
    files[MANIFEST] = (json.dumps(manifest, indent=1, allow_nan=False) + "\n").encode()
    partial = home / f".{version}.{os.getpid()}.partial"
    try:
        partial.mkdir()
        for name, data in files.items():
            write_durably(partial / name, data)
        sync_folder(partial)
        partial.rename(home / version)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    sync_folder(home)
    set_current(models, machine, version)
    return version


def load_bundle(models: Path, machine: str, version: str | None = None) -> Bundle:
    """Load a version, or the current one.  Raises BundleError."""
    version = version or current_version(models, machine) or _none_in_use(models, machine)
    folder = models / machine / version
    remedy = _remedy(models, machine, version)
    try:
        if not folder.exists():
            there = ", ".join(versions(models, machine)) or _none_in_use(models, machine)
            raise BundleError(f"{models}: {machine} has no version {version}: it has {there}")
        manifest = _read_manifest(folder)
        encoders = [load_stored_encoder(models, entry) for entry in manifest["encoders"]]
        detector = _detector_of(manifest, _read_arrays(folder, manifest), encoders)
    except GpuError as error:  # training would not mend it
        raise BundleError(f"{folder}: {error}") from error
    except StoredEncoderError as error:
        raise BundleError(f"{folder}: {error}: {_train_anew(models, machine)}") from error
    except FileNotFoundError as error:
        name = Path(error.filename).name
        raise BundleError(f"{folder}: {name} is missing: {remedy}") from error
    except PermissionError as error:
        raise _no_permission(error) from error
    except (OSError, BadZipFile) as error:
        raise BundleError(f"{folder} cannot be read ({error}): {remedy}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{folder} is damaged ({error}): {remedy}") from error
    return Bundle(machine, version, manifest, detector)


def _remedy(models: Path, machine: str, version: str) -> str:
    older = [name for name in versions(models, machine) if int(name[1:]) < int(version[1:])]
    if older:
        return f"go back with `asd-monitor models rollback --machine {machine} --models {models}`"
    return _train_anew(models, machine)


def _train_anew(models: Path, machine: str) -> str:
    return (
        f"train anew with `asd-monitor train --machine {machine} --models {models} --normal PATH`"
    )


def _promote(models: Path, machine: str) -> str:
    newest = versions(models, machine)[-1:] or ["VERSION"]
    return (
        f"choose one with `asd-monitor models promote --machine {machine} --version {newest[0]} "
        f"--models {models}`"
    )


def _none_in_use(models: Path, machine: str) -> NoReturn:
    if versions(models, machine):
        missing = models / machine / "current"
        raise BundleError(
            f"{missing} is missing, which names the version in use: {_promote(models, machine)}"
        )
    raise BundleError(
        f"no model of {machine} in {models}: record its normal sound, then "
        f"`asd-monitor train --machine {machine} --normal PATH`"
    )


def _no_permission(error: PermissionError) -> BundleError:
    return BundleError(f"{error.filename}: no permission to read it: let this user read it")


def versions(models: Path, machine: str) -> list[str]:
    """Return the complete versions, oldest first."""
    home = models / machine
    names = [path.parent.name for path in home.glob(f"v*/{MANIFEST}")]
    return sorted((n for n in names if n[1:].isdecimal()), key=lambda n: int(n[1:]))


def next_version(models: Path, machine: str) -> str:
    """Return the name of the version after the newest."""
    newest = versions(models, machine)[-1:]
    return f"v{int(newest[0][1:]) + 1 if newest else 1}"


def machines_with_models(models: Path) -> list[str]:
    """Return the machines that have a version, by name."""
    if not models.is_dir():
        return []
    return sorted(path.name for path in models.iterdir() if versions(models, path.name))


def current_version(models: Path, machine: str) -> str | None:
    """Return the name of the version in use, or None.  Raises BundleError."""
    path = models / machine / "current"
    try:
        name = path.read_text("utf-8").strip()
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise _no_permission(error) from error
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{path} cannot be read: {error}") from error
    if not (name.startswith("v") and name[1:].isdecimal()):
        raise BundleError(f"{path} names no version: {_promote(models, machine)}")
    return name


def set_current(models: Path, machine: str, version: str) -> None:
    """Make a version the one in use, atomically.  Raises OSError."""
    replace_durably(models / machine / "current", f"{version}\n".encode())


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise ValueError(f"{path.name} is larger than any file of a model")
    return data


def _read_manifest(folder: Path) -> dict[str, Any]:
    manifest = json.loads(_read(folder / MANIFEST), parse_constant=_refuse_constant)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise ValueError(f"{MANIFEST} is not one")  # noqa: TRY004 - one kind of damage
    found = manifest.get("format")
    if found != FORMAT:
        newer = isinstance(found, int) and found > FORMAT
        remedy = "upgrade asd-monitor, or train anew" if newer else "train anew"
        raise BundleError(
            f"{folder}: format {found}, written by asd-monitor {manifest.get('package', '?')}, "
            f"while this asd-monitor {__version__} reads format {FORMAT}: {remedy}"
        )
    for name, expected in manifest["files"].items():
        if Path(name).name != name:
            raise ValueError(f"{MANIFEST} names a file elsewhere: {name}")
        if hashlib.sha256(_read(folder / name)).hexdigest() != expected:
            raise ValueError(f"{name} is not the file that was written: its hash differs")
    return manifest


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{MANIFEST} holds {name}")


def _read_arrays(folder: Path, manifest: Mapping[str, Any]) -> dict[str, npt.NDArray[np.generic]]:
    if ARRAYS not in manifest["files"]:
        raise ValueError(f"{MANIFEST} lists no {ARRAYS}")
    with np.load(io.BytesIO(_read(folder / ARRAYS)), allow_pickle=False) as stored:
        arrays = dict(stored)
    for name, array in arrays.items():
        if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            raise ValueError(f"{ARRAYS}: {name} holds what is no number")
    return arrays


def _arrays_of(detector: Detector) -> bytes:
    buffer = io.BytesIO()
    arrays = {
        f"{view.kind.name}.{name}": array
        for view in detector.views
        for name, array in view.back_end.arrays().items()
    }
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _detector_of(
    manifest: Mapping[str, Any],
    arrays: Mapping[str, npt.NDArray[np.generic]],
    encoders: Sequence[Encoder],
) -> Detector:
    kinds = {kind.name: kind for kind in VIEW_KINDS}
    for encoder in encoders:
        kinds |= {kind.name: kind for kind in encoder_views(encoder.card)}
    views = []
    for entry in manifest["views"]:
        kind = kinds[entry["name"]]
        if kind.back_end.kind != entry["back_end"]:
            raise ValueError(f"view {kind.name} was fitted by another asd-monitor")
        prefix = f"{kind.name}."
        own = {
            name.removeprefix(prefix): array.astype(np.float32)
            for name, array in arrays.items()
            if name.startswith(prefix)
        }
        views.append(View(kind, kind.back_end.restore(own), ParetoTail.from_json(entry["tail"])))
    front_end = FrontEnd(**manifest["front_end"])
    if not all(isinstance(n, int) and n > 0 for n in front_end.to_json().values()):
        raise ValueError(f"{MANIFEST} holds no front end")
    for encoder in encoders:
        if incompatibility := encoder.incompatibility(front_end):
            raise ValueError(f"{MANIFEST}: the network {encoder.name} cannot be used: {incompatibility}")
    idle = manifest["idle_dbfs"]
    return Detector(
        front_end,
        tuple(views),
        ParetoTail.from_json(manifest["tail"]),
        ParetoTail.from_json(manifest["lasting"]),
        None if idle is None else (float(idle[0]), float(idle[1])),
        tuple(encoders),
    )
