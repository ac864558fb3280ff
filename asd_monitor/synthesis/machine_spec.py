"""The parameters of a synthetic machine.

A machine is a shaft and the parts that sound in step with it.  An order is a multiple of the
shaft's speed.  Levels are RMS values relative to one another: the whole machine is brought to
``level_dbfs`` afterwards.  Frequencies are in Hz.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class SpectralPeak(NamedTuple):
    """A Gaussian peak of a spectral envelope over log frequency."""

    centre_hz: float
    width_octaves: float  # standard deviation
    gain_db: float


@dataclass(frozen=True, slots=True)
class Mode:
    """One vibration mode of a structure: a decaying sinusoid."""

    frequency_hz: float
    decay_s: float  # to 1/e of the amplitude
    gain: float


@dataclass(frozen=True, slots=True)
class Tones:
    """Tones at whole orders of a shaft: imbalance, blade pass, gear mesh with its sidebands."""

    orders: tuple[int, ...]
    amplitudes: tuple[float, ...]  # relative
    level: float
    ratio: float = 1.0  # speed of this shaft over that of the driving shaft
    fluctuation_db: float = 1.0  # slow, common to all orders
    mesh: bool = False  # gear mesh: a tooth fault modulates it


@dataclass(frozen=True, slots=True)
class Flow:
    """Turbulence: broadband noise with spectral peaks, modulated as blades pass."""

    level: float
    tilt_db: float  # per decade
    peaks: tuple[SpectralPeak, ...]
    pass_order: float = 0.0
    pass_depth: float = 0.0
    fluctuation_db: float = 1.0


@dataclass(frozen=True, slots=True)
class Impacts:
    """Impacts in step with the shaft that excite a structure: pistons, rollers, bearings."""

    order: float  # impacts per revolution
    level: float
    jitter: float  # standard deviation, of the interval
    spread_db: float  # standard deviation of the amplitude
    modes: tuple[Mode, ...]


@dataclass(frozen=True, slots=True)
class Actuation:
    """Intermittent strokes of a slider or a valve: an impact, a slide, an impact."""

    period_s: float
    pattern: tuple[float, ...]  # starts of the strokes, as parts of the period
    jitter_s: float
    stroke_s: float
    slide_level: float
    slide_peaks: tuple[SpectralPeak, ...]
    whine_hz: float  # at full speed; 0: no whine
    whine_level: float
    impact_level: float
    end_impact_ratio: float  # amplitude of the impact at the end over that at the start
    modes: tuple[Mode, ...]


@dataclass(frozen=True, slots=True)
class Hum:
    """Mains hum: harmonics of the line frequency, mostly the even ones."""

    line_hz: float
    level: float
    amplitudes: tuple[float, ...]  # of the harmonics from the first on, relative


@dataclass(frozen=True, slots=True)
class LoadCycle:
    """Intermittent load, as of a compressor: running, then resting at `rest_db`."""

    run_s: float
    rest_s: float
    rest_db: float


@dataclass(frozen=True, slots=True)
class Room:
    """The path to the microphone: reverberation and band limits."""

    decay_s: float  # to 1/e of the amplitude
    wet: float  # RMS of the reverberation over the direct sound
    low_cut_hz: float
    high_cut_hz: float


@dataclass(frozen=True, slots=True)
class OperatingCondition:
    """A way of running: speed and load, relative to nominal."""

    speed: float
    load: float


@dataclass(frozen=True, slots=True)
class Fault:
    """A simulated fault and its severity, 0 (inaudible) to 1 (gross)."""

    kind: str
    severity: float
    variant: int = 0  # draws other constants for the same kind, such as another resonance


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """Everything that is the same in each recording of a machine."""

    family: str
    seed: int  # of the room and of the constants of faults
    speed_hz: float
    speed_fluctuation: float  # relative standard deviation, slow
    conditions: tuple[OperatingCondition, ...]
    level_dbfs: float
    microphone_noise_dbfs: float
    room: Room
    tones: tuple[Tones, ...] = ()
    flow: Flow | None = None
    impacts: tuple[Impacts, ...] = ()
    actuation: Actuation | None = None
    hum: Hum | None = None
    load_cycle: LoadCycle | None = None
    faults: tuple[Fault, ...] = ()

    @property
    def nominal_rms(self) -> float:
        """Expected RMS of all parts together, before ``level_dbfs`` is applied."""
        levels = [tones.level for tones in self.tones]
        levels += [impacts.level for impacts in self.impacts]
        if self.flow is not None:
            levels.append(self.flow.level)
        if self.hum is not None:
            levels.append(self.hum.level)
        if self.actuation is not None:
            levels += [self.actuation.slide_level, self.actuation.impact_level]
        return float(sum(level**2 for level in levels) ** 0.5)
