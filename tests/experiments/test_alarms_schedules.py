"""Simulated time: months from days, faults that grow, refits."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.synthesis.added_faults import FaultKind
from experiments.alarms.fault_ladder import LADDER_DB, fault_name
from experiments.alarms.growing_faults import (
    GROWTHS_H,
    HOURS_PER_DAY,
    LEAD_IN_DAYS,
    GrowingFault,
    all_faults,
    course_of,
)
from experiments.alarms.hall_parameters import HallSet, draw_hall_parameters
from experiments.alarms.hall_schedule import EPOCHS_PER_DAY, HallState, plan_days
from experiments.alarms.machine_files import LATER
from experiments.alarms.refitting import COMMISSIONING_DAYS, refit_times_s
from experiments.alarms.schedules import plan_hours, replacements
from experiments.alarms.segments import DAY_S, HOUR_S, Segments
from experiments.alarms.windows import LATER_DAYS, fault_epochs, hourly

SEEDS = st.integers(0, 100)


def segments_of(days: tuple[int, ...], seed: int = 0) -> Segments:
    """A segment of each hour of the days, in random states, without sound."""
    rng = np.random.default_rng(seed)
    n = HOURS_PER_DAY * len(days)
    return Segments(
        np.repeat(np.array(days), HOURS_PER_DAY),
        np.tile(np.arange(24.0), len(days)),
        rng.integers(0, 4, n),
        np.array([0, 8192]),
        31744,
        {"level": np.zeros((n, 2, 1), np.float32)},
    )


LIBRARY = segments_of(LATER_DAYS)


@given(SEEDS, st.sampled_from([1, 12]))
def test_a_simulated_day_has_the_hours_of_a_day_of_its_kind(seed: int, draws: int) -> None:
    hours = plan_hours(LIBRARY, 9, 30, np.random.default_rng(seed), draws)
    assert hours.shape == (30 * HOURS_PER_DAY, draws)
    days = LIBRARY.day[hours].reshape(30, -1)
    assert (days == days[:, :1]).all()
    assert ((days[:, 0] % 7 >= 5) == (np.arange(9, 39) % 7 >= 5)).all()
    states = LIBRARY.state[hours].reshape(-1, draws)
    assert (states == states[:, :1]).all()
    if draws == 1:
        assert LIBRARY.hour[hours].ravel().tolist() == list(range(24)) * 30


def test_days_stand_for_others_near_in_the_season() -> None:
    days = LIBRARY.day[plan_hours(LIBRARY, 9, 14, np.random.default_rng(0))]
    assert days[days % 7 < 5].max() < 40


@given(SEEDS)
def test_a_replacement_is_in_the_same_state_or_the_same_shift(seed: int) -> None:
    library = LIBRARY.take(np.flatnonzero(LIBRARY.state != 3))
    rng = np.random.default_rng(seed)
    assert library.state[replacements([0, 1, 2], library, rng)].tolist() == [0, 1, 2]
    assert library.state[replacements([3], library, rng)].tolist() == [1]


@pytest.mark.parametrize("fault", all_faults(), ids=lambda fault: f"{fault.name}-{fault.growth_h}")
def test_a_fault_grows_by_the_steps_of_its_ladder(fault: GrowingFault) -> None:
    names = [fault.at(age) for age in np.linspace(0.0, 2 * fault.growth_h, 500)]
    assert names[0] is None
    ladder = [fault_name(fault.kind, severity_db) for severity_db in LADDER_DB[fault.kind]]
    reached = [ladder.index(name) for name in names if name is not None]
    assert reached == sorted(reached)
    assert set(reached) == set(range(ladder.index(fault.name) + 1))
    assert fault.at(fault.growth_h) == fault.name


@given(SEEDS)
def test_a_course_has_normal_sound_until_the_onset(seed: int) -> None:
    fault = GrowingFault(FaultKind.TONE, 6.0, GROWTHS_H[0])
    segments = {LATER: LIBRARY} | {
        fault_name(fault.kind, severity_db): LIBRARY for severity_db in LADDER_DB[fault.kind]
    }
    course = course_of(fault, 50, segments, 9, np.random.default_rng(seed))
    assert LEAD_IN_DAYS * HOURS_PER_DAY <= course.onset < (LEAD_IN_DAYS + 1) * HOURS_PER_DAY
    assert set(course.names[: course.onset]) == {LATER}
    assert set(course.names[course.onset :]) == {"tone6"}
    assert len(course.numbers) == course.onset + 50


def test_refits_end_when_the_days_of_commissioning_are_over() -> None:
    begin_s = 9.5 * HOUR_S
    times = refit_times_s(begin_s)
    assert times[:2] == [begin_s + HOUR_S, begin_s + DAY_S]
    assert times[2:] == [day * DAY_S + 3 * HOUR_S for day in range(2, 9)]
    assert times[-2] < begin_s + COMMISSIONING_DAYS * DAY_S <= times[-1]


def test_a_refit_at_night_ends_with_the_same_night() -> None:
    times = refit_times_s(2.0 * HOUR_S)
    assert times[2] == DAY_S + 3 * HOUR_S
    assert times[-1] == 7 * DAY_S + 3 * HOUR_S


def test_states_of_the_hall_have_different_numbers() -> None:
    states = [
        HallState(light, (first, second), shift, door)
        for light in (False, True)
        for first in (False, True)
        for second in (False, True)
        for shift in (False, True)
        for door in (False, True)
    ]
    assert len({state.code for state in states}) == len(states)
    assert all(state.code % 2 == state.in_shift for state in states)


def test_days_have_an_epoch_each_half_hour_and_faults_in_each_shift() -> None:
    hall = draw_hall_parameters(HallSet.CHOICE, np.random.default_rng(0))
    days = plan_days(hall, LATER_DAYS, np.random.default_rng(1))
    assert all(len(day.epochs) == EPOCHS_PER_DAY for day in days)
    assert len(hourly(days)) == HOURS_PER_DAY * len(LATER_DAYS)
    hours = {epoch.hour // 8 for epoch in fault_epochs(days)}
    assert hours == {0, 1, 2}
    assert {epoch.day % 7 >= 5 for epoch in fault_epochs(days)} == {False, True}


def test_segments_are_read_as_they_were_written(tmp_path) -> None:
    LIBRARY.save(tmp_path / "a.npz")
    read = Segments.load(tmp_path / "a.npz")
    assert read.times_s.tolist() == LIBRARY.times_s.tolist()
    assert read.state.tolist() == LIBRARY.state.tolist()
    assert read.features["level"].dtype == np.float32
    [first, second] = read.windows(5)
    assert (first.start, second.end) == (0, 8192 + 31744)


def test_sound_replaces_that_of_some_segments_only() -> None:
    louder = {"level": np.ones((1, 2, 1), np.float32)}
    other = replace(LIBRARY.take([0]), features=louder)
    changed = LIBRARY.with_sound(np.array([7]), other)
    assert np.flatnonzero(changed.levels_dbfs[:, 0]).tolist() == [7]
    assert not LIBRARY.levels_dbfs.any()
    assert changed.day[7] == LIBRARY.day[7]
