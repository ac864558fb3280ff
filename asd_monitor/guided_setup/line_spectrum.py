"""The mean spectrum of a few seconds of sound: levels in octave bands, and hum of the mains.

Power spectra of frames of one second with a Hann window, averaged (P. D. Welch, "The use of fast
Fourier transform for the estimation of power spectra", IEEE Trans. Audio Electroacoust. 15, 1967).
The octave bands are those of IEC 61260-1.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from asd_monitor.dsp.dc_removal import DCRemover
from asd_monitor.dsp.frames import Floats, hann
from asd_monitor.records import Samples

FLOOR_DBFS = -120.0
_NOMINAL_HZ = (31.5, 63.0, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)
_OVERLAP = 4  # frames begin every quarter of a second
_KEPT = 16  # newest frames that are averaged, 4 s
_MAINS_HZ = (50, 60)
_ODD = (1, 3, 5, 7)
_MIN_ODD = 3  # odd harmonics that stand out: the forces in a motor are of even ones
_MIN_PROMINENCE_DB = 12.0
_MIN_SHARE = 0.3  # of the power of the sound


@dataclass(frozen=True, slots=True)
class OctaveBand:
    """The level in one octave."""

    centre_hz: float  # nominal
    level_dbfs: float


@dataclass(frozen=True, slots=True)
class MainsHum:
    """Hum at odd harmonics of the mains."""

    hz: int  # 50 or 60
    share: float  # of the power of the sound


class LineSpectrum:
    """The mean power in lines of 1 Hz over the newest four seconds of a stream.

    The parts of the stream may have any size.
    """

    def __init__(self, rate_hz: int) -> None:
        """Begin a stream with the sampling rate ``rate_hz``."""
        self._rate_hz = rate_hz
        self._dc_remover = DCRemover(rate_hz)
        self._window = hann(rate_hz)
        self._scale = 2.0 / (rate_hz * float(np.square(self._window).sum()))
        self._rest: Samples = np.zeros(0, np.float32)
        self._frames: deque[Floats] = deque(maxlen=_KEPT)

    def push(self, samples: Samples) -> None:
        """Add samples, (n,) float32."""
        self._rest = np.concatenate([self._rest, self._dc_remover.push(samples)])
        hop = self._rate_hz // _OVERLAP
        while len(self._rest) >= self._rate_hz:
            spectrum = np.fft.rfft(self._rest[: self._rate_hz] * self._window)
            self._frames.append(self._scale * (spectrum.real**2 + spectrum.imag**2))
            self._rest = self._rest[hop:]

    @property
    def lines(self) -> Floats | None:
        """Mean square in lines of 1 Hz, full scale 1, (rate_hz // 2 + 1,); None in the first s."""
        return np.mean(np.array(self._frames), 0) if self._frames else None

    def octaves(self) -> tuple[OctaveBand, ...]:
        """Return the bands that lie below half the rate; none in the first second."""
        lines = self.lines
        if lines is None:
            return ()
        bands = []
        for centre_hz in _NOMINAL_HZ:
            low, high = round(centre_hz / math.sqrt(2)), round(centre_hz * math.sqrt(2))
            if centre_hz > self._rate_hz / 2:
                break
            bands.append(OctaveBand(centre_hz, _level_dbfs(float(lines[low:high].sum()))))
        return tuple(bands)

    def mains_hum(self) -> MainsHum | None:
        """Return the hum of the mains, where it is a large part of the sound.

        It is found by its odd harmonics: a motor hums at even ones.
        """
        lines = self.lines
        if lines is None or not lines.sum():
            return None
        found = [hum for hz in _MAINS_HZ if (hum := _hum_at(lines, hz)) is not None]
        return max(found, key=lambda hum: hum.share, default=None)


def _hum_at(lines: Floats, mains_hz: int) -> MainsHum | None:
    stand_out = 0
    power = 0.0
    for harmonic in _ODD:
        at = harmonic * mains_hz
        if at + 20 >= len(lines):
            break
        beside = np.concatenate([lines[at - 20 : at - 4], lines[at + 5 : at + 21]])
        line = float(lines[at - 2 : at + 3].sum())
        floor = 5 * float(np.median(beside))
        if line > floor * 10 ** (_MIN_PROMINENCE_DB / 10):
            stand_out += 1
            power += line
    share = power / float(lines.sum())
    return MainsHum(mains_hz, share) if stand_out >= _MIN_ODD and share >= _MIN_SHARE else None


def _level_dbfs(mean_square: float) -> float:
    return max(FLOOR_DBFS, 10 * math.log10(mean_square)) if mean_square > 0 else FLOOR_DBFS
