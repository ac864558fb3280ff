"""Injected faults, and halls mixed in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_monitor.synthesis.hall import draw_hall, mix, render_hall
from asd_monitor.synthesis.injection import INJECTED, inject


def clip(seed: int = 1, n: int = 32000) -> np.ndarray:
    return (0.05 * np.random.default_rng(seed).standard_normal(n)).astype(np.float32)


def difference_db(kind: str, severity: float) -> float:
    healthy = clip()
    faulty = inject(healthy, kind, severity, np.random.default_rng(7))
    return float(10.0 * np.log10(np.mean((faulty - healthy).astype(np.float64) ** 2)))


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(INJECTED), st.floats(0.0, 1.0), st.integers(0, 1000))
def test_injection_keeps_shape_type_and_full_scale(kind: str, severity: float, seed: int) -> None:
    healthy = clip(n=8000)
    faulty = inject(healthy, kind, severity, np.random.default_rng(seed))
    assert faulty.dtype == np.float32
    assert faulty.shape == healthy.shape
    assert np.isfinite(faulty).all()
    assert np.abs(faulty).max() <= 1.0


@pytest.mark.parametrize("kind", [kind for kind in INJECTED if kind != "speed"])
def test_the_change_grows_with_the_severity(kind: str) -> None:
    assert difference_db(kind, 0.1) < difference_db(kind, 0.9)


def test_an_unknown_kind_raises() -> None:
    with pytest.raises(ValueError, match="no injected fault"):
        inject(clip(), "gremlins", 0.5, np.random.default_rng(1))


def test_a_hall_has_about_unit_rms_and_is_mixed_at_the_given_snr() -> None:
    rng = np.random.default_rng(3)
    hall = render_hall(draw_hall(rng), 4.0, rng)
    assert 0.5 < float(hall.std()) < 2.0
    silent = np.zeros(len(hall), dtype=np.float32)
    mixed = mix(silent, hall, snr_db=6.0, machine_rms=0.1)
    assert float(mixed.std()) == pytest.approx(0.1 * 10 ** (-6 / 20) * float(hall.std()), rel=0.01)
