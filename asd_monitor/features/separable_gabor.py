"""Local spectro-temporal shapes: which ripples of the log-mel spectrogram stand out where.

A bank of Gabor filters, each a sine ripple in time and frequency under a Hann envelope;
Schädler, Meyer & Kollmeier, "Spectro-temporal modulation subspace-spanning filter bank
features", J. Acoust. Soc. Am. 131 (2012).  Of each filter's modulus the maximum over time
is kept in groups of bands, so that a brief event counts as much as a steady one.

A ripple is the product of one in frequency and one in time, so that one filters along
frequency first and along time then.  With real and imaginary parts r and i of both,

    |upwards|² , |downwards|² = (rr)² + (ii)² + (ri)² + (ir)² ± 2 (ri · ir − rr · ii)

Axes: m streams, n frames, t ripples in time, s in frequency, p places among the bands.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from asd_monitor.dsp.frames import Matrix, windows_of
from asd_monitor.dsp.mel import Floats

TEMPORAL_HZ = 12.0  # fastest ripple
SPECTRAL_PER_BAND = 0.25  # finest ripple, cycles a band of 64
RIPPLES = 4  # of each, beside none
FILTER_S = 0.3
FILTER_BANDS = 15
GROUPS = 8
PLACES = 8
MODULUS_FLOOR = 1e-4
TILE = 8  # frames filtered at once


class GaborFeatures:
    """The filter bank for log-mel frames of one rate and so many bands."""

    def __init__(self, frame_rate_hz: float, bands: int) -> None:
        self.reach = round(FILTER_S * frame_rate_hz) | 1
        """Frames that an answer sees."""
        self._places = min(PLACES, bands // 2)
        self._along_bands = _along_bands(bands, self._places)
        self._along_time, ripples_s = _along_time(self.reach, frame_rate_hz)
        self._norms = _norms(ripples_s)

    def ripples(self, log_mel: Matrix) -> Matrix:
        """Return what ripples in frequency answer (m, n, s · p) to log-mel (m, n, bands)."""
        rows = log_mel.reshape(-1, log_mel.shape[2]) @ self._along_bands
        return rows.reshape(*log_mel.shape[:2], -1)

    def answers(self, ripples: Matrix) -> Matrix:
        """Return the squared moduli (m, n + 1 − reach, filters · p) of rows of `ripples`."""
        streams, rows, numbers = ripples.shape
        count = rows + 1 - self.reach
        tiles = -(-count // TILE)
        missing = tiles * TILE - count
        if missing:
            ripples = np.concatenate(
                [ripples, np.zeros((streams, missing, numbers), np.float32)], axis=1
            )
        width = TILE + self.reach - 1
        filtered = self._along_time @ windows_of(
            ripples, width, TILE
        )  # (m, tiles, t · TILE, s · p)
        parts = 2 * RIPPLES + 1
        grid = filtered.reshape(streams, tiles, parts, TILE, parts, self._places)
        found = self._moduli(grid).reshape(streams, tiles * TILE, -1)
        return found[:, :count]

    def _moduli(self, grid: Matrix) -> Matrix:
        """Return the squared moduli (m, tiles, TILE, filters, p) of (m, tiles, t, TILE, s, p)."""
        streams, tiles, _, tile, _, places = grid.shape
        squares = np.square(grid)
        many = RIPPLES * RIPPLES
        out = np.empty((streams, tiles, tile, 1 + 2 * RIPPLES + 2 * many, places), np.float32)
        real, imaginary = slice(1, 1 + RIPPLES), slice(1 + RIPPLES, None)
        out[:, :, :, 0] = squares[:, :, 0, :, 0]
        np.add(
            squares[:, :, 0, :, real],
            squares[:, :, 0, :, imaginary],
            out=out[:, :, :, 1 : 1 + RIPPLES],
        )
        np.add(
            squares[:, :, real, :, 0].swapaxes(2, 3),
            squares[:, :, imaginary, :, 0].swapaxes(2, 3),
            out=out[:, :, :, 1 + RIPPLES : 1 + 2 * RIPPLES],
        )
        energy = squares[:, :, real, :, real] + squares[:, :, imaginary, :, imaginary]
        energy += squares[:, :, real, :, imaginary]
        energy += squares[:, :, imaginary, :, real]
        cross = grid[:, :, real, :, imaginary] * grid[:, :, imaginary, :, real]
        cross -= grid[:, :, real, :, real] * grid[:, :, imaginary, :, imaginary]
        cross += cross
        for sign, begin in ((np.add, 1 + 2 * RIPPLES), (np.subtract, 1 + 2 * RIPPLES + many)):
            to = out[:, :, :, begin : begin + many].reshape(
                streams, tiles, tile, RIPPLES, RIPPLES, places
            )
            sign(energy, cross, out=to.transpose(0, 1, 3, 2, 4, 5))
        return out

    def vectors(self, highest: Matrix) -> Matrix:
        """Return the logarithms (m, q, filters · groups) of each window's highest answers."""
        grid = highest.reshape(*highest.shape[:2], len(self._norms), self._places)
        edges = np.arange(GROUPS) * self._places // GROUPS
        grouped = np.maximum.reduceat(grid, edges, axis=3)
        moduli = np.sqrt(grouped) * self._norms[:, None] + np.float32(MODULUS_FLOOR)
        return np.asarray(np.log(moduli).reshape(*highest.shape[:2], -1))


def _ripples(at: Floats, envelope: Floats, finest: float) -> Floats:
    """Return filters (1 + 2 · RIPPLES, len): none, then real and imaginary parts.

    What is flat answers to the first only.
    """
    rows = [envelope]
    waves = [np.exp(2j * np.pi * finest * k / RIPPLES * at) for k in range(1, RIPPLES + 1)]
    rows += [envelope * (wave.real - (envelope @ wave.real) / envelope.sum()) for wave in waves]
    rows += [envelope * wave.imag for wave in waves]
    return np.array(rows)


@cache
def _along_bands(bands: int, places: int) -> Matrix:
    """Return the weights (bands, s · p); pairs of bands are averaged, edges are mirrored."""
    pairs, half = bands // 2, FILTER_BANDS // 2
    at = np.arange(FILTER_BANDS, dtype=np.float64) - half
    filters = _ripples(at, np.hanning(FILTER_BANDS + 2)[1:-1], SPECTRAL_PER_BAND)
    weights = np.zeros((pairs, len(filters), places))
    centres = ((np.arange(places) + 0.5) * pairs / places).astype(int)
    mirror = np.pad(np.arange(pairs), half, mode="reflect")
    for place, centre in enumerate(centres):
        for tap in range(FILTER_BANDS):
            weights[mirror[centre + tap], :, place] += filters[:, tap]
    spread = np.zeros((bands, len(filters) * places), np.float32)
    spread[: 2 * pairs] = np.repeat(weights.reshape(pairs, -1), 2, axis=0) / 2
    return spread


@cache
def _along_time(reach: int, frame_rate_hz: float) -> tuple[Matrix, Floats]:
    """Return the weights (t · TILE, TILE + reach − 1) of a tile, and the filters themselves."""
    at = (np.arange(reach) - reach // 2) / frame_rate_hz
    filters = _ripples(at, np.hanning(reach + 2)[1:-1], TEMPORAL_HZ)
    weights = np.zeros((len(filters), TILE, TILE + reach - 1), np.float32)
    for frame in range(TILE):
        weights[:, frame, frame : frame + reach] = filters
    return weights.reshape(-1, TILE + reach - 1), filters


def _norms(along_time: Floats) -> Matrix:
    """Return what makes the absolute sum of each filter one, (filters,)."""
    at = np.arange(FILTER_BANDS, dtype=np.float64) - FILTER_BANDS // 2
    along_bands = _ripples(at, np.hanning(FILTER_BANDS + 2)[1:-1], SPECTRAL_PER_BAND)

    def sums(filters: Floats) -> Floats:
        ripples = filters[1 : 1 + RIPPLES] + 1j * filters[1 + RIPPLES :]
        return np.concatenate([[np.abs(filters[0]).sum()], np.abs(ripples).sum(1)])

    grid = np.outer(sums(along_time), sums(along_bands))
    both = grid[1:, 1:].reshape(-1)
    norms = np.concatenate([grid[:1, 0], grid[0, 1:], grid[1:, 0], both, both])
    return (1.0 / norms).astype(np.float32)
