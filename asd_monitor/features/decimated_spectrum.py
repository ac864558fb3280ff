"""The fine spectrum: tonal lines under noise, which mel bands smear.

Lines of 2 Hz below 500 Hz need frames of half a second, but not at the full rate: the sound
is low-passed and thinned out first.  Above 500 Hz pairs of mel bands are as fine as an ear.

Axes: m streams, q windows, then samples, bins or lines.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from asd_monitor.dsp.frames import Matrix, hann, windows_of
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.dsp.mel import hz_to_mel, mel_to_hz
from asd_monitor.features.mel_spectrogram import LOG_FLOOR, log10
from asd_monitor.features.stream_state import StreamState
from asd_monitor.features.window_statistics import Sums
from asd_monitor.records import Samples

FINE_FRAMES = 8  # log-mel frames in one of the fine spectrum: 0.512 s
FINE_HOPS = (8, 4)  # log-mel hops from one to the next; the fewer for short windows
LOW_HZ, HIGH_HZ = 20.0, 500.0
LEAST_RATE_HZ = 2000  # of the thinned-out sound
STOP_DB = 80.0


class FineSpectrum:
    """The fine spectrum of streams of one front end."""

    def __init__(self, front_end: FrontEnd) -> None:
        hop = front_end.frame_hop
        self._front_end = front_end
        self._frame = FINE_FRAMES * front_end.frame
        # wherever a window begins, it holds a frame
        fitting = [fine for fine in FINE_HOPS if self._frame + (fine - 1) * hop <= front_end.window]
        self._hop = (fitting or FINE_HOPS)[0 if fitting else -1] * hop
        self._factor, self._block = _thinned_out(front_end)
        self._before, self._within = _thinning(front_end.rate_hz, self._factor, self._block)
        taps = _taps(front_end.rate_hz, self._factor)
        self._thin_frame, self._thin_hop = self._frame // self._factor, self._hop // self._factor
        early = len(taps) // self._factor - (self._factor > 1)
        # the filter looks back, and what lies before the frame shall not be heard in it
        self._window = np.zeros(self._thin_frame, np.float32)
        self._window[early:] = hann(self._thin_frame - early)
        bins_hz = np.fft.rfftfreq(self._frame, 1 / front_end.rate_hz)
        self._lines = slice(*np.searchsorted(bins_hz, (LOW_HZ, HIGH_HZ)).tolist())
        self.first_band = _first_band(front_end)
        """The lowest mel band that `vectors` looks at."""

    def push(self, sound: Samples, carry: StreamState, start: int) -> Matrix:
        """Return the mean power of lines (m, q, lines) over each window.

        ``sound`` (m, samples) goes on where the one before ended and ends with the last window;
        ``start`` is the sample at which the first of the windows begins, passed over or not.
        """
        streams, block = len(sound), self._block
        before = carry.old("tone sound")
        if before is None:
            before = np.zeros((streams, block), np.float32)
        joined = np.concatenate([before, sound], axis=1)
        thin = joined[:, :-block].reshape(-1, block) @ self._before
        thin += joined[:, block:].reshape(-1, block) @ self._within
        thin = _after(carry.old("tone thin"), thin.reshape(streams, -1))
        frames = windows_of(thin, self._thin_frame, self._thin_hop) * self._window
        spectra = np.fft.rfft(frames)[:, :, self._lines]
        power = np.square(spectra.real) + np.square(spectra.imag)
        before = carry.old("tone power")
        power = _after(before, power)
        hop, window = self._front_end.hop, self._front_end.window
        hops = 1 if carry.begins else sound.shape[1] // hop
        # the frame that the oldest row is of
        oldest = 0
        if before is not None:
            heard = start - hop + window
            oldest = (heard - self._frame) // self._hop + 1 - before.shape[1]
        made = range(carry.every - 1, hops, carry.every)
        means = np.empty((streams, len(made), power.shape[2]), np.float32)
        for number, passed in enumerate(made):
            begin = start + passed * hop
            first = -(-begin // self._hop) - oldest
            last = (begin + window - self._frame) // self._hop - oldest
            np.add.reduce(power[:, first : last + 1], 1, out=means[:, number])
            means[:, number] *= np.float32(1 / (last + 1 - first))
        gone = max(0, -(-(start + hops * hop) // self._hop) - oldest)
        carry.new["tone sound"] = joined[:, -block:]
        carry.new["tone thin"] = thin[:, frames.shape[1] * self._thin_hop :]
        carry.new["tone power"] = power[:, gone:]
        return means

    def vectors(self, lines: Matrix, energies: Sums) -> Matrix:
        """Return the logarithms (m, q, lines + pairs) of the mean power of `push`'s lines.

        Then those of pairs of mel bands, by their mean energies (m, q, bands) from
        `first_band` on.
        """
        pairs = energies[..., ::2] + energies[..., 1::2]
        joined = np.concatenate([lines, pairs], axis=2, dtype=np.float32, casting="same_kind")
        joined += np.float32(LOG_FLOOR)
        return log10(joined)


def _thinned_out(front_end: FrontEnd) -> tuple[int, int]:
    """Return how many samples become one, and how many samples are thinned out at once.

    The most that leaves 2 kHz and divides the hop; a block and the one before it have to hold
    what the low-pass looks back on.
    """
    hop = front_end.frame_hop
    for factor in range(max(1, front_end.rate_hz // LEAST_RATE_HZ), 1, -1):
        taps = len(_taps(front_end.rate_hz, factor)) if hop % factor == 0 else 0
        for block in (16 * factor, 8 * factor, 4 * factor, hop):
            if taps and hop % block == 0 and taps <= block + factor:
                return factor, block
    return 1, hop


@cache
def _taps(rate_hz: int, factor: int) -> Matrix:
    """Return a low-pass for thinning out (a multiple of the factor), of gain ``factor``.

    Kaiser's: flat to 500 Hz, and 80 dB down from where the thinned-out sound would fold there.
    """
    if factor == 1:
        return np.ones(1, np.float32)
    width = 2 * np.pi * (rate_hz / factor - 2 * HIGH_HZ) / rate_hz
    count = -(-int(np.ceil((STOP_DB - 7.95) / (2.285 * width)) + 1) // factor) * factor
    at = np.arange(count) - (count - 1) / 2
    cut = 1.0 / factor  # of half the rate
    taps = cut * np.sinc(cut * at) * np.kaiser(count, 0.1102 * (STOP_DB - 8.7))
    return np.asarray(factor * taps / taps.sum(), np.float32)


def _thinning(rate_hz: int, factor: int, block: int) -> tuple[Matrix, Matrix]:
    """Return weights (block, block // factor) of the block before and of the block itself."""
    taps = _taps(rate_hz, factor)
    weights = np.zeros((2 * block, block // factor), np.float32)
    for column in range(block // factor):
        end = block + (column + 1) * factor
        weights[end - len(taps) : end, column] = taps
    return weights[:block].copy(), weights[block:].copy()


def _after(before: Matrix | None, rows: Matrix) -> Matrix:
    return rows if before is None else np.concatenate([before, rows], axis=1)


def _first_band(front_end: FrontEnd) -> int:
    """Return the first mel band above 500 Hz, or the one below it: pairs go to the end."""
    edges_hz = mel_to_hz(
        np.linspace(0.0, float(hz_to_mel(front_end.rate_hz / 2)), front_end.mel_bands + 2)
    )
    above = front_end.mel_bands - int(np.searchsorted(edges_hz[1:-1], HIGH_HZ))
    return front_end.mel_bands - 2 * (-(-above // 2))
