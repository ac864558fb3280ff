"""How much of what is normal a recording shows: duration, operating modes, a pause.

The rules for modes and pauses are those of the training (`asd_monitor.detector.modes`, `idle`), on
log-mel spectra of two seconds every half second.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from asd_monitor.detector.idle import idle_region
from asd_monitor.detector.modes import find_modes
from asd_monitor.dsp.dc_removal import DCRemover
from asd_monitor.dsp.frames import Floats
from asd_monitor.dsp.spectrogram import LOG_FLOOR, mel_spectrogram
from asd_monitor.records import Samples
from asd_monitor.wording import count

_FRAME_S = 0.064
_STEP_S = 0.5
_STEPS = 4  # in one window
_BANDS = 64
_MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the sound so far shows."""

    seconds: float
    modes: int  # of the running machine, at least 1
    idle_dbfs: tuple[float, float] | None  # levels at which it is off; None: it never was


class CoverageMeter:
    """Measures the coverage of a recording; it may consist of several streams of one rate."""

    def __init__(self, rate_hz: int) -> None:
        """Begin with a recording of the sampling rate ``rate_hz``."""
        self._rate_hz = rate_hz
        self._samples = 0
        self._spectra: list[Floats] = []
        self._levels_dbfs: list[float] = []
        self._begin()

    def _begin(self) -> None:
        self._dc_remover = DCRemover(self._rate_hz)
        self._rest: Samples = np.zeros(0, np.float32)
        self._steps: deque[tuple[Floats, float]] = deque(maxlen=_STEPS)

    def interrupt(self) -> None:
        """Note a gap: no window spans it."""
        self._begin()

    def push(self, samples: Samples) -> None:
        """Add samples, (n,) float32."""
        self._samples += len(samples)
        self._rest = np.concatenate([self._rest, self._dc_remover.push(samples)])
        step = round(_STEP_S * self._rate_hz)
        while len(self._rest) >= step:
            self._add(self._rest[:step])
            self._rest = self._rest[step:]

    def _add(self, sound: Samples) -> None:
        frame = round(_FRAME_S * self._rate_hz)
        mel = mel_spectrogram(sound, self._rate_hz, frame, frame // 2, _BANDS).mean(0)
        self._steps.append((np.asarray(mel, np.float64), float(np.mean(np.square(sound)))))
        if len(self._steps) == _STEPS:
            power = np.mean([each for each, _ in self._steps], 0)
            self._spectra.append(np.log10(power + LOG_FLOOR))
            square = float(np.mean([each for _, each in self._steps]))
            self._levels_dbfs.append(10 * float(np.log10(square + 1e-12)))

    @property
    def seconds(self) -> float:
        """Sound so far, in s."""
        return self._samples / self._rate_hz

    def coverage(self) -> Coverage:
        """Return what the sound so far shows."""
        if not self._spectra:
            return Coverage(self.seconds, 1, None)
        idle = idle_region(self._levels_dbfs)
        levels = np.array(self._levels_dbfs)
        running = levels > (-np.inf if idle is None else idle[1])
        modes = find_modes(np.asarray(self._spectra, np.float32)[running])
        return Coverage(self.seconds, len(modes), idle)


def recording_text(coverage: Coverage) -> str:
    """Return the coverage of a recording that is complete, in one line."""
    return f"{coverage.seconds / _MINUTE_S:.1f} minutes: {_found_text(coverage)}"


def _found_text(coverage: Coverage) -> str:
    modes = count(coverage.modes, "operating mode")
    pause = "no pause" if coverage.idle_dbfs is None else "a pause"
    return f"{modes} and {pause} found"


def coverage_text(coverage: Coverage, target_s: float) -> str:
    """Return the coverage in one line, and what is missing in a second one."""
    done, target = coverage.seconds / _MINUTE_S, target_s / _MINUTE_S
    text = f"{done:.1f} of {round(target, 1):g} minutes: {_found_text(coverage)}"
    if coverage.idle_dbfs is None:
        return f"{text}\nIf the machine is ever off, switch it off for a minute."
    return text
