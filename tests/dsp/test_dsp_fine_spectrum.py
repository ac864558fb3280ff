"""The fine spectrum: lines under noise, as a transform at the full rate shows them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_monitor.dsp.fine_spectrum import HIGH_HZ, LOW_HZ, decimate, fine_frames, low_pass
from asd_monitor.dsp.front_end import FrontEnd, front_end_for
from asd_monitor.dsp.window_features import FEATURES, WindowSignal
from tests.doubles.synthetic_sounds import machine_sound

BIN_S = 0.512  # a frame of the fine spectrum


def tone(sound: np.ndarray, front_end: FrontEnd) -> np.ndarray:
    samples = sound[: front_end.window].astype(np.float64)
    return FEATURES["tone"](WindowSignal(samples, front_end))


def lines_hz(front_end: FrontEnd) -> np.ndarray:
    bins = np.arange(front_end.rate_hz) * front_end.rate_hz / (8 * front_end.frame)
    return bins[(bins >= LOW_HZ) & (bins < HIGH_HZ)]


def full_rate_lines(sound: np.ndarray, front_end: FrontEnd, hops: int) -> np.ndarray:
    frame, hop = 8 * front_end.frame, hops * front_end.frame_hop
    window = sound[: front_end.window].astype(np.float64)
    starts = range(0, len(window) - frame + 1, hop)
    hann = np.hanning(frame + 1)[:-1]
    power = np.mean(
        [np.abs(np.fft.rfft(window[k : k + frame] * hann)) ** 2 for k in starts], axis=0
    )
    at_hz = np.fft.rfftfreq(frame, 1 / front_end.rate_hz)
    return np.asarray(np.log10(power[(at_hz >= LOW_HZ) & (at_hz < HIGH_HZ)] + 1e-10))


@pytest.mark.parametrize("rate_hz", [16_000, 8_000, 6_000, 4_000, 11_025])
def test_lines_are_those_of_the_full_rate(rate_hz: int) -> None:
    front_end = front_end_for(rate_hz)
    sound = machine_sound(2.5, rate_hz=rate_hz)
    expected = full_rate_lines(sound, front_end, 8)
    found = tone(sound, front_end)[: len(expected)]
    # the window is a hundredth shorter, so that no output of the filter depends on earlier samples
    assert np.abs(found - expected).mean() < 0.05
    assert np.corrcoef(found, expected)[0, 1] > 0.999


@settings(max_examples=25, deadline=None)
@given(hz=st.floats(30, 490), rate_hz=st.sampled_from([16_000, 8_000, 4_000]))
def test_a_line_under_noise_stands_out_at_its_frequency(hz: float, rate_hz: int) -> None:
    front_end = front_end_for(rate_hz)
    t = np.arange(round(2.5 * rate_hz)) / rate_hz
    noise = np.random.default_rng(1).standard_normal(len(t))
    found = tone(0.05 * np.sin(2 * np.pi * hz * t) + 0.05 * noise, front_end)
    lines = found[: len(lines_hz(front_end))]
    assert lines_hz(front_end)[int(np.argmax(lines))] == pytest.approx(hz, abs=1.1 / BIN_S)
    assert lines.max() > np.median(lines) + 1.5


@settings(max_examples=25, deadline=None)
@given(hz=st.floats(1_520, 7_900))
def test_frequencies_above_do_not_alias_into_the_lines(hz: float) -> None:
    front_end = front_end_for(16_000)
    t = np.arange(40_000) / 16_000
    quiet = 1e-6 * np.random.default_rng(1).standard_normal(len(t))
    alone = tone(quiet, front_end)
    with_tone = tone(quiet + 0.5 * np.sin(2 * np.pi * hz * t), front_end)
    count = len(lines_hz(front_end))
    loud = tone(0.5 * np.sin(2 * np.pi * 250 * t), front_end)[:count].max()
    assert with_tone[:count].max() < max(alone[:count].max(), loud - 7.5)


def test_bands_above_the_lines_are_added_up_in_pairs() -> None:
    front_end = front_end_for(16_000)
    t = np.arange(40_000) / 16_000
    found = tone(0.1 * np.sin(2 * np.pi * 3_000 * t), front_end)
    pairs = found[len(lines_hz(front_end)) :]
    assert len(pairs) == 54
    assert pairs.max() > np.median(pairs) + 4


@pytest.mark.parametrize("rate_hz", range(4_000, 16_001, 250))
def test_the_low_pass_filter_is_flat_and_stops(rate_hz: int) -> None:
    fine = fine_frames(front_end_for(rate_hz))
    taps = low_pass(rate_hz, fine.factor)
    at_hz = np.linspace(0.0, rate_hz / 2, 4001)
    waves = np.exp(-2j * np.pi * at_hz[:, None] / rate_hz * np.arange(len(taps)))
    gain = np.abs(waves @ taps) / fine.factor
    assert gain[at_hz <= HIGH_HZ] == pytest.approx(1.0, abs=1e-3)
    folded = at_hz >= rate_hz / fine.factor - HIGH_HZ
    if fine.factor > 1:
        assert gain[folded].max() < 10 ** (-75 / 20)


def test_decimation_looks_back_only() -> None:
    samples = np.random.default_rng(1).standard_normal(64)
    taps = np.arange(1.0, 9.0)
    found = decimate(samples, taps, 4)
    padded = np.concatenate([np.zeros(7), samples])
    expected = [padded[4 * k + 3 : 4 * k + 11] @ taps[::-1] for k in range(16)]
    assert found == pytest.approx(expected)
