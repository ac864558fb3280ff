"""A fitted detector on disk: ``models/<machine>/<version>/``.

A version is complete or absent, and never changed: it is written under another name and renamed
after it was flushed to the disk.  A bundle contains data only (JSON, and arrays without pickle),
of limited size and with hashes; the networks that it refers to are stored once for all versions
(`asd_monitor.model_store.encoder_files`).
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from asd_monitor.alarm.supported_budget import CommissioningExtent
from asd_monitor.detector.detector import Detector
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.runtime import Runtime
from asd_monitor.encoders.session import GpuError
from asd_monitor.explanation.sound_profile import SoundProfile
from asd_monitor.features.windows import Window, WindowStream
from asd_monitor.limited_reading import read_limited, sha256_limited
from asd_monitor.model_store.atomic_files import create_folder_durably, writing_to
from asd_monitor.model_store.encoder_files import (
    StoredEncoderError,
    load_stored_encoder,
    store_encoders,
)
from asd_monitor.model_store.manifest import (
    ARRAYS,
    MARKED,
    MAX_FILE_BYTES,
    MICROPHONE,
    PROFILE,
    REFERENCE,
    array_bytes,
    check_hash,
    manifest_of,
    microphone_bytes,
    profile_bytes,
    read_detector,
    read_files,
    read_front_end,
    read_profile,
)
from asd_monitor.model_store.reference_file import StoredReference
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
from asd_monitor.sealed_json import sealed_json

_TRIAL = threading.Lock()
"""Noise is scored by one load at a time: the machines of a daemon load at once, and the process
would keep the memory that all of them need together."""
_NOISE_RMS = 0.01  # full scale 1
_MAX_REASON = 300  # characters of what an exception says


@dataclass(frozen=True, slots=True)
class FirstModel:
    """The trained model from which refits begin."""

    version: str
    sha256: str  # of its manifest


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """One trained version of the model of one machine."""

    machine: str
    version: str
    sha256: str
    """SHA-256 of the manifest, and with it of all files: it tells one model from another."""
    manifest: Mapping[str, Any]
    detector: Detector
    damage: str | None = None
    """What is damaged in the models folder, although this model can be used; None: nothing."""
    is_current: bool = True
    """Whether it is the version that was asked for; else it takes the place of a damaged one."""
    profile: SoundProfile | None = None
    """Of the training sound, for the reasons of alarms; earlier bundles have none."""

    @property
    def first(self) -> FirstModel:
        """The model that was trained, of which this one is a refit; itself where it is none."""
        first = (self.manifest.get("commissioning") or {}).get("first")
        if first is None:
            return FirstModel(self.version, self.sha256)
        return FirstModel(first["version"], first["sha256"])

    @property
    def commissioning_days(self) -> float:
        """For how many days the model is to be extended, as configured at its training."""
        days = (self.manifest.get("commissioning") or {}).get("days", 0.0)
        return float(days)

    def commissioning(self, days: float) -> CommissioningExtent:
        """Return for how long the model is extended, of so many days as configured, and was."""
        if not self.commissioning_days:
            return CommissioningExtent()
        return CommissioningExtent(days, float(self.manifest["commissioning"].get("age_s", 0.0)))


def save_bundle(
    models: Path,
    machine: str,
    detector: Detector,
    facts: Mapping[str, Any],
    documents: Mapping[str, str],
    *,
    reference: StoredReference | None = None,
    profile: SoundProfile | None = None,
) -> str:
    """Write a new version and put it into use.

    Args:
        models: the models folder.
        machine: id of the machine.
        detector: the fitted detector.
        facts: further keys of the manifest, such as training set and thresholds.
        documents: further files by name, such as ``report.html``.
        reference: training windows, from which the model can be extended later.
        profile: of the training sound.

    Returns:
        The name of the version.

    Raises:
        OSError: the folder cannot be written.

    """
    encoders = store_encoders(models, detector.encoders)
    files = _detector_files(detector)
    files |= {name: text.encode() for name, text in documents.items()}
    if reference is not None:
        files[REFERENCE] = reference.content()
    if profile is not None:
        files[PROFILE] = profile_bytes(profile)
    with writing_to(models / machine):
        version, sha256 = _write(
            models, machine, detector, encoders=encoders, facts=facts, files=files
        )
        set_current(models, machine, version, sha256)
    return version


def save_refit(
    models: Path,
    replaced: Bundle,
    detector: Detector,
    facts: Mapping[str, Any],
    *,
    candidate: bool,
    files: Mapping[str, bytes] = MappingProxyType({}),
    kept: Collection[str] = (REFERENCE, PROFILE, MARKED),
) -> tuple[str, bool]:
    """Write a version with training windows and profile of another, and put it into use instead.

    Args:
        models: the models folder.
        replaced: the version that was in use.
        detector: the refitted detector.
        facts: further keys of the manifest.
        candidate: it is kept for a person to decide, and not put into use.
        files: further files by name.
        kept: names of the files of the replaced version that this one has too, unless it has its
            own.

    Returns:
        The name of the version, and whether it was put into use: it is not where another version
        has been put into use meanwhile.

    Raises:
        OSError: the folder cannot be written.

    """
    machine = replaced.machine
    encoders = store_encoders(models, detector.encoders)
    with writing_to(models / machine):
        current = current_version(models, machine)
        in_use = not candidate and current is not None and current.sha256 == replaced.sha256
        version, sha256 = _write(
            models,
            machine,
            detector,
            encoders=encoders,
            facts={**facts, "candidate": not in_use},
            files={**_detector_files(detector), **files},
            links={
                name: models / machine / replaced.version / name
                for name in kept
                if name in replaced.manifest["files"] and name not in files
            },
        )
        if in_use:
            set_current(models, machine, version, sha256)
    return version, in_use


def _detector_files(detector: Detector) -> dict[str, bytes]:
    files = {ARRAYS: array_bytes(detector)}
    if detector.microphone is not None:
        files[MICROPHONE] = microphone_bytes(detector.microphone)
    return files


def _write(
    models: Path,
    machine: str,
    detector: Detector,
    *,
    encoders: Sequence[Mapping[str, Any]],
    facts: Mapping[str, Any],
    files: Mapping[str, bytes],
    links: Mapping[str, Path] = MappingProxyType({}),
) -> tuple[str, str]:
    """Write the next version; return its name and the SHA-256 of its manifest."""
    version = next_version(models, machine)
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    hashes |= {name: sha256_limited(path, MAX_FILE_BYTES) for name, path in links.items()}
    content, sha256 = sealed_json(
        manifest_of(machine, version, detector, encoders=encoders, facts=facts, files=hashes)
    )
    create_folder_durably(models / machine / version, {**files, MANIFEST: content}, links)
    return version, sha256


def load_reference(models: Path, bundle: Bundle, name: str = REFERENCE) -> StoredReference:
    """Return the training windows that a version holds, or those in another file of their form.

    Raises:
        BundleError: it holds none, or they are damaged.

    """
    machine, folder = bundle.machine, models / bundle.machine / bundle.version
    if name not in bundle.manifest["files"]:
        raise BundleError(
            f"{folder} holds no training windows, from which it could be extended: "
            f"{train_remedy(models, machine)}"
        )
    try:
        content = read_limited(folder / name, MAX_FILE_BYTES)
        check_hash(name, hashlib.sha256(content).hexdigest(), bundle.manifest)
        return StoredReference.from_content(content)
    except (OSError, ValueError, KeyError) as error:
        remedy = damage_remedy(models, machine, bundle.version)
        raise BundleError(f"{folder} is damaged ({_reason(error)}): {remedy}") from error


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
        stored = [
            load_stored_encoder(models, entry, runtime) for entry in files.manifest["encoders"]
        ]
        encoders = [each.encoder for each in stored]
        with _TRIAL, np.errstate(all="ignore"):
            front_end = read_front_end(files.manifest, encoders)
            windows = _windows_of_noise(front_end, encoders)
            detector = read_detector(files, front_end, encoders, windows[0])
            _score_noise(detector, windows)
            profile = read_profile(files, front_end)
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
    damage = next((each.damage for each in stored if each.damage), None)
    return Bundle(machine, version, files.sha256, files.manifest, detector, damage, profile=profile)


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
