"""Recordings of a folder: finding and reading them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import soxr

from asd_monitor.encoder_training.recorded_sounds import is_held_out
from asd_monitor.records import Samples

RATE_HZ = 16000
SUFFIXES = (".flac", ".wav", ".ogg")


def find_recordings(folder: Path, *, held_out: bool = False) -> list[Path]:
    """Return all recordings below a folder in order, or only those no encoder is trained on."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return [path for path in found if is_held_out(path)] if held_out else found


def read_mono(path: Path) -> Samples:
    """Return the first channel (n,) at 16 kHz, float32."""
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    mono = np.ascontiguousarray(samples[:, 0])
    if rate_hz != RATE_HZ:
        mono = soxr.resample(mono, rate_hz, RATE_HZ)
    return np.asarray(mono, dtype=np.float32)


def rms_of(sound: Samples) -> float:
    """Return the root mean square of a sound, computed in double precision."""
    return float(np.sqrt(np.mean(sound.astype(np.float64) ** 2)))
