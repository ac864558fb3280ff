"""The network: invariant to gain, without padding, of known receptive field and cost."""

from math import prod
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_monitor.encoder_training.log_mel_frames import BANDS
from asd_monitor.encoder_training.network import (
    EMBEDDING,
    FREQUENCY_GROUPS,
    LAYERS,
    STATISTICS,
    TAPS,
    Layer,
    Network,
    ProjectionHead,
    band_group_means,
    pooled_statistics,
)

ALL_TAPS = tuple(range(len(LAYERS)))


def log_mel(steps: int, seed: int = 0, batch: int = 1) -> "torch.Tensor":
    return torch.randn(batch, steps, BANDS, generator=torch.Generator().manual_seed(seed))


def network(seed: int = 0, taps: tuple[int, ...] = ALL_TAPS) -> Network:
    """A network whose batch normalisation has statistics of data, as after training."""
    torch.manual_seed(seed)
    built = Network(taps=taps)
    for layer in built.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None  # the mean over all batches
    with torch.no_grad():
        for _ in range(3):
            built(log_mel(120, seed, batch=4))
    return built.eval()


NETWORK = network()


@settings(max_examples=30)
@given(st.floats(-6.0, 6.0), st.integers(0, 99))
def test_a_constant_gain_changes_no_map(constant: float, seed: int) -> None:
    x = log_mel(100, seed)
    with torch.no_grad():
        for one, other in zip(NETWORK(x), NETWORK(x + constant), strict=True):
            assert float((one - other).abs().max()) < 1e-4


def test_a_change_of_gain_within_a_window_changes_the_maps() -> None:
    x = log_mel(100)
    louder = x.clone()
    louder[:, 50:] += 1.0
    with torch.no_grad():
        for one, other in zip(NETWORK(x), NETWORK(louder), strict=True):
            assert float((one - other).abs().max()) > 0.1


@settings(max_examples=40)
@given(st.integers(0, 20), st.integers(64, 150), st.sampled_from(ALL_TAPS))
def test_maps_of_an_excerpt_are_those_of_the_whole(begin: int, steps: int, tap: int) -> None:
    """For excerpts that begin at any frame of the deepest layer."""
    start = begin * NETWORK.stride(max(ALL_TAPS))
    x = log_mel(400)
    with torch.no_grad():
        whole, cut = NETWORK(x)[tap], NETWORK(x[:, start : start + steps])[tap]
    field, stride = NETWORK.receptive_field(tap), NETWORK.stride(tap)
    assert cut.shape[1] == (steps - field) // stride + 1
    first = start // stride
    assert torch.allclose(cut, whole[:, first : first + cut.shape[1]], atol=1e-5)


@pytest.mark.parametrize("tap", ALL_TAPS)
def test_an_output_depends_on_its_receptive_field_only(tap: int) -> None:
    field, stride, frame = NETWORK.receptive_field(tap), NETWORK.stride(tap), 3
    x = log_mel(200).requires_grad_()
    NETWORK(x)[tap][0, frame].sum().backward()
    assert x.grad is not None
    used = torch.nonzero(x.grad[0].abs().sum(1)).flatten().tolist()
    low, high = frame * stride, frame * stride + field - 1
    assert low <= min(used)
    assert max(used) <= high
    # rectifiers may be zero at the edges
    assert max(used) - min(used) >= field - 1 - stride


def count_multiplications(network: Network, steps: int) -> int:
    """Multiplications of the convolutions, by the shapes of their outputs."""
    found = []

    def count(layer: Any, _: Any, out: "torch.Tensor") -> None:
        found.append(prod(out.shape) * prod(layer.weight.shape[1:]))

    hooks = [
        layer.register_forward_hook(count)
        for layer in network.modules()
        if isinstance(layer, torch.nn.Conv2d)
    ]
    with torch.no_grad():
        network(log_mel(steps))
    for hook in hooks:
        hook.remove()
    return sum(found)


OTHER = (Layer((5, 3), (2, 3), 7), Layer((2, 4), (3, 1), 11))


@pytest.mark.parametrize("layers", [LAYERS, OTHER])
def test_multiplications_are_those_of_the_convolutions_but_for_the_edges(
    layers: tuple[Layer, ...],
) -> None:
    network, steps = Network(layers, (len(layers) - 1,)).eval(), 4000
    inner, found = network.multiply_adds(steps), count_multiplications(network, steps)
    assert found <= inner
    assert inner - found <= network.multiply_adds(network.receptive_field(len(layers) - 1))


def test_the_default_network_is_small() -> None:
    assert NETWORK.multiply_adds(31) <= 4.1e6
    assert sum(p.numel() for p in NETWORK.parameters()) < 1e6


def test_maps_are_those_of_the_tapped_layers_in_order() -> None:
    x = log_mel(100)
    some = network(taps=TAPS)
    some.load_state_dict(NETWORK.state_dict())
    with torch.no_grad():
        for tap, frames in zip(TAPS, some(x), strict=True):
            assert frames.shape[2] == LAYERS[tap].channels * FREQUENCY_GROUPS
            assert torch.equal(frames, NETWORK(x)[tap])


@pytest.mark.parametrize("bands", [4, 6, 14, 31])
def test_bands_are_averaged_in_disjoint_groups(bands: int) -> None:
    x = torch.randn(2, 3, 5, bands)
    found = band_group_means(x).unflatten(2, (FREQUENCY_GROUPS, 3))  # (B, frames, groups, C)
    edges = [round(bands * k / 4) for k in range(5)]
    for group in range(FREQUENCY_GROUPS):
        expected = x[..., edges[group] : edges[group + 1]].mean(3).transpose(1, 2)
        assert torch.allclose(found[:, :, group], expected, atol=1e-6)


def test_pooled_statistics_are_mean_deviation_and_maximum() -> None:
    frames = torch.randn(3, 17, 5)
    mean, spread, maximum = pooled_statistics(frames).unflatten(1, (STATISTICS, 5)).unbind(1)
    values = frames.numpy()
    assert mean.numpy() == pytest.approx(values.mean(1), abs=1e-5)
    assert spread.numpy() == pytest.approx(values.std(1), abs=1e-3)
    assert maximum.numpy() == pytest.approx(values.max(1))


def test_an_impact_changes_the_maximum_more_than_the_mean() -> None:
    frames = torch.zeros(1, 50, 1)
    frames[0, 20] = 1.0
    mean, spread, maximum = pooled_statistics(frames)[0].tolist()
    assert mean < spread < maximum


def test_the_gradient_of_a_constant_map_is_finite() -> None:
    """The derivative of the square root is infinite at a deviation of zero."""
    frames = torch.ones(1, 9, 4, requires_grad=True)
    pooled_statistics(frames).sum().backward()
    assert frames.grad is not None
    assert torch.isfinite(frames.grad).all()


def test_embeddings_have_unit_length() -> None:
    torch.manual_seed(0)
    found = ProjectionHead(12)(torch.randn(6, 12))
    assert found.shape == (6, EMBEDDING)
    assert found.norm(dim=1).tolist() == pytest.approx([1.0] * 6)
