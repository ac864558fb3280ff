"""A spectrogram small enough for a terminal."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from asd_monitor.records import Samples

Picture = npt.NDArray[np.float64]
"""Brightness 0 … 1, (bands from high to low, columns)."""

_SIZE = 1024
# five stops of the inferno palette, which reads in grey and by the colour-blind too
_STOPS = np.array([(0, 0, 8), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 225, 140)])


def spectrogram(samples: Samples, rate_hz: int, bands: int, columns: int) -> Picture:
    """Return log energy in bands even in log frequency, 60 Hz to 0.47 of the rate.

    Every column is a stretch of equal length.  Bands are halfway evened out, so that both
    the machine's own colour and what is new can be seen.
    """
    frames = len(samples) // _SIZE
    windowed = samples[: frames * _SIZE].reshape(frames, _SIZE) * np.hanning(_SIZE)
    power = np.abs(np.fft.rfft(windowed, axis=1)) ** 2  # (frames, bins)
    edges_hz = np.geomspace(60.0, 0.47 * rate_hz, bands + 1)
    edges = np.unique(np.round(edges_hz * _SIZE / rate_hz).astype(int))
    band = np.add.reduceat(power, edges[:-1], axis=1)[:, : len(edges) - 1]
    cuts = np.linspace(0, frames, columns + 1).astype(int)[:-1]
    counts = np.diff(np.append(cuts, frames))[:, None]
    level_db = 10.0 * np.log10(np.add.reduceat(band, cuts, axis=0) / counts + 1e-12)
    floor = np.percentile(level_db, 1.0, axis=0)
    dark = 0.6 * floor + 0.4 * floor.min()
    bright = float(np.max(level_db - dark))
    picture: Picture = np.clip((level_db - dark) / max(bright, 20.0), 0.0, 1.0).T[::-1]
    return picture


def palette(brightness: float) -> str:
    """Return the colour of a brightness 0 … 1 as rich writes it."""
    place = np.clip(brightness, 0.0, 1.0) * (len(_STOPS) - 1)
    stops = np.arange(len(_STOPS))
    red, green, blue = (int(np.interp(place, stops, _STOPS[:, i])) for i in range(3))
    return f"#{red:02x}{green:02x}{blue:02x}"
