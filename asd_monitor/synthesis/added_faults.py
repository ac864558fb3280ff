"""Faults added to the sound of a simulated machine, by their level.

A tone at so many dB above the level of its third-octave band; impacts of a bearing at so many dB
relative to the machine's level.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from asd_monitor.records import Samples
from asd_monitor.synthesis.filtering import db_to_amplitude
from asd_monitor.synthesis.modal import draw_modes, excite_modes
from experiments.alarms.plant_sound import RATE_HZ

_BAND_OCTAVES = 1 / 3


class FaultKind(StrEnum):
    """What is added."""

    TONE = "tone"
    IMPACTS = "impacts"


SEVERITIES_DB = {
    FaultKind.TONE: (3.0, 6.0, 10.0, 15.0),  # above the band's level
    FaultKind.IMPACTS: (-18.0, -14.0, -9.0, -4.0),  # relative to the machine's level
}

LADDER_DB = {
    FaultKind.TONE: (0.0, *SEVERITIES_DB[FaultKind.TONE]),
    FaultKind.IMPACTS: (-24.0, *SEVERITIES_DB[FaultKind.IMPACTS]),
}
"""The steps by which a fault grows."""


def fault_name(kind: FaultKind, severity_db: float) -> str:
    """Return the name of a fault of this severity: ``tone6``, ``impacts-9``."""
    return f"{kind}{severity_db:g}"


@dataclass(frozen=True, slots=True, eq=False)
class AddedFault:
    """A fault of one machine: the sound that is added at 0 dB."""

    kind: FaultKind
    sound: Samples  # (n,), at a severity of 0 dB

    def at(self, severity_db: float) -> Samples:
        """Return the sound (n,) at this severity."""
        return (self.sound * db_to_amplitude(severity_db)).astype(np.float32)


def draw_fault(
    kind: FaultKind, normal: Samples, machine_rms: float, seconds: float, rng: np.random.Generator
) -> AddedFault:
    """Draw a fault of a machine; ``normal`` is its sound in the hall, for the band's level."""
    n = round(seconds * RATE_HZ)
    if kind is FaultKind.TONE:
        hz = float(np.exp(rng.uniform(np.log(250.0), np.log(5000.0))))
        speed = 1.0 + 0.001 * np.cumsum(rng.standard_normal(n)) / np.sqrt(n)
        tone = np.sqrt(2.0) * np.sin(2.0 * np.pi * hz * np.cumsum(speed) / RATE_HZ)
        return AddedFault(kind, (tone * band_rms(normal, hz)).astype(np.float32))
    rate_hz = float(np.exp(rng.uniform(np.log(8.0), np.log(120.0))))
    interval = RATE_HZ / rate_hz
    positions = np.arange(0.0, n, interval)
    positions = positions + 0.01 * interval * rng.standard_normal(len(positions))
    positions = positions[(positions >= 0) & (positions < n)]
    amplitudes = db_to_amplitude(rng.normal(0.0, 1.5, len(positions)))
    impacts = excite_modes(
        n, RATE_HZ, positions, amplitudes, draw_modes(1500.0, 6500.0, 4, rng, (0.001, 0.006))
    )
    impacts *= machine_rms / (float(np.sqrt(np.mean(impacts**2))) + 1e-12)
    return AddedFault(kind, impacts.astype(np.float32))


def band_rms(sound: Samples, hz: float) -> float:
    """Return the RMS of the sound (n,) in the third octave around a frequency."""
    spectrum = np.fft.rfft(sound.astype(np.float64))
    each = np.fft.rfftfreq(len(sound), 1.0 / RATE_HZ)
    half = 2.0 ** (_BAND_OCTAVES / 2)
    inside = (each >= hz / half) & (each < hz * half)
    return float(np.sqrt(2.0 * np.sum(np.abs(spectrum[inside]) ** 2)) / len(sound))
