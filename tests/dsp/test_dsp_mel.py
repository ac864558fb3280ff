"""Mel scales and filter banks, at values worked out by hand."""

from typing import Literal

import numpy as np
import pytest

from asd_monitor.dsp.mel import (
    MelBands,
    htk_to_hz,
    hz_to_htk,
    hz_to_mel,
    mel_centres_hz,
    mel_filters,
    mel_to_hz,
)


def test_slaney_mels_at_hand_values() -> None:
    # 3 mels are 200 Hz; 15 mels are 1 kHz; 27 more are a factor of 6.4
    assert hz_to_mel([0, 200, 1000, 6400]) == pytest.approx([0, 3, 15, 42])
    assert mel_to_hz([0, 3, 15, 42]) == pytest.approx([0, 200, 1000, 6400])


def test_htk_mels_at_hand_values() -> None:
    # 1000 Hz are 1000 mel in HTK's scale, to three digits; 700 (e − 1) Hz are 1127
    assert hz_to_htk([0, 1000, 700 * (np.e - 1)]) == pytest.approx([0, 1000, 1127], rel=1e-3)
    assert htk_to_hz(hz_to_htk([60, 440, 7500])) == pytest.approx([60, 440, 7500])


def test_front_end_filters_are_triangles_of_unit_area() -> None:
    filters = mel_filters(16_000, 1024, 128)
    assert filters.shape == (513, 128)
    edges_hz = mel_to_hz(np.linspace(0, float(hz_to_mel(8_000)), 130))
    bins_hz = np.fft.rfftfreq(1024, 1 / 16_000)
    # by hand, for a band that is wide against the bins: its peak is 2 / width
    band = 120
    low, centre, high = edges_hz[band : band + 3]
    expected = np.interp(bins_hz, [low, centre, high], [0, 2 / (high - low), 0])
    assert filters[:, band] == pytest.approx(expected, abs=1e-6)
    assert filters[:, band].sum() * (8_000 / 512) == pytest.approx(1, rel=0.01)
    assert mel_centres_hz(16_000, 128)[band] == pytest.approx(centre)


@pytest.mark.parametrize("slopes", ["hz", "mel"])
@pytest.mark.parametrize("unit_area", [False, True])
def test_triangles_span_to_the_centres_beside_them(
    slopes: Literal["hz", "mel"], unit_area: bool
) -> None:
    bands = MelBands(125.0, 7500.0, 8, scale="htk", unit_area=unit_area, slopes=slopes)
    weights = bands.weights(16_000, 512)
    assert weights.shape == (257, 8)
    edges_mel = np.linspace(float(hz_to_htk(125)), float(hz_to_htk(7500)), 10)
    edges_hz = 700 * (np.exp(edges_mel / 1127) - 1)
    bins_hz = np.arange(257) * 16_000 / 512
    x, edges = (hz_to_htk(bins_hz), edges_mel) if slopes == "mel" else (bins_hz, edges_hz)
    for band in range(8):
        height = 2 / (edges_hz[band + 2] - edges_hz[band]) if unit_area else 1.0
        expected = np.interp(x, edges[band : band + 3], [0, height, 0])
        assert weights[:, band] == pytest.approx(expected, abs=1e-6)
