"""Validation of a network: it must compute what its card declares before a model is fitted."""

from __future__ import annotations

from dataclasses import dataclass
from math import lcm

import numpy as np

from asd_monitor.dsp.frames import Matrix
from asd_monitor.encoders.card import Card, Output
from asd_monitor.encoders.session import EncoderError, InputLayout, Network, check_frame_count
from asd_monitor.encoders.steps import step_stream

TOLERANCE = 1e-3  # of the largest value of an output, or of 1
NOISE_RMS = 0.1  # full scale 1
MAX_VECTOR_LENGTH = 4096  # of a view; fitting a back end to more takes minutes and much memory


def validate_network(network: Network, card: Card) -> None:
    """Run a network on noise and silence, in segments of several lengths and positions.

    Raises:
        EncoderError: it cannot be run, its outputs are not finite or have another number of
            frames than the card declares, differ from run to run, depend on where the sound is cut,
            or give a vector that is too long.

    """
    trial = _Trial(card, network, network.layout(card))
    receptive_field = max(output.receptive_field for output in card.outputs)
    stride = lcm(*(output.stride for output in card.outputs))
    noise = _steps(card, receptive_field + 5 * stride, NOISE_RMS)
    if trial.layout.steps is None:
        _validate_sequences(trial, noise, receptive_field, stride)
    else:
        _validate_patches(trial, noise, receptive_field, stride)
    _check_vectors(card, trial.run(noise[None, :receptive_field], "noise"))


@dataclass(frozen=True, slots=True, eq=False)
class _Trial:
    card: Card
    network: Network
    layout: InputLayout

    def run(self, steps: Matrix, signal: str) -> list[Matrix]:
        """Return the outputs of a batch of steps (batch, n, d)."""
        names = [output.name for output in self.card.outputs]
        maps = self.network.run(self.layout, names, steps)
        for name, frames in zip(names, maps, strict=True):
            if not np.isfinite(frames).all():
                raise EncoderError(
                    f"the output {name!r} of {signal} is no finite number: correct the network, or "
                    "floor and offset in its card"
                )
        return maps

    def compare(self, maps: list[Matrix], others: list[Matrix], problem: str) -> None:
        """Raise EncoderError where outputs differ."""
        for output, frames, other in zip(self.card.outputs, maps, others, strict=True):
            _compare(output, frames, other, problem)


def _validate_sequences(trial: _Trial, noise: Matrix, receptive_field: int, stride: int) -> None:
    silence = np.resize(_steps(trial.card, 1, 0.0), noise.shape)
    trial.run(silence[None], "silence")
    whole = trial.run(noise[None], "noise")
    trial.compare(whole, trial.run(noise[None], "noise"), _NOT_REPEATABLE)
    length = receptive_field + 2 * stride + min(1, stride - 1)
    shorter = trial.run(noise[None, :length], "noise")
    later = trial.run(noise[None, stride:], "noise")
    for output, of_whole, of_shorter, of_later in zip(
        trial.card.outputs, whole, shorter, later, strict=True
    ):
        for frames, steps in ((of_whole, len(noise)), (of_shorter, length)):
            check_frame_count(output, len(frames), steps)
        skipped = stride // output.stride
        _compare(output, of_whole[: len(of_shorter)], of_shorter, _DEPENDS_ON_CUT)
        _compare(output, of_whole[skipped:], of_later, _DEPENDS_ON_CUT)


def _validate_patches(trial: _Trial, noise: Matrix, length: int, stride: int) -> None:
    first, second = noise[None, :length], noise[None, stride : stride + length]
    silence = np.resize(_steps(trial.card, 1, 0.0), first.shape)
    trial.run(silence, "silence")
    alone = trial.run(first, "noise")
    _check_pooled(trial, alone, 1, f"one patch of {length} steps")
    trial.compare(alone, trial.run(first, "noise"), _NOT_REPEATABLE)
    if trial.layout.batch is None:
        batch = trial.run(np.concatenate([first, silence, second]), "noise")
        _check_pooled(trial, batch, 3, "three patches")
        trial.compare(alone, [frames[:1] for frames in batch], _DEPENDS_ON_BATCH)


def _check_pooled(trial: _Trial, maps: list[Matrix], count: int, signal: str) -> None:
    for output, frames in zip(trial.card.outputs, maps, strict=True):
        if len(frames) != count:
            raise EncoderError(
                f"the output {output.name!r} has {len(frames)} frames for {signal}: "
                "pool it in the network to (batch, channels)"
            )


def _check_vectors(card: Card, maps: list[Matrix]) -> None:
    names = [output.name for output in card.outputs]
    channels = {name: frames.shape[1] for name, frames in zip(names, maps, strict=True)}
    for view in card.resolved_views:
        length = len(view.pool) * sum(channels[name] for name in view.outputs)
        if length > MAX_VECTOR_LENGTH:
            raise EncoderError(
                f"the view {view.name!r} has vectors of {length} numbers, while a back end takes "
                f"{MAX_VECTOR_LENGTH} at most: give it fewer outputs or pools, or pool them in the "
                "network"
            )


_NOT_REPEATABLE = "differs from run to run on the same sound: export the network in evaluation mode"
_DEPENDS_ON_BATCH = "depends on the rest of the batch: export the network with a batch of 1"
_DEPENDS_ON_CUT = (
    "depends on where the sound is cut: export the network without padding along time and without "
    "operations over all of the time axis, or with a time axis of fixed length"
)


def _steps(card: Card, count: int, rms: float) -> Matrix:
    """Return so many steps (count, d) of white noise."""
    size = (count - 1) * card.input.hop + card.input.frame
    sound = np.random.default_rng(0).normal(0.0, rms, size)
    return step_stream(card.input).push(sound.astype(np.float32))


def _compare(output: Output, frames: Matrix, other: Matrix, problem: str) -> None:
    limit = TOLERANCE * max(1.0, float(np.abs(frames).max(initial=0.0)))
    if frames.shape != other.shape or float(np.abs(frames - other).max(initial=0.0)) > limit:
        raise EncoderError(f"the output {output.name!r} {problem}")
