"""A network tried out: that it does what its card says, before anything is learned with it."""

from __future__ import annotations

from dataclasses import dataclass
from math import lcm

import numpy as np

from asd_monitor.dsp.frames import Matrix
from asd_monitor.encoders.card import Card, Output
from asd_monitor.encoders.session import EncoderError, Layout, Network
from asd_monitor.encoders.steps import steps_of

TOLERANCE = 1e-3  # of the largest value of an output, or of 1
NOISE = 0.1  # of full scale
LONGEST_VECTOR = 4096  # of a view; back ends take minutes to fit to more, and much memory


def try_network(network: Network, card: Card) -> None:
    """Run it on noise and on silence, on pieces of several lengths and places.

    Raises:
        EncoderError: it cannot be run, its outputs are no finite numbers or of another count
            than the card says, differ from run to run, depend on where a piece is cut, or
            make a vector that is too long.

    """
    trial = _Trial(card, network, network.layout(card))
    reach = max(output.reach for output in card.outputs)
    stride = lcm(*(output.stride for output in card.outputs))
    noise = _steps(card, reach + 5 * stride, silent=False)
    if trial.layout.steps is None:
        _try_lengths(trial, noise, reach, stride)
    else:
        _try_patches(trial, noise, reach, stride)
    _check_vectors(card, trial.run(noise[None, :reach], "noise"))


@dataclass(frozen=True, slots=True, eq=False)
class _Trial:
    card: Card
    network: Network
    layout: Layout

    def run(self, steps: Matrix, what: str) -> list[Matrix]:
        """Return the outputs of a batch of steps (batch, steps, numbers)."""
        names = [output.name for output in self.card.outputs]
        found = self.network.run(self.layout, names, steps)
        for name, frames in zip(names, found, strict=True):
            if not np.isfinite(frames).all():
                raise EncoderError(
                    f"the output {name!r} of {what} is no finite number: correct the network, or "
                    "floor and offset in its card"
                )
        return found

    def compare(self, one: list[Matrix], other: list[Matrix], told: str) -> None:
        """Refuse outputs that differ."""
        for output, a, b in zip(self.card.outputs, one, other, strict=True):
            _compare(output, a, b, told)


def _try_lengths(trial: _Trial, noise: Matrix, reach: int, stride: int) -> None:
    silence = np.resize(_steps(trial.card, 1, silent=True), noise.shape)
    trial.run(silence[None], "silence")
    whole = trial.run(noise[None], "noise")
    trial.compare(whole, trial.run(noise[None], "noise"), _CHANGES)
    shorter = reach + 2 * stride + min(1, stride - 1)
    begun = trial.run(noise[None, :shorter], "noise")
    later = trial.run(noise[None, stride:], "noise")
    for output, of_whole, of_begun, of_later in zip(
        trial.card.outputs, whole, begun, later, strict=True
    ):
        for frames, steps in ((of_whole, len(noise)), (of_begun, shorter)):
            _check_count(output, frames, steps)
        skipped = stride // output.stride
        _compare(output, of_whole[: len(of_begun)], of_begun, _CUTS)
        _compare(output, of_whole[skipped:], of_later, _CUTS)


def _try_patches(trial: _Trial, noise: Matrix, reach: int, stride: int) -> None:
    first, second = noise[None, :reach], noise[None, stride : stride + reach]
    silence = np.resize(_steps(trial.card, 1, silent=True), first.shape)
    trial.run(silence, "silence")
    alone = trial.run(first, "noise")
    _check_pooled(trial, alone, 1, f"one piece of {reach} steps")
    trial.compare(alone, trial.run(first, "noise"), _CHANGES)
    if trial.layout.batch is None:
        together = trial.run(np.concatenate([first, silence, second]), "noise")
        _check_pooled(trial, together, 3, "three pieces")
        trial.compare(alone, [frames[:1] for frames in together], _BATCH)


def _check_pooled(trial: _Trial, found: list[Matrix], count: int, what: str) -> None:
    for output, frames in zip(trial.card.outputs, found, strict=True):
        if len(frames) != count:
            raise EncoderError(
                f"the output {output.name!r} has {len(frames)} frames for {what}: "
                "pool it in the network to (batch, channels)"
            )


def _check_vectors(card: Card, found: list[Matrix]) -> None:
    names = [output.name for output in card.outputs]
    channels = {name: frames.shape[1] for name, frames in zip(names, found, strict=True)}
    for view in card.resolved_views:
        length = len(view.pool) * sum(channels[name] for name in view.outputs)
        if length > LONGEST_VECTOR:
            raise EncoderError(
                f"the view {view.name!r} has vectors of {length} numbers, at most {LONGEST_VECTOR} "
                "can be learned: give it fewer outputs or pools, or pool them in the network"
            )


_CHANGES = "differs from run to run on the same sound: export the network in evaluation mode"
_BATCH = "depends on what else is run at once: export the network with a batch of 1"
_CUTS = (
    "depends on where the sound is cut: export the network without padding along time and "
    "without anything that looks at all of the time, or with a time axis of fixed length"
)


def _steps(card: Card, count: int, *, silent: bool) -> Matrix:
    kind = card.input
    size = (count - 1) * kind.hop + kind.frame
    sound = np.random.default_rng(0).normal(0.0, 0.0 if silent else NOISE, size)
    return steps_of(kind).push(sound.astype(np.float32))


def _check_count(output: Output, frames: Matrix, steps: int) -> None:
    expected = (steps - output.reach) // output.stride + 1
    if len(frames) != expected:
        raise EncoderError(
            f"the output {output.name!r} has {len(frames)} frames for {steps} steps, while reach "
            f"{output.reach} and stride {output.stride} say {expected}: correct them in the card"
        )


def _compare(output: Output, one: Matrix, other: Matrix, told: str) -> None:
    limit = TOLERANCE * max(1.0, float(np.abs(one).max(initial=0.0)))
    if one.shape != other.shape or float(np.abs(one - other).max(initial=0.0)) > limit:
        raise EncoderError(f"the output {output.name!r} {told}")
