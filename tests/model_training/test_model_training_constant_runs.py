"""Runs of equal samples are removed from a stream."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.model_training.constant_runs import ConstantRunRemover
from tests.doubles.blocks import block_at


@st.composite
def streams(draw: st.DrawFn) -> tuple[np.ndarray, list[int], int]:
    """Samples with constant runs, the cuts into blocks, and the shortest run to remove."""
    runs = draw(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 12)), max_size=12))
    samples = np.concatenate(
        [np.zeros(0)] + [np.full(length, value / 4) for value, length in runs]
    ).astype(np.float32)
    cuts = draw(st.lists(st.integers(0, max(len(samples), 1)), max_size=8))
    return samples, sorted(cuts), draw(st.integers(2, 9))


@given(streams())
def test_constant_runs_are_removed_for_any_division_into_blocks(
    stream: tuple[np.ndarray, list[int], int],
) -> None:
    samples, cuts, min_run = stream
    edges = [0, *cuts, len(samples)]
    blocks = [
        block_at(100 + min(a, len(samples)), samples[a:b]) for a, b in itertools.pairwise(edges)
    ]
    remover = ConstantRunRemover(min_run)
    kept = [
        (b.start + i, float(v)) for b in remover.remove(blocks) for i, v in enumerate(b.samples)
    ]
    expected, start = [], 0
    for i in range(1, len(samples) + 1):
        if i == len(samples) or samples[i] != samples[start]:
            if i - start < min_run:
                expected += [(100 + k, float(samples[k])) for k in range(start, i)]
            start = i
    assert kept == expected
    assert remover.removed == len(samples) - len(expected)


def test_a_constant_run_ends_at_a_gap() -> None:
    ones = np.ones(6, np.float32)
    remover = ConstantRunRemover(10)
    kept = list(remover.remove([block_at(0, ones), block_at(100, ones)]))
    assert [(b.start, len(b.samples)) for b in kept] == [(0, 6), (100, 6)]
