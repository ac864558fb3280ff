"""The features of windows: many streams of one front end in one go.

Every frame is computed once, whatever the overlap, and every window is made of what its
frames were summed up to.  What a stream carries on from window to window is bounded and
given from outside, so that any streams that are equally far can be taken together.

Axes: m streams, n frames of each, q windows of each, then the numbers of a feature.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from asd_monitor.dsp.frames import Matrix
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.features import window_statistics
from asd_monitor.features.batched_encoder import BatchedEncoder
from asd_monitor.features.decimated_spectrum import FineSpectrum
from asd_monitor.features.mel_spectrogram import MelSpectrogram, log10
from asd_monitor.features.separable_gabor import GaborFeatures
from asd_monitor.features.sliding_reduction import SlidingReduction
from asd_monitor.features.stream_state import StateArrays, StreamState
from asd_monitor.records import Samples

RHYTHM_BANDS = 7


class Analysis:
    """Turns the sound of streams into the features of their windows."""

    def __init__(self, front_end: FrontEnd, encoders: Sequence[Encoder] = ()) -> None:
        """Look through the encoders too; their steps are the front end's log-mel frames."""
        self._front_end = front_end
        length, hop = front_end.window_frames, front_end.hop_frames
        self._spectrogram = MelSpectrogram(front_end, window_statistics.ENVELOPE_BANDS)
        self._tone = FineSpectrum(front_end)
        self._pattern = GaborFeatures(front_end.rate_hz / front_end.frame_hop, front_end.mel_bands)
        self._rhythm = window_statistics.ModulationSpectrum(
            length, front_end.rate_hz / front_end.frame_hop, RHYTHM_BANDS
        )
        self._sums = SlidingReduction(np.add, length, hop)
        self._peaks = SlidingReduction(np.maximum, length, hop)
        self._steps = SlidingReduction(np.add, length - 1, hop)
        self._answers = SlidingReduction(np.maximum, length + 1 - self._pattern.reach, hop)
        self._encoders = [BatchedEncoder(encoder, front_end) for encoder in encoders]

    def first(self, sound: Samples) -> tuple[dict[str, Matrix], StateArrays]:
        """Return the features (m, 1, d) of the first windows of streams, and what they carry.

        ``sound`` (m, samples) is that of the windows, no more.
        """
        return self._analyse(sound, StreamState(None), 0)

    def next(
        self, sound: Samples, carried: StateArrays, start: int, every: int = 1
    ) -> tuple[dict[str, Matrix], StateArrays]:
        """Return the features (m, q, d) of every so-manieth of the next windows.

        The first of these windows, which is passed over where ``every`` is not 1, begins at
        ``start``.

        ``sound`` (m, samples) begins with the frame after the last window's last one, that is
        ``frame − frame_hop`` samples before that window's end.
        """
        return self._analyse(sound, StreamState(carried, every), start)

    def _analyse(
        self, sound: Samples, carry: StreamState, start: int
    ) -> tuple[dict[str, Matrix], StateArrays]:
        front_end = self._front_end
        energies, coarse = self._spectrogram(sound)
        log_mel = log10(energies)
        new = sound if carry.begins else sound[:, front_end.frame - front_end.frame_hop :]
        ripples = carry.after("ripples", self._pattern.ripples(log_mel), self._pattern.reach - 1)
        highest = carry.slide("answers", self._answers, self._pattern.answers(ripples))
        means = self._means(log_mel, energies, carry)
        bands = front_end.mel_bands
        lines = self._tone.push(new, carry, start)
        average, off = self._envelopes(coarse, carry)
        features = {
            "level": self._level(new, carry),
            "spectrum": means[..., :bands].astype(np.float32),
            "peaks": carry.slide("peaks", self._peaks, log_mel),
            "spread": window_statistics.spread(means[..., :bands], means[..., bands : 2 * bands]),
            "change": self._change(log_mel, carry),
            "tone": self._tone.vectors(lines, means[..., 2 * bands :]),
            "texture": window_statistics.texture(average, off),
            "rhythm": self._rhythm(average, off),
            "pattern": self._pattern.vectors(highest),
        }
        for encoder in self._encoders:
            features |= encoder(log_mel, carry)
        return features, carry.new

    def _means(self, log_mel: Matrix, energies: Matrix, carry: StreamState) -> window_statistics.Sums:
        """Return the means (m, q, …) of log-mel, of its squares and of the tone's energies."""
        bands, above = self._front_end.mel_bands, self._tone.first_band
        rows = np.empty((*log_mel.shape[:2], 3 * bands - above))
        rows[..., :bands] = log_mel
        np.square(rows[..., :bands], out=rows[..., bands : 2 * bands])
        rows[..., 2 * bands :] = energies[..., above:]
        return carry.slide("sums", self._sums, rows) / self._sums.length

    def _change(self, log_mel: Matrix, carry: StreamState) -> Matrix:
        frames = carry.after("log-mel", log_mel, 1)
        steps = frames[:, 1:] - frames[:, :-1]
        np.abs(steps, out=steps)
        change: Matrix = carry.slide("steps", self._steps, steps)
        return change / np.float32(self._steps.length)

    def _level(self, sound: Samples, carry: StreamState) -> Matrix:
        front_end = self._front_end
        length, hop = front_end.window // front_end.frame_hop, front_end.hop_frames
        hops = sound.reshape(len(sound), -1, front_end.frame_hop)
        within = carry.windows("squares", np.einsum("mns,mns->mn", hops, hops), length, hop)
        sums = np.add.reduce(within, 2)
        return window_statistics.level(sums[..., None] / np.float32(front_end.window))

    def _envelopes(self, coarse: Matrix, carry: StreamState) -> tuple[Matrix, Matrix]:
        """Return the envelopes' means (m, q, b), and how far off frames are (m, q, t, b)."""
        length, hop = self._front_end.window_frames, self._front_end.hop_frames
        envelopes = np.power(coarse, np.float32(window_statistics.ENVELOPE_POWER))
        within = carry.windows("envelopes", envelopes, length, hop)
        average = np.add.reduce(within, 2) / np.float32(length)
        return average, within - average[:, :, None]
