"""Whether the encoder hears: faults of what it was never trained on, against nothing heard."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from asd_monitor.encoder_training.held_out_faults import HeldOut
from asd_monitor.encoder_training.network import Network
from asd_monitor.encoder_training.pool import Pool
from asd_monitor.encoder_training.sound_supply import (
    FAULTY_S,
    FRONT_END,
    NORMAL_S,
    Instance,
    duration_s,
    log_mel,
)
from tests.doubles.synthetic_pools import synthetic_pool
from tests.doubles.synthetic_sounds import machine_sound


class Listening(torch.nn.Module):
    """In the place of a network: a map that is a function of the log-mel."""

    taps = (1,)

    def __init__(self, made_of: Callable[["torch.Tensor"], "torch.Tensor"]) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.ones(1))
        self._made_of = made_of

    def forward(self, x: "torch.Tensor") -> tuple["torch.Tensor"]:
        return (self._made_of(x) * self.gain,)


def gross() -> Pool:
    """Hums of other seeds, with and without a loud hiss, in a hall that hisses too."""
    rng = np.random.default_rng(0)
    instances = []
    for seed in range(4):
        reference = [log_mel(machine_sound(3.0, seed=10 * seed + k)) for k in range(2)]
        hiss = 0.5 * rng.normal(size=3 * 16_000)
        faults = [log_mel(machine_sound(3.0, seed=10 * seed + 5) + hiss)]
        instances.append(
            Instance("made", f"hum {seed}", tuple(reference), tuple(faults), ("hiss",), (1.0,))
        )
    return Pool(instances, [log_mel(rng.normal(size=5 * 16_000))])


@pytest.fixture(scope="module")
def trial() -> HeldOut:
    return HeldOut(gross(), 1)


def areas(trial: HeldOut, made_of: Callable[["torch.Tensor"], "torch.Tensor"]) -> list[float]:
    return trial.areas(Listening(made_of))  # type: ignore[arg-type]


def test_who_hears_finds_gross_faults(trial: HeldOut) -> None:
    assert areas(trial, lambda x: x)[0] > 0.95


def test_who_is_deaf_finds_half(trial: HeldOut) -> None:
    assert areas(trial, lambda x: 0 * x) == [0.5]


def test_a_network_hears_more_than_one_whose_weights_are_zero(trial: HeldOut) -> None:
    torch.manual_seed(0)
    network = Network()
    heard = trial.areas(network)
    with torch.no_grad():
        for weight in network.parameters():
            weight.zero_()
    deaf = trial.areas(network)
    assert len(heard) == len(network.taps)
    assert all(one > other + 0.2 for one, other in zip(heard, deaf, strict=True))


def test_windows_are_those_that_the_detector_scores(trial: HeldOut) -> None:
    """And so no longer than the clips, which would be repeated to fill them."""
    frames: set[int] = set()

    def note(x: "torch.Tensor") -> "torch.Tensor":
        frames.add(x.shape[1])
        return x

    areas(trial, note)
    assert frames == {FRONT_END.window_frames}
    assert duration_s(FRONT_END.window_frames) < min(NORMAL_S, FAULTY_S)


def test_each_tapped_layer_has_its_own(trial: HeldOut) -> None:
    class Two(Listening):
        taps = (1, 2)

        def forward(self, x: "torch.Tensor") -> tuple["torch.Tensor", "torch.Tensor"]:
            return (x, 0 * x)

    found = trial.areas(Two(lambda x: x))  # type: ignore[arg-type]
    assert found[0] > 0.95
    assert found[1] == 0.5


def test_a_seed_and_a_pool_give_always_the_same() -> None:
    torch.manual_seed(0)
    network = Network().eval()
    found = [HeldOut(synthetic_pool(), seed).areas(network) for seed in (1, 1, 2)]
    assert found[0] == found[1]
    assert found[0] != found[2]
    trial = HeldOut(synthetic_pool(), 1)
    assert trial.areas(network) == trial.areas(network) == found[0]


def test_the_network_trains_on_as_before(trial: HeldOut) -> None:
    torch.manual_seed(0)
    network = Network().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    trial.areas(network)
    assert network.training
    assert all(torch.equal(before[name], v) for name, v in network.state_dict().items())
    assert all(weight.grad is None for weight in network.parameters())
