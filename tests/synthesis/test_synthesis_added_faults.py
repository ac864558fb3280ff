"""Faults added by their level."""

import numpy as np
import pytest

from asd_monitor.synthesis.added_faults import FaultKind, band_rms, draw_fault


def noise(rate_hz: int, seconds: float = 10.0) -> np.ndarray:
    n = round(seconds * rate_hz)
    return (0.1 * np.random.default_rng(1).standard_normal(n)).astype(np.float32)


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 48_000])
@pytest.mark.parametrize("seed", range(3))
def test_a_tone_is_that_far_above_its_third_octave_band(rate_hz: int, seed: int) -> None:
    normal = noise(rate_hz)
    rng = np.random.default_rng(seed)
    tone = draw_fault(FaultKind.TONE, normal, 0.1, 10.0, rng, rate_hz=rate_hz).at(6.0)
    hz = float(np.argmax(np.abs(np.fft.rfft(tone)))) / 10.0
    assert 250 <= hz <= min(5000, 0.45 * rate_hz)
    level_db = 20 * np.log10(np.sqrt(np.mean(tone**2)) / band_rms(normal, hz, rate_hz))
    assert level_db == pytest.approx(6.0, abs=0.5)


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 48_000])
def test_impacts_are_that_far_below_the_machine(rate_hz: int) -> None:
    rng = np.random.default_rng(2)
    fault = draw_fault(FaultKind.IMPACTS, noise(rate_hz), 0.1, 10.0, rng, rate_hz=rate_hz)
    impacts = fault.at(-9.0)
    assert impacts.shape == (10 * rate_hz,)
    level_db = 20 * np.log10(np.sqrt(np.mean(impacts.astype(float) ** 2)) / 0.1)
    assert level_db == pytest.approx(-9.0, abs=0.01)
    assert np.abs(impacts).max() > 4 * np.sqrt(np.mean(impacts**2))  # impulsive
