"""What a few seconds of sound show of a microphone: silence, clipping, hum; pure."""

from __future__ import annotations

import numpy as np

from asd_monitor.audio.files.levels import LevelDefect, LevelSummary, level_defects
from asd_monitor.microphone.spectral_change import MAINS_HZ
from asd_monitor.records import Samples

HUM_SHARE = 0.8
"""Share of the power in harmonics of the mains from which the sound counts as hum."""
_HARMONICS = 20
_MIN_HARMONICS = 3
_LINE_HZ = 1.5  # half the width of a line
_LOWEST_HZ = 20.0
_MIN_S = 1.0


def hum_share(samples: Samples, rate_hz: int) -> float:
    """Return the share of the power above 20 Hz in harmonics of 50 or 60 Hz; 0.0 without sound.

    Harmonics are lines: what is as high beside them is noise and does not count.  One or two lines
    are no hum of a cable either.

    Args:
        samples: (n,) float32, full scale 1.
        rate_hz: sample rate.

    """
    if len(samples) < _MIN_S * rate_hz:
        return 0.0
    window = np.hanning(len(samples)).astype(np.float32)
    power = np.abs(np.fft.rfft((samples - samples.mean()) * window)) ** 2
    frequencies = np.fft.rfftfreq(len(samples), 1 / rate_hz)
    power[frequencies < _LOWEST_HZ] = 0.0
    total = float(power.sum())
    if total <= 0.0:
        return 0.0
    return max(_lines(power, frequencies, mains_hz) for mains_hz in MAINS_HZ) / total


def _lines(power: np.ndarray, frequencies: np.ndarray, mains_hz: float) -> float:
    """Return the power of the lines above what is beside them."""
    found = []
    for number in range(1, _HARMONICS + 1):
        distance_hz = np.abs(frequencies - number * mains_hz)
        line = power[distance_hz <= _LINE_HZ]
        beside = power[(distance_hz > 2 * _LINE_HZ) & (distance_hz <= 4 * _LINE_HZ)]
        if len(line) and len(beside):
            excess = float(line.sum()) - float(beside.mean()) * len(line)
            if excess > float(beside.sum()):
                found.append(excess)
    return sum(found) if len(found) >= _MIN_HARMONICS else 0.0


def sound_defects(levels: LevelSummary, hum: float) -> dict[str, str]:
    """Return what is wrong with the sound by the name of the check: one line, what and remedy."""
    defects: dict[str, str] = {
        kind.value: text.replace(", and record it again", "")
        for kind, text in level_defects(levels).items()
    }
    if LevelDefect.DEAD not in defects and hum >= HUM_SHARE:
        defects["hum"] = (
            f"{hum:.0%} of the sound is mains hum: use a shielded cable, and keep it away from "
            "power cables; where the machine hums like that, nothing is to be done"
        )
    return defects
