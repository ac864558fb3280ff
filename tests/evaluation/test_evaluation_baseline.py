"""The challenge's autoencoder: its shape, its features, and its place beside our detector."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.doubles.command_line import CommandLine
from tests.doubles.small_trees import small_tree
from tests.doubles.synthetic_sounds import machine_sound, write

from asd_monitor.encoder_training import autoencoder
from asd_monitor.encoder_training.autoencoder import (
    FRAMES,
    MELS,
    log_mel,
    train_autoencoder,
    vectors,
)
from asd_monitor.errors import UsageError


@pytest.fixture
def reference(tmp_path: Path) -> list[Path]:
    return [write(tmp_path / f"{n}.wav", machine_sound(3.0, seed=n)) for n in range(3)]


def test_it_is_the_published_network(reference: list[Path]) -> None:
    network = train_autoencoder(reference, epochs=1).network
    assert sum(parameter.numel() for parameter in network.parameters()) == 267_928
    widths = [layer.out_features for layer in network if isinstance(layer, torch.nn.Linear)]
    assert widths == [128] * 4 + [8] + [128] * 4 + [640]


def test_features_are_centred_log_mel_frames(tmp_path: Path) -> None:
    t = np.arange(16000) / 16000
    path = write(tmp_path / "tone.wav", 0.5 * np.sin(2 * np.pi * 1000 * t), subtype="FLOAT")
    frames = log_mel(path, 16000, 0)
    assert frames.shape == (1 + 16000 // 512, MELS)
    # a sine of amplitude ½ has a power of (512 / 2 · ½)² in its bin, spread over its
    # neighbours by the window: 1.5 times that in all, times the band's height, 2 / width in Hz
    loudest = int(frames[10].argmax())
    assert 35 <= loudest <= 45  # 1 kHz is a third of the mels up
    assert 10 * np.log10((512 / 4) ** 2 * 2 / 80) == pytest.approx(frames[10].max(), abs=4)
    joined = vectors(frames, np.array([2, 7]))
    assert joined.shape == (2, FRAMES * MELS)
    np.testing.assert_array_equal(joined[1], frames[7:12].ravel())


@pytest.mark.slow
def test_it_learns_and_hears_a_fault(reference: list[Path], tmp_path: Path) -> None:
    fault = write(tmp_path / "fault.wav", machine_sound(3.0, seed=9, fault=4.0))
    fresh = write(tmp_path / "fresh.wav", machine_sound(3.0, seed=8))
    once = train_autoencoder(reference, epochs=1)
    learned = train_autoencoder(reference, epochs=300)
    assert learned.score(fresh) < 0.5 * once.score(fresh)
    assert learned.score(fault) > 1.2 * learned.score(fresh)
    assert train_autoencoder(reference, epochs=1).score(fresh) == once.score(fresh)


def test_a_mixture_of_rates_is_heard_at_the_lowest(tmp_path: Path) -> None:
    paths = [
        write(tmp_path / "a.wav", machine_sound(2.0, rate_hz=32000), 32000),
        write(tmp_path / "b.wav", machine_sound(2.0), 16000),
    ]
    assert train_autoencoder(paths, epochs=1).rate_hz == 16000


def test_what_is_too_short_is_said(reference: list[Path], tmp_path: Path) -> None:
    short = write(tmp_path / "short.wav", machine_sound(0.1))
    with pytest.raises(UsageError, match="too short"):
        train_autoencoder([short])
    assert train_autoencoder([short, *reference], epochs=1)
    with pytest.raises(UsageError, match=r"short\.wav: shorter than"):
        train_autoencoder(reference, epochs=1).score(short)


def test_small_data_are_learned_in_more_epochs(
    reference: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: set[float] = set()
    monkeypatch.setattr(autoencoder, "EPOCHS", 2)
    monkeypatch.setattr(autoencoder, "LEAST_BATCHES", 5)
    train_autoencoder(reference, progress=lambda _, share: told.add(share))
    assert told == {0.0, 0.2, 0.4, 0.6, 0.8}  # three clips make one batch
    monkeypatch.setattr(autoencoder, "BATCH", 64)  # five of them
    told.clear()
    train_autoencoder(reference, progress=lambda _, share: told.add(share))
    assert told == {0.0, 0.5}


@pytest.mark.slow
def test_it_stands_beside_the_fused_score(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(autoencoder, "LEAST_BATCHES", 100)
    root, out = small_tree(tmp_path / "tree", "2023", types=("fan", "pump")), tmp_path / "out"
    called = command_line("evaluate", root, "--output", out, "--jobs", 1, "--baseline")
    assert called.code == 0, called.err
    told = json.loads((out / "results.json").read_text())["baselines"]
    assert set(told) == {"statistics", "autoencoder"}
    assert set(told["autoencoder"]["machines"]) == {"fan", "pump"}
    assert 0.5 < told["autoencoder"]["official"] <= 1
    assert "autoencoder" in called.out
    assert "autoencoder" in (out / "report.html").read_text()
