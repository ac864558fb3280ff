"""Power spectra and mel bands of many streams in one pass.

Axes: m streams, n frames of each, then bins or bands.  Frame k of a block covers its samples
from k · hop on: no padding, no centring.

Most weights of a mel filter bank are zero.  The bands are multiplied in groups, each with the
range of bins in which it has weights.
"""

from __future__ import annotations

import numpy as np

from asd_monitor.dsp.frames import Matrix, hann
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.dsp.mel import mel_filters
from asd_monitor.dsp.short_time_transform import ShortTimeTransform
from asd_monitor.dsp.spectrogram import LOG_FLOOR
from asd_monitor.features.strided_windows import strided_windows
from asd_monitor.records import Samples

BANDS_PER_GROUP = 32
FRAMES_AT_ONCE = 64
"""Frames whose spectra are computed in one call: they fit into the second-level cache."""
_LOG10 = np.float32(1.0 / np.log(10.0))


class BandedProduct:
    """Product with weights (bins, bands) that are zero far from the centre of each band."""

    def __init__(self, weights: Matrix) -> None:
        self.bands = weights.shape[1]
        self._groups: list[tuple[slice, slice, Matrix]] = []
        for low in range(0, self.bands, BANDS_PER_GROUP):
            bands = slice(low, min(low + BANDS_PER_GROUP, self.bands))
            used = np.flatnonzero(weights[:, bands].any(1))
            bins = slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 1)
            self._groups.append((bands, bins, np.ascontiguousarray(weights[bins, bands])))

    def __call__(self, power: Matrix) -> Matrix:
        """Return the power in bands (frames, bands) of spectra (frames, bins)."""
        product = np.empty((len(power), self.bands), np.float32)
        for bands, bins, weights in self._groups:
            np.matmul(power[:, bins], weights, out=product[:, bands])
        return product


class MelSpectrogram:
    """The power spectrogram of a front end in two mel filter banks."""

    def __init__(self, front_end: FrontEnd, envelope_bands: int) -> None:
        """Use the front end's bands, and a second bank of ``envelope_bands`` bands."""
        self._frame, self._hop = front_end.frame, front_end.frame_hop
        self._transform = ShortTimeTransform(hann(front_end.frame))
        self._bands = front_end.mel_bands
        banks = [
            mel_filters(front_end.rate_hz, front_end.frame, bands)
            for bands in (front_end.mel_bands, envelope_bands)
        ]
        self._mel = BandedProduct(np.concatenate(banks, axis=1))

    def __call__(self, sound: Samples) -> tuple[Matrix, Matrix]:
        """Return the power in the front end's bands (m, n, b) and in the second bank (m, n, e).

        ``sound`` (m, samples) ends with the n-th frame.
        """
        frames = strided_windows(sound, self._frame, self._hop)
        streams, count = frames.shape[:2]
        mel = np.empty((streams, count, self._mel.bands), np.float32)
        rows = max(1, FRAMES_AT_ONCE // count)
        for row in range(0, streams, rows):
            for begin in range(0, count, FRAMES_AT_ONCE):
                some = slice(row, row + rows), slice(begin, begin + FRAMES_AT_ONCE)
                mel[some] = self._in_bands(frames[some])
        return mel[..., : self._bands], mel[..., self._bands :]

    def _in_bands(self, frames: Matrix) -> Matrix:
        """Return the power in the bands of both banks, (m, n, b + e), of frames (m, n, samples)."""
        spectra = self._transform(frames)
        power = np.square(spectra.real)
        power += np.square(spectra.imag)
        return self._mel(power.reshape(-1, power.shape[2])).reshape(*power.shape[:2], -1)


def log10_power(power: Matrix) -> Matrix:
    """Return the logarithms to base 10 of powers, limited below to 1e-10."""
    logarithms = np.maximum(power, np.float32(LOG_FLOOR))
    np.log(logarithms, out=logarithms)  # numpy's log10 takes four times as long
    logarithms *= _LOG10
    return logarithms
