"""The challenge's autoencoder: network, features and training."""

from pathlib import Path

import numpy as np
import pytest
import torch

from asd_monitor.encoder_training.autoencoder import (
    BATCH,
    EPOCHS,
    FRAMES,
    MELS,
    default_epochs,
    log_mel,
    train_autoencoder,
    vectors,
)
from asd_monitor.errors import UsageError
from tests.doubles.synthetic_sounds import machine_sound, write


@pytest.fixture
def normal_clips(tmp_path: Path) -> list[Path]:
    return [write(tmp_path / f"{n}.wav", machine_sound(3.0, seed=n)) for n in range(3)]


@pytest.mark.slow
def test_the_network_is_the_published_one(normal_clips: list[Path]) -> None:
    network = train_autoencoder(normal_clips, epochs=1).network
    assert isinstance(network, torch.nn.Sequential)
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
def test_after_training_a_fault_scores_above_normal_sound(
    normal_clips: list[Path], tmp_path: Path
) -> None:
    fault = write(tmp_path / "fault.wav", machine_sound(3.0, seed=9, fault=4.0))
    fresh = write(tmp_path / "fresh.wav", machine_sound(3.0, seed=8))
    once = train_autoencoder(normal_clips, epochs=1)
    trained = train_autoencoder(normal_clips, epochs=300)
    assert trained.score(fresh) < 0.5 * once.score(fresh)
    assert trained.score(fault) > 1.2 * trained.score(fresh)
    assert train_autoencoder(normal_clips, epochs=1).score(fresh) == once.score(fresh)


def test_clips_of_several_rates_are_resampled_to_the_lowest(tmp_path: Path) -> None:
    paths = [
        write(tmp_path / "a.wav", machine_sound(2.0, rate_hz=32000), 32000),
        write(tmp_path / "b.wav", machine_sound(2.0), 16000),
    ]
    assert train_autoencoder(paths, epochs=1).rate_hz == 16000


def test_clips_that_are_too_short_are_refused(normal_clips: list[Path], tmp_path: Path) -> None:
    short = write(tmp_path / "short.wav", machine_sound(0.1))
    with pytest.raises(UsageError, match="too short"):
        train_autoencoder([short])
    assert train_autoencoder([short, *normal_clips], epochs=1)
    with pytest.raises(UsageError, match=r"short\.wav: shorter than"):
        train_autoencoder(normal_clips, epochs=1).score(short)


def test_few_vectors_are_trained_in_more_epochs() -> None:
    assert default_epochs(100) == 3000  # a single batch
    assert default_epochs(10 * BATCH) == 300
    assert default_epochs(10 * BATCH + 1) == 273
    assert default_epochs(100 * BATCH) == EPOCHS
