"""Faults added to a machine's sound, by their level.

    tone      a tone, in dB above the level of the third-octave band around it
    impacts   impacts of a bearing, in dB relative to the machine's level

Unlike those of `injection`, the severities are levels, which can be measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from asd_monitor.records import Samples
from asd_monitor.synthesis.filtering import db_to_amplitude
from asd_monitor.synthesis.modal import draw_modes, excite_modes

_BAND_OCTAVES = 1 / 3
_TONE_HZ = (250.0, 5000.0)
_HIGHEST = 0.4  # frequency of a tone, of the sampling rate
_IMPACTS_HZ = (8.0, 120.0)


class FaultKind(StrEnum):
    """What is added."""

    TONE = "tone"
    IMPACTS = "impacts"


SEVERITIES_DB = {
    FaultKind.TONE: (3.0, 6.0, 10.0, 15.0),  # above the band's level
    FaultKind.IMPACTS: (-18.0, -14.0, -9.0, -4.0),  # relative to the machine's level
}


@dataclass(frozen=True, slots=True, eq=False)
class AddedFault:
    """A fault of one machine: the sound that is added at 0 dB."""

    kind: FaultKind
    sound: Samples  # (n,), at a severity of 0 dB

    def at(self, severity_db: float) -> Samples:
        """Return the sound (n,) at this severity."""
        return (self.sound * db_to_amplitude(severity_db)).astype(np.float32)


def draw_fault(
    kind: FaultKind,
    normal: Samples,
    machine_rms: float,
    seconds: float,
    rng: np.random.Generator,
    *,
    rate_hz: int = 16_000,
) -> AddedFault:
    """Draw a fault of a machine.

    Args:
        kind: what is added.
        normal: the machine's sound (m,) where it is recorded, for the level of a band.
        machine_rms: RMS of the machine's sound alone.
        seconds: length of the fault.
        rng: draws the tone's frequency, or the impacts' rate and resonances.
        rate_hz: sampling rate.

    """
    n = round(seconds * rate_hz)
    if kind is FaultKind.TONE:
        hz = min(_HIGHEST * rate_hz, _log_uniform(*_TONE_HZ, rng))
        speed = 1.0 + 0.001 * np.cumsum(rng.standard_normal(n)) / np.sqrt(n)
        tone = np.sqrt(2.0) * np.sin(2.0 * np.pi * hz * np.cumsum(speed) / rate_hz)
        return AddedFault(kind, (tone * band_rms(normal, hz, rate_hz)).astype(np.float32))
    interval = rate_hz / _log_uniform(*_IMPACTS_HZ, rng)
    positions = np.arange(0.0, n, interval)
    positions = positions + 0.01 * interval * rng.standard_normal(len(positions))
    positions = positions[(positions >= 0) & (positions < n)]
    amplitudes = db_to_amplitude(rng.normal(0.0, 1.5, len(positions)))
    impacts = excite_modes(
        n, rate_hz, positions, amplitudes, draw_modes(1500.0, 6500.0, 4, rng, (0.001, 0.006))
    )
    impacts *= machine_rms / (float(np.sqrt(np.mean(impacts**2))) + 1e-12)
    return AddedFault(kind, impacts.astype(np.float32))


def band_rms(sound: Samples, hz: float, rate_hz: int) -> float:
    """Return the RMS of the sound (n,) in the third octave around a frequency."""
    spectrum = np.fft.rfft(sound.astype(np.float64))
    each = np.fft.rfftfreq(len(sound), 1.0 / rate_hz)
    half = 2.0 ** (_BAND_OCTAVES / 2)
    inside = (each >= hz / half) & (each < hz * half)
    return float(np.sqrt(2.0 * np.sum(np.abs(spectrum[inside]) ** 2)) / len(sound))


def _log_uniform(low: float, high: float, rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
