"""What happens in a simulated hall, half hour by half hour, for any number of days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from experiments.alarms.hall_parameters import HallParameters, Neighbour, NeighbourSchedule

EPOCH_H = 0.5
EPOCHS_PER_DAY = round(24 / EPOCH_H)
_SEASON_DAYS = 182.0
_SHIFT_BEGIN_H, _SHIFT_H = 6.0, 8.0
_MIN_DOOR_SHARE = 0.5  # of an epoch; a shorter opening is simulated as one of this length or none

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class HallState:
    """What sounds in an epoch; epochs with the same state can replace each other."""

    light_load: bool
    neighbours: tuple[bool, ...]
    in_shift: bool
    door_open: bool

    @property
    def code(self) -> int:
        """A number that differs from that of each other state; its lowest bit is `in_shift`."""
        bits = (self.in_shift, self.light_load, self.door_open, *self.neighbours)
        return sum(bit << place for place, bit in enumerate(bits))


@dataclass(frozen=True, slots=True)
class DayGains:
    """How a day differs from the others, in dB."""

    machine_db: float
    tilt_db: float  # per decade around 1 kHz
    background_db: float
    neighbours_db: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Epoch:
    """Half an hour in the hall."""

    day: int
    hour: float
    state: HallState
    machine_db: float  # change of the machine's level: the day, the hour, the season
    gains: DayGains


@dataclass(frozen=True, slots=True)
class HallDay:
    """The epochs of one day."""

    number: int
    epochs: tuple[Epoch, ...]

    @property
    def weekday(self) -> int:
        """Day of the week, 0 for Monday."""
        return self.number % 7


def plan_days(
    hall: HallParameters, days: Sequence[int], rng: np.random.Generator
) -> tuple[HallDay, ...]:
    """Return the days with these numbers; day 0 is a Monday."""
    return tuple(_plan_day(hall, day, rng) for day in days)


def _plan_day(hall: HallParameters, day: int, rng: np.random.Generator) -> HallDay:
    hours = np.asarray(np.arange(EPOCHS_PER_DAY) * EPOCH_H, np.float64)
    in_shift = _in_shift(hall, day, hours)
    running = [_runs(neighbour, in_shift, hours, rng) for neighbour in hall.neighbours]
    doors = _doors(hall, in_shift, rng)
    gains = DayGains(
        float(rng.normal(0.0, hall.machine_day_db)),
        float(rng.normal(0.0, hall.tilt_day_db)),
        float(rng.normal(0.0, hall.background_day_db)),
        tuple(rng.normal(0.0, 0.5 * hall.background_day_db, len(hall.neighbours)).tolist()),
    )
    first_shift = (hours >= _SHIFT_BEGIN_H) & (hours < _SHIFT_BEGIN_H + _SHIFT_H)
    epochs = []
    for number, hour in enumerate(hours.tolist()):
        warmth = float(np.sin(2 * np.pi * (hour - 9.0) / 24.0))
        epochs.append(
            Epoch(
                day,
                hour,
                HallState(
                    hall.light_load and not bool(first_shift[number]),
                    tuple(bool(each[number]) for each in running),
                    bool(in_shift[number]),
                    bool(doors[number]),
                ),
                gains.machine_db
                + hall.temperature_db * warmth
                + hall.season_db * day / _SEASON_DAYS,
                gains,
            )
        )
    return HallDay(day, tuple(epochs))


def _in_shift(hall: HallParameters, day: int, hours: Floats) -> npt.NDArray[np.bool_]:
    if day % 7 >= 5 and not hall.weekend:
        return np.zeros(len(hours), bool)
    since = (hours - _SHIFT_BEGIN_H) % 24.0
    return np.asarray(since < hall.shifts * _SHIFT_H)


def _runs(
    neighbour: Neighbour,
    in_shift: npt.NDArray[np.bool_],
    hours: Floats,
    rng: np.random.Generator,
) -> npt.NDArray[np.bool_]:
    match neighbour.schedule:
        case NeighbourSchedule.ALWAYS:
            return np.ones(len(hours), bool)
        case NeighbourSchedule.SHIFTS:
            return in_shift
        case NeighbourSchedule.NIGHTS:
            return np.asarray((hours < 5.0) | (hours >= 21.0))
        case NeighbourSchedule.CYCLES:
            period = neighbour.on_h + neighbour.off_h
            phase = (hours + rng.uniform(0.0, period)) % period
            return np.asarray(in_shift & (phase < neighbour.on_h))


def _doors(
    hall: HallParameters, in_shift: npt.NDArray[np.bool_], rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Return in which epochs (n,) the door is open; its open time is kept in the mean."""
    length_h = max(hall.door_h, _MIN_DOOR_SHARE * EPOCH_H)
    open_h = hall.doors_per_h * hall.door_h  # in an hour of a shift
    share = min(0.8, open_h)
    epochs = max(1, round(length_h / EPOCH_H))
    doors = np.zeros(len(in_shift), bool)
    for number in np.flatnonzero(in_shift):
        if rng.uniform() < share / epochs:
            doors[number : number + epochs] = True
    return doors & in_shift
