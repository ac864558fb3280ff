"""What a self-test is compared with: the results of the training, in the manifest of a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from asd_monitor.detector.detector import Detector
from asd_monitor.self_test.detected_levels import DetectedLevels

KEY = "self_test"
"""Key of the manifest; models of earlier versions have none."""

Spectra = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class SelfTestBaseline:
    """What the training has shown."""

    levels: DetectedLevels | None = None  # None: not measured
    spectra: Spectra | None = None  # (k, b), log10 of power: mean of each operating mode

    @classmethod
    def of(cls, detector: Detector, levels: DetectedLevels | None) -> Self:
        """Return the baseline of a detector that was fitted now."""
        return cls(levels, detector.evidence_calibration.modes.centres)

    def to_json(self) -> dict[str, Any]:
        """Return the entry of the manifest."""
        return {
            "levels_db": None if self.levels is None else self.levels.to_json(),
            "spectra": None if self.spectra is None else self.spectra.astype(float).tolist(),
        }

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> Self:
        """Return the baseline in a checked manifest, empty where it has none."""
        entry = manifest.get(KEY)
        if entry is None:
            return cls()
        levels_db, spectra = entry["levels_db"], entry["spectra"]
        return cls(
            None if levels_db is None else DetectedLevels.from_json(levels_db),
            None if spectra is None else np.array(spectra, np.float32),
        )
