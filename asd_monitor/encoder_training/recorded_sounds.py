"""Recordings for training: which are held out, and reading them at the encoder's rate."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from asd_monitor.audio.files.recordings import read_recording
from asd_monitor.encoder_training.log_mel_frames import RATE_HZ
from asd_monitor.errors import AsdMonitorError
from asd_monitor.records import Samples

HELD_OUT_EVERY = 3  # about one recording in three is held out
MIN_SOUND_S = 0.15
MIN_RMS = 1e-4


def is_held_out(path: Path) -> bool:
    """Return whether the recording is one of the third that no encoder is trained on.

    It is chosen by a hash of the letters of its name.  Names that differ only in digits or
    punctuation, as of a series, have the same hash, so that a series is not divided.
    """
    letters = "".join(c for c in path.stem.lower() if c.isalpha())
    return hashlib.sha256(letters.encode()).digest()[0] % HELD_OUT_EVERY == 0


def read_sounds(paths: Sequence[Path], *, held_out: bool) -> tuple[list[Samples], list[str]]:
    """Read the recordings that are held out, or all others.

    Recordings that cannot be read, are silent or shorter than 0.15 s are left out.

    Returns:
        The sounds, each (n,) float32 at 16 kHz, and the names of their files.

    """
    sounds, names = [], []
    for path in paths:
        if is_held_out(path) is not held_out:
            continue
        try:
            recording = read_recording(path)
        except AsdMonitorError:
            continue
        sound = recording.samples
        if recording.rate_hz != RATE_HZ:
            import soxr  # noqa: PLC0415 - most recordings have the rate

            sound = soxr.resample(sound, recording.rate_hz, RATE_HZ)
        if len(sound) >= MIN_SOUND_S * RATE_HZ and float(np.sqrt(np.mean(sound**2))) > MIN_RMS:
            sounds.append(np.asarray(sound, np.float32))
            names.append(path.name)
    return sounds, names
