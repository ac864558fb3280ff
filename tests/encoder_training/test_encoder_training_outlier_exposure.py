"""How long outlier exposure trains."""

import numpy as np
import pytest

from asd_monitor.encoder_training.outlier_exposure import training_steps
from asd_monitor.encoder_training.sound_supply import BANDS, LogMel


def log_mels(seconds: float) -> list[LogMel]:
    """Spectrograms of so much sound, in clips of 10 s."""
    clip = np.zeros((round(10.0 / 0.032), BANDS), np.float16)
    return [clip] * round(seconds / 10.0)


@pytest.mark.parametrize(
    ("seconds", "steps"), [(600.0, 300), (12_000.0, 600), (60_000.0, 3000), (300_000.0, 6000)]
)
def test_a_clip_of_ten_seconds_counts_half_a_step(seconds: float, steps: int) -> None:
    ids = [log_mels(seconds / 2)] * 2
    assert training_steps(ids) == pytest.approx(steps, rel=0.01)
