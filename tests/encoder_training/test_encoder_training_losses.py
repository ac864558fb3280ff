"""The losses, compared with literal versions of the published equations."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_monitor.encoder_training.losses import (
    SCALE,
    AngularMarginLoss,
    supervised_contrastive_loss,
)

SEEDS = st.integers(0, 2**32 - 1)


def embeddings(count: int, seed: int, width: int = 6) -> "torch.Tensor":
    """Unit vectors."""
    drawn = torch.randn(count, width, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(drawn, dim=1)


def literal(z: "torch.Tensor", labels: list[int], temperature: float) -> float:
    """Equation 2 of arXiv 2004.11362, averaged over the windows i that have a positive."""
    rows = [[float(value) for value in row] for row in z]

    def similarity(i: int, k: int) -> float:
        product = sum(a * b for a, b in zip(rows[i], rows[k], strict=True))
        return math.exp(product / temperature)

    terms = []
    for i, own in enumerate(labels):
        others = [k for k in range(len(labels)) if k != i]
        positives = [p for p in others if labels[p] == own]
        if positives:
            whole = sum(similarity(i, k) for k in others)
            logs = [math.log(similarity(i, p) / whole) for p in positives]
            terms.append(-sum(logs) / len(positives))
    return sum(terms) / len(terms) if terms else 0.0


@settings(max_examples=30)
@given(st.lists(st.integers(0, 3), min_size=2, max_size=12), SEEDS, st.sampled_from([0.1, 0.5]))
def test_the_contrastive_loss_is_equation_2(
    labels: list[int], seed: int, temperature: float
) -> None:
    z = embeddings(len(labels), seed)
    found = float(supervised_contrastive_loss(z, torch.tensor(labels), temperature))
    assert found == pytest.approx(literal(z, labels, temperature), rel=1e-4, abs=1e-4)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 3), min_size=2, max_size=12), SEEDS)
def test_the_order_of_the_batch_has_no_influence(labels: list[int], seed: int) -> None:
    z, known = embeddings(len(labels), seed), torch.tensor(labels)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(labels)))
    loss = float(supervised_contrastive_loss(z, known))
    assert float(supervised_contrastive_loss(z[order], known[order])) == pytest.approx(
        loss, rel=1e-4, abs=1e-5
    )


@pytest.mark.parametrize("labels", [[5], [1, 2, 3]])
def test_without_positives_loss_and_gradient_are_zero(labels: list[int]) -> None:
    z = embeddings(len(labels), 0).requires_grad_()
    loss = supervised_contrastive_loss(z, torch.tensor(labels))
    loss.backward()
    assert loss == 0
    assert z.grad is not None
    assert torch.equal(z.grad, torch.zeros_like(z))


def test_a_window_without_a_positive_is_a_negative_only() -> None:
    z, labels = embeddings(3, 1), torch.tensor([0, 0, 1])
    assert torch.isfinite(supervised_contrastive_loss(z, labels))
    assert supervised_contrastive_loss(z, labels) > supervised_contrastive_loss(
        z[:2], labels[:2]
    )  # one positive and no negative
    assert supervised_contrastive_loss(z[:2], labels[:2]) == pytest.approx(0, abs=1e-6)


@settings(max_examples=30)
@given(SEEDS, st.floats(0.05, 0.95))
def test_the_loss_falls_as_positives_approach(seed: int, share: float) -> None:
    """Two labels, each a pair of vectors that include an angle about an axis."""

    def loss(half: float) -> float:
        z = torch.tensor(
            [[math.cos(a), math.sin(a), 0.0] for a in (half, -half)]
            + [[0.0, math.cos(a), math.sin(a)] for a in (math.pi + half, math.pi - half)]
        )
        return float(supervised_contrastive_loss(z, torch.tensor([0, 0, 1, 1])))

    wide = 0.2 + 0.8 * float(np.random.default_rng(seed).uniform())
    assert loss(wide * share) < loss(wide)


def angular(margin: float = 0.3) -> AngularMarginLoss:
    torch.manual_seed(3)
    return AngularMarginLoss(6, 4, margin)


@settings(max_examples=30)
@given(SEEDS)
def test_without_a_margin_the_loss_is_softmax_of_cosines(seed: int) -> None:
    layer, z = angular(margin=0.0), embeddings(7, seed)
    labels = torch.from_numpy(np.random.default_rng(seed).integers(4, size=7))
    centres = torch.nn.functional.normalize(layer.centres, dim=1)
    expected = torch.nn.functional.cross_entropy(SCALE * z @ centres.T, labels)
    assert layer(z, labels).item() == pytest.approx(expected.item(), rel=1e-3, abs=1e-4)


@settings(max_examples=30)
@given(SEEDS)
def test_a_margin_increases_the_loss(seed: int) -> None:
    z = embeddings(1, seed).double()
    own = torch.tensor([int(angular().double().cosines(z).argmax())])
    losses = [angular(margin).double()(z, own).item() for margin in (0.0, 0.2, 0.4)]
    assert losses[0] < losses[1] < losses[2]


def test_a_vector_at_its_centre_has_a_finite_gradient() -> None:
    """The derivative of the arc cosine is infinite there."""
    layer = angular()
    z = torch.nn.functional.normalize(layer.centres.detach(), dim=1).requires_grad_()
    layer(z, torch.arange(4)).backward()
    assert z.grad is not None
    assert torch.isfinite(z.grad).all()
    assert layer.centres.grad is not None
    assert torch.isfinite(layer.centres.grad).all()
