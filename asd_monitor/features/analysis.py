"""The features of windows: many streams of one front end in one pass.

Every frame is computed once, whatever the overlap of windows, and reduced once.  The state
between calls is bounded and passed in and out, so that any streams at the same phase can be
computed together.  Definitions: `asd_monitor.dsp.window_features`.

Axes: m streams, n frames of each, q windows of each, then the numbers of a feature.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from asd_monitor.dsp.envelope_statistics import ENVELOPE_BANDS, ENVELOPE_EXPONENT
from asd_monitor.dsp.frames import Floats, Matrix
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.features import window_statistics
from asd_monitor.features.batched_encoder import BatchedEncoder
from asd_monitor.features.decimated_spectrum import FineSpectrum
from asd_monitor.features.mel_spectrogram import MelSpectrogram, log10_power
from asd_monitor.features.separable_gabor import GaborFeatures
from asd_monitor.features.sliding_reduction import SlidingReduction
from asd_monitor.features.stream_state import StateArrays, StreamState
from asd_monitor.records import Samples


class Analysis:
    """Computes the features of windows from the sound of streams."""

    def __init__(self, front_end: FrontEnd, encoders: Sequence[Encoder] = ()) -> None:
        """Use these encoders too; the front end's log-mel frames are their steps."""
        self._front_end = front_end
        length, hop = front_end.window_frames, front_end.hop_frames
        self._spectrogram = MelSpectrogram(front_end, ENVELOPE_BANDS)
        self._fine_spectrum = FineSpectrum(front_end)
        self._gabor = GaborFeatures(front_end.frame_rate_hz, front_end.mel_bands)
        self._modulation = window_statistics.ModulationSpectrum(length, front_end.frame_rate_hz)
        self._sums = SlidingReduction(np.add, length, hop)
        self._peaks = SlidingReduction(np.maximum, length, hop)
        self._changes = SlidingReduction(np.add, length - 1, hop)
        self._moduli = SlidingReduction(np.maximum, length + 1 - self._gabor.receptive_field, hop)
        self._encoders = [BatchedEncoder(encoder, front_end) for encoder in encoders]

    def first(self, sound: Samples) -> tuple[dict[str, Matrix], StateArrays]:
        """Return the features (m, 1, d) of the first window of each stream, and the state.

        ``sound`` (m, samples) is that of one window.  Raises EncoderError.
        """
        return self._analyse(sound, StreamState(None), 0)

    def next(
        self, sound: Samples, state: StateArrays, start: int, stride: int = 1
    ) -> tuple[dict[str, Matrix], StateArrays]:
        """Return the features (m, q, d) of every ``stride``-th of the next windows, and the state.

        ``sound`` (m, samples) begins with the frame after the last frame of the previous window,
        that is ``frame − frame_hop`` samples before the end of that window.  ``start`` is the
        sample at which the first of the next windows begins, skipped by the stride or not.
        Raises EncoderError.
        """
        return self._analyse(sound, StreamState(state, stride), start)

    def _analyse(
        self, sound: Samples, state: StreamState, start: int
    ) -> tuple[dict[str, Matrix], StateArrays]:
        front_end = self._front_end
        mel, envelope_power = self._spectrogram(sound)
        log_mel = log10_power(mel)
        new = sound if state.begins else sound[:, front_end.frame - front_end.frame_hop :]
        means = self._means(log_mel, mel, state)
        bands = front_end.mel_bands
        lines = self._fine_spectrum.push(new, state, start)
        average, centred = self._envelopes(envelope_power, state)
        features = {
            "level": self._level(new, state),
            "spectrum": means[..., :bands].astype(np.float32),
            "peaks": state.reduce("peaks", self._peaks, log_mel),
            "spread": window_statistics.log_deviation_of_means(
                means[..., :bands], means[..., bands : 2 * bands]
            ),
            "change": self._change(log_mel, state),
            "tone": self._fine_spectrum.vectors(lines, means[..., 2 * bands :]),
            "texture": window_statistics.envelope_moments(average, centred),
            "rhythm": self._modulation(average, centred),
            "pattern": self._gabor.vectors(self._largest_moduli(log_mel, state)),
        }
        for encoder in self._encoders:
            features |= encoder(log_mel, state)
        return features, state.updated

    def _means(self, log_mel: Matrix, mel: Matrix, state: StreamState) -> Floats:
        """Return the means (m, q, …) of log-mel, of its squares and of the mel bands in pairs."""
        bands, above = self._front_end.mel_bands, self._fine_spectrum.first_band
        rows = np.empty((*log_mel.shape[:2], 3 * bands - above))
        rows[..., :bands] = log_mel
        np.square(rows[..., :bands], out=rows[..., bands : 2 * bands])
        rows[..., 2 * bands :] = mel[..., above:]
        return state.reduce("sums", self._sums, rows) / self._sums.length

    def _change(self, log_mel: Matrix, state: StreamState) -> Matrix:
        frames = state.extend("log-mel", log_mel, 1)
        changes = frames[:, 1:] - frames[:, :-1]
        np.abs(changes, out=changes)
        sums: Matrix = state.reduce("changes", self._changes, changes)
        return sums / np.float32(self._changes.length)

    def _level(self, sound: Samples, state: StreamState) -> Matrix:
        front_end = self._front_end
        length, hop = front_end.window // front_end.frame_hop, front_end.hop_frames
        hops = sound.reshape(len(sound), -1, front_end.frame_hop)
        within = state.windows("squares", np.einsum("mns,mns->mn", hops, hops), length, hop)
        sums = np.add.reduce(within, 2)
        return window_statistics.level_of_power(sums[..., None] / np.float32(front_end.window))

    def _envelopes(self, power: Matrix, state: StreamState) -> tuple[Matrix, Matrix]:
        """Return the envelopes' means (m, q, e) and the deviations from them (m, q, t, e)."""
        length, hop = self._front_end.window_frames, self._front_end.hop_frames
        envelopes = np.power(power, np.float32(ENVELOPE_EXPONENT))
        within = state.windows("envelopes", envelopes, length, hop)
        average = np.add.reduce(within, 2) / np.float32(length)
        return average, within - average[:, :, None]

    def _largest_moduli(self, log_mel: Matrix, state: StreamState) -> Matrix:
        responses = state.extend(
            "gabor responses",
            self._gabor.filter_frequency(log_mel),
            self._gabor.receptive_field - 1,
        )
        return state.reduce("gabor moduli", self._moduli, self._gabor.filter_time(responses))
