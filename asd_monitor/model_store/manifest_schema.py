"""What the manifest of a bundle must have: types, sizes and bounds, of foreign data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from asd_monitor.detector.modes import MAX_MODES
from asd_monitor.microphone.baseline import MAX_MODES as MAX_MICROPHONE_MODES
from asd_monitor.model_store.versions import MANIFEST
from asd_monitor.sealed_json import checked_document


class _Part(BaseModel):
    """A part of a manifest; keys of further facts are allowed."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


_Digest = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
_FileName = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]
_Short = Annotated[str, StringConstraints(max_length=1000)]
_Spectrum = Annotated[list[float], Field(min_length=1, max_length=4096)]
_Size = Annotated[int, Field(ge=1, le=2**20)]


class _ViewCalibration(_Part):
    centre: float
    unit: float = Field(gt=0)


class _FusedCalibration(_Part):
    location: float
    scale: float = Field(gt=0)
    dof: float = Field(gt=0)


class _ScaleTail(_Part):
    seconds: float = Field(gt=0)
    location: float
    scale: float = Field(gt=0)
    dof: float = Field(gt=0)


class _Evidence(_Part):
    modes: Annotated[list[_Spectrum], Field(max_length=MAX_MODES)]
    locations: Annotated[list[float], Field(min_length=1, max_length=MAX_MODES)]
    ratios: Annotated[list[float], Field(min_length=1, max_length=MAX_MODES)]
    loudest_dbfs: Annotated[list[float], Field(min_length=1, max_length=MAX_MODES)]
    tails: Annotated[list[_ScaleTail], Field(max_length=16)]
    effect_bound: float = Field(gt=0)
    hours: int = Field(ge=1, le=10**6)


class _Microphone(_Part):
    modes: int = Field(ge=1, le=MAX_MICROPHONE_MODES)
    constant_runs: int = Field(ge=0, le=10**6)
    clipped_share: float = Field(ge=0, le=1)
    missing_share: float = Field(default=0, ge=0, le=1)
    has_pause: bool = False


class _ViewEntry(_Part):
    name: _Short
    back_end: _Short
    calibration: _ViewCalibration


class _EncoderEntry(_Part):
    name: _Short
    sha256: _Digest
    card: dict[str, Any]


class _Recording(_Part):
    name: str
    sha256: str
    seconds: float
    modified: str


class _Training(_Part):
    seconds: float
    windows: int
    files: list[_Recording]


class _Thresholds(_Part):
    false_alarms: str
    alarm: float
    warnings: str
    warning: float


class _FirstModel(_Part):
    version: _Short
    sha256: _Digest


class _Commissioning(_Part):
    days: float = Field(ge=0)
    age_s: float = Field(0.0, ge=0)
    first: _FirstModel | None = None
    automatic: bool = False  # whether the daemon has made the version
    since: _Short | None = None  # RFC 3339: the sound is from this time on


class _MarkedSpan(_Part):
    id: _Short
    begin: _Short
    end: _Short
    time: _Short
    since: _Short
    who: str
    why: str
    alarm_id: _Short | None
    pieces: int = Field(ge=1, le=10**4)


class _SelfTest(_Part):
    levels_db: Annotated[dict[_Short, float | None], Field(max_length=16)] | None


class _Manifest(_Part):
    """What the manifest of a detector must have, and of the facts what commands show."""

    package: _Short
    machine: _Short
    version: _Short
    front_end: dict[str, _Size]
    idle_dbfs: Annotated[list[float], Field(min_length=2, max_length=2)] | None
    quietest_dbfs: float
    encoders: Annotated[list[_EncoderEntry], Field(max_length=64)]
    views: Annotated[list[_ViewEntry], Field(min_length=1, max_length=256)]
    calibration: _FusedCalibration
    evidence: _Evidence
    microphone: _Microphone | None = None  # bundles before this key do not judge it
    files: Annotated[dict[_FileName, _Digest], Field(max_length=64)]
    trained: str | None = None
    training: _Training | None = None
    thresholds: _Thresholds | None = None
    warnings: list[str] = []
    reason: _Short | None = None
    candidate: bool = False
    moved: float | None = None
    moved_from: _Short | None = None  # None: from the trained model
    commissioning: _Commissioning | None = None
    self_test: _SelfTest | None = None
    marked: Annotated[list[_MarkedSpan], Field(max_length=1000)] = []


def check_manifest(manifest: Mapping[str, Any]) -> None:
    """Check types, sizes and bounds; raises ValueError with the first problem."""
    try:
        checked_document(manifest, _Manifest)
    except ValueError as error:
        raise ValueError(f"{MANIFEST}: {error}") from error
