"""Sound → picture of its level over time and frequency: the log-mel frames of the front end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from asd_monitor.dsp.frames import hann
from asd_monitor.dsp.mel import mel_centres_hz, mel_filters
from asd_monitor.dsp.short_time_transform import ShortTimeTransform
from asd_monitor.dsp.spectrogram import LOG_FLOOR
from asd_monitor.records import Samples

Floats = npt.NDArray[np.float32]

FRAME, HOP, BANDS = 1024, 512, 128
"""Of the front end by default, so that pictures compare with its training windows."""
COARSE_S = 0.25
"""Step of the pictures of a machine whose speech must not be stored.

Speech is not intelligible without the modulations of its envelopes from 1 to 16 Hz (R. Drullman,
J. M. Festen and R. Plomp, J. Acoust. Soc. Am. 95, 1994); a step of 250 ms has none above 2 Hz."""
_FRAMES_AT_ONCE = 256


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """Levels over time and frequency."""

    levels_db: Floats  # (columns, bands)
    step_s: float  # of the columns
    centres_hz: npt.NDArray[np.float64]  # (bands,)
    begins: tuple[int, ...] = ()
    """Columns at which a piece that does not adjoin the one before begins."""
    lost: tuple[int, ...] = ()
    """Columns that a gap of the sound is in."""

    @property
    def captured_db(self) -> Floats:
        """The levels (n, bands) of the columns without a gap; of all where each has one."""
        if len(self.lost) == len(self.levels_db):
            return self.levels_db
        return np.delete(self.levels_db, self.lost, axis=0)

    def with_gaps(self, gaps_s: Iterable[tuple[float, float]]) -> Picture:
        """Return it with the columns that gaps are in, given by their begins and ends in s."""
        lost: set[int] = set()
        for begin_s, end_s in gaps_s:
            first = max(0, int(begin_s / self.step_s) - 1)  # a frame is longer than a step
            lost |= set(range(first, min(len(self.levels_db), int(end_s / self.step_s) + 1)))
        return replace(self, lost=tuple(sorted(lost)))

    @property
    def seconds(self) -> float:
        """Length of the picture."""
        return len(self.levels_db) * self.step_s

    def row_of(self, hz: float) -> float:
        """Return the place of a frequency, 0 at the bottom, 1 at the top of the picture."""
        bands = len(self.centres_hz)
        at = float(np.interp(hz, self.centres_hz, np.arange(bands) + 0.5))
        return at / bands


def picture_of(samples: Samples, rate_hz: int, *, coarse: bool = False) -> Picture:
    """Return the picture of conditioned sound (n,).

    Args:
        samples: the sound.
        rate_hz: its rate.
        coarse: whether its steps are `COARSE_S` long, in which speech is not intelligible.

    """
    power = _mel_power(samples, rate_hz)
    step = HOP
    if coarse:
        joined = max(1, round(COARSE_S * rate_hz / HOP))
        whole = len(power) // joined * joined
        power = power[: max(whole, min(len(power), joined))]
        power = power.reshape(-1, min(joined, max(1, len(power))), power.shape[1]).mean(1)
        step = HOP * joined
    levels = 10.0 * np.log10(np.maximum(power, LOG_FLOOR))
    return Picture(levels.astype(np.float32), step / rate_hz, mel_centres_hz(rate_hz, BANDS))


def picture_of_windows(
    spectra: npt.NDArray[np.floating], rate_hz: int, step_s: float, begins: Sequence[int] = ()
) -> Picture:
    """Return the picture of windows from their mean log-mel spectra (windows, bands), log10."""
    levels = 10.0 * np.asarray(spectra, np.float32)
    centres = mel_centres_hz(rate_hz, levels.shape[1])
    return Picture(levels, step_s, centres, tuple(begins))


def _mel_power(samples: Samples, rate_hz: int) -> Floats:
    """Return the power (frames, bands) in mel bands; at least one frame."""
    missing = FRAME - len(samples)
    if missing > 0:
        samples = np.concatenate([samples, np.zeros(missing, np.float32)])
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::HOP]
    transform, filters = ShortTimeTransform(hann(FRAME)), mel_filters(rate_hz, FRAME, BANDS)
    rows = []
    for at in range(0, len(frames), _FRAMES_AT_ONCE):
        spectra = transform(frames[at : at + _FRAMES_AT_ONCE])
        rows.append((spectra.real**2 + spectra.imag**2) @ filters)
    return np.concatenate(rows)
