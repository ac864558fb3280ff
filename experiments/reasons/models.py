"""Profile and detector of training sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asd_monitor.audio.files.recordings import read_recording
from asd_monitor.detector.detector import Detector
from asd_monitor.detector.fit import fit_detector
from asd_monitor.dsp.front_end import front_end_for
from asd_monitor.explanation.sound_analysis import analyse, conditioned
from asd_monitor.explanation.sound_profile import SoundProfile, blocks_of, fit_profile
from asd_monitor.features.windows import Window
from asd_monitor.pipeline import WindowExtractor
from asd_monitor.records import Block, Samples, Stream
from experiments.reasons.changes import RATE_HZ

TEST_S = 10.0
FRONT_END = front_end_for(RATE_HZ)


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """What is fitted to the training sound."""

    profile: SoundProfile
    detector: Detector  # without the encoder

    def evidence(self, sound: Samples) -> float:
        """Return the median evidence of the windows of a sound."""
        return float(np.median([each.evidence for each in self.detector.score(_windows(sound))]))


def model_of(recordings: Sequence[Samples]) -> Model:
    """Return profile and detector of recordings at 16 kHz."""
    pieces = [_windows(sound) for sound in recordings]
    return Model(profile_of(recordings), fit_detector(pieces, FRONT_END, RATE_HZ).detector)


def profile_of(recordings: Sequence[Samples]) -> SoundProfile:
    """Return the profile of recordings at 16 kHz."""
    profile = fit_profile(
        [
            analyse(block, RATE_HZ)
            for sound in recordings
            for block in blocks_of(conditioned(sound, RATE_HZ, RATE_HZ), RATE_HZ)
        ]
    )
    if profile is None:
        raise ValueError("the recordings are too short for a profile")
    return profile


def read_at_rate(path: Path) -> Samples:
    """Return a recording at 16 kHz."""
    recording = read_recording(path)
    return conditioned(recording.samples, recording.rate_hz, RATE_HZ)


def _windows(sound: Samples) -> list[Window]:
    extractor = WindowExtractor(FRONT_END)
    return extractor.push(Block(Stream(RATE_HZ), 0, sound)) + extractor.flush()
