"""Spectrograms of whole signals."""

import numpy as np
import pytest

from asd_monitor.dsp.frames import split_frames
from asd_monitor.dsp.front_end import front_end_for
from asd_monitor.dsp.mel import mel_filters
from asd_monitor.dsp.spectrogram import LOG_FLOOR, log_mel_spectrogram, power_spectrogram
from tests.doubles.synthetic_sounds import machine_sound


@pytest.mark.parametrize(("samples", "frames"), [(0, 0), (9, 0), (10, 1), (13, 1), (14, 2)])
def test_frames_lie_wholly_within_the_signal(samples: int, frames: int) -> None:
    found = split_frames(np.arange(samples, dtype=np.float64), 10, 4)
    assert found.shape == (frames, 10)
    for number, frame in enumerate(found):
        assert frame.tolist() == list(range(4 * number, 4 * number + 10))


def test_power_is_the_squared_transform_of_hann_frames() -> None:
    sound = machine_sound(1.0).astype(np.float64)
    frame = sound[3 * 512 : 3 * 512 + 1024] * np.hanning(1025)[:-1]
    expected = np.abs(np.fft.rfft(frame)) ** 2
    assert power_spectrogram(sound, 1024, 512)[3] == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_precision_is_that_of_the_samples() -> None:
    sound = machine_sound(1.0)
    front_end = front_end_for(16_000)
    single = log_mel_spectrogram(sound, front_end)
    double = log_mel_spectrogram(sound.astype(np.float64), front_end)
    assert (single.itemsize, double.itemsize) == (4, 8)
    assert single == pytest.approx(double, abs=1e-4)


def test_log_mel_of_the_front_end() -> None:
    sound = machine_sound(1.0).astype(np.float64)
    mel = power_spectrogram(sound, 512, 256) @ mel_filters(8_000, 512, 99)
    front_end = front_end_for(8_000)
    assert (front_end.frame, front_end.mel_bands) == (512, 99)
    assert log_mel_spectrogram(sound, front_end) == pytest.approx(np.log10(mel))


def test_silence_is_at_the_floor() -> None:
    silence = log_mel_spectrogram(np.zeros(2048), front_end_for(16_000))
    assert silence == pytest.approx(np.full((3, 128), np.log10(LOG_FLOOR)))
