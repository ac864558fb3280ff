"""A few damaged bundles and networks of each kind: loaded or refused, within bounds."""

import random
from pathlib import Path

import pytest

from experiments.bit_flips.bundle import BundleFlips
from experiments.fuzz.bundles import DamagedArrays, DamagedCards, DamagedManifests
from experiments.fuzz.frame import Target, run_cases
from experiments.fuzz.networks import StrangeNetworks


@pytest.mark.parametrize(
    ("target", "count"),
    [(DamagedCards(), 40), (DamagedManifests(), 20), (DamagedArrays(), 20)],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_damaged_file_is_loaded_or_refused(target: Target, count: int) -> None:
    summary = run_cases(target, range(count), seed=7)
    assert summary.failures == []
    assert summary.outcomes["refused"] > count / 2


@pytest.mark.slow
def test_a_strange_network_is_used_or_refused() -> None:
    summary = run_cases(StrangeNetworks(), range(12), seed=7)
    assert summary.failures == []


def test_a_flipped_bit_of_a_bundle_is_refused_with_the_remedy(tmp_path: Path) -> None:
    flips = BundleFlips(tmp_path)
    chance = random.Random(7)
    for path in flips.files:
        is_network = path.suffix == ".onnx"  # the same one in the package takes its place
        expected = "without effect" if is_network else "refused"
        for _ in range(10):
            outcome, failure = flips.flip(path, chance.randrange(8 * path.stat().st_size))
            assert (outcome, failure) == (expected, None)
