"""The fine spectrum: lines under noise, as a transform at the full rate shows them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_monitor.dsp.front_end import FrontEnd, front_end_for
from asd_monitor.features.decimated_spectrum import HIGH_HZ, LOW_HZ
from asd_monitor.features.windows import WindowStream
from tests.doubles.synthetic_sounds import machine_sound

BIN_S = 0.512  # a frame of the fine spectrum


def tone_of(sound: np.ndarray, front_end: FrontEnd) -> np.ndarray:
    [window, *_] = WindowStream(front_end).push(sound.astype(np.float32))
    return window.features["tone"]


def lines_hz(front_end: FrontEnd) -> np.ndarray:
    bins = np.arange(front_end.rate_hz) * front_end.rate_hz / (8 * front_end.frame)
    return bins[(bins >= LOW_HZ) & (bins < HIGH_HZ)]


def plain(sound: np.ndarray, front_end: FrontEnd, hops: int) -> np.ndarray:
    frame, hop = 8 * front_end.frame, hops * front_end.frame_hop
    window = sound[: front_end.window].astype(np.float64)
    starts = range(0, len(window) - frame + 1, hop)
    hann = np.hanning(frame + 1)[:-1]
    power = np.mean(
        [np.abs(np.fft.rfft(window[k : k + frame] * hann)) ** 2 for k in starts], axis=0
    )
    at_hz = np.fft.rfftfreq(frame, 1 / front_end.rate_hz)
    return np.log10(power[(at_hz >= LOW_HZ) & (at_hz < HIGH_HZ)] + 1e-10)


@pytest.mark.parametrize("rate_hz", [16_000, 8_000, 6_000, 4_000, 11_025])
def test_lines_are_those_of_the_full_rate(rate_hz: int) -> None:
    front_end = front_end_for(rate_hz)
    sound = machine_sound(2.5, rate_hz=rate_hz)
    expected = plain(sound, front_end, 8)
    found = tone_of(sound, front_end)[: len(expected)]
    # a frame is a hundredth shorter, for the low-pass has to see all of what it passes on
    assert np.abs(found - expected).mean() < 0.05
    assert np.corrcoef(found, expected)[0, 1] > 0.999


@pytest.mark.parametrize("rate_hz", range(4_000, 16_001, 50))
def test_sound_of_every_rate_has_its_lines(rate_hz: int) -> None:
    front_end = front_end_for(rate_hz)
    t = np.arange(round(2.1 * rate_hz)) / rate_hz
    found = tone_of(0.1 * np.sin(2 * np.pi * 200 * t), front_end)
    lines = found[: len(lines_hz(front_end))]
    assert lines_hz(front_end)[int(np.argmax(lines))] == pytest.approx(200, abs=1.1 / BIN_S)


@settings(max_examples=25, deadline=None)
@given(hz=st.floats(30, 490), rate_hz=st.sampled_from([16_000, 8_000, 4_000]))
def test_a_line_under_noise_stands_out_where_it_is(hz: float, rate_hz: int) -> None:
    front_end = front_end_for(rate_hz)
    t = np.arange(round(2.5 * rate_hz)) / rate_hz
    noise = np.random.default_rng(1).standard_normal(len(t))
    found = tone_of(0.05 * np.sin(2 * np.pi * hz * t) + 0.05 * noise, front_end)
    lines = found[: len(lines_hz(front_end))]
    assert lines_hz(front_end)[int(np.argmax(lines))] == pytest.approx(hz, abs=1.1 / BIN_S)
    assert lines.max() > np.median(lines) + 1.5


@settings(max_examples=25, deadline=None)
@given(hz=st.floats(1_520, 7_900))
def test_what_lies_above_does_not_fold_into_the_lines(hz: float) -> None:
    front_end = front_end_for(16_000)
    t = np.arange(40_000) / 16_000
    quiet = 1e-6 * np.random.default_rng(1).standard_normal(len(t))
    alone = tone_of(quiet, front_end)
    beside = tone_of(quiet + 0.5 * np.sin(2 * np.pi * hz * t), front_end)
    count = len(lines_hz(front_end))
    loud = tone_of(0.5 * np.sin(2 * np.pi * 250 * t), front_end)[:count].max()
    assert beside[:count].max() < max(alone[:count].max(), loud - 7.5)


def test_pairs_of_bands_above_are_means_of_their_energies() -> None:
    front_end = front_end_for(16_000)
    t = np.arange(40_000) / 16_000
    found = tone_of(0.1 * np.sin(2 * np.pi * 3_000 * t), front_end)
    pairs = found[len(lines_hz(front_end)) :]
    assert len(pairs) == 54
    assert pairs.max() > np.median(pairs) + 4
