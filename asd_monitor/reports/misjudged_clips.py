"""The test clips that the detector misjudges most, as pictures and as sound for a page."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from asd_monitor.audio.files.recordings import RecordingReader
from asd_monitor.dsp.resampling import Resampler
from asd_monitor.dsp.spectrogram import LOG_FLOOR, mel_spectrogram
from asd_monitor.evaluation.dcase_data_set import LabelledClip
from asd_monitor.evaluation.results import FUSED, MachineResult
from asd_monitor.records import Samples
from asd_monitor.reports.png import as_picture, data_url

MAX_CLIPS = 6
"""Clips of each class on a page…"""
MAX_CLIPS_OF_MACHINE = 2
"""…and of each machine, where there are several."""
MAX_RATE_HZ, MAX_CLIP_S = 16_000, 12.0
"""Limits of the sound in a page."""
NOMINAL_RMS, MAX_PEAK = 0.08, 0.9
"""To which clips are scaled; full scale is 1."""
_FRAME, _HOP, _BANDS = 1024, 512, 96
_RANGE_DB = 60.0


@dataclass(frozen=True, slots=True)
class MisjudgedClip:
    """A normal clip with a high score, or an anomalous one with a low score."""

    result: MachineResult
    clip: LabelledClip
    score: float

    @property
    def relative_score(self) -> float:
        """The score over the machine's threshold, by which machines can be compared."""
        return self.score / self.result.threshold


def worst_clips(results: Iterable[MachineResult], *, anomalous: bool) -> list[MisjudgedClip]:
    """Return the anomalous clips with the lowest, or the normal ones with the highest scores.

    The worst first; at most `MAX_CLIPS`, and at most `MAX_CLIPS_OF_MACHINE` of a machine.
    """
    every = [
        MisjudgedClip(result, clip, score)
        for result in results
        for clip, score in zip(result.machine.test, result.scores[FUSED], strict=True)
        if clip.anomalous is anomalous
    ]
    every.sort(key=lambda each: each.relative_score, reverse=not anomalous)
    several = len({each.result.machine.name for each in every}) > 1
    taken: Counter[str] = Counter()
    chosen = []
    for each in every:
        name = each.result.machine.name
        if not several or taken[name] < MAX_CLIPS_OF_MACHINE:
            taken[name] += 1
            chosen.append(each)
    return chosen[:MAX_CLIPS]


def read_clip(path: Path, channel: int | None) -> tuple[int, Samples]:
    """Return rate and samples (n,) of the beginning of a clip, at 16 kHz or less.

    Raises UsageError and OperationError, as `RecordingReader`.
    """
    pieces = []
    with RecordingReader(path, channel) as reader:
        rate_hz = min(reader.rate_hz, MAX_RATE_HZ)
        resampler = Resampler(reader.rate_hz, rate_hz)
        for block in reader.blocks():
            pieces.append(resampler.push(block.samples))
            if block.end >= MAX_CLIP_S * reader.rate_hz:
                break
        pieces.append(resampler.flush())
    return rate_hz, np.concatenate(pieces)[: round(MAX_CLIP_S * rate_hz)]


def spectrogram(samples: Samples, rate_hz: int) -> str:
    """Return a log-mel spectrogram as the data URL of a picture, low frequencies at the bottom."""
    padded = np.pad(samples, (0, max(0, _FRAME - len(samples))))
    power = mel_spectrogram(padded, rate_hz, _FRAME, _HOP, _BANDS).astype(np.float64)
    decibels = 10.0 * np.log10(np.maximum(power, LOG_FLOOR))
    high = float(np.quantile(decibels, 0.998))
    low = max(high - _RANGE_DB, float(np.quantile(decibels, 0.02)))
    return data_url(as_picture(decibels.T[::-1], low, high))


def playable(samples: Samples, rate_hz: int) -> str:
    """Return a clip as the data URL of a FLAC file, scaled to a nominal level."""
    plain = samples.astype(np.float64)
    rms = float(np.sqrt(np.mean(plain**2))) if len(plain) else 0.0
    gain = NOMINAL_RMS / max(rms, 1e-6)
    gain = min(gain, MAX_PEAK / max(float(np.abs(plain).max(initial=0.0)), 1e-6))
    file = io.BytesIO()
    soundfile.write(file, plain * gain, rate_hz, format="FLAC", subtype="PCM_16")
    return "data:audio/flac;base64," + base64.b64encode(file.getvalue()).decode()
