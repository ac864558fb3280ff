"""Parameters of simulated halls, in two disjoint sets: one to choose by, one to report on.

Each parameter's range is cut into four cells; the halls of the set `CHOICE` draw from the first
and third, those of `REPORT` from the second and fourth.  So both sets cover the range, and no hall
of one has a parameter of the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

_CELLS = 4


class HallSet(IntEnum):
    """Which cells of each range the parameters are drawn from."""

    CHOICE = 0
    REPORT = 1


class NeighbourSchedule(IntEnum):
    """When a neighbouring machine runs."""

    SHIFTS = 0
    CYCLES = 1  # on and off by turns during the shifts
    NIGHTS = 2
    ALWAYS = 3


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another machine in the hall; levels are relative to the machine's."""

    schedule: NeighbourSchedule
    level_db: float
    on_h: float  # of a cycle
    off_h: float


@dataclass(frozen=True, slots=True)
class HallParameters:
    """What differs from hall to hall."""

    neighbours: tuple[Neighbour, ...]
    shifts: int  # 1 to 3, from 06:00 on, 8 h each
    weekend: bool  # whether the shifts are worked at weekends
    background_db: float  # in a shift, relative to the machine
    quiet_db: float  # change of the background outside the shifts
    doors_per_h: float  # openings during a shift
    door_h: float  # length of an opening
    outside_db: float  # level of the sound from outside, relative to the machine
    machine_day_db: float  # standard deviation from day to day of the machine's level
    tilt_day_db: float  # the same of its spectral tilt, per decade
    background_day_db: float
    temperature_db: float  # amplitude of the machine's level over a day
    season_db: float  # drift of the machine's level in half a year
    light_load: bool  # whether the load is light outside the first shift


class _Cells:
    """Draws values from the cells of one set."""

    def __init__(self, hall_set: HallSet, rng: np.random.Generator) -> None:
        self._set, self._rng = hall_set, rng

    def share(self) -> float:
        cell = self._set + 2 * int(self._rng.integers(_CELLS // 2))
        return float(cell + self._rng.uniform()) / _CELLS

    def value(self, low: float, high: float) -> float:
        return low + (high - low) * self.share()


def draw_hall_parameters(hall_set: HallSet, rng: np.random.Generator) -> HallParameters:
    """Draw the parameters of a hall of this set."""
    cells = _Cells(hall_set, rng)
    neighbours = tuple(
        Neighbour(
            NeighbourSchedule(int(rng.integers(len(NeighbourSchedule)))),
            cells.value(-16.0, 0.0),
            cells.value(0.5, 3.0),
            cells.value(0.5, 4.0),
        )
        for _ in range(int(rng.integers(1, 4)))
    )
    return HallParameters(
        neighbours=neighbours,
        shifts=int(rng.integers(1, 4)),
        weekend=bool(rng.uniform() < 0.3),
        background_db=cells.value(-16.0, -4.0),
        quiet_db=cells.value(-10.0, -2.0),
        doors_per_h=cells.value(0.0, 2.0),
        door_h=cells.value(0.02, 0.6),
        outside_db=cells.value(-18.0, -6.0),
        machine_day_db=cells.value(0.2, 1.2),
        tilt_day_db=cells.value(0.1, 0.8),
        background_day_db=cells.value(0.5, 3.0),
        temperature_db=cells.value(0.0, 1.0),
        season_db=cells.value(-1.5, 1.5),
        light_load=bool(rng.uniform() < 0.5),
    )
