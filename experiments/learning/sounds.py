"""Sound of a synthetic machine in real noise: as it is, changed, and with faults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from asd_monitor.audio.files.recordings import read_recording
from asd_monitor.explanation.sound_analysis import conditioned
from asd_monitor.records import Samples
from asd_monitor.synthesis.faults import kinds_for, with_fault
from asd_monitor.synthesis.filtering import octave_peak_db, zero_phase_filter
from asd_monitor.synthesis.machine_spec import MachineSpec
from asd_monitor.synthesis.rendering import render

RATE_HZ = 16_000
SNR_DB = 14.0
SEVERITIES = (0.7, 0.9)
CHANGES = ("tone", "filter", "faster")
"""The tone of another device, more sound around 3 kHz, and another speed."""
_SPEED = 1.06
_TONE_DB, _TONE_HZ = -9.0, 1730.0  # relative to the machine
_FILTER_DB, _FILTER_HZ = 9.0, 3000.0


def read_noise(folder: Path) -> list[Samples]:
    """Return the recordings of a folder at `RATE_HZ`, those of ten seconds at least."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in {".wav", ".flac", ".ogg"}:
            recording = read_recording(path)
            if len(recording.samples) >= 10 * recording.rate_hz:
                found.append(conditioned(recording.samples, recording.rate_hz, RATE_HZ))
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A machine and the noise around it."""

    spec: MachineSpec
    noise: Sequence[Samples]
    seed: int

    def normal(self, seconds: float, draw: int) -> Samples:
        """Return its normal sound (n,)."""
        return self._mixed(self.spec, seconds, (1, draw))

    def changed(self, change: str, seconds: float, draw: int) -> Samples:
        """Return its sound (n,) after a change that is no fault."""
        return self._changed(self.spec, change, seconds, (2, draw))

    def faulty(self, kind: str, severity: float, seconds: float, draw: int) -> Samples:
        """Return its sound (n,) with a fault."""
        return self._mixed(with_fault(self.spec, kind, severity), seconds, (3, draw))

    def changed_and_faulty(
        self, change: str, kind: str, severity: float, seconds: float, draw: int
    ) -> Samples:
        """Return its changed sound (n,) with a fault."""
        spec = with_fault(self.spec, kind, severity)
        return self._changed(spec, change, seconds, (4, draw))

    def faults(self) -> list[tuple[str, float]]:
        """Return the kinds and severities of its faults."""
        return [(kind, severity) for kind in kinds_for(self.spec) for severity in SEVERITIES]

    def _changed(
        self, spec: MachineSpec, change: str, seconds: float, draw: tuple[int, int]
    ) -> Samples:
        if change == "faster":
            return self._mixed(replace(spec, speed_hz=_SPEED * spec.speed_hz), seconds, draw)
        sound = self._mixed(spec, seconds, draw)
        level = float(np.sqrt(np.mean(np.square(sound))))
        if change == "tone":
            t = np.arange(len(sound)) / RATE_HZ
            tone = np.sqrt(2.0) * level * 10 ** (_TONE_DB / 20) * np.sin(2 * np.pi * _TONE_HZ * t)
            return np.asarray(sound + tone, np.float32)
        hz = np.fft.rfftfreq(len(sound), 1 / RATE_HZ)
        gains_db = octave_peak_db(np.maximum(hz, 1.0), _FILTER_HZ, 1.0, _FILTER_DB)
        return np.asarray(
            zero_phase_filter(sound.astype(np.float64), 10 ** (gains_db / 20)), np.float32
        )

    def _mixed(self, spec: MachineSpec, seconds: float, draw: tuple[int, int]) -> Samples:
        rng = np.random.default_rng((self.seed, *draw))
        sound = render(spec, seconds, rng, RATE_HZ)
        noise = self.noise[self.seed % len(self.noise)]
        start = int(rng.integers(max(1, len(noise) - len(sound))))
        part = np.resize(noise[start:], len(sound))
        level = float(np.sqrt(np.mean(np.square(part)))) or 1.0
        machine = 10 ** (self.spec.level_dbfs / 20)
        return np.asarray(sound + part * machine * 10 ** (-SNR_DB / 20) / level, np.float32)
