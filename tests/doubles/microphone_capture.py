"""The recognition of microphone faults, with windows and samples that a test gives it."""

from __future__ import annotations

import numpy as np

from asd_monitor.dsp.frames import Floats
from asd_monitor.microphone.findings import MicrophoneCondition
from asd_monitor.microphone.recognition import MicrophoneRecognition
from asd_monitor.microphone.sample_counter import SampleFaults
from asd_monitor.records import Block, Samples, Stream
from tests.doubles.microphone_spectra import (
    FRONT_END,
    SHAPE_DB,
    above,
    baseline,
    baseline_of,
    piece_of,
    quiet_lines,
    spectra_of,
)

RATE_HZ = FRONT_END.rate_hz
HOP, WINDOW = FRONT_END.hop, FRONT_END.window
# spectra in dB
COVERED = SHAPE_DB + above(2000.0, -20.0)
SLIGHTLY = SHAPE_DB + above(2000.0, -9.0)
LOUDER = SHAPE_DB + 12.0
OTHER = SHAPE_DB + 6.0 * np.cos(np.arange(len(SHAPE_DB)) / 20.0)


class Capture:
    """Feeds a recognition with windows, one every hop."""

    def __init__(self, samples: SampleFaults | None = None) -> None:
        known = baseline() if samples is None else baseline_of([piece_of(SHAPE_DB)], samples)
        self.subject = MicrophoneRecognition(known, RATE_HZ)
        self.end = 0
        self.stream = Stream(RATE_HZ)

    def play(
        self, mean_db: Floats, seconds: float, *, running: bool = True
    ) -> list[tuple[float, MicrophoneCondition]]:
        """Push windows of this mean; return the changes of the condition, in s from now."""
        begin, found, before = self.end, [], self.subject.condition
        for number in range(round(seconds * RATE_HZ / HOP)):
            self.end += HOP
            spectrum = spectra_of(mean_db, 1, seed=self.end + number)[0]
            self.subject.push_window(spectrum, quiet_lines(number, 1)[0], self.end, running=running)
            if self.subject.condition != before:
                before = self.subject.condition
                found.append(((self.end - begin) / RATE_HZ, before))
        return found

    def gap(self, seconds: float) -> None:
        """Let samples be lost."""
        self.end += round(seconds * RATE_HZ) + WINDOW - HOP

    def push(self, samples: Samples) -> None:
        """Push samples, and the windows of training sound that they complete."""
        start = self.end
        self.subject.push_samples(Block(self.stream, start, samples))
        self.play(SHAPE_DB, len(samples) / RATE_HZ)


def noise(seconds: float, seed: int = 0) -> Samples:
    """Return noise (n,)."""
    sound = np.random.default_rng(seed).uniform(-0.5, 0.5, round(seconds * RATE_HZ))
    return sound.astype(np.float32)


def dropouts(seconds: float, per_s: float) -> Samples:
    """Return noise (n,) in which 160 samples are zero, so many times a second."""
    sound = noise(seconds)
    for begin in range(1000, len(sound), round(RATE_HZ / per_s)):
        sound[begin : begin + 160] = 0.0
    return sound
