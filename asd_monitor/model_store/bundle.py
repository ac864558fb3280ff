"""A fitted detector on disk: ``models/<machine>/<version>/``.

A version is complete or absent, and never changed: it is written under another name and renamed
after it was flushed to the disk.  A bundle contains data only (JSON, and arrays without pickle),
of limited size and with hashes; the networks that it refers to are stored once for all versions
(`asd_monitor.model_store.encoder_files`).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asd_monitor.detector.detector import Detector
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.runtime import Runtime
from asd_monitor.encoders.session import GpuError
from asd_monitor.features.windows import Window, WindowStream
from asd_monitor.model_store.atomic_files import create_folder_durably, writing_to
from asd_monitor.model_store.encoder_files import (
    StoredEncoderError,
    load_stored_encoder,
    store_encoders,
)
from asd_monitor.model_store.manifest import (
    ARRAYS,
    array_bytes,
    manifest_bytes,
    manifest_of,
    read_detector,
    read_files,
    read_front_end,
)
from asd_monitor.model_store.versions import (
    MANIFEST,
    BundleError,
    current_version,
    damage_remedy,
    next_version,
    no_current,
    no_permission,
    promote_remedy,
    set_current,
    train_remedy,
    versions,
)

_TRIAL = threading.Lock()
"""Noise is scored by one load at a time: the machines of a daemon load at once, and the process
would keep the memory that all of them need together."""
_NOISE_RMS = 0.01  # full scale 1
_MAX_REASON = 300  # characters of what an exception says


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """One trained version of the model of one machine."""

    machine: str
    version: str
    sha256: str
    """SHA-256 of the manifest, and with it of all files: it tells one model from another."""
    manifest: Mapping[str, Any]
    detector: Detector


def save_bundle(
    models: Path,
    machine: str,
    detector: Detector,
    facts: Mapping[str, Any],
    documents: Mapping[str, str],
) -> str:
    """Write a new version and put it into use.

    Args:
        models: the models folder.
        machine: id of the machine.
        detector: the fitted detector.
        facts: further keys of the manifest, such as training set and thresholds.
        documents: further files by name, such as ``report.html``.

    Returns:
        The name of the version.

    Raises:
        OSError: the folder cannot be written.

    """
    encoders = store_encoders(models, detector.encoders)
    files = {ARRAYS: array_bytes(detector)}
    files |= {name: text.encode() for name, text in documents.items()}
    home = models / machine
    with writing_to(home):
        version = next_version(models, machine)
        content, sha256 = manifest_bytes(
            manifest_of(machine, version, detector, encoders=encoders, facts=facts, files=files)
        )
        create_folder_durably(home / version, files | {MANIFEST: content})
        set_current(models, machine, version, sha256)
    return version


def load_bundle(
    models: Path,
    machine: str,
    version: str | None = None,
    *,
    runtime: Runtime = Runtime(),  # noqa: B008 - frozen
) -> Bundle:
    """Return a version, or the one in use, after it has scored some noise.

    Args:
        models: the models folder.
        machine: id of the machine.
        version: name of the version; None: the one in use.
        runtime: how the networks are run.

    Raises:
        BundleError: it is missing, damaged or of another format, or cannot be used here.

    """
    current = current_version(models, machine) if version is None else None
    if version is None:
        if current is None:
            raise no_current(models, machine)
        version = current.name
    folder = models / machine / version
    remedy = damage_remedy(models, machine, version)
    if not folder.exists():
        raise _no_version(models, machine, version)
    try:
        files = read_files(models, machine, version)
        encoders = [
            load_stored_encoder(models, entry, runtime) for entry in files.manifest["encoders"]
        ]
        with _TRIAL, np.errstate(all="ignore"):
            front_end = read_front_end(files.manifest, encoders)
            windows = _windows_of_noise(front_end, encoders)
            detector = read_detector(files, front_end, encoders, windows[0])
            _score_noise(detector, windows)
    except BundleError:
        raise
    except MemoryError as error:
        raise BundleError(f"{folder}: the memory does not suffice to load it: free some") from error
    except GpuError as error:  # not a fault of the bundle: its message has the remedy
        raise BundleError(f"{folder}: {error}") from error
    except StoredEncoderError as error:
        remedy = f"{error.alternative}{train_remedy(models, machine)}"
        raise BundleError(f"{folder}: {error}: {remedy}") from error
    except FileNotFoundError as error:
        name = Path(error.filename).name
        raise BundleError(f"{folder}: {name} is missing: {remedy}") from error
    except PermissionError as error:
        raise no_permission(error) from error
    except OSError as error:
        raise BundleError(f"{folder} cannot be read ({error}): {remedy}") from error
    except Exception as error:  # a bundle is foreign data: whatever reading it raises, it is bad
        raise BundleError(f"{folder} is damaged ({_reason(error)}): {remedy}") from error
    if current is not None and current.sha256 != files.sha256:
        raise BundleError(
            f"{models / machine}: the hash in `current` is not that of {version}, so it is unknown "
            f"which version is in use: {promote_remedy(models, machine)}"
        )
    return Bundle(machine, version, files.sha256, files.manifest, detector)


def _windows_of_noise(front_end: FrontEnd, encoders: Sequence[Encoder]) -> list[Window]:
    """Return two windows: the first of a stream, and one that continues it."""
    stream = WindowStream(front_end, encoders)
    noise = np.random.default_rng(0).standard_normal(front_end.window + front_end.hop, np.float32)
    noise *= np.float32(_NOISE_RMS)
    windows = [*stream.push(noise[: front_end.window]), *stream.push(noise[front_end.window :])]
    if len(windows) != 2:
        raise ValueError(f"the front end gives {len(windows)} windows of the sound of two")
    return windows


def _score_noise(detector: Detector, windows: Sequence[Window]) -> None:
    for scored in detector.score(windows):
        numbers = [scored.score, scored.fused, scored.evidence, *scored.views.values()]
        if not np.isfinite(numbers).all():
            raise ValueError("its scores of noise are not finite numbers")


def _reason(error: Exception) -> str:
    text = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:_MAX_REASON]


def _no_version(models: Path, machine: str, version: str) -> BundleError:
    available = versions(models, machine)
    if not available:
        return no_current(models, machine)
    return BundleError(
        f"{models}: {machine} has no version {version}, it has {', '.join(available)}: "
        f"{promote_remedy(models, machine)}"
    )
