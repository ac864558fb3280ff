"""What a made machine consists of.

A machine is a shaft that turns and parts that sound with it.  Orders are multiples of
the shaft's speed, levels are RMS relative to one another (the whole machine is set to
``level_dbfs`` afterwards), frequencies in Hz.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Mode:
    """One resonance of a structure: rings at `hz` and dies away within `decay_s` (to 1/e)."""

    hz: float
    decay_s: float
    gain: float


@dataclass(frozen=True, slots=True)
class Tones:
    """Lines at whole orders of a shaft: imbalance, blade pass, gear mesh and its sidebands."""

    orders: tuple[int, ...]
    amplitudes: tuple[float, ...]  # relative
    level: float
    ratio: float = 1.0  # speed of this shaft over the driving one
    wander_db: float = 1.0  # slow change of the whole stack
    mesh: bool = False  # a broken tooth shows in it


@dataclass(frozen=True, slots=True)
class Flow:
    """Turbulence: broadband noise through resonances, pulsing as blades pass."""

    level: float
    tilt_db: float  # a decade
    resonances: tuple[tuple[float, float, float], ...]  # Hz, width in octaves, dB
    pass_order: float = 0.0
    pass_depth: float = 0.0
    wander_db: float = 1.0


@dataclass(frozen=True, slots=True)
class Impacts:
    """Blows in step with the shaft that make a structure ring: pistons, rollers, bearings."""

    order: float  # blows a revolution
    level: float
    jitter: float  # of the interval
    spread_db: float  # of the strength
    modes: tuple[Mode, ...]


@dataclass(frozen=True, slots=True)
class Actuation:
    """A move now and then: slider, valve.  A stroke is a blow, a slide, a blow."""

    period_s: float
    pattern: tuple[float, ...]  # strokes within a period, as parts of it
    jitter_s: float
    stroke_s: float
    slide_level: float
    slide_resonances: tuple[tuple[float, float, float], ...]
    whine_hz: float  # at full speed; 0: none
    whine_level: float
    blow_level: float
    end_blow: float  # relative to the first
    modes: tuple[Mode, ...]


@dataclass(frozen=True, slots=True)
class Hum:
    """Mains hum: even harmonics of the line frequency above all."""

    hz: float
    level: float
    amplitudes: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Cycle:
    """Load that comes and goes (a compressor): running, then resting at `rest_db`."""

    run_s: float
    rest_s: float
    rest_db: float


@dataclass(frozen=True, slots=True)
class Room:
    """Where the microphone hangs: reverberation and colour of the way to it."""

    decay_s: float  # to 1/e of amplitude
    wet: float
    low_cut_hz: float
    high_cut_hz: float


@dataclass(frozen=True, slots=True)
class Condition:
    """One way of running: speed relative to nominal, load relative to nominal."""

    speed: float
    load: float


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with the machine: how bad, 0 (inaudible) to 1 (gross)."""

    kind: str
    severity: float
    variant: int = 0  # another place of the same fault


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """Everything of a machine that stays when it is recorded again."""

    family: str
    seed: int  # whence everything that a fault adds is drawn
    speed_hz: float
    speed_wander: float  # relative, slow
    conditions: tuple[Condition, ...]
    level_dbfs: float
    microphone_noise_dbfs: float
    room: Room
    tones: tuple[Tones, ...] = ()
    flow: Flow | None = None
    impacts: tuple[Impacts, ...] = ()
    actuation: Actuation | None = None
    hum: Hum | None = None
    cycle: Cycle | None = None
    faults: tuple[Fault, ...] = field(default=())

    @property
    def loudness(self) -> float:
        """Expected RMS of all parts together, before ``level_dbfs`` is applied."""
        levels = [tones.level for tones in self.tones]
        levels += [impacts.level for impacts in self.impacts]
        if self.flow is not None:
            levels.append(self.flow.level)
        if self.hum is not None:
            levels.append(self.hum.level)
        if self.actuation is not None:
            levels += [self.actuation.slide_level, self.actuation.blow_level]
        return float(sum(level**2 for level in levels) ** 0.5)

    def sound(self) -> MachineSpec:
        """Return the machine without its faults."""
        return replace(self, faults=())
