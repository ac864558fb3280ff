"""The search for the level down to which a fault is detected."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.self_test.detected_levels import (
    ABOVE_KNOWN_DB,
    RANGE_DB,
    RESOLUTION_DB,
    STEP_DB,
    DetectedLevels,
    LevelSearch,
    highest_level_db,
)
from asd_monitor.synthesis.added_faults import FaultKind


def search(threshold_db: float, lowest_db: float, highest_db: float) -> tuple[float | None, int]:
    """Return the level found where all above a threshold are detected, and the levels tried."""
    levels = LevelSearch(lowest_db, highest_db)
    tried = 0
    while (level_db := levels.next_db) is not None:
        levels.observe(detected=level_db >= threshold_db)
        tried += 1
    return levels.detected_db, tried


@given(threshold_db=st.floats(-60, 60), lowest_db=st.floats(-30, 0), range_db=st.floats(1, 60))
def test_the_level_found_is_at_most_the_resolution_above_the_threshold(
    threshold_db: float, lowest_db: float, range_db: float
) -> None:
    highest_db = lowest_db + range_db
    found_db, tried = search(threshold_db, lowest_db, highest_db)
    assert tried <= math.ceil(range_db / STEP_DB) + 1 + math.log2(STEP_DB / RESOLUTION_DB)
    if threshold_db > highest_db:
        assert found_db is None
    elif threshold_db <= lowest_db:
        assert found_db == lowest_db
    else:
        assert found_db is not None
        assert 0 <= found_db - threshold_db <= RESOLUTION_DB + 1e-9


def test_the_levels_fall_until_one_is_not_detected() -> None:
    levels = LevelSearch(-6.0, 30.0)
    tried = []
    while (level_db := levels.next_db) is not None:
        tried.append(level_db)
        levels.observe(detected=level_db >= 13.0)
    assert tried == [30.0, 24.0, 18.0, 12.0, 15.0, 13.5]
    assert levels.detected_db == 13.5
    with pytest.raises(ValueError, match="over"):
        levels.observe(detected=True)


def test_the_search_begins_above_a_known_level() -> None:
    known = DetectedLevels({FaultKind.TONE: 3.0, FaultKind.IMPACTS: None})
    assert highest_level_db(FaultKind.TONE, known) == 3.0 + ABOVE_KNOWN_DB
    assert highest_level_db(FaultKind.IMPACTS, known) == RANGE_DB[FaultKind.IMPACTS][1]
    assert highest_level_db(FaultKind.TONE, None) == RANGE_DB[FaultKind.TONE][1]


def test_levels_survive_a_manifest_and_missing_ones_count_as_not_detected() -> None:
    levels = DetectedLevels({FaultKind.TONE: 3.0, FaultKind.IMPACTS: None})
    assert DetectedLevels.from_json(levels.to_json()) == levels
    assert DetectedLevels.from_json({"other": 1.0}).by_kind == dict.fromkeys(FaultKind)
