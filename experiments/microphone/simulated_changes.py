"""Changes of a simulated plant's sound: of its microphone, of its machine, of its hall.

Each change is a sound before and a sound after it, of the same epoch and at the same time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from asd_monitor.records import Samples
from asd_monitor.synthesis.added_faults import FaultKind, draw_fault
from asd_monitor.synthesis.faults import kinds_for, with_fault
from asd_monitor.synthesis.filtering import db_to_amplitude
from asd_monitor.synthesis.machine_spec import OperatingCondition
from asd_monitor.synthesis.rendering import render
from datasets.foreign_faults import FOREIGN, inject_foreign
from experiments.alarms.hall_schedule import Epoch
from experiments.alarms.plant_sound import RATE_HZ, Plant, excerpt, tilted
from experiments.microphone.responses import bursts, cover, filtered, other_response

BEFORE_S, AFTER_S = 20.0, 40.0
GAP_S = 3.0
SELF_NOISE_DB = (-60.0, -45.0)
"""Level of the microphone's own noise, relative to the machine."""
_SILENT_DB = -200.0
_QUIET_HALL_DB = -20.0
_LIKE_A_MICROPHONE = frozenset({"muffle", "clip", "echo"})
"""Foreign faults that are filters or limits of everything captured."""


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """A change of the sound at `BEFORE_S`."""

    name: str
    sound: Samples  # at RATE_HZ
    of_microphone: bool
    interrupted: bool = False  # the capture is interrupted for GAP_S at the change


class ChangedPlant:
    """The changes of one plant in one epoch."""

    def __init__(self, plant: Plant, epoch: Epoch, rng: np.random.Generator) -> None:
        self._plant, self._epoch, self._rng = plant, epoch, rng
        self._noise = plant.machine_rms * float(db_to_amplitude(rng.uniform(*SELF_NOISE_DB)))
        seconds = BEFORE_S + AFTER_S
        self._n, self._at = round(seconds * RATE_HZ), round(BEFORE_S * RATE_HZ)
        off = replace(epoch, machine_db=_SILENT_DB)
        self._own = self._machine(plant.machine[epoch.state.light_load])
        self._hall = plant.sound(off, seconds, rng)

    def training(self, epoch: Epoch, seconds: float) -> Samples:
        """Return training sound of this plant through the same microphone."""
        return self._captured(self._plant.sound(epoch, seconds, self._rng))

    def healthy(self, epoch: Epoch) -> Samples:
        """Return sound of another epoch."""
        return self._captured(self._plant.sound(epoch, BEFORE_S + AFTER_S, self._rng))

    def microphone_changes(self) -> Iterator[Change]:
        """Yield the changes of the microphone."""
        rng, before = self._rng, self._own + self._hall
        for attenuation_db, edge_hz in ((20, 2000), (20, 4000), (20, 1000), (10, 2000), (10, 4000)):
            after = filtered(before, cover(attenuation_db, edge_hz))
            yield self._change(f"cover {attenuation_db} dB above {edge_hz / 1000:g} kHz", after)
        for gain_db in (12.0, -12.0):
            captured = self._captured(before)
            captured[self._at :] *= np.float32(db_to_amplitude(gain_db))
            yield Change(f"gain {gain_db:+.0f} dB", _limited(captured), of_microphone=True)
        captured = self._captured(before)
        for begin, length in self._bursts(3.0, 0.005, 0.05):
            captured[begin : begin + length] = 0.0
        yield Change("dropouts, 3 per s of 5 to 50 ms", captured, of_microphone=True)
        captured = self._captured(before)
        for begin, length in self._bursts(2.0, 0.02, 0.2):
            captured[begin : begin + length] = captured[begin]
        yield Change("stuck samples, 2 per s of 20 to 200 ms", captured, of_microphone=True)
        captured = self._captured(before)
        peak = float(np.quantile(np.abs(captured[self._at :]), 0.99))
        captured[self._at :] /= np.float32(peak)
        yield Change("clipping, 1 % of the samples", _limited(captured), of_microphone=True)
        for name, interrupted in (("", True), (", not interrupted", False)):
            other = filtered(before, other_response(rng))
            noise_db = float(rng.uniform(-6.0, 12.0))
            yield self._change(
                f"another microphone{name}", other, noise_db=noise_db, interrupted=interrupted
            )
        for mains_hz in (50.0, 60.0):
            lost_db = float(rng.uniform(15.0, 40.0))
            hum = self._hum(mains_hz) + before * np.float32(db_to_amplitude(-lost_db))
            yield self._change(f"broken cable, hum of {mains_hz:.0f} Hz", hum.astype(np.float32))

    def machine_changes(self) -> Iterator[Change]:
        """Yield the changes of the machine and its hall."""
        rng, plant, epoch = self._rng, self._plant, self._epoch
        seconds = BEFORE_S + AFTER_S
        yield self._machine_change("none", self._own)
        for kind, severity_db in ((FaultKind.TONE, 10.0), (FaultKind.IMPACTS, -4.0)):
            normal = self._own + self._hall
            fault = draw_fault(kind, normal, plant.machine_rms, seconds, rng)
            yield self._machine_change(f"added {kind}", self._own + fault.at(severity_db))
        for gain_db in (3.0, 6.0, 10.0, -6.0):
            own = self._own * np.float32(db_to_amplitude(gain_db))
            yield self._machine_change(f"machine {gain_db:+.0f} dB", own)
        for number in range(len(plant.neighbours)):
            runs = list(epoch.state.neighbours)
            runs[number] = not runs[number]
            state = replace(epoch.state, neighbours=tuple(runs))
            hall = plant.sound(replace(epoch, state=state, machine_db=_SILENT_DB), seconds, rng)
            yield self._machine_change("neighbour on or off", self._own, hall)
        yield self._machine_change("machine stops", np.zeros_like(self._own))
        quiet = self._hall * np.float32(db_to_amplitude(_QUIET_HALL_DB))
        for name, own in self._faulty():
            yield self._machine_change(name, own)
            if name == "blocked":
                yield Change(
                    "blocked, hall 20 dB quieter",
                    self._captured(self._joined(self._own + quiet, own + quiet)),
                    of_microphone=False,
                )
        yield Change(
            "machine stops, hall 20 dB quieter",
            self._captured(self._joined(self._own + quiet, quiet)),
            of_microphone=False,
        )
        for foreign in sorted(set(FOREIGN) - _LIKE_A_MICROPHONE):
            own = inject_foreign(self._own, foreign, 0.7, rng, RATE_HZ)
            yield self._machine_change(f"foreign {foreign}", own)

    def _faulty(self) -> Iterator[tuple[str, Samples]]:
        spec = replace(self._plant.spec, conditions=(OperatingCondition(1.0, 1.0),))
        for kind in kinds_for(spec):
            rendered = render(with_fault(spec, kind, 1.0), AFTER_S, self._rng, RATE_HZ)
            yield kind, self._machine(np.concatenate([self._own[: self._at], rendered]))

    def _machine(self, stem: Samples) -> Samples:
        own = stem[: self._n] if len(stem) == self._n else excerpt(stem, self._n, self._rng)
        sound = tilted(own.astype(np.float64), self._epoch.gains.tilt_db)
        return (sound * db_to_amplitude(self._epoch.machine_db)).astype(np.float32)

    def _machine_change(self, name: str, own: Samples, hall: Samples | None = None) -> Change:
        after = own + (self._hall if hall is None else hall)
        joined = self._joined(self._own + self._hall, after)
        return Change(name, self._captured(joined), of_microphone=False)

    def _change(
        self, name: str, after: Samples, *, noise_db: float = 0.0, interrupted: bool = False
    ) -> Change:
        joined = self._joined(self._own + self._hall, after)
        captured = joined + self._noise * np.concatenate(
            [
                self._rng.standard_normal(self._at, np.float32),
                self._rng.standard_normal(self._n - self._at, np.float32)
                * np.float32(db_to_amplitude(noise_db)),
            ]
        )
        sound = captured.astype(np.float32)
        return Change(name, _limited(sound), of_microphone=True, interrupted=interrupted)

    def _joined(self, before: Samples, after: Samples) -> Samples:
        return np.concatenate([before[: self._at], after[self._at :]])

    def _captured(self, sound: Samples) -> Samples:
        return _limited(sound + self._noise * self._rng.standard_normal(len(sound), np.float32))

    def _bursts(self, per_s: float, low_s: float, high_s: float) -> Iterator[tuple[int, int]]:
        number = self._rng.poisson(per_s * AFTER_S)
        return bursts(self._rng, number, (low_s, high_s), self._at, self._n - RATE_HZ)

    def _hum(self, mains_hz: float) -> Samples:
        time_s = np.arange(self._n) / RATE_HZ
        level = self._plant.machine_rms * float(db_to_amplitude(self._rng.uniform(-3.0, 10.0)))
        hum = np.zeros(self._n)
        for number in range(1, 16):
            weight = (1.0 if number in {1, 2, 3} else 0.4) / number**0.5
            phase = float(self._rng.uniform(0.0, 2 * np.pi))
            hum += weight * np.sin(2 * np.pi * number * mains_hz * time_s + phase)
        return (level * hum).astype(np.float32)


def _limited(sound: Samples) -> Samples:
    return np.clip(sound, -1.0, 1.0).astype(np.float32)
