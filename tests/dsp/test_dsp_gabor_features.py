"""Spectro-temporal Gabor features: which modulations the filters respond to."""

import numpy as np
import pytest

from asd_monitor.dsp.gabor_features import (
    MODULUS_FLOOR,
    PLACES,
    RIPPLES,
    gabor_features,
    gabor_filters,
)

FRAME_RATE_HZ = 31.25
MOVING = RIPPLES * RIPPLES
FALLING = slice(1 + 2 * RIPPLES, 1 + 2 * RIPPLES + MOVING)
RISING = slice(FALLING.stop, FALLING.stop + MOVING)


def moduli(log_mel: np.ndarray) -> np.ndarray:
    """Return the largest moduli (filters, places)."""
    features = gabor_features(log_mel, FRAME_RATE_HZ)
    return (np.exp(features) - MODULUS_FLOOR).reshape(-1, PLACES)


def test_filters_have_unit_absolute_sum() -> None:
    filters = gabor_filters(FRAME_RATE_HZ)
    assert filters.shape == (1 + 2 * RIPPLES + 2 * MOVING, 9, 15)
    assert np.abs(filters).sum((1, 2)) == pytest.approx(1.0)


def test_a_constant_spectrogram_excites_the_first_filter_only() -> None:
    found = moduli(np.full((30, 128), -3.0))
    assert found[0] == pytest.approx(3.0)
    assert found[1:] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("direction", "excited", "other"), [(1, FALLING, RISING), (-1, RISING, FALLING)]
)
def test_rising_and_falling_sweeps_are_distinguished(
    direction: int, excited: slice, other: slice
) -> None:
    seconds, bands = np.arange(60)[:, None] / FRAME_RATE_HZ, np.arange(128)[None, :]
    # 6 Hz and 0.125 cycles per pair of bands: the second ripple of each axis
    sweep = np.cos(2 * np.pi * (6.0 * seconds + direction * 0.0625 * bands))
    found = moduli(sweep)[:, 2:6].mean(1)  # without the mirrored edges
    assert int(np.argmax(found[excited])) == RIPPLES + 1
    assert found[excited].max() == pytest.approx(found.max())
    assert found[excited].max() > np.e * found[other][RIPPLES + 1]


def test_a_sweep_that_falls_with_time_is_called_falling() -> None:
    """One line that moves from high to low bands."""
    log_mel = np.full((60, 128), -6.0)
    for frame in range(60):
        log_mel[frame, 127 - 2 * frame] = 0.0
    found = moduli(log_mel)
    assert found[FALLING].mean() > 1.2 * found[RISING].mean()


def test_a_brief_event_counts_as_much_as_a_repeated_one() -> None:
    log_mel = np.full((80, 128), -6.0)
    log_mel[20, 40:60] = -3.0
    repeated = log_mel.copy()
    repeated[60, 40:60] = -3.0
    assert moduli(repeated) == pytest.approx(moduli(log_mel))
