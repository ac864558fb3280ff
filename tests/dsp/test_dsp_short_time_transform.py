"""The short-time transform in single precision."""

import numpy as np
import pytest

from asd_monitor.dsp.frames import hann, split_frames
from asd_monitor.dsp.short_time_transform import ShortTimeTransform
from tests.doubles.synthetic_sounds import machine_sound

FRAMES = split_frames(machine_sound(2.0), 1024, 512)[:60]


def in_double(frames: np.ndarray, window: np.ndarray, size: int) -> np.ndarray:
    return np.fft.rfft(frames.astype(np.float64) * window.astype(np.float32), size)


@pytest.mark.parametrize(("frame", "size"), [(1024, 1024), (1024, 2048), (400, 512), (441, 441)])
def test_rounding_is_135_db_below_the_frame(frame: int, size: int) -> None:
    frames, window = FRAMES[:, :frame], hann(frame)
    expected = in_double(frames, window, size)
    found = ShortTimeTransform(window, size)(frames)
    assert found.dtype == np.complex64
    assert found.shape == (len(frames), size // 2 + 1)
    noise = np.mean(np.abs(found - expected) ** 2, axis=1)
    assert np.all(noise < 10**-13.5 * np.mean(np.abs(expected) ** 2, axis=1))


def test_transform_is_not_in_double_precision_which_takes_four_times_as_long() -> None:
    window = hann(1024)
    in_single = ShortTimeTransform(window)(FRAMES)
    assert not np.array_equal(in_single, in_double(FRAMES, window, 1024).astype(np.complex64))


def test_spectrum_of_a_frame_is_the_same_in_any_batch() -> None:
    transform = ShortTimeTransform(hann(1024))
    together = transform(FRAMES.reshape(2, 30, 1024)[:, ::2])
    for row, column in np.ndindex(2, 15):
        alone = transform(FRAMES[30 * row + 2 * column])
        # several frames may be transformed by other instructions than one
        assert np.abs(together[row, column] - alone).max() <= 1e-6 * np.abs(alone).max()
