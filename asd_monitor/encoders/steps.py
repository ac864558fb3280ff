"""A stream of samples → the steps of a network's time axis, each computed once."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from typing_extensions import override

from asd_monitor.dsp.frames import Matrix, PowerSpectra
from asd_monitor.dsp.mel import Bands
from asd_monitor.encoders.card import LogMel, Waveform
from asd_monitor.records import Samples

_DECIBELS = np.float32(10.0)


class Steps(ABC):
    """Step k covers ``frame`` samples from k · ``hop`` on, as the card says."""

    @abstractmethod
    def push(self, samples: Samples) -> Matrix:
        """Return the steps (n, numbers of one step) that these samples complete."""


def steps_of(kind: LogMel | Waveform) -> Steps:
    """Begin the steps of a stream."""
    return LogMelSteps(kind) if isinstance(kind, LogMel) else WaveformSteps()


class WaveformSteps(Steps):
    """The samples themselves."""

    @override
    def push(self, samples: Samples) -> Matrix:
        return np.asarray(samples, np.float32)[:, None]


class LogMelSteps(Steps):
    """Log-mel frames by the parameters of a card."""

    def __init__(self, kind: LogMel) -> None:
        self._kind = kind
        self._spectra = PowerSpectra(kind.frame, kind.hop, kind.fft)
        self._bands = Bands(
            kind.low_hz,
            kind.high_hz,
            kind.bands,
            htk=kind.mel == "htk",
            area=kind.area,
            straight_in_mel=kind.slopes == "mel",
        ).weights(kind.rate_hz, kind.fft)

    @override
    def push(self, samples: Samples) -> Matrix:
        kind = self._kind
        spectra = self._spectra.push(samples)
        if kind.power == 1:
            spectra = np.sqrt(spectra)
        energies = np.maximum(
            spectra @ self._bands + np.float32(kind.offset), np.float32(kind.floor)
        )
        logarithms = np.log(energies) if kind.log == "ln" else np.log10(energies)
        if kind.log == "db":
            logarithms = logarithms * _DECIBELS
        return np.asarray((logarithms - np.float32(kind.mean)) / np.float32(kind.scale))
