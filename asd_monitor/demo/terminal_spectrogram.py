"""A spectrogram of the size of a terminal."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from asd_monitor.dsp.spectrogram import power_spectrogram
from asd_monitor.records import Samples

Picture = npt.NDArray[np.float64]
"""Brightness 0 … 1, (bands, columns), the highest band first."""

_FFT_SIZE = 1024
# five stops of the palette "inferno", whose lightness is monotonic (also for colour blindness)
_STOPS = np.array([(0, 0, 8), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 225, 140)])


def spectrogram(samples: Samples, rate_hz: int, bands: int, columns: int) -> Picture:
    """Return the level in bands uniform in log frequency, from 60 Hz to 0.47 of the rate.

    `samples` is (n,); all columns are of equal duration.  Black is 60 % of the way from the
    overall floor to that of each band, so that both the machine's spectral envelope and
    changes are visible.
    """
    power = power_spectrogram(samples.astype(np.float64), _FFT_SIZE, _FFT_SIZE)  # (frames, bins)
    frames = len(power)
    edges_hz = np.geomspace(60.0, 0.47 * rate_hz, bands + 1)
    edges = np.unique(np.round(edges_hz * _FFT_SIZE / rate_hz).astype(int))
    band = np.add.reduceat(power, edges[:-1], axis=1)[:, : len(edges) - 1]
    cuts = np.linspace(0, frames, columns + 1).astype(int)[:-1]
    counts = np.diff(np.append(cuts, frames))[:, None]
    level_db = 10.0 * np.log10(np.add.reduceat(band, cuts, axis=0) / counts + 1e-12)
    floor = np.percentile(level_db, 1.0, axis=0)
    black = 0.6 * floor + 0.4 * floor.min()
    span_db = float(np.max(level_db - black))
    picture: Picture = np.clip((level_db - black) / max(span_db, 20.0), 0.0, 1.0).T[::-1]
    return picture


def palette(brightness: float) -> str:
    """Return the colour of a brightness 0 … 1 as ``#rrggbb``."""
    place = np.clip(brightness, 0.0, 1.0) * (len(_STOPS) - 1)
    stops = np.arange(len(_STOPS))
    red, green, blue = (int(np.interp(place, stops, _STOPS[:, i])) for i in range(3))
    return f"#{red:02x}{green:02x}{blue:02x}"
