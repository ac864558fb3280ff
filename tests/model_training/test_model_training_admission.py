"""What a model is extended by: sound that returns to what was known, not what stays or grows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_monitor.model_training.admission import (
    CLOSE,
    Admission,
    BlockVectors,
    admit,
    block_deviations,
)

HOUR_S, DAY_S = 3600.0, 86400.0
TRAINING = 6
FAR = 3 * CLOSE

Place = Callable[[float], float]
"""Hour since the start → where the sound of a block lies, in deviations from the training sound."""


def f32(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    return values.astype(np.float32)


def admission(place: Place, days: float, step_h: float = 1.0) -> Admission:
    """Return what becomes of hourly blocks that lie on a line, the training blocks at 0."""
    hours = np.arange(0.0, 24 * days, step_h)
    places = np.concatenate([np.zeros(TRAINING), [place(hour) for hour in hours]])
    unlike = np.zeros(len(hours), bool)
    return admit(np.abs(places[:, None] - places), hours * HOUR_S, unlike)


def at_night(hour: float) -> bool:
    return hour % 24 < 6 or hour % 24 >= 22


def test_sound_like_that_of_training_is_known():
    found = admission(lambda hour: CLOSE * (hour % 2) / 2, days=2)
    assert found.known.all()
    assert not found.admitted.any()


def test_the_night_is_learned_when_the_day_has_returned():
    found = admission(lambda hour: FAR if at_night(hour) else 0.0, days=2)
    learned = found.learned.reshape(2, 24)
    assert learned[0].all()
    assert learned[1, :22].all()
    assert not found.known.all()


def test_a_neighbour_that_runs_by_turns_is_learned():
    found = admission(lambda hour: FAR if hour % 5 < 2 else 0.0, days=4)
    assert found.learned[: 3 * 24].all()


def test_a_weekend_is_learned_when_working_days_have_returned():
    """The machine next to it runs on working days, and ran during training."""

    def place(hour: float) -> float:
        return FAR if (hour // 24) % 7 >= 5 else 0.0

    assert not admission(place, days=7).learned[5 * 24 :].any()
    assert admission(place, days=8).learned.all()


@pytest.mark.parametrize("onset_h", [1.0, 14.0, 40.0, 100.0])
def test_what_stays_is_not_learned(onset_h: float):
    found = admission(lambda hour: FAR if hour >= onset_h else 0.0, days=7)
    assert found.learned[: round(onset_h)].all()
    assert not found.learned[round(onset_h) :].any()


@pytest.mark.parametrize("growth_h", [1.0, 24.0, 168.0])
def test_what_grows_is_not_learned_beyond_what_is_close(growth_h: float):
    onset_h = 30.0
    found = admission(
        lambda hour: 4 * FAR * float(np.clip((hour - onset_h) / growth_h, 0.0, 1.0)), days=9
    )
    hours = np.arange(0.0, 24 * 9)
    grown = 4 * FAR * np.clip((hours - onset_h) / growth_h, 0.0, 1.0)
    assert not found.learned[grown > CLOSE].any()


def test_a_fault_that_the_days_mask_is_not_learned():
    """The nights were quiet and known; from the third on the fault is audible in them."""

    def place(hour: float) -> float:
        return FAR if at_night(hour) and hour >= 48 else 0.0

    found = admission(place, days=7)
    night = np.array([at_night(hour) for hour in range(7 * 24)])
    assert not found.learned[48:][night[48:]].any()
    assert found.learned[48:][~night[48:]].all()


def test_blocks_that_the_first_model_finds_ordinary_are_known_and_confirm_the_others() -> None:
    """Ten minutes of training sound lie closer together than any two hours of the machine."""
    hours = np.arange(0.0, 72.0)
    loaded = hours % 24 >= 12
    places = np.concatenate([np.zeros(TRAINING), np.where(loaded, 3 * FAR, FAR)])
    between = np.abs(places[:, None] - places)
    assert not admit(between, hours * HOUR_S, np.zeros(len(hours), bool)).learned.any()
    found = admit(between, hours * HOUR_S, ~loaded)
    assert found.known[~loaded].all()
    assert found.learned[loaded & (hours < 48)].all()


def test_no_live_block_is_no_admission():
    found = admit(np.zeros((TRAINING, TRAINING)), np.zeros(0), np.zeros(0, bool))
    assert found.learned.shape == (0,)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 50), min_size=1, max_size=40))
def test_known_and_admitted_are_disjoint_and_close_blocks_are_known(places: list[float]):
    at = np.concatenate([np.zeros(TRAINING), places])
    times_s = np.arange(0.0, len(places)) * HOUR_S
    found = admit(np.abs(at[:, None] - at), times_s, np.zeros(len(places), bool))
    assert not (found.known & found.admitted).any()
    assert found.known[np.array(places) <= CLOSE].all()


def test_deviations_are_small_within_a_condition_and_large_between_two():
    rng = np.random.default_rng(1)
    spread = rng.uniform(0.5, 2.0, 40)
    training = rng.normal(0.0, 0.3, (20, 40)) * spread
    like = rng.normal(0.0, 0.3, (5, 40)) * spread
    other = rng.normal(0.0, 0.3, (5, 40)) * spread + 3 * spread
    views = [BlockVectors(np.concatenate([training, like, other]).astype(np.float32), f32(spread))]
    between = block_deviations(views * 3, 20)
    assert np.array_equal(between, between.T)
    assert np.median(between[20:25, :20].min(1)) < 1.5
    assert between[25:, :20].min() > 2 * CLOSE


def test_sound_that_was_marked_as_normal_is_an_anchor():
    place = lambda hour: FAR if hour >= 24 else 0.0  # noqa: E731 - it changes and stays
    hours = np.arange(0.0, 72.0)
    places = np.concatenate([np.zeros(TRAINING), [place(hour) for hour in hours]])
    between, unlike = np.abs(places[:, None] - places), np.zeros(len(hours), bool)
    assert not admit(between, hours * HOUR_S, unlike).learned[24:].any()
    marked = hours == 30.0
    found = admit(between, hours * HOUR_S, unlike, marked=marked)
    assert found.known.all()
    further = np.abs(places[:, None] - places) + 2 * FAR * (places[:, None] != places)
    assert admit(further, hours * HOUR_S, unlike, marked=marked).known[24:].all()
