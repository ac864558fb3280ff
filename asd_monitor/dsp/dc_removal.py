"""Removal of the DC offset and of its drift from a stream of samples.

An offset is a property of the converter, not of the sound.  The filter is a high-pass of second
order with two zeros at 0 Hz, so that neither a constant nor a ramp has an output, and two poles
at one real frequency f₀ (critically damped, so that it does not ring)::

    y[n] = g (x[n] − 2 x[n−1] + x[n−2]) + 2a y[n−1] − a² y[n−2]
    a = exp(−ω / rate),    ω = 2π f₀,    g = ((1 + a) / 2)²

With r = f / f₀ the gain is r² / (1 + r²): −0.5 dB at 20 Hz, −0.1 dB at 50 Hz.  A step of height
1 in the input is (1 − ωt) exp(−ωt) in the output, 2 · 10⁻⁶ after 0.5 s.  Poles and zeros are
those of the analogue filter, matched: A. V. Oppenheim and R. W. Schafer, "Discrete-Time Signal
Processing" (3rd ed.), §7.2.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from asd_monitor.dsp.frames import Matrix
from asd_monitor.records import Samples

CORNER_HZ = 5.0
"""f₀: well below the lowest line of the fine spectrum."""
START_S = 0.5
"""Sound whose mean and slope are taken for the offset and drift before the stream began; shorter
than any window."""

_ROW, _ROWS = 32, 16  # samples of a row, rows of a chunk
_CHUNK = _ROW * _ROWS


class DCRemover:
    """Removes DC and its drift from a stream that arrives in blocks of any size.

    The output does not depend on the sizes of the blocks, bit for bit, and does not lag, except
    that it begins when START_S of the stream have arrived.  The filter begins in the steady
    state for the straight line that fits these: a constant offset, and one that drifts evenly,
    have no output from the first sample on.
    """

    def __init__(self, rate_hz: int) -> None:
        """Begin a stream with the sampling rate ``rate_hz``."""
        self._filter = _chunk_filter(rate_hz)
        self._start = max(1, round(START_S * rate_hz))  # samples that are fitted
        self._waiting: list[Samples] | None = []  # until so many have arrived
        self._arrived = 0
        self._rest: Samples = np.zeros(0, np.float32)  # of a chunk, returned already
        self._offset = np.float32(0.0)  # subtracted, for the precision of what remains
        self._state = (0.0, 0.0)  # of the filter, at the start of the chunk

    def push(self, samples: Samples) -> Samples:
        """Return the output (m,) float32 of these samples (n,) float32; m = n but at the start."""
        if not len(samples):
            return samples
        if self._waiting is None:
            return self._filtered(samples)
        self._waiting.append(samples)
        self._arrived += len(samples)
        if self._arrived < self._start:
            return np.zeros(0, np.float32)
        return self._begin(self._waiting)

    def flush(self) -> Samples:
        """End the stream; return what was held back at its start, (m,) float32."""
        return self._begin(self._waiting) if self._waiting else np.zeros(0, np.float32)

    def _begin(self, waiting: list[Samples]) -> Samples:
        self._waiting = None
        sound = np.concatenate(waiting)
        offset, slope = _line(sound[: self._start])
        self._offset = np.float32(offset)
        self._state = self._filter.steady_state(offset - float(self._offset), slope)
        return self._filtered(sound)

    def _filtered(self, samples: Samples) -> Samples:
        """Return the output of the next samples; that of an incomplete chunk is not kept."""
        before = len(self._rest)
        end = before + len(samples)
        complete = end // _CHUNK
        sound = np.zeros(-(-end // _CHUNK) * _CHUNK, np.float32)
        sound[:before] = self._rest
        np.subtract(samples, self._offset, out=sound[before:end])
        output, self._state = self._filter(sound.reshape(-1, _ROWS, _ROW), self._state, complete)
        self._rest = sound[complete * _CHUNK : end].copy()
        return output.reshape(-1)[before:end]


class _ChunkFilter:
    """The filter as products with matrices, of chunks of 16 rows of 32 samples.

    Each product of a chunk has the same shape wherever the stream is cut, so that its rounding is
    the same.  The state before sample n is, for x without the offset,

        u = Σ_{k<n} a^(n−k) x[k],    v = Σ_{k<n} (n − k) a^(n−k) x[k]

    and the output j samples later ``a^j ((c + d j) u + d v)`` with c = g (1 − a⁻²) and
    d = g (1 − a⁻¹)², plus the response to the samples since.
    """

    def __init__(self, rate_hz: int) -> None:
        self._pole = a = float(np.exp(-2 * np.pi * CORNER_HZ / rate_hz))
        gain = ((1 + a) / 2) ** 2
        c, d = gain * (1 - a**-2), gain * (1 - 1 / a) ** 2
        later = np.arange(_ROW)
        after = np.array([a**later * (c + d * later), d * a**later])
        self._after = after.astype(np.float32)  # (2, row): state before the row → output
        response = np.concatenate([[gain], after[0, 1:]])
        delays = later - later[:, None]
        within = np.where(delays >= 0, response[np.maximum(delays, 0)], 0.0)
        self._within = within.astype(np.float32)  # (row, row): samples → output
        to_end = _ROW - later
        moments = np.stack([a**to_end, to_end * a**to_end], axis=1)
        self._moments = moments.astype(np.float32)  # (row, 2): samples → state after the row
        step = a**_ROW * np.array([[1.0, _ROW], [0.0, 1.0]])  # state → state a row later
        powers = [np.linalg.matrix_power(step, rows) for rows in range(_ROWS + 1)]
        (self._decay, self._mixed), _ = powers[_ROWS].tolist()
        # (2 · rows + 2, 2 · rows): moments of the rows, state before the chunk → before each row
        to_rows = np.zeros((_ROWS + 1, 2, _ROWS, 2))
        for row in range(_ROWS):
            to_rows[-1, :, row] = powers[row]
            for earlier in range(row):
                to_rows[earlier, :, row] = powers[row - 1 - earlier]
        self._to_rows = to_rows.reshape(-1, 2 * _ROWS)
        # (2 · rows, 2): moments of the rows → state after the chunk
        self._to_end = np.concatenate(powers[_ROWS - 1 :: -1])

    def steady_state(self, offset: float, slope: float) -> tuple[float, float]:
        """Return the state before sample 0 of ``offset + slope · n`` for all n < 0."""
        a = self._pole
        rest = 1 - a
        return (
            offset * a / rest - slope * a / rest**2,
            offset * a / rest**2 - slope * a * (1 + a) / rest**3,
        )

    def __call__(
        self, chunks: Matrix, state: tuple[float, float], complete: int
    ) -> tuple[Matrix, tuple[float, float]]:
        """Return the output (k, rows, row) of k chunks, and the state after so many of them."""
        output = chunks @ self._within
        known = np.empty((len(chunks), 1, 2 * _ROWS + 2))
        known[..., :-2] = (chunks @ self._moments).reshape(-1, 1, 2 * _ROWS)
        u, v = state
        states = [state]
        for added_u, added_v in (known[..., :-2] @ self._to_end)[:, 0].tolist():
            u, v = self._decay * u + added_u, self._decay * v + self._mixed * u + added_v
            states.append((u, v))
        known[:, 0, -2:] = states[:-1]
        before = (known @ self._to_rows).astype(np.float32).reshape(-1, _ROWS, 2)
        output += before @ self._after
        return output, states[complete]


@cache
def _chunk_filter(rate_hz: int) -> _ChunkFilter:
    return _ChunkFilter(rate_hz)


def _line(samples: Samples) -> tuple[float, float]:
    """Return value at sample 0 and slope per sample of the straight line that fits (n,) best."""
    at = np.arange(len(samples)) - (len(samples) - 1) / 2
    mean = float(np.mean(samples, dtype=np.float64))
    slope = float(at @ samples) / max(1.0, float(at @ at))
    return mean + slope * float(at[0]), slope
