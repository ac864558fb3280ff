"""Outlier exposure: steps, held-out clips, and the weights of the classifier."""

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.encoder_training.export import import_network
from asd_monitor.encoder_training.fine_tuning import FineTunedNetwork
from asd_monitor.encoder_training.log_mel_frames import BANDS, LogMel
from asd_monitor.encoder_training.losses import SCALE, AngularMarginLoss
from asd_monitor.encoder_training.network import normalise, pooled_statistics
from asd_monitor.encoder_training.outlier_exposure import (
    classifier_weights,
    default_steps,
    split_clips,
)
from asd_monitor.encoders.encoder_loading import shipped_encoder
from asd_monitor.evaluation.ids_regime import IdScorer
from asd_monitor.model_training.sound_files import SoundFile


def log_mels(seconds: float) -> list[LogMel]:
    """Spectrograms of so much sound, in clips of 10 s."""
    clip = np.zeros((round(10.0 / 0.032), BANDS), np.float16)
    return [clip] * round(seconds / 10.0)


@pytest.mark.parametrize(
    ("seconds", "steps"), [(600.0, 300), (12_000.0, 600), (60_000.0, 3000), (300_000.0, 6000)]
)
def test_there_is_half_a_step_per_ten_seconds_of_sound(seconds: float, steps: int) -> None:
    ids = [log_mels(seconds / 2)] * 2
    assert default_steps(ids) == pytest.approx(steps, rel=0.01)


def test_the_score_of_an_id_is_the_softmax_that_was_trained() -> None:
    encoder = shipped_encoder()
    assert encoder is not None
    with torch.random.fork_rng():
        tuned = FineTunedNetwork(import_network(encoder), 5)
        log_mel = torch.randn(6, 60, BANDS) - 4
        tuned.train()
        tuned.embed([log_mel])  # gives the batch normalisation of the head its statistics
    tuned.eval()
    with torch.no_grad():
        [embedding] = tuned.embed([log_mel])
        margin = tuned.margins[-1]
        assert isinstance(margin, AngularMarginLoss)
        expected = -torch.log_softmax(SCALE * margin.cosines(embedding), 1)[:, 3]
        [maps] = tuned.network(normalise(log_mel))
    scorer = IdScorer(encoder, classifier_weights(tuned))
    found = scorer.score(pooled_statistics(maps).numpy(), 3)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-3, atol=1e-4)


def sound_file(number: int, seconds: float) -> SoundFile:
    return SoundFile(Path(f"{number}.wav"), str(number), 16_000, seconds, datetime.now(UTC))


@given(st.lists(st.floats(1, 1e4), min_size=1, max_size=30))
def test_a_fifth_is_held_out_and_every_clip_is_used_once(lengths: list[float]) -> None:
    files = [sound_file(number, seconds) for number, seconds in enumerate(lengths)]
    kept, held_out = split_clips(files)
    parts = [*kept, *held_out]
    spans = sorted((int(part.file.path.stem), part.from_s, part.to_s) for part in parts)
    for number, seconds in enumerate(lengths):
        of_file = [span[1:] for span in spans if span[0] == number]
        assert of_file[0][0] == 0
        assert of_file[-1][1] == seconds
        assert all(a[1] == b[0] for a, b in pairwise(of_file))
    assert kept
    assert held_out
    if len(files) > 5:
        assert len(held_out) == len(files) // 5
