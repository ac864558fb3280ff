"""A version is exported to one archive and imported from it."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from asd_monitor.errors import OperationError, UsageError
from asd_monitor.limited_reading import read_limited
from asd_monitor.model_store.atomic_files import os_errors_reported, replace_durably, writing_to
from asd_monitor.model_store.bundle import load_bundle
from asd_monitor.model_store.catalogue import (
    access_reported,
    add_version,
    adding_to,
    require_version,
    version_in_use,
)
from asd_monitor.model_store.labels_file import LABELS, MAX_LABELS_BYTES, MachineLabels
from asd_monitor.model_store.manifest import MAX_FILE_BYTES
from asd_monitor.model_store.model_archive import (
    read_model_archive,
    unpack_model,
    write_model_archive,
)
from asd_monitor.model_store.promoted import promote_version
from asd_monitor.model_store.versions import CURRENT, MANIFEST, BundleError, versions
from asd_monitor.plain_tar import ArchiveError

_ANOTHER = "nothing was imported; use an archive that `asd-monitor models export` has written"


@dataclass(frozen=True, slots=True)
class Exported:
    """A version that was written to an archive."""

    version: str
    size: int  # of the archive, in bytes
    labels: MachineLabels


def export_archive(
    models: Path,
    machine: str,
    version: str | None,
    file: Path,
    *,
    labels: MachineLabels,
    now: datetime,
) -> Exported:
    """Write a version, with its networks and labels, to an archive.

    Args:
        models: the models folder.
        machine: id of the machine.
        version: name of the version; None: the one in use.
        file: the archive, which must not exist.
        labels: of the machine; where there are none, those that lie beside the version.
        now: the time of the export.

    Raises:
        UsageError: the file exists.
        OperationError: the version does not exist or cannot be used, or the file cannot be written.

    """
    if version is not None:
        require_version(models, machine, version)
    bundle = load_bundle(models, machine, version)
    home = models / machine / bundle.version
    with access_reported(home):
        files = {
            name: read_limited(home / name, MAX_FILE_BYTES) for name in bundle.manifest["files"]
        }
        files[MANIFEST] = read_limited(home / MANIFEST, MAX_FILE_BYTES)
        labels = labels or labels_beside(models, machine, bundle.version)
    with os_errors_reported(file, "the archive cannot be written", "choose another place"):
        if file.exists():
            raise UsageError(f"{file}: exists already: name a new file, or delete it")
        partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
        try:
            with partial.open("xb") as output:
                write_model_archive(
                    output,
                    machine,
                    bundle.version,
                    files=files,
                    networks={each.sha256: each.onnx for each in bundle.detector.encoders},
                    labels=labels.content() if labels else None,
                    time_s=int(now.timestamp()),
                )
                output.flush()
                os.fsync(output.fileno())
                size = output.tell()
            partial.rename(file)
        finally:
            partial.unlink(missing_ok=True)
    return Exported(bundle.version, size, labels)


@dataclass(frozen=True, slots=True)
class Imported:
    """A version that was read from an archive."""

    machine: str
    version: str  # here
    archived_version: str  # in the archive
    is_new: bool  # whether it was not here before
    in_use: bool
    labels: MachineLabels  # in the archive
    has_labels: bool  # whether these are beside the version here


def import_archive(models: Path, file: Path) -> Imported:
    """Read a version from an archive into a models folder.

    It is put into use where the machine has none in use.  Nothing is added before the model was
    loaded and has scored some noise; the version is complete or absent.

    Args:
        models: the models folder, created where it is missing.
        file: the archive.

    Raises:
        UsageError: the file is no archive of a model, or its model cannot be used.
        OperationError: the file cannot be read, or the folder cannot be written.

    """
    try:
        archive = file.open("rb")
    except OSError as error:
        raise UsageError(
            f"{file}: cannot be read ({error.strerror or error}): correct the path"
        ) from error
    with archive, access_reported(models), writing_to(models):
        try:
            archived = read_model_archive(archive)
            with tempfile.TemporaryDirectory(
                prefix=".import-", suffix=".partial", dir=models
            ) as folder:
                unpacked = Path(folder)
                unpack_model(archive, archived, unpacked)
                return _take_in(models, unpacked, archived.machine, archived.version)
        except ArchiveError as error:
            raise UsageError(f"{file}: {error}: {_ANOTHER}") from error
        except BundleError as error:
            raise UsageError(
                f"{file}: its model cannot be used: {_of_archive(error.reason, folder, models)}"
            ) from error


def _of_archive(reason: str, folder: str, models: Path) -> str:
    """Return why a model in a temporary folder cannot be used, without a path of this folder.

    A path in the models folder instead would be that of the model in place.  A remedy stays where
    it is a training, since nobody can correct what is in the temporary folder.
    """
    found = reason.replace(f"{folder}/", "").replace(folder, str(models))
    what, separator, remedy = found.rpartition(": ")
    return found if not separator or remedy.startswith("train again") else f"{what}: {_ANOTHER}"


def _take_in(models: Path, unpacked: Path, machine: str, version: str) -> Imported:
    """Add the version of another models folder."""
    try:
        labels = _labels_in(unpacked / machine / version / LABELS, machine)
    except (OSError, ValueError) as error:
        raise ArchiveError(f"its labels cannot be read ({error})") from error
    if labels.machine != machine:
        raise ArchiveError(f"its labels are of {labels.machine}, and its model is of {machine}")
    bundle = load_bundle(unpacked, machine, version)
    documents = {LABELS: labels.content()} if labels else {}
    with adding_to(bundle, models):
        before = versions(models, machine)
        name, sha256 = add_version(bundle, unpacked, models, documents)
        beside = models / machine / name / LABELS
        if labels and not beside.exists():  # the version was here without labels
            replace_durably(beside, labels.content())
        has_labels = not labels or read_limited(beside, MAX_LABELS_BYTES) == labels.content()
        if not (models / machine / CURRENT).exists():
            promote_version(models, machine, name, sha256)
    in_use = version_in_use(models, machine) == name
    return Imported(
        machine,
        name,
        version,
        is_new=name not in before,
        in_use=in_use,
        labels=labels,
        has_labels=has_labels,
    )


def labels_beside(models: Path, machine: str, version: str) -> MachineLabels:
    """Return the labels that were imported with a version; empty where there are none.

    Raises:
        OperationError: they are damaged.

    """
    path = models / machine / version / LABELS
    try:
        return _labels_in(path, machine)
    except (OSError, ValueError) as error:
        raise OperationError(f"{path}: the labels cannot be read ({error}): delete it") from error


def _labels_in(path: Path, machine: str) -> MachineLabels:
    """Return the labels in a file; empty where there is none.  Raises OSError, ValueError."""
    try:
        return MachineLabels.from_content(read_limited(path, MAX_LABELS_BYTES))
    except FileNotFoundError:
        return MachineLabels(machine)
