"""Operations and size of a network, from the shapes of its graph."""

from typing import Any

import pytest

from asd_monitor.encoders.card import Card, LogMel, Output
from benchmarks.onnx_work import multiply_adds, multiply_adds_per_s, parameters
from tests.doubles.synthetic_networks import (
    BANDS,
    CHANNELS,
    DEEP_REACH,
    DEEP_STRIDE,
    REACH,
    STRIDE,
    maps_network,
    patch_network,
)

NEAR, FAR = REACH * BANDS * CHANNELS, 2 * CHANNELS * CHANNELS * ((DEEP_REACH - REACH) // STRIDE + 1)
STEP_S = 0.01


def card_of(*outputs: Output) -> Card:
    kind: dict[str, Any] = {"kind": "log_mel", "mel": "slaney", "log": "ln", "floor": 1e-10}
    taken = LogMel(
        **kind,
        rate_hz=16000,
        frame=400,
        fft=512,
        hop=round(16000 * STEP_S),
        bands=BANDS,
        low_hz=0.0,
        high_hz=8000.0,
        area=True,
        power=2,
    )
    return Card(name="made", licence="Apache-2.0", input=taken, outputs=outputs)


def near_and_far() -> Card:
    return card_of(
        Output(name="near", reach=REACH, stride=STRIDE),
        Output(name="far", reach=DEEP_REACH, stride=DEEP_STRIDE),
    )


@pytest.mark.parametrize("rank", [3, 4])
def test_every_convolution_counts_the_frames_of_its_output(rank: int) -> None:
    near = (101 - REACH) // STRIDE + 1
    far = (101 - DEEP_REACH) // DEEP_STRIDE + 1
    counted = multiply_adds(maps_network(rank=rank), near_and_far(), 101)
    assert counted == near * NEAR + far * FAR


def test_the_edges_of_a_stream_are_not_counted() -> None:
    work = multiply_adds_per_s(maps_network(), near_and_far())
    assert work == pytest.approx((NEAR / STRIDE + FAR / DEEP_STRIDE) / STEP_S)


def test_overlapping_patches_are_each_counted_in_full() -> None:
    card = card_of(Output(name="embedding", reach=24, stride=6))
    work = multiply_adds_per_s(patch_network(steps=24), card)
    assert work == pytest.approx(24 * BANDS * CHANNELS / (6 * STEP_S))


def test_parameters_are_the_trained_weights() -> None:
    assert parameters(maps_network()) == NEAR + FAR
    assert parameters(patch_network()) == BANDS * CHANNELS
