"""The fine spectrum of many streams at once, each sample decimated once.

Definition: `asd_monitor.dsp.fine_spectrum`.  Filtering and decimation are one product of blocks
of samples with a matrix.  A block and the one before it hold all samples that the low-pass filter
needs: the product gives what a block adds to the next one, and to itself.

Axes: m streams, q windows, then samples, bins or lines.
"""

from __future__ import annotations

import numpy as np

from asd_monitor.dsp.fine_spectrum import FineFrames, fine_frames
from asd_monitor.dsp.frames import Floats, Matrix
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.dsp.short_time_transform import ShortTimeTransform
from asd_monitor.dsp.spectrogram import LOG_FLOOR
from asd_monitor.features.mel_spectrogram import log10_power
from asd_monitor.features.stream_state import StreamState
from asd_monitor.features.strided_windows import strided_windows
from asd_monitor.records import Samples


class FineSpectrum:
    """The fine spectrum of streams of one front end."""

    def __init__(self, front_end: FrontEnd) -> None:
        self._front_end = front_end
        self._fine = fine_frames(front_end)
        self._block = _block_length(front_end, self._fine)
        self._weights = _decimation_weights(self._fine, self._block)
        self._transform = ShortTimeTransform(self._fine.window)

    @property
    def first_band(self) -> int:
        """The lowest mel band that `vectors` uses."""
        return self._fine.first_band

    def push(self, sound: Samples, state: StreamState, start: int) -> Matrix:
        """Return the mean power of the lines over each window, (m, q, lines).

        ``sound`` (m, samples) continues that of the previous call and ends with the last window;
        ``start`` is the sample at which the first of the completed windows begins, skipped by the
        stride or not.
        """
        fine, hop, window = self._fine, self._front_end.hop, self._front_end.window
        decimated = self._decimated(sound, state)
        frames = strided_windows(decimated, fine.frame // fine.factor, fine.hop // fine.factor)
        spectra = self._transform(frames)[:, :, fine.lines]
        power = np.square(spectra.real) + np.square(spectra.imag)
        kept = state.previous("tone power")
        power = _after(kept, power)
        hops = 1 if state.begins else sound.shape[1] // hop
        oldest = 0  # number, in the stream, of the first frame in `power`
        if kept is not None:
            end = start - hop + window  # of the sound before
            oldest = (end - fine.frame) // fine.hop + 1 - kept.shape[1]
        returned = range(state.stride - 1, hops, state.stride)
        means = np.empty((len(sound), len(returned), power.shape[2]), np.float32)
        for number, passed in enumerate(returned):
            begin = start + passed * hop
            first = -(-begin // fine.hop) - oldest
            last = (begin + window - fine.frame) // fine.hop - oldest
            np.add.reduce(power[:, first : last + 1], 1, out=means[:, number])
            means[:, number] *= np.float32(1 / (last + 1 - first))
        past = max(0, -(-(start + hops * hop) // fine.hop) - oldest)
        state.updated["tone decimated"] = decimated[:, frames.shape[1] * fine.hop // fine.factor :]
        state.updated["tone power"] = power[:, past:]
        return means

    def _decimated(self, sound: Samples, state: StreamState) -> Matrix:
        """Return the decimated samples that are in no frame yet, (m, decimated samples)."""
        products = sound.reshape(len(sound), -1, self._block) @ self._weights
        streams, blocks, size = products.shape[0], products.shape[1], products.shape[2] // 2
        to_next, to_itself = products[..., :size], products[..., size:]
        kept = state.previous("tone decimated")
        count = 0 if kept is None else kept.shape[1]
        decimated = np.empty((streams, count + blocks * size), np.float32)
        new = decimated[:, count:].reshape(streams, blocks, size)  # a view
        np.add(to_next[:, :-1], to_itself[:, 1:], out=new[:, 1:])
        new[:, 0] = to_itself[:, 0]
        if kept is not None:
            decimated[:, :count] = kept
            new[:, 0] += state.previous("tone before")
        state.updated["tone before"] = to_next[:, -1].copy()
        return decimated

    def vectors(self, lines: Matrix, mel: Floats) -> Matrix:
        """Return the vectors (m, q, lines + pairs).

        ``lines`` are those of `push`, ``mel`` (m, q, bands) the mean powers of the mel bands from
        `first_band` on.
        """
        pairs = mel[..., ::2] + mel[..., 1::2]
        joined = np.concatenate([lines, pairs], axis=2, dtype=np.float32, casting="same_kind")
        joined += np.float32(LOG_FLOOR)
        return log10_power(joined)


def _block_length(front_end: FrontEnd, fine: FineFrames) -> int:
    """Return the samples that are decimated in one product, a divisor of the front end's hop."""
    hop, factor = front_end.frame_hop, fine.factor
    if factor == 1:
        return hop
    lengths = (16 * factor, 8 * factor, 4 * factor)
    fitting = (n for n in lengths if hop % n == 0 and len(fine.taps) <= n + factor)
    return next(fitting, hop)


def _decimation_weights(fine: FineFrames, block: int) -> Matrix:
    """Return the weights (block, 2 · block // factor) of a block: for the next, and for itself."""
    weights = np.zeros((2 * block, block // fine.factor), np.float32)
    for column in range(block // fine.factor):
        end = block + (column + 1) * fine.factor
        weights[end - len(fine.taps) : end, column] = fine.taps
    return np.concatenate([weights[:block], weights[block:]], axis=1)


def _after(before: Matrix | None, rows: Matrix) -> Matrix:
    return rows if before is None else np.concatenate([before, rows], axis=1)
