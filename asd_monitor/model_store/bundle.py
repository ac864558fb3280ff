"""A fitted detector on disk: ``models/<machine>/<version>/``.

A version is complete or absent, and never changed: it is written under another name and renamed
after it was flushed to the disk.  A bundle contains data only (JSON, and arrays without pickle),
of limited size and with hashes; the networks that it refers to are stored once for all versions
(`asd_monitor.model_store.encoder_files`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from asd_monitor.detector.detector import Detector
from asd_monitor.encoders.session import GpuError
from asd_monitor.model_store.atomic_files import create_folder_durably
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
    read_manifest,
)
from asd_monitor.model_store.versions import (
    MANIFEST,
    BundleError,
    current_version,
    damage_remedy,
    next_version,
    no_current,
    no_permission,
    set_current,
    train_remedy,
    versions,
)


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """One trained version of the model of one machine."""

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
    home.mkdir(parents=True, exist_ok=True)
    version = next_version(models, machine)
    manifest = manifest_of(machine, version, detector, encoders=encoders, facts=facts, files=files)
    create_folder_durably(home / version, files | {MANIFEST: manifest_bytes(manifest)})
    set_current(models, machine, version)
    return version


def load_bundle(models: Path, machine: str, version: str | None = None) -> Bundle:
    """Return a version, or the one in use.

    Raises:
        BundleError: it is missing, damaged or of another format, or cannot be used here.

    """
    version = version or current_version(models, machine)
    if version is None:
        raise no_current(models, machine)
    folder = models / machine / version
    remedy = damage_remedy(models, machine, version)
    try:
        if not folder.exists():
            raise _no_version(models, machine, version)
        manifest = read_manifest(folder)
        encoders = [load_stored_encoder(models, entry) for entry in manifest["encoders"]]
        detector = read_detector(folder, manifest, encoders)
    except GpuError as error:  # not a fault of the bundle: its message has the remedy
        raise BundleError(f"{folder}: {error}") from error
    except StoredEncoderError as error:
        raise BundleError(f"{folder}: {error}: {train_remedy(models, machine)}") from error
    except FileNotFoundError as error:
        name = Path(error.filename).name
        raise BundleError(f"{folder}: {name} is missing: {remedy}") from error
    except PermissionError as error:
        raise no_permission(error) from error
    except (OSError, BadZipFile) as error:
        raise BundleError(f"{folder} cannot be read ({error}): {remedy}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{folder} is damaged ({error}): {remedy}") from error
    return Bundle(machine, version, manifest, detector)


def _no_version(models: Path, machine: str, version: str) -> BundleError:
    available = versions(models, machine)
    if not available:
        return no_current(models, machine)
    return BundleError(
        f"{models}: {machine} has no version {version}: it has {', '.join(available)}"
    )
