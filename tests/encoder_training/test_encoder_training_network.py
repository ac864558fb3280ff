"""The network: deaf to gain, without padding, as small as it says."""

from math import prod
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_monitor.encoder_training.network import (
    BANDS,
    EMBEDDING,
    FREQUENCY_GROUPS,
    LAYERS,
    POOLS,
    TAPS,
    Head,
    Layer,
    Network,
    grouped,
    pooled,
)

ALL_TAPS = tuple(range(len(LAYERS)))


def log_mel(steps: int, seed: int = 0, batch: int = 1) -> "torch.Tensor":
    return torch.randn(batch, steps, BANDS, generator=torch.Generator().manual_seed(seed))


def network(seed: int = 0, taps: tuple[int, ...] = ALL_TAPS) -> Network:
    """A network whose normalisations have seen something, as in use."""
    torch.manual_seed(seed)
    made = Network(taps=taps)
    for layer in made.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None  # all that was seen counts alike
    with torch.no_grad():
        for _ in range(3):
            made(log_mel(120, seed, batch=4))
    return made.eval()


NETWORK = network()


@settings(max_examples=30)
@given(st.floats(-6.0, 6.0), st.integers(0, 99))
def test_a_gain_changes_no_map(constant: float, seed: int) -> None:
    x = log_mel(100, seed)
    with torch.no_grad():
        for one, other in zip(NETWORK(x), NETWORK(x + constant), strict=True):
            assert float((one - other).abs().max()) < 1e-4


def test_but_a_change_of_gain_within_a_window_is_heard() -> None:
    x = log_mel(100)
    louder = x.clone()
    louder[:, 50:] += 1.0
    with torch.no_grad():
        for one, other in zip(NETWORK(x), NETWORK(louder), strict=True):
            assert float((one - other).abs().max()) > 0.1


@settings(max_examples=40)
@given(st.integers(0, 20), st.integers(64, 150), st.sampled_from(ALL_TAPS))
def test_frames_of_a_cut_are_those_of_the_whole(begin: int, steps: int, tap: int) -> None:
    """Cut at any frame of the deepest layer, each map is a piece of the whole one."""
    start = begin * NETWORK.stride(max(ALL_TAPS))
    x = log_mel(400)
    with torch.no_grad():
        whole, cut = NETWORK(x)[tap], NETWORK(x[:, start : start + steps])[tap]
    reach, stride = NETWORK.reach(tap), NETWORK.stride(tap)
    assert cut.shape[1] == (steps - reach) // stride + 1
    first = start // stride
    assert torch.allclose(cut, whole[:, first : first + cut.shape[1]], atol=1e-5)


@pytest.mark.parametrize("tap", ALL_TAPS)
def test_a_frame_sees_its_reach_and_no_more(tap: int) -> None:
    reach, stride, frame = NETWORK.reach(tap), NETWORK.stride(tap), 3
    x = log_mel(200).requires_grad_()
    NETWORK(x)[tap][0, frame].sum().backward()
    assert x.grad is not None
    seen = torch.nonzero(x.grad[0].abs().sum(1)).flatten().tolist()
    low, high = frame * stride, frame * stride + reach - 1
    assert low <= min(seen)
    assert max(seen) <= high
    # rectifiers may be shut at the edges, so that only nearly all of it shows
    assert max(seen) - min(seen) >= reach - 1 - stride


def counted(made: Network, steps: int) -> int:
    """Multiplications of the convolutions, by what each puts out."""
    found = []

    def count(layer: Any, _: Any, out: "torch.Tensor") -> None:
        found.append(prod(out.shape) * prod(layer.weight.shape[1:]))

    hooks = [
        layer.register_forward_hook(count)
        for layer in made.modules()
        if isinstance(layer, torch.nn.Conv2d)
    ]
    with torch.no_grad():
        made(log_mel(steps))
    for hook in hooks:
        hook.remove()
    return sum(found)


OTHER = (Layer((5, 3), (2, 3), 7), Layer((2, 4), (3, 1), 11))


@pytest.mark.parametrize("layers", [LAYERS, OTHER])
def test_multiplications_are_counted_but_for_the_edges(layers: tuple[Layer, ...]) -> None:
    made, steps = Network(layers, (len(layers) - 1,)).eval(), 4000
    inner, found = made.multiply_adds(steps), counted(made, steps)
    assert found <= inner
    assert inner - found <= made.multiply_adds(made.reach(len(layers) - 1))


def test_the_default_is_small() -> None:
    assert NETWORK.multiply_adds(31) <= 4.1e6
    assert sum(p.numel() for p in NETWORK.parameters()) < 1e6


def test_only_tapped_layers_come_out_in_order() -> None:
    x = log_mel(100)
    some = network(taps=TAPS)
    some.load_state_dict(NETWORK.state_dict())
    with torch.no_grad():
        for tap, frames in zip(TAPS, some(x), strict=True):
            assert frames.shape[2] == LAYERS[tap].channels * FREQUENCY_GROUPS
            assert torch.equal(frames, NETWORK(x)[tap])


@pytest.mark.parametrize("bands", [4, 6, 14, 31])
def test_bands_are_averaged_in_groups_that_share_none(bands: int) -> None:
    x = torch.randn(2, 3, 5, bands)
    found = grouped(x).unflatten(2, (FREQUENCY_GROUPS, 3))  # (B, frames, groups, C)
    edges = [round(bands * k / 4) for k in range(5)]
    for group in range(FREQUENCY_GROUPS):
        expected = x[..., edges[group] : edges[group + 1]].mean(3).transpose(1, 2)
        assert torch.allclose(found[:, :, group], expected, atol=1e-6)


def test_pooled_are_mean_spread_and_maximum() -> None:
    frames = torch.randn(3, 17, 5)
    mean, spread, maximum = pooled(frames).unflatten(1, (POOLS, 5)).unbind(1)
    values = frames.numpy()
    assert mean.numpy() == pytest.approx(values.mean(1), abs=1e-5)
    assert spread.numpy() == pytest.approx(values.std(1), abs=1e-3)
    assert maximum.numpy() == pytest.approx(values.max(1))


def test_a_click_shows_in_the_maximum_more_than_in_the_mean() -> None:
    frames = torch.zeros(1, 50, 1)
    frames[0, 20] = 1.0
    mean, spread, maximum = pooled(frames)[0].tolist()
    assert mean < spread < maximum


def test_pooling_still_sound_has_a_slope() -> None:
    """A spread of zero is where a square root has none."""
    frames = torch.ones(1, 9, 4, requires_grad=True)
    pooled(frames).sum().backward()
    assert frames.grad is not None
    assert torch.isfinite(frames.grad).all()


def test_embeddings_have_unit_length() -> None:
    torch.manual_seed(0)
    found = Head(12)(torch.randn(6, 12))
    assert found.shape == (6, EMBEDDING)
    assert found.norm(dim=1).tolist() == pytest.approx([1.0] * 6)
