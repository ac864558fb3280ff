"""The level down to which a known fault is detected in a machine's sound.

One fault of each kind is added at falling levels: in steps of `STEP_DB`, until one is not detected,
and then halfway between, until two adjacent levels are `RESOLUTION_DB` apart.  The trials of the
kinds are scored together.  The faults are the same in every test of a machine; their levels are
relative to its sound, as in `asd_monitor.synthesis.added_faults`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from asd_monitor.alarm.state import AlarmRule
from asd_monitor.detector.detector import Detector
from asd_monitor.records import Samples
from asd_monitor.self_test.added_sound import (
    FAULT_S,
    LEAD_IN_S,
    AddedSound,
    pipelines_of,
    repeated,
    rms,
    trial_steps,
)
from asd_monitor.self_test.stepping import Steps, part_of
from asd_monitor.synthesis.added_faults import FaultKind, draw_fault

STEP_DB = 6.0
RESOLUTION_DB = 1.5
RANGE_DB = {FaultKind.TONE: (-6.0, 30.0), FaultKind.IMPACTS: (-28.0, 14.0)}
"""Lowest and highest level that is tried."""
ABOVE_KNOWN_DB = 12.0
"""Where the level at an earlier test is known, the levels begin this far above it."""
SEED = 23


@dataclass(frozen=True, slots=True)
class DetectedLevels:
    """The lowest level of each kind of fault that is detected, in dB; None: not the highest."""

    by_kind: Mapping[FaultKind, float | None]

    def to_json(self) -> dict[str, float | None]:
        """Return the levels for a manifest."""
        return {str(kind): level_db for kind, level_db in self.by_kind.items()}

    @classmethod
    def from_json(cls, levels_db: Mapping[str, float | None]) -> Self:
        """Return the levels of a manifest; one that it lacks counts as not detected."""
        return cls({kind: levels_db.get(str(kind)) for kind in FaultKind})


class LevelSearch:
    """The levels of one fault that are tried, from the highest down."""

    def __init__(self, lowest_db: float, highest_db: float) -> None:
        self.next_db: float | None = highest_db
        """The level to be tried next; None: the search is over."""
        self.detected_db: float | None = None
        """The lowest level that was detected; None: none was."""
        self._lowest_db = lowest_db
        self._missed_db: float | None = None  # the highest that was not detected

    def observe(self, *, detected: bool) -> None:
        """Take note of whether the level `next_db` was detected."""
        if self.next_db is None:
            raise ValueError("the search is over")
        if detected:
            self.detected_db = self.next_db
        else:
            self._missed_db = self.next_db
        self.next_db = self._next_db()

    def _next_db(self) -> float | None:
        if self.detected_db is None:
            return None
        if self._missed_db is None:
            fallen_db = max(self._lowest_db, self.detected_db - STEP_DB)
            return fallen_db if fallen_db < self.detected_db else None
        if self.detected_db - self._missed_db <= RESOLUTION_DB:
            return None
        return (self.detected_db + self._missed_db) / 2


def highest_level_db(kind: FaultKind, known: DetectedLevels | None) -> float:
    """Return the level at which the search begins, in dB.

    Args:
        kind: kind of the fault.
        known: the levels at an earlier test.

    """
    highest_db = RANGE_DB[kind][1]
    known_db = None if known is None else known.by_kind[kind]
    return highest_db if known_db is None else min(highest_db, known_db + ABOVE_KNOWN_DB)


def _most_levels(kind: FaultKind) -> int:
    """Return how many levels of a kind are tried at most."""
    lowest_db, highest_db = RANGE_DB[kind]
    falling = math.ceil((highest_db - lowest_db) / STEP_DB) + 1
    return falling + math.ceil(math.log2(STEP_DB / RESOLUTION_DB))


def level_steps(
    detector: Detector,
    rule: AlarmRule,
    normal: Samples,
    known: DetectedLevels | None = None,
) -> Steps[DetectedLevels]:
    """Measure the levels detected; the same sound gives the same levels.

    Args:
        detector: the detector.
        rule: the alarm rule.
        normal: sound (n,) of the machine running, at the rate of the detector, at least
            `added_sound.MIN_SOUND_S`.
        known: the levels at an earlier test, near which the search begins.

    """
    rate_hz = detector.rate_hz
    sound = repeated(normal, LEAD_IN_S + FAULT_S, rate_hz)
    faults: dict[FaultKind, Samples] = {}
    searches: dict[FaultKind, LevelSearch] = {}
    for number, kind in enumerate(RANGE_DB):
        yield 0.0
        rng = np.random.default_rng((SEED, number))
        fault = draw_fault(kind, normal, rms(normal), FAULT_S, rng, rate_hz=rate_hz)
        faults[kind] = fault.sound
        searches[kind] = LevelSearch(RANGE_DB[kind][0], highest_level_db(kind, known))
    part = 1 / max(map(_most_levels, RANGE_DB))
    for tried in itertools.count():
        added = [
            AddedSound(kind, search.next_db, faults[kind])
            for kind, search in searches.items()
            if search.next_db is not None
        ]
        if not added:
            break
        trial = trial_steps(pipelines_of(detector, len(added)), rule, sound, added)
        delays_s = yield from part_of(trial, tried * part, part)
        for each, delay_s in zip(added, delays_s, strict=True):
            searches[each.kind].observe(detected=math.isfinite(delay_s))
    return DetectedLevels({kind: search.detected_db for kind, search in searches.items()})
