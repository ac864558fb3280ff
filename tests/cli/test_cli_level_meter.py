"""The level meter of `record` shows the level of the sound, without an offset."""

import numpy as np
import pytest

from asd_monitor.cli.level_meter import LevelMeter

RATE_HZ = 16_000


@pytest.mark.parametrize("offset", [0.0, 0.01, 0.1])
def test_the_level_is_that_of_the_sound(offset: float, capsys: pytest.CaptureFixture[str]) -> None:
    sound = np.random.default_rng(1).normal(0.0, 1e-3, 21 * RATE_HZ) + offset
    with LevelMeter(21.0) as meter:
        for end in range(1600, len(sound) + 1, 1600):
            block = sound[end - 1600 : end].astype(np.float32)
            meter.show(block, RATE_HZ, end / RATE_HZ)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert all("-60 dBFS" in line for line in lines)
    assert all(-50 < float(line.rsplit("peak ", 1)[1].split()[0]) < -44 for line in lines)
