"""A network run on a stream."""

from __future__ import annotations

from collections.abc import Callable
from math import lcm

import numpy as np

from asd_monitor.dsp.frames import History, Matrix, Vector
from asd_monitor.encoders.card import Pool
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.session import MAX_PATCHES, EncoderError
from asd_monitor.encoders.steps import steps_of
from asd_monitor.records import Samples

_POOLS: dict[Pool, Callable[[Matrix], Matrix]] = {
    "mean": lambda frames: frames.mean(0),
    "spread": lambda frames: frames.std(0),
    "maximum": lambda frames: frames.max(0),
}


class EncoderStream:
    """The vectors of one gapless stream; after a gap, begin a new one."""

    def __init__(self, encoder: Encoder) -> None:
        """Begin; raises EncoderError where the network does not take what the card says."""
        card = encoder.card
        self._card, self._network = card, encoder.network
        self._layout = encoder.open()
        self._steps = steps_of(card.input)
        self._pending: list[Matrix] = []
        self._first = 0  # index of the oldest step kept
        self._end = 0  # steps so far
        self._made = dict.fromkeys((output.name for output in card.outputs), 0)
        self._frames = {
            output.name: History(card.span(output), output.stride * card.input.hop)
            for output in card.outputs
        }
        self._reach = max(output.reach for output in card.outputs)
        self._stride = lcm(*(output.stride for output in card.outputs))

    def push(self, samples: Samples) -> None:
        """Take the next samples (n,), at the card's rate; the network does not run yet."""
        steps = self._steps.push(samples)
        if len(steps):
            self._pending.append(steps)
            self._end += len(steps)

    def between(self, start: int, end: int) -> dict[str, Vector]:
        """Return each view's vector, of the frames that lie wholly within these samples.

        The outputs one after the other, each pooled in every way.  Raises EncoderError
        where the network cannot be run.
        """
        self._run()
        frames = {name: history.between(start, end) for name, history in self._frames.items()}
        return {
            view.name: np.concatenate(
                [_POOLS[pool](frames[name]) for name in view.outputs for pool in view.pool]
            )
            for view in self._card.resolved_views
        }

    def forget(self, before: int) -> None:
        """Drop the frames that begin before this sample."""
        for history in self._frames.values():
            history.forget(before)

    def _run(self) -> None:
        """Make the frames that the steps so far allow."""
        new = {
            output.name: (self._end - output.reach) // output.stride + 1 - self._made[output.name]
            for output in self._card.outputs
        }
        if max(new.values()) <= 0 or self._end < self._reach:
            return
        steps = self._take()
        if self._layout.steps is None:
            self._run_on(steps)
        else:
            self._run_patches(steps)
        self._drop_steps()

    def _run_on(self, steps: Matrix) -> None:
        begin = self._begin()
        outputs = self._card.outputs
        found = self._network.run(
            self._layout, list(self._made), steps[None, begin - self._first :]
        )
        for output, frames in zip(outputs, found, strict=True):
            skipped = self._made[output.name] - begin // output.stride
            expected = (self._end - begin - output.reach) // output.stride + 1
            if len(frames) != expected:
                raise EncoderError(
                    f"the output {output.name!r} has {len(frames)} frames for "
                    f"{self._end - begin} steps, while reach {output.reach} and stride "
                    f"{output.stride} say {expected}: correct them in the card"
                )
            self._add(output.name, frames[skipped:])

    def _run_patches(self, steps: Matrix) -> None:
        reach, stride = self._reach, self._stride
        made = next(iter(self._made.values()))
        starts = range(made * stride - self._first, self._end - reach + 1 - self._first, stride)
        patches = np.stack([steps[start : start + reach] for start in starts])
        size = self._layout.batch or MAX_PATCHES
        for begin in range(0, len(patches), size):
            batch = patches[begin : begin + size]
            for name, frames in zip(
                self._made, self._network.run(self._layout, list(self._made), batch), strict=True
            ):
                if len(frames) != len(batch):
                    raise EncoderError(
                        f"the output {name!r} has {len(frames)} frames for {len(batch)} pieces of "
                        f"{reach} steps, not one each: pool it in the network, or export that "
                        "with a time axis of any length"
                    )
                self._add(name, frames)

    def _add(self, name: str, frames: Matrix) -> None:
        self._frames[name].push(frames)
        self._made[name] += len(frames)

    def _take(self) -> Matrix:
        if len(self._pending) > 1:
            self._pending = [np.concatenate(self._pending)]
        return self._pending[0]

    def _begin(self) -> int:
        """Return the step from which on the network has to see: no frame is missed by it.

        It is one at which frames of every output begin, and leaves steps enough for each.
        """
        oldest = min(self._made[o.name] * o.stride for o in self._card.outputs)
        return max(0, min(oldest, self._end - self._reach)) // self._stride * self._stride

    def _drop_steps(self) -> None:
        begin = self._begin()
        self._pending = [self._take()[begin - self._first :].copy()]
        self._first = begin
