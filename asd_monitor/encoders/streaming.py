"""A network run on a stream of samples: its frames, pooled over windows.

The network runs on new steps and the context that its receptive field needs.  Its frames are
those of the whole stream, however the stream is cut into blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from math import lcm

import numpy as np

from asd_monitor.dsp.frames import Matrix, Vector
from asd_monitor.encoders.card import Pool
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.frame_history import FrameHistory
from asd_monitor.encoders.session import MAX_PATCHES, EncoderError, check_frame_count
from asd_monitor.encoders.steps import step_stream
from asd_monitor.records import Samples

_POOLS: dict[Pool, Callable[[Matrix], Matrix]] = {
    "mean": lambda frames: frames.mean(0),
    "spread": lambda frames: frames.std(0),
    "maximum": lambda frames: frames.max(0),
}


class EncoderStream:
    """The vectors of an encoder on one gapless stream; after a gap, begin another one."""

    def __init__(self, encoder: Encoder) -> None:
        """Begin.  Raises EncoderError where the network does not match its card."""
        card = encoder.card
        self._card, self._network = card, encoder.network
        self._layout = encoder.open()
        self._steps = step_stream(card.input)
        self._pending: list[Matrix] = []
        self._first = 0  # number of the oldest step kept
        self._end = 0  # steps so far
        self._computed = dict.fromkeys((output.name for output in card.outputs), 0)
        self._frames = {
            output.name: FrameHistory(card.span(output), output.stride * card.input.hop)
            for output in card.outputs
        }
        self._receptive_field = max(output.receptive_field for output in card.outputs)
        self._stride = lcm(*(output.stride for output in card.outputs))

    def push(self, samples: Samples) -> None:
        """Append samples (n,) float32, at the card's rate; the network does not run yet."""
        steps = self._steps.push(samples)
        if len(steps):
            self._pending.append(steps)
            self._end += len(steps)

    def between(self, start: int, end: int) -> dict[str, Vector]:
        """Return the vector (d,) of each view, of the frames wholly within these samples.

        A vector has the outputs of the view in turn, each pooled in every way of the view.
        Raises EncoderError where the network cannot be run.
        """
        self._run()
        frames = {name: history.between(start, end) for name, history in self._frames.items()}
        return {
            view.name: np.concatenate(
                [_POOLS[pool](frames[name]) for name in view.outputs for pool in view.pool]
            )
            for view in self._card.resolved_views
        }

    def discard(self, before: int) -> None:
        """Discard the frames that begin before this sample."""
        for history in self._frames.values():
            history.discard(before)

    def _run(self) -> None:
        """Compute the frames that the steps so far complete."""
        new = max(
            (self._end - output.receptive_field) // output.stride + 1 - self._computed[output.name]
            for output in self._card.outputs
        )
        if new <= 0 or self._end < self._receptive_field:
            return
        if self._layout.steps is None:
            self._run_sequence(self._joined())
        else:
            self._run_patches(self._joined())
        self._drop_steps()

    def _run_sequence(self, steps: Matrix) -> None:
        begin = self._context_start()
        maps = self._network.run(
            self._layout, list(self._computed), steps[None, begin - self._first :]
        )
        for output, frames in zip(self._card.outputs, maps, strict=True):
            check_frame_count(output, len(frames), self._end - begin)
            self._add(output.name, frames[self._computed[output.name] - begin // output.stride :])

    def _run_patches(self, steps: Matrix) -> None:
        length, stride = self._receptive_field, self._stride
        computed = next(iter(self._computed.values()))
        starts = range(
            computed * stride - self._first, self._end - length + 1 - self._first, stride
        )
        patches = np.stack([steps[start : start + length] for start in starts])
        size = self._layout.batch or MAX_PATCHES
        for begin in range(0, len(patches), size):
            batch = patches[begin : begin + size]
            maps = self._network.run(self._layout, list(self._computed), batch)
            for name, frames in zip(self._computed, maps, strict=True):
                if len(frames) != len(batch):
                    raise EncoderError(
                        f"the output {name!r} has {len(frames)} frames for {len(batch)} patches "
                        f"of {length} steps, not one each: pool it in the network, or export the "
                        "network with a time axis of any length"
                    )
                self._add(name, frames)

    def _add(self, name: str, frames: Matrix) -> None:
        self._frames[name].push(frames)
        self._computed[name] += len(frames)

    def _joined(self) -> Matrix:
        if len(self._pending) > 1:
            self._pending = [np.concatenate(self._pending)]
        return self._pending[0]

    def _context_start(self) -> int:
        """Return the step from which on the network runs, for the frames not computed yet.

        Frames of every output begin at this step, and a whole receptive field follows it.
        """
        oldest = min(self._computed[o.name] * o.stride for o in self._card.outputs)
        limit = self._end - self._receptive_field
        return max(0, min(oldest, limit)) // self._stride * self._stride

    def _drop_steps(self) -> None:
        begin = self._context_start()
        self._pending = [self._joined()[begin - self._first :].copy()]
        self._first = begin
