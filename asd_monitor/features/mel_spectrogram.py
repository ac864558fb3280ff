"""Sound of many streams → power spectra and their bands, all in one go.

Axes: m streams, n frames of each, then bins or bands.  No padding and no centring: frame k
of a piece covers its samples from k · hop on.

A mel band is zero nearly everywhere, so a product with all bins would multiply zeros four
times out of five.  The bands are multiplied in groups, each with the bins that it knows.
"""

from __future__ import annotations

import numpy as np

from asd_monitor.dsp.frames import Matrix, hann, windows_of
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.dsp.mel import mel_filters
from asd_monitor.records import Samples

GROUP = 32  # bands multiplied at once
LOG_FLOOR = 1e-10
_LOG10 = np.float32(1.0 / np.log(10.0))


class BandedProduct:
    """Products with weights (bins, bands) that are zero far from each band's centre."""

    def __init__(self, weights: Matrix) -> None:
        self._bands = weights.shape[1]
        self._groups: list[tuple[slice, slice, Matrix]] = []
        for low in range(0, self._bands, GROUP):
            bands = slice(low, min(low + GROUP, self._bands))
            known = np.flatnonzero(weights[:, bands].any(1))
            bins = slice(int(known[0]), int(known[-1]) + 1) if len(known) else slice(0, 1)
            self._groups.append((bands, bins, np.ascontiguousarray(weights[bins, bands])))

    def __call__(self, power: Matrix) -> Matrix:
        """Return the bands (frames, bands) of spectra (frames, bins)."""
        product = np.empty((len(power), self._bands), np.float32)
        for bands, bins, weights in self._groups:
            np.matmul(power[:, bins], weights, out=product[:, bands])
        return product


class MelSpectrogram:
    """Hann-windowed short-time Fourier transform by a front end, in mel bands."""

    def __init__(self, front_end: FrontEnd, coarse_bands: int) -> None:
        """Beside the front end's own bands make so many coarse ones."""
        self._frame, self._hop = front_end.frame, front_end.frame_hop
        self._hann = hann(front_end.frame)
        self._bands = front_end.mel_bands
        fine, coarse = (
            mel_filters(front_end.rate_hz, front_end.frame, bands)
            for bands in (front_end.mel_bands, coarse_bands)
        )
        self._mel = BandedProduct(np.concatenate([fine, coarse], axis=1))

    def __call__(self, sound: Samples) -> tuple[Matrix, Matrix]:
        """Return the energies of mel bands (m, n, bands) and of coarse ones (m, n, coarse).

        ``sound`` (m, samples) holds the n frames of each stream and no more.
        """
        frames = windows_of(sound, self._frame, self._hop) * self._hann
        spectra = np.fft.rfft(frames.reshape(-1, self._frame))
        power = np.square(spectra.real) + np.square(spectra.imag)
        energies = self._mel(power).reshape(*frames.shape[:2], -1)
        return energies[..., : self._bands], energies[..., self._bands :]


def log10(energies: Matrix) -> Matrix:
    """Return the logarithms of energies, which are at least 1e-10."""
    logarithms = np.maximum(energies, np.float32(LOG_FLOOR))
    np.log(logarithms, out=logarithms)  # numpy's log10 takes four times as long
    logarithms *= _LOG10
    return logarithms
