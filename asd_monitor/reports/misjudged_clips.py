"""The clips that the detector judged worst, as pictures and as sound for a page."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from asd_monitor.audio.files.recordings import RecordingReader
from asd_monitor.dsp.frames import PowerSpectra
from asd_monitor.dsp.mel import mel_filters
from asd_monitor.dsp.resampling import Resampler
from asd_monitor.evaluation.dcase_layouts import Clip
from asd_monitor.records import Samples
from asd_monitor.reports.png import as_picture, data_url

if TYPE_CHECKING:
    from asd_monitor.evaluation.results import MachineResult

MOST = 6  # of a class
MOST_OF_A_MACHINE = 2
HIGHEST_RATE_HZ, LONGEST_S = 16000, 12.0  # of what a page holds
LOUDNESS, PEAK = 0.08, 0.9  # RMS, full scale 1
_FRAME, _HOP, _BANDS = 1024, 512, 96
_RANGE_DB = 60.0


@dataclass(frozen=True, slots=True)
class Misjudged:
    """A normal clip that scored high, or an anomalous one that scored low."""

    result: MachineResult
    clip: Clip
    score: float

    @property
    def against_threshold(self) -> float:
        """The score over the machine's threshold, by which machines can be compared."""
        return self.score / self.result.threshold


def worst_clips(results: Iterable[MachineResult], *, anomalous: bool) -> list[Misjudged]:
    """Return the lowest scored anomalies or the highest scored normals, the worst first.

    At most six, and at most two of a machine where there are several.
    """
    every = [
        Misjudged(result, clip, score)
        for result in results
        for clip, score in zip(result.machine.test, result.scores["fused"], strict=True)
        if clip.anomalous is anomalous
    ]
    every.sort(key=lambda each: each.against_threshold, reverse=not anomalous)
    several = len({each.result.machine.name for each in every}) > 1
    taken: Counter[str] = Counter()
    kept = []
    for each in every:
        name = each.result.machine.name
        if not several or taken[name] < MOST_OF_A_MACHINE:
            taken[name] += 1
            kept.append(each)
    return kept[:MOST]


def read_clip(path: Path, channel: int | None) -> tuple[int, Samples]:
    """Return rate and samples of the beginning of a clip, at 16 kHz or less.

    Raises UsageError and OperationError, as the recording's reader.
    """
    pieces = []
    with RecordingReader(path, channel) as reader:
        rate_hz = min(reader.rate_hz, HIGHEST_RATE_HZ)
        resampler = Resampler(reader.rate_hz, rate_hz)
        for block in reader.blocks():
            pieces.append(resampler.push(block.samples))
            if block.end >= LONGEST_S * reader.rate_hz:
                break
        pieces.append(resampler.flush())
    return rate_hz, np.concatenate(pieces)[: round(LONGEST_S * rate_hz)]


def spectrogram(samples: Samples, rate_hz: int) -> str:
    """Return a log-mel spectrogram as the address of a picture, low frequencies at the bottom."""
    padded = np.pad(samples, (0, max(0, _FRAME - len(samples))))
    power = PowerSpectra(_FRAME, _HOP).push(padded) @ mel_filters(rate_hz, _FRAME, _BANDS)
    decibels = 10.0 * np.log10(power.astype(np.float64) + 1e-10)
    high = float(np.quantile(decibels, 0.998))
    low = max(high - _RANGE_DB, float(np.quantile(decibels, 0.02)))
    return data_url(as_picture(decibels.T[::-1], low, high))


def playable(samples: Samples, rate_hz: int) -> str:
    """Return a clip as the address of a FLAC file, brought to a common loudness."""
    plain = samples.astype(np.float64)
    rms = float(np.sqrt(np.mean(plain**2))) if len(plain) else 0.0
    gain = LOUDNESS / max(rms, 1e-6)
    gain = min(gain, PEAK / max(float(np.abs(plain).max(initial=0.0)), 1e-6))
    file = io.BytesIO()
    soundfile.write(file, plain * gain, rate_hz, format="FLAC", subtype="PCM_16")
    return "data:audio/flac;base64," + base64.b64encode(file.getvalue()).decode()
