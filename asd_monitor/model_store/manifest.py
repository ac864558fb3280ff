"""The contents of a bundle: a detector as ``manifest.json`` and ``views.npz``.

The manifest holds the format version, the front end, the views and calibrations, references to the
encoders, the facts of the training, and the SHA-256 of every other file.  Its last line is the
SHA-256 of all that stands before, so a manifest that was changed by hand or by a disk is refused.
The arrays of the back ends are in ``views.npz`` as ``<view>.<array>``.  ``reference.npz`` holds
training windows for a later refit (`asd_monitor.model_store.reference_file`); where the model is
only used, its hash is verified and no more.  ``microphone.npz`` holds what the microphone has
captured in training; earlier bundles have none, and the microphone is not judged by it then.
``marked.npz`` holds sound that a person has marked as normal
(`asd_monitor.model_store.marked_sound`).
``profile.npz`` holds the profile of the training sound (`asd_monitor.explanation`); where a bundle
has none, the reason of an alarm is the ranking of the views.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asd_monitor import __version__
from asd_monitor.detector.calibration import FusedCalibration, ViewCalibration
from asd_monitor.detector.detector import Detector
from asd_monitor.detector.evidence import EvidenceCalibration
from asd_monitor.detector.views import VIEW_KINDS, View, encoder_views
from asd_monitor.dsp.front_end import MAX_RATE_HZ, MIN_RATE_HZ, FrontEnd
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.explanation.sound_profile import SoundProfile
from asd_monitor.features.windows import Window
from asd_monitor.limited_reading import read_limited, sha256_limited
from asd_monitor.microphone.baseline import MicrophoneBaseline
from asd_monitor.microphone.sample_counter import SampleFaults
from asd_monitor.model_store.array_file import (
    array_file_bytes,
    read_array_file,
    read_mixed_array_file,
)
from asd_monitor.model_store.manifest_schema import check_manifest
from asd_monitor.model_store.versions import MANIFEST, BundleError, train_remedy
from asd_monitor.sealed_json import parsed_json, seal_of

FORMAT = 7
"""6 has no loudest levels, 5 no tails and training windows, 4 no hash, up to 3 other features."""
ARRAYS = "views.npz"
REFERENCE = "reference.npz"
MICROPHONE = "microphone.npz"
PROFILE = "profile.npz"
MARKED = "marked.npz"
MAX_FILE_BYTES = 256 * 2**20  # far above the size of any file of a bundle
MAX_MANIFEST_BYTES = 16 * 2**20  # that of ten thousand training recordings has 2 MiB

_MAX_WINDOW_VALUES = 2**22  # samples of all frames of a window; 10 s of the default ones: 2**18.3


def manifest_of(
    machine: str,
    version: str,
    detector: Detector,
    *,
    encoders: Sequence[Mapping[str, Any]],
    facts: Mapping[str, Any],
    files: Mapping[str, str],
) -> dict[str, Any]:
    """Return the manifest of a bundle.

    Args:
        machine: id of the machine.
        version: name of the version.
        detector: the fitted detector.
        encoders: the references to its encoders (`encoder_files.store_encoders`).
        facts: further keys, such as training set and thresholds.
        files: SHA-256 of the other files of the bundle, by name.

    """
    return {
        "format": FORMAT,
        "package": __version__,
        "machine": machine,
        "version": version,
        "front_end": detector.front_end.to_json(),
        "idle_dbfs": detector.idle_dbfs,
        "quietest_dbfs": detector.quietest_dbfs,
        "encoders": encoders,
        "views": [
            {
                "name": v.kind.name,
                "back_end": v.back_end.kind,
                "calibration": v.calibration.to_json(),
            }
            for v in detector.views
        ],
        "calibration": detector.calibration.to_json(),
        "evidence": detector.evidence_calibration.to_json(),
        **_microphone_entry(detector.microphone),
        **facts,
        "files": files,
    }


def _microphone_entry(baseline: MicrophoneBaseline | None) -> dict[str, Any]:
    if baseline is None:
        return {}
    counts = baseline.samples
    return {
        "microphone": {
            "modes": len(baseline.typical),
            "constant_runs": counts.constant_runs,
            "clipped_share": counts.clipped_share,
            "missing_share": counts.missing_share,
            "has_pause": baseline.has_pause,
        }
    }


def array_bytes(detector: Detector) -> bytes:
    """Return the content of ``views.npz``."""
    return array_file_bytes(
        {
            f"{view.kind.name}.{name}": array
            for view in detector.views
            for name, array in view.back_end.arrays().items()
        }
    )


def microphone_bytes(baseline: MicrophoneBaseline) -> bytes:
    """Return the content of ``microphone.npz``."""
    return array_file_bytes(baseline.arrays())


def profile_bytes(profile: SoundProfile) -> bytes:
    """Return the content of ``profile.npz``."""
    return array_file_bytes(profile.arrays())


@dataclass(frozen=True, slots=True, eq=False)
class VerifiedFiles:
    """The content of a bundle after the hashes of all its files were verified."""

    manifest: Mapping[str, Any]
    sha256: str  # of the manifest, and with it of every other file
    arrays: bytes
    microphone: bytes | None = None  # None: the bundle has no baseline of the microphone
    profile: bytes | None = None  # None: it has no profile of the training sound


def read_files(models: Path, machine: str, version: str) -> VerifiedFiles:
    """Return the content of a bundle.

    Raises:
        BundleError: another format, or the bundle of another machine or version.
        ValueError: it is malformed, or a file differs from the one that was written.
        OSError: a file is missing or cannot be read.

    """
    folder = models / machine / version
    content = read_limited(folder / MANIFEST, MAX_MANIFEST_BYTES)
    try:
        seal = seal_of(content)
        manifest = parsed_json(content)
    except ValueError as error:
        raise ValueError(f"{MANIFEST} {error}") from error
    if manifest.get("format") != FORMAT:
        raise _other_format(models, machine, version, manifest)
    if seal is None:
        raise ValueError(f"{MANIFEST} was changed after it was written: its hash is missing")
    sha256 = manifest.pop("sha256")
    check_manifest(manifest)
    _check_place(manifest, models, machine, version)
    contents: dict[str, bytes] = {}
    for name in manifest["files"]:
        if name in (ARRAYS, MICROPHONE, PROFILE):
            contents[name] = read_limited(folder / name, MAX_FILE_BYTES)
            found = _sha256(contents[name])
        else:
            found = sha256_limited(folder / name, MAX_FILE_BYTES)
        check_hash(name, found, manifest)
    if ARRAYS not in contents:
        raise ValueError(f"{MANIFEST} does not list {ARRAYS}")
    return VerifiedFiles(
        manifest, sha256, contents[ARRAYS], contents.get(MICROPHONE), contents.get(PROFILE)
    )


def check_hash(name: str, found: str, manifest: Mapping[str, Any]) -> None:
    """Check the hash of a file of a bundle; raises ValueError."""
    if manifest["files"][name] != found:
        raise ValueError(f"{name} was changed: its hash differs from that in {MANIFEST}")


def _other_format(
    models: Path, machine: str, version: str, manifest: Mapping[str, Any]
) -> BundleError:
    found = manifest.get("format")
    newer = isinstance(found, int) and found > FORMAT
    remedy = train_remedy(models, machine)
    return BundleError(
        f"{models / machine / version}: format {str(found)[:20]}, written by asd-monitor "
        f"{str(manifest.get('package', '?'))[:40]}, but asd-monitor {__version__} reads format "
        f"{FORMAT}: {f'upgrade asd-monitor, or {remedy}' if newer else remedy}"
    )


def _check_place(manifest: Mapping[str, Any], models: Path, machine: str, version: str) -> None:
    """Check that the bundle lies where it was written; raises BundleError."""
    folder, owner = models / machine / version, manifest["machine"]
    if owner != machine:
        raise BundleError(
            f"{folder} is a model of {owner}, and a model is valid only for the machine it was "
            f"trained on: {train_remedy(models, machine)}"
        )
    if manifest["version"] != version:
        raise BundleError(
            f"{folder} is version {manifest['version']} of {machine} under another name: rename "
            f"the folder to {manifest['version']}, or remove it"
        )


def read_front_end(manifest: Mapping[str, Any], encoders: Sequence[Encoder]) -> FrontEnd:
    """Return the front end of a checked manifest; raises ValueError where it cannot be used."""
    front_end = FrontEnd(**manifest["front_end"])
    window_values = front_end.frame * front_end.window_frames
    if not (
        MIN_RATE_HZ <= front_end.rate_hz <= MAX_RATE_HZ
        and front_end.frame_hop <= front_end.frame <= front_end.rate_hz
        and front_end.mel_bands <= front_end.frame
        and window_values <= _MAX_WINDOW_VALUES
        and front_end.hop <= front_end.window
    ):
        raise ValueError(f"{MANIFEST}: the front end is invalid")
    for encoder in encoders:
        if reason := encoder.incompatibility(front_end):
            raise ValueError(f"{MANIFEST}: the network {encoder.name} cannot be used: {reason}")
    return front_end


def read_detector(
    files: VerifiedFiles, front_end: FrontEnd, encoders: Sequence[Encoder], window: Window
) -> Detector:
    """Return the detector of a bundle.

    Args:
        files: content of the bundle.
        front_end: its front end (`read_front_end`).
        encoders: the encoders that the manifest refers to, in order.
        window: any window of this front end and these encoders, for the sizes of the features.

    Raises:
        KeyError, ValueError: the content is invalid.

    """
    manifest = files.manifest
    arrays = read_array_file(files.arrays, ARRAYS)
    kinds = {kind.name: kind for kind in VIEW_KINDS}
    for encoder in encoders:
        kinds |= {kind.name: kind for kind in encoder_views(encoder.card)}
    views = []
    for entry in manifest["views"]:
        kind = kinds[entry["name"]]
        if kind.back_end.kind != entry["back_end"]:
            raise ValueError(f"the view {kind.name} was fitted by another version of asd-monitor")
        own = {
            field: arrays.pop(name)
            for field in kind.back_end.shapes
            if (name := f"{kind.name}.{field}") in arrays
        }
        try:
            back_end = kind.back_end.restore(own, len(window.features[kind.feature]))
        except ValueError as error:
            raise ValueError(f"{ARRAYS}: the view {kind.name} has {error}") from error
        views.append(View(kind, back_end, ViewCalibration.from_json(entry["calibration"])))
    if arrays:
        raise ValueError(f"{ARRAYS} contains {min(arrays)[:80]!r}, which belongs to no view")
    idle = manifest["idle_dbfs"]
    return Detector(
        front_end,
        tuple(views),
        FusedCalibration.from_json(manifest["calibration"]),
        EvidenceCalibration.from_json(manifest["evidence"], front_end.mel_bands),
        None if idle is None else (float(idle[0]), float(idle[1])),
        float(manifest["quietest_dbfs"]),
        tuple(encoders),
        microphone=_read_microphone(files, front_end),
    )


def _read_microphone(files: VerifiedFiles, front_end: FrontEnd) -> MicrophoneBaseline | None:
    entry, content = files.manifest.get("microphone"), files.microphone
    if entry is None and content is None:
        return None
    if entry is None or content is None:
        raise ValueError(f"{MANIFEST} and {MICROPHONE} do not belong together")
    runs = entry["constant_runs"]
    # an earlier version has not stored the share: where runs are usual, any share may be
    missing = entry.get("missing_share", 1.0 if runs else 0.0)
    counts = SampleFaults(runs, entry["clipped_share"], missing)
    try:
        return MicrophoneBaseline.restore(
            read_array_file(content, MICROPHONE),
            front_end,
            counts,
            has_pause=entry.get("has_pause", False),
        )
    except (KeyError, ValueError) as error:
        raise ValueError(f"{MICROPHONE} is invalid: {error}") from error


def read_profile(files: VerifiedFiles, front_end: FrontEnd) -> SoundProfile | None:
    """Return the profile of a bundle, or None; raises ValueError where it is invalid."""
    if files.profile is None:
        return None
    try:
        return SoundProfile.restore(
            read_mixed_array_file(files.profile, PROFILE), front_end.rate_hz
        )
    except (KeyError, ValueError) as error:
        raise ValueError(f"{PROFILE} is invalid: {error}") from error


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
