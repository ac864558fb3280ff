"""The versions of the models as their manifests describe them; nothing is loaded or verified."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asd_monitor.limited_reading import read_limited
from asd_monitor.model_store.versions import MANIFEST, BundleError, current_version, versions
from asd_monitor.sealed_json import parsed_json

REPORT = "report.html"
_MAX_MANIFEST_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class ListedVersion:
    """One version of a machine's model."""

    version: str
    in_use: bool
    trained: str | None  # RFC 3339
    minutes: float | None  # of sound
    reason: str | None
    moved: float | None
    is_candidate: bool
    has_report: bool
    problem: str | None  # why it cannot be read


@dataclass(frozen=True, slots=True)
class ListedModel:
    """The versions of one machine, the newest first."""

    machine: str
    versions: tuple[ListedVersion, ...]

    @property
    def in_use(self) -> str | None:
        """The version in use; None: there is none."""
        return next((each.version for each in self.versions if each.in_use), None)

    @property
    def has_earlier(self) -> bool:
        """Whether there is a version before the one in use, or before the newest, if none is."""
        in_use = [number for number, each in enumerate(self.versions) if each.in_use]
        return bool(self.versions[(in_use or [0])[0] + 1 :])


def listed_models(models: Path, machines: Collection[str]) -> list[ListedModel]:
    """Return the versions of machines; of one without a folder there are none."""
    return [_listed(models, machine) for machine in machines]


def _listed(models: Path, machine: str) -> ListedModel:
    try:
        current = current_version(models, machine)
    except BundleError:
        current = None
    in_use = None if current is None else current.name
    try:
        names = versions(models, machine)
    except OSError:
        names = []
    return ListedModel(
        machine,
        tuple(_version(models / machine / name, is_used=name == in_use) for name in names[::-1]),
    )


def _version(folder: Path, *, is_used: bool) -> ListedVersion:
    try:
        manifest: dict[str, Any] = parsed_json(read_limited(folder / MANIFEST, _MAX_MANIFEST_BYTES))
        problem = None
    except (OSError, ValueError, RecursionError) as error:
        manifest, problem = {}, f"damaged: {error}"
    training = manifest.get("training")
    seconds = training.get("seconds") if isinstance(training, dict) else None
    moved = manifest.get("moved")
    return ListedVersion(
        folder.name,
        is_used,
        _text(manifest.get("trained")),
        seconds / 60 if isinstance(seconds, int | float) else None,
        _text(manifest.get("reason")),
        float(moved) if isinstance(moved, int | float) else None,
        bool(manifest.get("candidate", False)),
        (folder / REPORT).is_file(),
        problem,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
