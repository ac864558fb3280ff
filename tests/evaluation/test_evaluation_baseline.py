"""The challenge's baseline in the results of an evaluation."""

import json
from pathlib import Path

import pytest

from asd_monitor.encoder_training import autoencoder
from tests.doubles.command_line import CommandLine
from tests.doubles.small_trees import small_tree


@pytest.mark.slow
def test_the_baseline_is_part_of_the_results(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(autoencoder, "MIN_BATCHES", 100)
    root, out = small_tree(tmp_path / "tree", "2023", types=("fan", "pump")), tmp_path / "out"
    called = command_line("evaluate", root, "--output", out, "--jobs", 1, "--baseline")
    assert called.code == 0, called.err
    baselines = json.loads((out / "results.json").read_text())["baselines"]
    assert set(baselines) == {"statistics", "autoencoder"}
    assert set(baselines["autoencoder"]["machines"]) == {"fan", "pump"}
    assert 0.5 < baselines["autoencoder"]["official"] <= 1
    assert "autoencoder" in called.out
    assert "autoencoder" in (out / "report.html").read_text()
