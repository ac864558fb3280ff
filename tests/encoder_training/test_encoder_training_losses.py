"""The losses are the published ones, by slow literal versions, and keep their promises."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.encoder_training import losses
from asd_monitor.encoder_training.losses import AngularMargin, contrastive

SEEDS = st.integers(0, 2**32 - 1)


def embeddings(count: int, seed: int, width: int = 6) -> "torch.Tensor":
    """Unit vectors."""
    drawn = torch.randn(count, width, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(drawn, dim=1)


def literal(z: "torch.Tensor", labels: list[int], temperature: float) -> float:
    """Equation 2 of arXiv 2004.11362, a sum over i of those that have a fellow, as a mean."""
    rows = [[float(value) for value in row] for row in z]

    def alike(i: int, k: int) -> float:
        product = sum(a * b for a, b in zip(rows[i], rows[k], strict=True))
        return math.exp(product / temperature)

    terms = []
    for i, own in enumerate(labels):
        others = [k for k in range(len(labels)) if k != i]
        fellows = [p for p in others if labels[p] == own]
        if fellows:
            whole = sum(alike(i, k) for k in others)
            logs = [math.log(alike(i, p) / whole) for p in fellows]
            terms.append(-sum(logs) / len(fellows))
    return sum(terms) / len(terms) if terms else 0.0


@given(st.lists(st.integers(0, 3), min_size=2, max_size=12), SEEDS, st.sampled_from([0.1, 0.5]))
def test_contrastive_is_equation_2(labels: list[int], seed: int, temperature: float) -> None:
    z = embeddings(len(labels), seed)
    found = float(contrastive(z, torch.tensor(labels), temperature))
    assert found == pytest.approx(literal(z, labels, temperature), rel=1e-4, abs=1e-4)


@given(st.lists(st.integers(0, 3), min_size=2, max_size=12), SEEDS)
def test_the_order_of_the_batch_means_nothing(labels: list[int], seed: int) -> None:
    z, known = embeddings(len(labels), seed), torch.tensor(labels)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(labels)))
    loss = float(contrastive(z, known))
    assert float(contrastive(z[order], known[order])) == pytest.approx(loss, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("labels", [[5], [1, 2, 3]])
def test_where_nobody_has_a_fellow_nothing_is_learned(labels: list[int]) -> None:
    z = embeddings(len(labels), 0).requires_grad_()
    loss = contrastive(z, torch.tensor(labels))
    loss.backward()
    assert loss == 0
    assert z.grad is not None
    assert torch.equal(z.grad, torch.zeros_like(z))


def test_one_without_a_fellow_is_a_negative_and_no_more() -> None:
    z, labels = embeddings(3, 1), torch.tensor([0, 0, 1])
    assert torch.isfinite(contrastive(z, labels))
    assert contrastive(z, labels) > contrastive(z[:2], labels[:2])  # two alone: no choice, no loss
    assert contrastive(z[:2], labels[:2]) == pytest.approx(0, abs=1e-6)


@given(SEEDS, st.floats(0.05, 0.95))
def test_it_falls_when_fellows_come_together(seed: int, share: float) -> None:
    """Two labels on two axes: the one pair half open, the other closed by a share."""

    def loss(half: float) -> float:
        z = torch.tensor(
            [[math.cos(a), math.sin(a), 0.0] for a in (half, -half)]
            + [[0.0, math.cos(a), math.sin(a)] for a in (math.pi + half, math.pi - half)]
        )
        return float(contrastive(z, torch.tensor([0, 0, 1, 1])))

    wide = 0.2 + 0.8 * float(np.random.default_rng(seed).uniform())
    assert loss(wide * share) < loss(wide)


def angular(classes: int = 4, width: int = 6) -> AngularMargin:
    torch.manual_seed(3)
    return AngularMargin(width, classes)


@given(SEEDS)
def test_without_a_margin_it_is_plain_softmax_of_cosines(seed: int) -> None:
    layer, z = angular(), embeddings(7, seed)
    labels = torch.from_numpy(np.random.default_rng(seed).integers(4, size=7))
    centres = torch.nn.functional.normalize(layer.centres, dim=1)
    expected = torch.nn.functional.cross_entropy(losses.SCALE * z @ centres.T, labels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(losses, "MARGIN", 0.0)
        found = layer(z, labels)
    assert found.item() == pytest.approx(expected.item(), rel=1e-3, abs=1e-4)


@given(SEEDS)
def test_the_margin_makes_it_harder(seed: int) -> None:
    layer, z = angular().double(), embeddings(1, seed).double()
    own = torch.tensor([int(layer.cosines(z).argmax())])
    found: list[float] = []
    for margin in (0.0, 0.2, 0.4):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(losses, "MARGIN", margin)
            found.append(layer(z, own).item())
    assert found[0] < found[1] < found[2]


def test_a_vector_on_its_centre_has_a_slope() -> None:
    """The arc cosine's own slope is infinite there."""
    layer = angular()
    z = torch.nn.functional.normalize(layer.centres.detach(), dim=1).requires_grad_()
    layer(z, torch.arange(4)).backward()
    assert z.grad is not None
    assert torch.isfinite(z.grad).all()
    assert layer.centres.grad is not None
    assert torch.isfinite(layer.centres.grad).all()
