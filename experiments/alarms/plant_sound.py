"""The sound of a simulated machine in its hall.

Each source is rendered once, as a stem of a few minutes; the sound of an epoch is the sum of
excerpts from the stems at random positions, with the gains of the epoch.  All levels are relative
to the machine's nominal level.

What is outside a door belongs to the hall: two recordings, of which each take has other parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from asd_monitor.audio.files.recordings import read_recording
from asd_monitor.errors import UsageError
from asd_monitor.records import Samples
from asd_monitor.synthesis.families import FAMILIES, draw_machine
from asd_monitor.synthesis.filtering import Signal, db_to_amplitude, zero_phase_filter
from asd_monitor.synthesis.hall import draw_hall, render_hall
from asd_monitor.synthesis.machine_spec import MachineSpec, OperatingCondition
from asd_monitor.synthesis.rendering import render
from experiments.alarms.hall_parameters import HallParameters, HallSet, draw_hall_parameters
from experiments.alarms.hall_schedule import Epoch

RATE_HZ = 16_000
STEM_S = 240.0
PIECE_S = 60.0  # rendered at once: each with its own speed, phases and gain
_TILT_POINTS = 1025
MIN_OUTSIDE_S = 20.0
"""A shorter recording is not used as sound from outside: its half would be repeated in an epoch."""
_OUTSIDE_RECORDINGS = 2
_BACKGROUND_FAMILIES = ("fan", "pump", "gearbox", "conveyor", "compressor", "motor")
_FULL_LOAD = OperatingCondition(1.0, 1.0)
_LIGHT_LOAD = OperatingCondition(0.93, 0.75)


@dataclass(frozen=True, slots=True, eq=False)
class Plant:
    """A machine, its hall, and the stems; stems of other sources have unit RMS."""

    spec: MachineSpec
    hall: HallParameters
    machine_rms: float
    machine: Mapping[bool, Samples]  # by light load
    neighbours: tuple[Samples, ...]
    background: Samples
    outside: tuple[Samples, ...]  # of each recording, not repeated

    @property
    def distinct_s(self) -> float:
        """Seconds of rendered or recorded sound."""
        machine = {id(stem): stem for stem in self.machine.values()}
        stems = [*machine.values(), *self.neighbours, self.background, *self.outside]
        return sum(len(stem) for stem in stems) / RATE_HZ

    def sound(self, epoch: Epoch, seconds: float, rng: np.random.Generator) -> Samples:
        """Return sound of an epoch, float32 (round(seconds × RATE_HZ),), clipped to ±1."""
        n = round(seconds * RATE_HZ)
        state, gains, hall = epoch.state, epoch.gains, self.hall
        own = excerpt(self.machine[state.light_load], n, rng).astype(np.float64)
        own = tilted(own, gains.tilt_db) * db_to_amplitude(epoch.machine_db)
        others = np.zeros(n)
        level_db = (
            hall.background_db + gains.background_db + (0 if state.in_shift else hall.quiet_db)
        )
        others += excerpt(self.background, n, rng) * db_to_amplitude(level_db)
        for stem, neighbour, runs, gain_db in zip(
            self.neighbours, hall.neighbours, state.neighbours, gains.neighbours_db, strict=True
        ):
            if runs:
                others += excerpt(stem, n, rng) * db_to_amplitude(neighbour.level_db + gain_db)
        if state.door_open:
            outside = self.outside[int(rng.integers(len(self.outside)))]
            others += excerpt(outside, n, rng) * db_to_amplitude(hall.outside_db)
        return np.clip(own + self.machine_rms * others, -1.0, 1.0).astype(np.float32)


def make_plant(
    hall_set: HallSet,
    number: int,
    noise: Sequence[Path],
    *,
    seed: int,
    take: int,
    seconds: float = STEM_S,
) -> Plant:
    """Draw the plant with this number and render its stems.

    Takes of one plant are other recordings of the same sources.  ``noise`` are recordings of
    outside sound, of `MIN_OUTSIDE_S` at least (`outside_recordings`).
    """
    rng = np.random.default_rng((seed, hall_set, number))
    spec = draw_machine(FAMILIES[number % len(FAMILIES)], rng)
    hall = draw_hall_parameters(hall_set, rng)
    others = [_neighbour_spec(rng) for _ in hall.neighbours]
    sources = replace(draw_hall(rng), machines=())
    outside = rng.choice(len(noise), min(_OUTSIDE_RECORDINGS, len(noise)), replace=False)
    rng = np.random.default_rng((seed, hall_set, number, take))
    full = _rendered(replace(spec, conditions=(_FULL_LOAD,)), seconds, rng)
    light = full
    if hall.light_load:
        light = _rendered(replace(spec, conditions=(_LIGHT_LOAD,)), seconds, rng)
    return Plant(
        spec=spec,
        hall=hall,
        machine_rms=_level(spec),
        machine={False: full, True: light},
        neighbours=tuple(_unit(_rendered(other, seconds, rng)) for other in others),
        background=_unit(render_hall(sources, seconds, rng, RATE_HZ)),
        outside=tuple(_unit(_half(noise[int(number)], take % 2)) for number in outside),
    )


def _level(spec: MachineSpec) -> float:
    return float(db_to_amplitude(spec.level_dbfs))


def _neighbour_spec(rng: np.random.Generator) -> MachineSpec:
    return draw_machine(str(rng.choice(_BACKGROUND_FAMILIES)), rng)


def _rendered(spec: MachineSpec, seconds: float, rng: np.random.Generator) -> Samples:
    pieces = max(1, round(seconds / PIECE_S))
    return np.concatenate([render(spec, seconds / pieces, rng, RATE_HZ) for _ in range(pieces)])


def outside_recordings(folder: Path, hall_set: HallSet) -> tuple[Path, ...]:
    """Return the recordings of a folder that are long enough: of each set of halls every other one.

    Raises:
        UsageError: there are fewer than two for each set.

    """
    paths = (path for path in sorted(folder.iterdir()) if path.suffix in (".flac", ".ogg", ".wav"))
    long_enough = [path for path in paths if _seconds(path) >= MIN_OUTSIDE_S]
    if len(long_enough) < len(HallSet) * _OUTSIDE_RECORDINGS:
        raise UsageError(
            f"{folder}: {len(long_enough)} recordings of {MIN_OUTSIDE_S:g} s or more: "
            f"{len(HallSet) * _OUTSIDE_RECORDINGS} are needed"
        )
    return tuple(long_enough[hall_set :: len(HallSet)])


def _seconds(path: Path) -> float:
    recording = read_recording(path)
    return len(recording.samples) / recording.rate_hz


def _half(path: Path, half: int) -> Samples:
    """Return the first or the second half of a recording."""
    recording = read_recording(path)
    if recording.rate_hz != RATE_HZ:
        raise UsageError(f"{path}: {recording.rate_hz} Hz: {RATE_HZ} Hz is needed")
    middle = len(recording.samples) // 2
    return recording.samples[:middle] if half == 0 else recording.samples[middle:]


def _unit(sound: Samples) -> Samples:
    rms = float(np.sqrt(np.mean(np.square(sound, dtype=np.float64)))) + 1e-12
    return (sound / rms).astype(np.float32)


def excerpt(stem: Samples, n: int, rng: np.random.Generator) -> Samples:
    """Return n samples of a stem (m,) from a random position on, around its end if need be."""
    begin = int(rng.integers(len(stem)))
    repeats = -(-(begin + n) // len(stem))
    return np.tile(stem, repeats)[begin : begin + n]


def tilted(sound: Signal, db_per_decade: float) -> Signal:
    """Return the sound (n,) with its spectrum tilted around 1 kHz."""
    hz = np.maximum(np.linspace(0.0, RATE_HZ / 2, _TILT_POINTS), 50.0)
    return zero_phase_filter(sound, db_to_amplitude(db_per_decade * np.log10(hz / 1000.0)))
