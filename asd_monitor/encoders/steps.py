"""A stream of samples → the steps of a network's time axis, each computed once."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from typing_extensions import override

from asd_monitor.dsp.frames import Matrix, hann, split_frames
from asd_monitor.dsp.mel import MelBands
from asd_monitor.dsp.short_time_transform import ShortTimeTransform
from asd_monitor.encoders.card import LogMel, Waveform
from asd_monitor.records import Samples

_DECIBELS = np.float32(10.0)


class StepStream(ABC):
    """Computes the steps of a stream; step k spans ``frame`` samples from k · ``hop`` on."""

    @abstractmethod
    def push(self, samples: Samples) -> Matrix:
        """Return the steps (n, d) float32 that these samples (m,) float32 complete."""


def step_stream(card_input: LogMel | Waveform) -> StepStream:
    """Return the steps that a card describes, at the beginning of a stream."""
    return LogMelSteps(card_input) if isinstance(card_input, LogMel) else WaveformSteps()


class WaveformSteps(StepStream):
    """The samples themselves."""

    @override
    def push(self, samples: Samples) -> Matrix:
        return np.asarray(samples, np.float32)[:, None]


class LogMelSteps(StepStream):
    """Log-mel frames with the parameters of a card; the formula is at `LogMel`."""

    def __init__(self, card_input: LogMel) -> None:
        self._input = card_input
        self._transform = ShortTimeTransform(hann(card_input.frame), card_input.fft)
        self._bands = mel_bands(card_input).weights(card_input.rate_hz, card_input.fft)
        self._rest = np.zeros(0, np.float32)

    @override
    def push(self, samples: Samples) -> Matrix:
        card_input = self._input
        pending = np.concatenate([self._rest, samples])
        frames = split_frames(pending, card_input.frame, card_input.hop)
        self._rest = pending[len(frames) * card_input.hop :].copy()
        if not len(frames):
            return np.zeros((0, card_input.bands), np.float32)
        spectra = self._transform(frames)
        powers = spectra.real**2 + spectra.imag**2
        if card_input.power == 1:
            powers = np.sqrt(powers)
        energies = np.maximum(
            powers @ self._bands + np.float32(card_input.offset), np.float32(card_input.floor)
        )
        logarithms = np.log(energies) if card_input.log == "ln" else np.log10(energies)
        if card_input.log == "db":
            logarithms = logarithms * _DECIBELS
        return np.asarray((logarithms - np.float32(card_input.mean)) / np.float32(card_input.scale))


def mel_bands(card_input: LogMel) -> MelBands:
    """Return the filter bank that a card describes."""
    return MelBands(
        card_input.low_hz,
        card_input.high_hz,
        card_input.bands,
        scale=card_input.mel,
        unit_area=card_input.area,
        slopes=card_input.slopes,
    )
