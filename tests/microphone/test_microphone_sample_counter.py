"""Runs of equal samples and clipped samples of the last seconds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_monitor.microphone.sample_counter import (
    COUNTED_S,
    LONG_RUN_S,
    MIN_RUN_S,
    SampleFaultCounter,
    SampleFaults,
)
from asd_monitor.records import Block, Samples, Stream

RATE_HZ = 16_000
RUN = round(MIN_RUN_S * RATE_HZ)
SPAN = round(COUNTED_S * RATE_HZ)
LONG = round(LONG_RUN_S * RATE_HZ)
SHORT = 9000


def noise(samples: int, seed: int = 0) -> Samples:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, samples).astype(np.float32)


def counted(sound: Samples, cuts: list[int] | None = None) -> SampleFaults:
    """Return the counts at the end of a sound that is pushed in blocks of these lengths."""
    counter, stream = SampleFaultCounter(RATE_HZ), Stream(RATE_HZ)
    at = turn = 0
    while at < len(sound):
        size = len(sound) if cuts is None else cuts[turn % len(cuts)]
        counter.push(Block(stream, at, sound[at : at + size]))
        at, turn = at + size, turn + 1
    return counter.before(len(sound))


def with_runs(sound: Samples, *runs: tuple[int, int]) -> Samples:
    """Return the sound with the sample repeated at each (begin, length)."""
    changed = sound.copy()
    for begin, length in runs:
        changed[begin : begin + length] = changed[begin]
    return changed


def test_noise_has_no_faults() -> None:
    assert counted(noise(SPAN)) == SampleFaults()


def test_runs_of_equal_samples_are_counted_at_any_value() -> None:
    sound = with_runs(noise(SPAN), (1000, RUN), (9000, 5 * RUN), (30_000, 20 * RUN))
    assert counted(sound).constant_runs == 3


def test_a_run_that_is_too_short_does_not_count() -> None:
    assert counted(with_runs(noise(SPAN), (1000, RUN - 1))).constant_runs == 0


def test_a_run_counts_when_the_sound_returns_or_as_soon_as_it_is_long() -> None:
    short, long = with_runs(noise(SPAN), (1000, RUN)), with_runs(noise(SPAN), (1000, 2 * LONG))
    for sound, at in ((short, 1000 + RUN + 1), (long, 1000 + LONG)):
        assert [counted(sound[:past]).constant_runs for past in (at - 1, at)] == [0, 1]


def test_runs_before_the_span_are_forgotten() -> None:
    sound = with_runs(noise(2 * SPAN), (1000, RUN), (SPAN + 1000, RUN))
    assert counted(sound).constant_runs == 1


def test_counts_are_of_the_samples_before_an_index() -> None:
    counter, stream = SampleFaultCounter(RATE_HZ), Stream(RATE_HZ)
    counter.push(Block(stream, 0, with_runs(noise(SPAN), (1000, RUN), (40_000, RUN))))
    assert [counter.before(at).constant_runs for at in (999, 20_000, SPAN)] == [0, 1, 2]


def test_counts_are_those_of_their_time_in_a_block_of_any_length() -> None:
    sound = with_runs(noise(10 * SPAN), (1000, RUN), (2000, RUN), (3000, RUN))
    counter = SampleFaultCounter(RATE_HZ)
    counter.push(Block(Stream(RATE_HZ), 0, sound))
    found = [counter.before(at).constant_runs for at in (SPAN // 2, 3 * SPAN)]
    assert found == [3, 0]


@pytest.mark.parametrize("value", [1.0, -1.0, 32767 / 32768])
def test_flat_tops_at_full_scale_are_clipping_and_no_run(value: float) -> None:
    sound = noise(SPAN)
    sound[1000 : 1000 + 4 * RUN] = value
    found = counted(sound)
    assert found.constant_runs == 0
    assert found.clipped_share == pytest.approx(4 * RUN / SPAN)


@pytest.mark.parametrize(("level", "counts"), [(0.2, False), (0.35, False), (10.0, True)])
def test_runs_count_in_sound_above_the_step_of_a_converter(level: float, counts: bool) -> None:
    """Sound of a fraction of a step of 16 bits is constant most of the time."""
    steps = np.round(level * np.random.default_rng(0).standard_normal(SPAN))
    sound = with_runs(np.asarray(steps / 32768, np.float32), (30_000, 10 * RUN))
    assert (counted(sound).constant_runs > 0) is counts


def test_a_machine_that_stops_in_a_quiet_hall_has_no_run() -> None:
    """The first run after its sound is one of the converter's steps as well."""
    steps = np.round(0.2 * np.random.default_rng(0).standard_normal(SPAN)).astype(np.float32)
    assert counted(np.concatenate([noise(SPAN), steps / np.float32(32768)])).constant_runs == 0


def test_the_zeros_with_which_a_device_begins_are_no_run() -> None:
    sound = noise(SPAN)
    sound[: 10 * RUN] = 0.0
    assert counted(sound).constant_runs == 0


def test_the_share_and_the_place_of_the_runs() -> None:
    counter = SampleFaultCounter(RATE_HZ)
    counter.push(Block(Stream(RATE_HZ), 0, with_runs(noise(SPAN), (10_000, 8000))))
    assert counter.before(SPAN).missing_share == pytest.approx(8000 / SPAN)
    assert counter.before(14_000).missing_share == pytest.approx(4000 / SPAN)
    places = [(0, 10_000 + LONG - 1), (0, 10_000 + LONG), (17_999, 20_000), (18_000, 20_000)]
    assert [counter.has_run(*place) for place in places] == [False, True, True, False]


def test_a_gap_ends_a_run() -> None:
    counter, stream = SampleFaultCounter(RATE_HZ), Stream(RATE_HZ)
    half = np.zeros(RUN // 2 + 1, np.float32)
    counter.push(Block(stream, 0, half))
    counter.push(Block(stream, 10_000, half))
    assert counter.before(20_000).constant_runs == 0


@pytest.mark.parametrize("value", [1.0, -1.0])
def test_the_share_of_clipped_samples(value: float) -> None:
    sound = noise(SPAN)
    sound[::1000] = value
    assert counted(sound).clipped_share == pytest.approx(1e-3)


def test_the_higher_number_of_each_is_the_highest() -> None:
    assert SampleFaults(3, 0.1, 0.3).highest(SampleFaults(1, 0.2)) == SampleFaults(3, 0.2, 0.3)


def test_a_run_after_another_one_has_no_sound_beside_it_in_whatever_blocks() -> None:
    """It differs by a step of the converter; the sound is before the first run."""
    sound = noise(SHORT)
    sound[2000:2400] = 0.25
    sound[2400:4000] = np.float32(0.25 + 1 / 32768)
    assert counted(sound, [2399, SHORT]) == counted(sound)


LENGTHS = st.integers(1, 4 * RUN) | st.integers(LONG - 100, LONG + 300)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, SHORT - 1), LENGTHS), max_size=8),
    st.lists(st.integers(5, 3 * RUN), min_size=1, max_size=12),
    st.integers(0, 100),
)
def test_counts_do_not_depend_on_the_division_into_blocks(
    runs: list[tuple[int, int]], cuts: list[int], seed: int
) -> None:
    sound = with_runs(noise(SHORT, seed), *runs)
    sound[seed :: 777 + seed] = 1.0
    assert counted(sound, cuts) == counted(sound)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 3 * RUN), min_size=1, max_size=40), st.integers(0, 100))
def test_every_long_enough_run_is_counted_once(lengths: list[int], seed: int) -> None:
    values = np.random.default_rng(seed).permutation(len(lengths)).astype(np.float32)
    sound = np.repeat(values / np.float32(2 * len(lengths)), lengths)
    sound = np.concatenate([[-0.5], sound, [-0.5]]).astype(np.float32)
    expected = sum(each >= RUN for each in lengths)
    assert counted(sound, [RUN - 3, 7, 40]).constant_runs == expected
