"""Spectro-temporal Gabor features of many streams at once, each frame filtered once.

Definition: `asd_monitor.dsp.gabor_features`.  A filter is the product of one in frequency and one
in time: the frames are filtered along frequency, then along time.  With the responses r and i of
the real and the imaginary part in frequency, and the filters R and I of both in time,

    |falling|² = (Rr − Ii)² + (Ri + Ir)² ,   |rising|² = (Rr + Ii)² + (Ir − Ri)²

One product with r and i together gives the sums in brackets: the two parts of each modulus.

Axes: m streams, n frames, f filters, p places along frequency.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from asd_monitor.dsp.frames import Matrix
from asd_monitor.dsp.gabor_features import (
    FILTER_PAIRS,
    MODULUS_FLOOR,
    PLACES,
    RIPPLES,
    Complex,
    place_pairs,
    receptive_field_frames,
    spectral_filters,
    temporal_filters,
)
from asd_monitor.features.strided_windows import strided_windows

TILE = 8  # frames filtered in one product
_STATIC = (1 + RIPPLES) * PLACES  # numbers of the filters with the envelope in frequency


class GaborFeatures:
    """The filter bank for log-mel frames of one rate and number of bands."""

    def __init__(self, frame_rate_hz: float, bands: int) -> None:
        self.receptive_field = receptive_field_frames(frame_rate_hz)
        """Frames that a response depends on."""
        self._in_frequency = _frequency_weights(bands)
        self._of_envelope, self._of_ripples = _time_weights(frame_rate_hz)
        self._order = _order()
        self._norms = np.repeat(_norms(frame_rate_hz), PLACES)

    def filter_frequency(self, log_mel: Matrix) -> Matrix:
        """Return the responses along frequency (m, n, 9 · p) of log-mel frames (m, n, bands).

        They are those of the envelope, of the real and of the imaginary parts of the ripples.
        """
        rows = log_mel.reshape(-1, log_mel.shape[2]) @ self._in_frequency
        return rows.reshape(*log_mel.shape[:2], -1)

    def filter_time(self, responses: Matrix) -> Matrix:
        """Return the squared moduli (m, n + 1 − receptive field, f · p).

        ``responses`` (m, n, 9 · p) are those of `filter_frequency`.
        """
        streams, rows, _ = responses.shape
        count = rows + 1 - self.receptive_field
        tiles = -(-count // TILE)
        moduli = np.empty((streams, tiles, TILE, len(self._norms)), np.float32)
        rows_of_tiles = tiles * TILE + self.receptive_field - 1
        for weights, numbers, out in (
            (self._of_envelope, responses[..., :PLACES], moduli[..., :_STATIC]),
            (self._of_ripples, responses[..., PLACES:], moduli[..., _STATIC:]),
        ):
            padded = np.zeros((streams, rows_of_tiles, numbers.shape[2]), np.float32)
            padded[:, :rows] = numbers
            _square_moduli(padded, weights, out)
        return moduli.reshape(streams, tiles * TILE, -1)[:, :count]

    def vectors(self, largest: Matrix) -> Matrix:
        """Return the vectors (m, q, f · p) of the largest squared moduli of each window."""
        moduli = np.sqrt(largest[..., self._order])
        moduli *= self._norms
        moduli += np.float32(MODULUS_FLOOR)
        return np.log(moduli, out=moduli)


def _square_moduli(responses: Matrix, weights: Matrix, out: Matrix) -> None:
    """Write the squared moduli of one tile after the other to ``out`` (m, tiles, TILE, f · p).

    ``weights`` (2, TILE, f, frames of a tile, parts) are those of `_time_weights`, ``responses``
    (m, frames, parts · p).
    """
    frames, parts = weights.shape[3:]
    streams, tiles = out.shape[:2]
    of_parts = responses.reshape(streams, -1, responses.shape[2] // parts)
    of_tiles = strided_windows(of_parts, frames * parts, TILE * parts)
    filtered = weights.reshape(-1, frames * parts) @ of_tiles
    np.square(filtered, out=filtered)
    both = filtered.reshape(streams, tiles, 2, TILE, -1)
    np.add(both[:, :, 0], both[:, :, 1], out=out)


@cache
def _frequency_weights(bands: int) -> Matrix:
    """Return the weights (bands, 9 · p) of the filters on the bands of each pair."""
    filters = spectral_filters()
    parts = np.concatenate([filters.real, filters.imag[1:]])
    weights = np.zeros((bands // 2, len(parts), PLACES))
    for place, pairs in enumerate(place_pairs(bands)):
        for tap in range(FILTER_PAIRS):
            weights[pairs[tap], :, place] += parts[:, tap]
    of_bands = np.zeros((bands, len(parts) * PLACES), np.float32)
    of_bands[: bands // 2 * 2] = np.repeat(weights.reshape(bands // 2, -1), 2, axis=0) / 2
    return of_bands


@cache
def _time_weights(frame_rate_hz: float) -> tuple[Matrix, Matrix]:
    """Return the weights of a tile for the envelope in frequency and for its ripples.

    They are (2, TILE, f, frames of a tile, parts): the real and the imaginary part of each filter,
    for one part of the response to the envelope and two of those to the ripples.
    """
    filters = temporal_filters(frame_rate_hz)
    ripples = np.stack([filters, 1j * filters], axis=2)
    rising = np.stack([filters, -1j * filters], axis=2)[1:]
    return _tile_weights(filters[:, :, None]), _tile_weights(np.concatenate([ripples, rising]))


def _tile_weights(filters: Complex) -> Matrix:
    count, frames, parts = filters.shape
    weights = np.zeros((2, TILE, count, TILE + frames - 1, parts), np.float32)
    for frame in range(TILE):
        weights[0, frame, :, frame : frame + frames] = filters.real
        weights[1, frame, :, frame : frame + frames] = filters.imag
    return weights


def _order() -> npt.NDArray[np.int64]:
    """Return the position in `GaborFeatures.filter_time` of each number of the definition."""
    filters = np.arange(1 + 2 * RIPPLES + 2 * RIPPLES * RIPPLES)
    in_time, in_frequency = filters[1 : 1 + RIPPLES], filters[1 + RIPPLES : 1 + 2 * RIPPLES]
    filters = np.concatenate([filters[:1], in_frequency, in_time, filters[1 + 2 * RIPPLES :]])
    return (filters[:, None] * PLACES + np.arange(PLACES)).ravel()


def _norms(frame_rate_hz: float) -> Matrix:
    """Return the factors (filters,) that give each filter unit absolute sum."""
    in_time = np.abs(temporal_filters(frame_rate_hz)).sum(1)
    in_frequency = np.abs(spectral_filters()).sum(1)
    sums = np.outer(in_time, in_frequency)
    moving = sums[1:, 1:].reshape(-1)
    return (1.0 / np.concatenate([sums[0], sums[1:, 0], moving, moving])).astype(np.float32)
