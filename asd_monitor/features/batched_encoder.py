"""The views of a network whose steps are the front end's own log-mel frames.

So its spectra cost nothing, and one call of it serves many streams.

Axes: m streams, n frames of each, q windows of each, c channels.
"""

from __future__ import annotations

import numpy as np

from asd_monitor.dsp.frames import Matrix
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.encoders.card import LogMel, Pool
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.session import EncoderError
from asd_monitor.features.mel_spectrogram import LOG_FLOOR
from asd_monitor.features.sliding_reduction import SlidingReduction
from asd_monitor.features.stream_state import StreamState


def uses_front_end_frames(encoder: Encoder, front_end: FrontEnd) -> bool:
    """Tell whether the network asks for these frames, any number, and has a map frame for each.

    Raises EncoderError where it does not take what its card says.
    """
    ours = LogMel(
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
    taken = encoder.card.input
    return (
        isinstance(taken, LogMel)
        and taken.model_copy(update={"mean": ours.mean, "scale": ours.scale}) == ours
        and all(output.stride == 1 for output in encoder.card.outputs)
        and encoder.open().steps is None
    )


class BatchedEncoder:
    """One such network for streams of one front end."""

    def __init__(self, encoder: Encoder, front_end: FrontEnd) -> None:
        """Open the network.  Raises EncoderError where it does not take what the card says."""
        if not isinstance(encoder.card.input, LogMel):
            raise TypeError(f"{encoder.name} takes no frames")
        self._card, self._network = encoder.card, encoder.network
        self._layout = encoder.open()
        self._mean = np.float32(encoder.card.input.mean)
        self._scale = np.float32(1.0 / encoder.card.input.scale)
        self._reach = max(output.reach for output in self._card.outputs)
        length, hop = front_end.window_frames, front_end.hop_frames
        self._pools = {
            output.name: {
                pool: SlidingReduction(np.maximum if pool == "maximum" else np.add, frames, hop)
                for pool in ("sums", "maximum")
            }
            for output in self._card.outputs
            for frames in (length + 1 - output.reach,)
        }

    def __call__(self, log_mel: Matrix, carry: StreamState) -> dict[str, Matrix]:
        """Return the vectors (m, q, d) of each view, of new log-mel frames (m, n, bands).

        Raises EncoderError where the network cannot be run.
        """
        card = self._card
        new = log_mel.shape[1]
        steps = carry.after(
            f"{card.name} steps", (log_mel - self._mean) * self._scale, self._reach - 1
        )
        found = self._network.run_each(
            self._layout, [output.name for output in card.outputs], steps
        )
        pooled: dict[tuple[str, Pool], Matrix] = {}
        for output, frames in zip(card.outputs, found, strict=True):
            expected = steps.shape[1] + 1 - output.reach
            if frames.shape[1] != expected:
                raise EncoderError(
                    f"the output {output.name!r} has {frames.shape[1]} frames for "
                    f"{steps.shape[1]} steps, while reach {output.reach} and stride 1 say "
                    f"{expected}: correct them in the card"
                )
            fresh = frames[:, max(0, expected - new) :]
            pooled |= self._pooled(output.name, fresh, carry)
        return {
            view.name: np.concatenate(
                [pooled[name, pool] for name in view.outputs for pool in view.pool], axis=2
            )
            for view in card.resolved_views
        }

    def _pooled(self, name: str, frames: Matrix, carry: StreamState) -> dict[tuple[str, Pool], Matrix]:
        asked = {pool for view in self._card.resolved_views if name in view.outputs for pool in view.pool}
        found: dict[tuple[str, Pool], Matrix] = {}
        key = f"{self._card.name} {name}"
        if "maximum" in asked:
            found[name, "maximum"] = carry.slide(
                f"{key} maximum", self._pools[name]["maximum"], frames
            )
        if asked & {"mean", "spread"}:
            channels = frames.shape[2]
            rows = np.empty((*frames.shape[:2], 2 * channels))
            rows[..., :channels] = frames
            np.square(rows[..., :channels], out=rows[..., channels:])
            sliding = self._pools[name]["sums"]
            means = carry.slide(f"{key} sums", sliding, rows) / sliding.length
            mean = means[..., :channels]
            variance = np.maximum(means[..., channels:] - mean * mean, 0.0)
            found[name, "mean"] = mean.astype(np.float32)
            found[name, "spread"] = np.sqrt(variance).astype(np.float32)
        return found
