"""Validation on held-out instances: AUC of their faults."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from asd_monitor.encoder_training.held_out_faults import HeldOutValidation
from asd_monitor.encoder_training.instance_pool import InstancePool
from asd_monitor.encoder_training.log_mel_frames import FRONT_END, duration_s, log_mel
from asd_monitor.encoder_training.network import Network
from asd_monitor.encoder_training.sound_sources import CLIP_LENGTHS, Instance
from tests.doubles.synthetic_pools import synthetic_pool
from tests.doubles.synthetic_sounds import machine_sound


class FunctionNetwork(torch.nn.Module):
    """In place of a network: one map, a function of the log-mel spectrogram."""

    taps: tuple[int, ...] = (1,)

    def __init__(self, function: Callable[["torch.Tensor"], "torch.Tensor"]) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.ones(1))
        self._function = function

    def forward(self, x: "torch.Tensor") -> tuple["torch.Tensor", ...]:
        return (self._function(x) * self.gain,)


def hum_with_hiss() -> InstancePool:
    """Hums of different seeds, without and with a loud hiss, and a background of hiss."""
    rng = np.random.default_rng(0)
    instances = []
    for seed in range(4):
        reference = [log_mel(machine_sound(3.0, seed=10 * seed + k)) for k in range(2)]
        hiss = 0.5 * rng.normal(size=3 * 16_000)
        faults = [log_mel(machine_sound(3.0, seed=10 * seed + 5) + hiss)]
        instances.append(
            Instance("synthetic", f"hum {seed}", tuple(reference), tuple(faults), ("hiss",), (1.0,))
        )
    return InstancePool(instances, [log_mel(rng.normal(size=5 * 16_000))])


@pytest.fixture(scope="module")
def validation() -> HeldOutValidation:
    return HeldOutValidation(hum_with_hiss(), 1)


def auc_of(
    validation: HeldOutValidation, function: Callable[["torch.Tensor"], "torch.Tensor"]
) -> list[float]:
    return validation.auc_by_layer(FunctionNetwork(function))  # type: ignore[arg-type]


def test_the_spectrum_itself_detects_gross_faults(validation: HeldOutValidation) -> None:
    assert auc_of(validation, lambda x: x)[0] > 0.95


def test_a_constant_map_detects_nothing(validation: HeldOutValidation) -> None:
    assert auc_of(validation, lambda x: 0 * x) == [0.5]


def test_a_random_network_detects_more_than_one_with_zero_weights(
    validation: HeldOutValidation,
) -> None:
    torch.manual_seed(0)
    network = Network()
    random = validation.auc_by_layer(network)
    with torch.no_grad():
        for weight in network.parameters():
            weight.zero_()
    zero = validation.auc_by_layer(network)
    assert len(random) == len(network.taps)
    assert all(one > other + 0.2 for one, other in zip(random, zero, strict=True))


def test_windows_are_those_that_the_detector_scores(validation: HeldOutValidation) -> None:
    """And no longer than the clips, which would be repeated to fill them."""
    frames: set[int] = set()

    def note(x: "torch.Tensor") -> "torch.Tensor":
        frames.add(x.shape[1])
        return x

    auc_of(validation, note)
    assert frames == {FRONT_END.window_frames}
    window_s = duration_s(FRONT_END.window_frames)
    assert window_s < min(CLIP_LENGTHS.reference, CLIP_LENGTHS.faulty)


def test_each_tapped_layer_has_its_own_auc(validation: HeldOutValidation) -> None:
    class TwoMaps(FunctionNetwork):
        taps = (1, 2)

        def forward(self, x: "torch.Tensor") -> tuple["torch.Tensor", ...]:
            return (x, 0 * x)

    found = validation.auc_by_layer(TwoMaps(lambda x: x))  # type: ignore[arg-type]
    assert found[0] > 0.95
    assert found[1] == 0.5


@pytest.mark.slow
def test_a_pool_and_a_seed_give_the_same_auc() -> None:
    torch.manual_seed(0)
    network = Network().eval()
    found = [HeldOutValidation(synthetic_pool(), seed).auc_by_layer(network) for seed in (1, 1, 2)]
    assert found[0] == found[1]
    assert found[0] != found[2]
    validation = HeldOutValidation(synthetic_pool(), 1)
    assert validation.auc_by_layer(network) == validation.auc_by_layer(network) == found[0]


def test_validation_does_not_change_the_network(validation: HeldOutValidation) -> None:
    torch.manual_seed(0)
    network = Network().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    validation.auc_by_layer(network)
    assert network.training
    assert all(torch.equal(before[name], v) for name, v in network.state_dict().items())
    assert all(weight.grad is None for weight in network.parameters())
