"""Parameters of the front end, for every rate, window and hop."""

import numpy as np
import pytest

from asd_monitor.dsp.front_end import MIN_RATE_HZ, MIN_WINDOW_S, FrontEnd, front_end_for
from asd_monitor.dsp.mel import hz_to_mel, mel_to_hz


def test_default_parameters() -> None:
    front_end = front_end_for(48_000)
    assert front_end == FrontEnd(16_000, 1024, 512, 128, 61, 16)
    assert front_end.window_s == pytest.approx(1.984)
    assert front_end.hop_s == pytest.approx(0.512)
    assert front_end.frame_period_s == pytest.approx(0.032)
    assert front_end.frame_rate_hz == pytest.approx(31.25)


def test_low_rates_have_the_same_durations_and_fewer_bands() -> None:
    front_end = front_end_for(8_000)
    assert front_end.rate_hz == 8_000
    assert (front_end.window_s, front_end.hop_s) == pytest.approx((1.984, 0.512))
    assert front_end.frame_period_s == pytest.approx(0.032)
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
def test_invalid_parameters_are_refused(rate_hz: int, window_s: float, hop_s: float) -> None:
    with pytest.raises(ValueError, match=r"too low|a window lasts"):
        front_end_for(rate_hz, window_s, hop_s)
