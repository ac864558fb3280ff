"""The fine spectrum of streams, at every rate."""

import numpy as np
import pytest

from asd_monitor.dsp.fine_spectrum import HIGH_HZ, LOW_HZ, fine_frames
from asd_monitor.dsp.front_end import front_end_for
from asd_monitor.dsp.window_features import FEATURES, WindowSignal
from asd_monitor.features.windows import WindowStream
from tests.doubles.synthetic_sounds import machine_sound

BIN_S = 0.512  # a frame of the fine spectrum


@pytest.mark.parametrize("rate_hz", range(4_000, 16_001, 50))
def test_lines_at_every_rate(rate_hz: int) -> None:
    front_end = front_end_for(rate_hz)
    sound = machine_sound(2.1, rate_hz=rate_hz, gain=0.01)
    sound += (0.1 * np.sin(2 * np.pi * 200 * np.arange(len(sound)) / rate_hz)).astype(np.float32)
    [window] = WindowStream(front_end).push(sound)
    found = window.features["tone"]
    samples = sound[: front_end.window].astype(np.float64)
    assert found == pytest.approx(FEATURES["tone"](WindowSignal(samples, front_end)), abs=1e-3)
    bins = np.arange(rate_hz) * rate_hz / fine_frames(front_end).frame
    lines_hz = bins[(bins >= LOW_HZ) & (bins < HIGH_HZ)]
    strongest = int(np.argmax(found[: len(lines_hz)]))
    assert lines_hz[strongest] == pytest.approx(200, abs=1.1 / BIN_S)
