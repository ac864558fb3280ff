"""An encoder whose steps are the front end's own log-mel frames, for many streams at once.

It needs no spectrogram of its own, and one call of the network serves all streams.

Axes: m streams, n frames of each, q windows of each, c channels.
"""

from __future__ import annotations

import numpy as np

from asd_monitor.dsp.frames import Matrix
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.dsp.spectrogram import LOG_FLOOR
from asd_monitor.encoders.card import Card, LogMel, Pool
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.session import check_frame_count
from asd_monitor.features.sliding_reduction import SlidingReduction
from asd_monitor.features.stream_state import StreamState


def uses_front_end_frames(encoder: Encoder, front_end: FrontEnd) -> bool:
    """Return whether the network's steps are these log-mel frames, in sequences of any length.

    Every output has stride 1: one frame for each step.  Raises EncoderError where the network
    does not match its card.
    """
    own = LogMel(
        kind="log_mel",
        rate_hz=front_end.rate_hz,
        frame=front_end.frame,
        fft=front_end.frame,
        hop=front_end.frame_hop,
        bands=front_end.mel_bands,
        low_hz=0.0,
        high_hz=front_end.rate_hz / 2,
        mel="slaney",
        area=True,
        power=2,
        log="log10",
        floor=LOG_FLOOR,
    )
    steps = encoder.card.input
    return (
        isinstance(steps, LogMel)
        and steps.model_copy(update={"mean": own.mean, "scale": own.scale}) == own
        and all(output.stride == 1 for output in encoder.card.outputs)
        and encoder.open().steps is None
    )


class BatchedEncoder:
    """An encoder for which `uses_front_end_frames` holds, for streams of one front end."""

    def __init__(self, encoder: Encoder, front_end: FrontEnd) -> None:
        """Open the network.  Raises EncoderError where it does not match its card."""
        if not isinstance(encoder.card.input, LogMel):
            raise TypeError(f"the input of {encoder.name} is no log-mel spectrogram")
        self._card, self._network = encoder.card, encoder.network
        self._layout = encoder.open()
        self._mean = np.float32(encoder.card.input.mean)
        self._scale = np.float32(1.0 / encoder.card.input.scale)
        self._receptive_field = max(output.receptive_field for output in self._card.outputs)
        self._names = [output.name for output in self._card.outputs]
        self._pools = {name: _pools(self._card, name) for name in self._names}
        length, hop = front_end.window_frames, front_end.hop_frames
        self._reductions = {
            output.name: (
                SlidingReduction(np.add, length + 1 - output.receptive_field, hop),
                SlidingReduction(np.maximum, length + 1 - output.receptive_field, hop),
            )
            for output in self._card.outputs
        }

    def __call__(self, log_mel: Matrix, state: StreamState) -> dict[str, Matrix]:
        """Return the vectors (m, q, d) of each view, of new log-mel frames (m, n, bands).

        Raises EncoderError where the network cannot be run.
        """
        card = self._card
        new_steps = log_mel - self._mean
        new_steps *= self._scale
        steps = state.extend(f"{card.name} steps", new_steps, self._receptive_field - 1)
        maps = self._network.run_each(self._layout, self._names, steps)
        pooled: dict[tuple[str, Pool], Matrix] = {}
        for output, frames in zip(card.outputs, maps, strict=True):
            check_frame_count(output, frames.shape[1], steps.shape[1])
            new = frames[:, max(0, frames.shape[1] - log_mel.shape[1]) :]
            pooled |= self._pooled(output.name, new, state)
        return {
            view.name: _joined([pooled[name, pool] for name in view.outputs for pool in view.pool])
            for view in card.resolved_views
        }

    def _pooled(
        self, name: str, frames: Matrix, state: StreamState
    ) -> dict[tuple[str, Pool], Matrix]:
        """Return the pools (m, q, c) of an output that views use, of its new frames (m, n, c)."""
        used = self._pools[name]
        sums, maxima = self._reductions[name]
        pooled: dict[tuple[str, Pool], Matrix] = {}
        key = f"{self._card.name} {name}"
        if "maximum" in used:
            pooled[name, "maximum"] = state.reduce(f"{key} maximum", maxima, frames)
        if used & {"mean", "spread"}:
            channels = frames.shape[2]
            rows = np.empty((*frames.shape[:2], 2 * channels))
            rows[..., :channels] = frames
            np.square(rows[..., :channels], out=rows[..., channels:])
            means = state.reduce(f"{key} sums", sums, rows) / sums.length
            mean = means[..., :channels]
            variance = np.maximum(means[..., channels:] - mean * mean, 0.0)
            pooled[name, "mean"] = mean.astype(np.float32)
            pooled[name, "spread"] = np.sqrt(variance).astype(np.float32)
        return pooled


def _pools(card: Card, output: str) -> set[Pool]:
    """Return the pools of an output that views use."""
    views = [view for view in card.resolved_views if output in view.outputs]
    return {pool for view in views for pool in view.pool}


def _joined(vectors: list[Matrix]) -> Matrix:
    return vectors[0] if len(vectors) == 1 else np.concatenate(vectors, axis=2)
