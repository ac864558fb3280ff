"""The front end: frames, mel bands and windows, against values worked out elsewhere."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.dsp.frames import History, PowerSpectra
from asd_monitor.dsp.front_end import (
    MIN_RATE_HZ,
    MIN_WINDOW_S,
    FrontEnd,
    front_end_for,
)
from asd_monitor.dsp.mel import hz_to_mel, mel_filters, mel_to_hz
from asd_monitor.features.window_statistics import level
from tests.doubles.synthetic_sounds import machine_sound


def test_the_contract_s_front_end() -> None:
    front_end = front_end_for(48_000)
    assert front_end == FrontEnd(16_000, 1024, 512, 128, 61, 16)
    assert front_end.window_s == pytest.approx(1.984)
    assert front_end.hop_s == pytest.approx(0.512)


def test_low_rates_keep_their_durations_and_lose_only_the_bands_above() -> None:
    front_end = front_end_for(8_000)
    assert front_end.rate_hz == 8_000
    assert (front_end.window_s, front_end.hop_s) == pytest.approx((1.984, 0.512))
    edges_hz = mel_to_hz(np.linspace(0, float(hz_to_mel(8_000)), 130))
    below = int(np.sum(edges_hz[2:] <= 4_000))
    assert abs(front_end.mel_bands - below) <= 2


@pytest.mark.parametrize(
    ("rate_hz", "window_s", "hop_s"),
    [
        (MIN_RATE_HZ - 1, 1.984, 0.512),
        (16_000, MIN_WINDOW_S - 0.01, 0.1),
        (16_000, 2.0, 0.0),
    ],
)
def test_what_cannot_be_is_refused(rate_hz: int, window_s: float, hop_s: float) -> None:
    with pytest.raises(ValueError, match=r"too low|a window lasts"):
        front_end_for(rate_hz, window_s, hop_s)


def test_slaney_mels_at_hand_values() -> None:
    # 3 mels are 200 Hz; 15 mels are 1 kHz; 27 more are a factor of 6.4
    assert hz_to_mel([0, 200, 1000, 6400]) == pytest.approx([0, 3, 15, 42])
    assert mel_to_hz([0, 3, 15, 42]) == pytest.approx([0, 200, 1000, 6400])


def test_mel_bands_are_triangles_of_unit_area() -> None:
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


def test_level_is_that_of_a_full_scale_sine() -> None:
    assert level(np.float32([[0.5]]))[0, 0] == pytest.approx(-3.01, abs=0.01)


def test_log_mel_is_the_power_of_hann_frames() -> None:
    sound = machine_sound(1.0)
    hann = np.hanning(1025)[:-1]
    frame = sound[3 * 512 : 3 * 512 + 1024] * hann
    power = np.abs(np.fft.rfft(frame)) ** 2
    assert PowerSpectra(1024, 512).push(sound)[3] == pytest.approx(power, rel=1e-3, abs=1e-6)


@given(st.lists(st.integers(0, 7), max_size=20), st.integers(1, 5))
def test_history_gives_the_rows_that_lie_within(sizes: list[int], step: int) -> None:
    frame, hop = 4, 2
    history = History(frame, hop)
    total = 0
    asked = 0
    for size in sizes:
        history.push(np.arange(total, total + size, dtype=np.float32)[:, None])
        total += size
        known = (total - 1) * hop + frame if total else 0
        while total and asked + 8 <= known:
            rows = history.between(asked, asked + 8)[:, 0]
            inside = [k for k in range(total) if k * hop >= asked and k * hop + frame <= asked + 8]
            assert rows.tolist() == inside
            asked += step
            history.forget(asked)
