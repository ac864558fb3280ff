"""Networks as a feature: what goes on in a window, pooled from the maps of an encoder.

A network is ``FILE.onnx`` with a card ``FILE.yaml`` beside it.  It runs only on what is new
and the context that this needs; its frames are those of the whole stream, however that is
cut into pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import gcd, lcm
from pathlib import Path

import numpy as np
from typing_extensions import override

from asd_monitor.dsp.feature_names import NAMES
from asd_monitor.dsp.frames import History, Matrix, Vector
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.encoders.card import LARGEST_CARD, Card, Pool, parse_card
from asd_monitor.encoders.session import (
    LARGEST_NETWORK,
    MOST_PATCHES,
    EncoderError,
    Layout,
    Network,
)
from asd_monitor.encoders.steps import steps_of
from asd_monitor.encoders.validation import try_network
from asd_monitor.errors import OperationError
from asd_monitor.records import Samples

SHIPPED = "encoder.onnx"

_PACKAGE = Path(__file__).parents[1]
_POOLS: dict[Pool, Callable[[Matrix], Matrix]] = {
    "mean": lambda frames: frames.mean(0),
    "spread": lambda frames: frames.std(0),
    "maximum": lambda frames: frames.max(0),
}


@dataclass(frozen=True, slots=True)
class Encoder:
    """A network and its card."""

    card: Card
    network: Network

    @staticmethod
    def from_bytes(onnx: bytes, card: Card) -> Encoder:
        """Make it of bytes that are trusted to fit the card; nothing is run yet."""
        return Encoder(card, Network.of(onnx))

    @override
    def __reduce__(self) -> tuple[Callable[[bytes, Card], Encoder], tuple[bytes, Card]]:
        """Go to another process without the session."""
        return Encoder.from_bytes, (self.network.onnx, self.card)

    @property
    def name(self) -> str:
        """Name by the card."""
        return self.card.name

    @property
    def sha256(self) -> str:
        """Hash of the network's bytes."""
        return self.network.sha256

    @property
    def onnx(self) -> bytes:
        """The network itself."""
        return self.network.onnx

    @property
    def view_names(self) -> list[str]:
        """Names of its vectors in a window's features."""
        return [look.name for look in self.card.looks]

    def open(self) -> Layout:
        """Make the session and see that the network takes what the card says.

        Raises EncoderError.
        """
        return self.network.layout(self.card)

    def misfit(self, front_end: FrontEnd) -> str | None:
        """Return why it cannot look at windows of this front end; None: it can."""
        taken = self.card.input
        if taken.rate_hz != front_end.rate_hz:
            return (
                f"it takes sound of {taken.rate_hz} Hz, and this is heard at {front_end.rate_hz} Hz"
            )
        for output in self.card.outputs:
            stride = output.stride * taken.hop
            # a window begins anywhere between two frames, as far as their common measure allows
            needed = self.card.span(output) + stride - gcd(stride, front_end.hop)
            if needed > front_end.window:
                return (
                    f"its output {output.name!r} needs windows of {needed / taken.rate_hz:.3f} s, "
                    f"and these have {front_end.window_s:.3f} s"
                )
        return None


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
            look.name: np.concatenate(
                [_POOLS[pool](frames[name]) for name in look.outputs for pool in look.pool]
            )
            for look in self._card.looks
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
        size = self._layout.batch or MOST_PATCHES
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


def load_encoder(path: Path) -> Encoder:
    """Read a network and its card and try it out.

    Raises:
        EncoderError: not a network, or not one that does what its card says.
        OperationError: no permission.

    """
    onnx = _read(path, LARGEST_NETWORK, "give a file of ONNX")
    card_path = path.with_suffix(".yaml")
    described = "describe the network there, see docs/encoders.md"
    card = parse_card(_read(card_path, LARGEST_CARD, described), str(card_path))
    encoder = Encoder.from_bytes(onnx, card)
    try:
        try_network(encoder.network, card)
    except EncoderError as error:
        raise EncoderError(f"{path}: {error}") from error
    return encoder


def _read(path: Path, largest: int, remedy: str) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(largest + 1)
    except FileNotFoundError as error:
        raise EncoderError(f"{path}: no such file: {remedy}") from error
    except IsADirectoryError as error:
        raise EncoderError(f"{path}: this is a folder: {remedy}") from error
    except OSError as error:
        raise OperationError(
            f"{path}: cannot be read ({error.strerror or error}): let this user read it"
        ) from error
    if len(content) > largest:
        raise EncoderError(f"{path}: larger than {largest / 2**20:g} MiB: {remedy}")
    return content


def shipped_encoder() -> Encoder | None:
    """Return the encoder that comes with the package, or None where there is none.

    Raises as `load_encoder`.
    """
    for folder in (_PACKAGE / "models", _PACKAGE.parent / "models"):
        if (folder / SHIPPED).exists():
            return load_encoder(folder / SHIPPED)
    return None


def chosen_encoders(paths: Iterable[Path], *, instead: bool) -> tuple[Encoder, ...]:
    """Return the networks to listen with: the shipped one, if not ``instead``, and these.

    Raises:
        EncoderError: one cannot be used, or two of them have a view of one name.
        OperationError: no permission to read one.

    """
    shipped = None if instead else shipped_encoder()
    found = [] if shipped is None else [(shipped, "the network that ships with asd-monitor")]
    found += [(load_encoder(path), str(path)) for path in paths]
    taken = dict.fromkeys(NAMES, "a statistic")
    for encoder, where in found:
        for name in dict.fromkeys([encoder.name, *encoder.view_names]):
            if name in taken:
                raise EncoderError(
                    f"{where}: the name {name!r} is that of {taken[name]}: write another one into "
                    "the card"
                )
            taken[name] = where
    return tuple(encoder for encoder, _ in found)
