"""The definitions of the features, at values worked out by hand."""

import numpy as np
import pytest

from asd_monitor.dsp.envelope_statistics import band_envelopes, envelope_statistics
from asd_monitor.dsp.front_end import MIN_WINDOW_S, front_end_for
from asd_monitor.dsp.modulation_spectrum import (
    MODULATION_BANDS,
    modulation_bands,
    modulation_spectrum,
)
from asd_monitor.dsp.spectral_statistics import (
    level_dbfs,
    log_deviation,
    mean_spectrum,
    peak_spectrum,
    spectral_flux,
)
from asd_monitor.dsp.window_features import FEATURES, NAMES, WindowSignal
from tests.doubles.synthetic_sounds import machine_sound

FRAME_RATE_HZ = 31.25


def test_names_are_those_of_bundles_and_messages() -> None:
    assert (
        *("level", "spectrum", "peaks", "spread", "change"),
        *("tone", "texture", "rhythm", "pattern"),
    ) == NAMES


def test_level_of_a_full_scale_sine() -> None:
    sine = np.sin(2 * np.pi * np.arange(1600) / 16)
    assert level_dbfs(sine) == pytest.approx([-3.01], abs=0.01)
    assert level_dbfs(np.zeros(1600)) == pytest.approx([-120.0])


def test_spectral_statistics_by_hand() -> None:
    log_mel = np.array([[0.0, 1.0], [2.0, 1.0], [1.0, 1.0]])
    assert mean_spectrum(log_mel) == pytest.approx([1.0, 1.0])
    assert peak_spectrum(log_mel) == pytest.approx([2.0, 1.0])
    assert np.exp(log_deviation(log_mel)) == pytest.approx([np.sqrt(2 / 3) + 1e-3, 1e-3])
    assert spectral_flux(log_mel) == pytest.approx([1.5, 0.0])


def test_envelopes_are_compressed_to_the_power_of_0_3() -> None:
    sound = machine_sound(1.0).astype(np.float64)
    front_end = front_end_for(16_000)
    quiet, loud = (WindowSignal(gain * sound, front_end).power for gain in (1.0, 2.0))
    ratio = band_envelopes(loud, 16_000) / band_envelopes(quiet, 16_000)
    assert ratio.shape[1] == 32
    assert ratio == pytest.approx(2**0.3)


def test_envelope_statistics_by_hand() -> None:
    # one envelope in four frames: mean 2, variance 3, third and fourth central moment 6 and 21
    found = envelope_statistics(np.array([[1.0], [1.0], [1.0], [5.0]]))
    deviation = np.sqrt(3.0)
    expected = [np.log(2), np.log(deviation / 2), np.log(21 / 9), 6 / deviation**3]
    assert found == pytest.approx(expected, abs=1e-5)


def test_kurtosis_of_a_constant_envelope_is_limited() -> None:
    found = envelope_statistics(np.full((10, 1), 0.5))
    assert found[2] == 0.0
    assert np.isfinite(found).all()


@pytest.mark.parametrize("frames", [19, 37, 61, 97])
def test_every_modulation_band_has_a_frequency(frames: int) -> None:
    bands = modulation_bands(frames, FRAME_RATE_HZ)
    assert bands.shape == (MODULATION_BANDS, frames // 2 + 1)
    assert bands.any(1).all()
    assert not bands[:, 0].any()


@pytest.mark.parametrize("modulation_hz", [1.5, 4.0, 10.0])
def test_modulation_shows_in_its_band_whatever_the_level(modulation_hz: float) -> None:
    seconds = np.arange(61) / FRAME_RATE_HZ
    envelope = (1 + 0.3 * np.cos(2 * np.pi * modulation_hz * seconds))[:, None]
    envelopes = np.hstack([envelope, envelope])
    found = modulation_spectrum(envelopes, FRAME_RATE_HZ)
    assert found.shape == (MODULATION_BANDS,)
    edges_hz = np.geomspace(0.8, 15.0, MODULATION_BANDS + 1)
    assert int(np.argmax(found)) == int(np.searchsorted(edges_hz, modulation_hz)) - 1
    assert modulation_spectrum(7.0 * envelopes, FRAME_RATE_HZ) == pytest.approx(found)


@pytest.mark.parametrize("samples", [np.zeros(20_000), np.full(20_000, 0.5)])
def test_features_of_silence_and_of_a_constant_are_finite(samples: np.ndarray) -> None:
    front_end = front_end_for(16_000, MIN_WINDOW_S, 0.1)
    window = WindowSignal(samples[: front_end.window], front_end)
    for name, feature in FEATURES.items():
        assert np.isfinite(feature(window)).all(), name
