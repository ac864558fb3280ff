"""Fine-tuning: reproducible, isolated from torch's global state, heads first."""

from typing import Any

import numpy as np
import pytest
import torch

from asd_monitor.encoder_training.export import import_network
from asd_monitor.encoder_training.fine_tuning import FineTuningConfig, LabelledClips, fine_tune
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.encoder_loading import shipped_encoder

SMALL: dict[str, Any] = {"steps": 4, "backgrounds": 1, "background_s": 2.0, "lengths": (31, 40)}
QUICK = FineTuningConfig(**SMALL)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    """The shipped one, which need not be exported."""
    encoder = shipped_encoder()
    assert encoder is not None
    return encoder


def draw(rng: np.random.Generator) -> LabelledClips:
    """Two windows of each of four clips: of three machines, and one with a fault."""
    clips = [np.random.default_rng(k).normal(-4, 1, (200 + k, 128)) for k in range(4)]
    labels = [k for k in range(4) for _ in range(2)]
    machines = [0, 0, 1, 1, -1, -1, 2, 2]
    return LabelledClips([clips[k].astype(np.float16) for k in labels], labels, machines)


def weights(encoder: Encoder, config: FineTuningConfig, machines: int = 3) -> "torch.Tensor":
    network = import_network(encoder)
    state = torch.get_rng_state()
    fine_tune(network, draw, machines, config, progress=lambda *_: None, step_name="")
    assert torch.equal(torch.get_rng_state(), state)
    return torch.cat([each.detach().flatten() for each in network.parameters()])


def test_weights_depend_on_the_seed_and_torch_is_left_as_it_was(encoder: Encoder) -> None:
    threads = torch.get_num_threads()
    first = weights(encoder, QUICK)
    assert torch.equal(first, weights(encoder, QUICK))
    assert not torch.equal(first, weights(encoder, FineTuningConfig(**SMALL, seed=2)))
    assert torch.get_num_threads() == threads


def test_the_angular_margin_loss_has_an_influence(encoder: Encoder) -> None:
    assert not torch.equal(weights(encoder, QUICK), weights(encoder, QUICK, machines=0))


def test_the_network_is_frozen_while_the_heads_alone_are_trained(encoder: Encoder) -> None:
    before = torch.cat([each.detach().flatten() for each in import_network(encoder).parameters()])
    heads_only = FineTuningConfig(**SMALL, heads_only_share=1.0)
    assert torch.equal(before, weights(encoder, heads_only))
    assert not torch.equal(before, weights(encoder, QUICK))
