"""Models of the compared daemons, and how a round is compared."""

import sys
from pathlib import Path

import numpy as np
import pytest

from asd_monitor.model_store.bundle import load_bundle, load_reference, save_bundle
from asd_monitor.model_store.reference_file import StoredReference
from benchmarks.daemon_comparison import Run, cell
from benchmarks.daemon_process import run_program
from benchmarks.recorded_fleet import COPY_MODELS
from tests.doubles.encoder_detector import encoder_detector


def test_copies_are_models_of_their_machines_that_are_extended_from_live_sound(
    tmp_path: Path,
) -> None:
    numbers, one = np.array([0]), np.zeros(1, np.float32)
    features = {"spectrum": np.zeros((1, 3), np.float16)}
    windows = StoredReference(features, one, numbers, numbers + 31_744, numbers, one, one)
    save_bundle(
        tmp_path,
        "first",
        encoder_detector(),
        {"commissioning": {"days": 7}},
        {},
        reference=windows,
    )
    run_program([sys.executable, "-P", str(COPY_MODELS), str(tmp_path), "first", "other"], tmp_path)
    copied = load_bundle(tmp_path, "other")
    assert copied.commissioning_days == 7
    assert len(load_reference(tmp_path, copied)) == 1


def test_a_variant_is_compared_with_the_first_one_of_the_same_round() -> None:
    def run(ms: float, pss_mb: float) -> Run:
        return Run(ms, pss_mb, (0.1,), 1)

    rounds = [[run(4.0, 100.0), run(4.4, 102.0)], [run(8.0, 100.0), run(8.8, 104.0)]]
    found = cell("now", 2, [runs[1] for runs in rounds], rounds)
    assert found["ratio"] == pytest.approx(1.1)
    assert found["mb_more_per_machine"] == pytest.approx(1.5)
    assert (found["windows"], found["lost_windows"]) == (2, 2)
