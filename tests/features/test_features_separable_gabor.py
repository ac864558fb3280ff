"""Separable Gabor filters: those of the plain definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_monitor.dsp.gabor_features import gabor_features
from asd_monitor.features.separable_gabor import GaborFeatures


@settings(max_examples=25, deadline=None)
@given(
    frames=st.integers(12, 40),
    bands=st.integers(16, 128),
    frame_rate_hz=st.floats(28.0, 33.0),
    seed=st.integers(0, 5),
)
def test_features_are_those_of_the_definition(
    frames: int, bands: int, frame_rate_hz: float, seed: int
) -> None:
    log_mel = np.random.default_rng(seed).standard_normal((frames, bands)).astype(np.float32)
    gabor = GaborFeatures(frame_rate_hz, bands)
    moduli = gabor.filter_time(gabor.filter_frequency(log_mel[None]))
    assert moduli.shape[1] == frames + 1 - gabor.receptive_field
    found = gabor.vectors(moduli.max(1, keepdims=True))[0, 0]
    expected = gabor_features(log_mel.astype(np.float64), frame_rate_hz)
    # differences of nearly equal float32 products have rounding errors
    assert np.exp(found) == pytest.approx(np.exp(expected), rel=1e-3, abs=1e-5)
