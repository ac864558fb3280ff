"""Faults of the microphone in the monitor: what is evaluated, held and forgotten."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_monitor.alarm.scale_tail import ScaleTail
from asd_monitor.alarm.state import Alarm, AlarmCondition, AlarmRule, TransitionKind
from asd_monitor.alarm.state_machine import MAX_HOLD_S
from asd_monitor.dsp.frames import Floats
from asd_monitor.monitor import DEAD_CHANNEL, Monitor, Reading
from asd_monitor.records import Block, MicrophoneState, Samples, WindowSpectra
from tests.doubles.blocks import block_at
from tests.doubles.microphone_spectra import (
    SHAPE_DB,
    above,
    baseline,
    quiet_lines,
    spectra_of,
)
from tests.doubles.scripted_scorer import (
    RATE_HZ,
    RULE,
    ScriptedScorer,
    changes,
    dead,
    never,
    play,
    sound,
    stream,
)

COVERED = SHAPE_DB + above(2000.0, -20.0)
SLIGHTLY = SHAPE_DB + above(2000.0, -9.0)
LOUDER = SHAPE_DB + 12.0
HIGH, LOW = 9.0, 0.5


def monitor(
    mean_db: Callable[[int], Floats],
    score: Callable[[int], float],
    standing: Alarm | None = None,
    rule: AlarmRule = RULE,
) -> Monitor:
    """Return a monitor whose windows have spectra of this mean at the sample index of the end."""

    def spectra(end: int) -> WindowSpectra:
        return WindowSpectra(spectra_of(mean_db(end), 1, end)[0], quiet_lines(end, 1)[0])

    scorer = ScriptedScorer(score, never, spectra=spectra)
    return Monitor(scorer, rule, RATE_HZ, standing, baseline=baseline())


def between(begin_s: float, end_s: float, inside: Floats) -> Callable[[int], Floats]:
    """Return the mean spectrum by the end of a window: another one between two times."""
    return lambda end: inside if begin_s * RATE_HZ < end <= end_s * RATE_HZ else SHAPE_DB


def high_between(begin_s: float, end_s: float) -> Callable[[int], float]:
    return lambda end: HIGH if begin_s * RATE_HZ < end <= end_s * RATE_HZ else LOW


def microphone(readings: list[Reading]) -> list[str]:
    return [change for _, change in changes(readings, TransitionKind.MICROPHONE)]


def test_a_cover_is_a_fault_and_raises_no_alarm() -> None:
    subject = monitor(between(40, 100, COVERED), high_between(40, 110))
    readings = play(subject, stream(sound(200)))
    ((fault_s, fault), (ok_s, ok)) = changes(readings, TransitionKind.MICROPHONE)
    assert (fault, ok) == ("ok→fault", "fault→ok")
    assert 40 < fault_s < 60
    assert 100 < ok_s < 125
    assert changes(readings, TransitionKind.ALARM) == []


def test_the_same_scores_raise_an_alarm_without_a_fault_of_the_microphone() -> None:
    subject = monitor(lambda end: SHAPE_DB, high_between(40, 110))
    readings = play(subject, stream(sound(200)))
    ((raised_s, _),) = changes(readings, TransitionKind.ALARM)[:1]
    assert raised_s < 55


def test_nothing_is_evaluated_in_a_fault() -> None:
    subject = monitor(between(40, 100, COVERED), lambda end: LOW)
    readings = play(subject, stream(sound(200)))
    fault_s, ok_s = (at for at, _ in changes(readings, TransitionKind.MICROPHONE))
    inside = [each for each in readings if fault_s <= each.sample / RATE_HZ < ok_s]
    assert [each.window for each in inside] == [None]
    assert inside[0].microphone is MicrophoneState.FAULT
    assert readings[-1].microphone is MicrophoneState.OK


def test_a_standing_alarm_is_not_cleared_in_a_fault() -> None:
    standing = Alarm(1, AlarmCondition.ACKNOWLEDGED, 7.0)
    subject = monitor(lambda end: COVERED, lambda end: LOW, standing)
    readings = play(subject, stream(sound(300)))
    assert microphone(readings) == ["ok→fault"]
    assert changes(readings, TransitionKind.ALARM) == []


def test_what_the_fault_has_led_to_is_forgotten() -> None:
    rule = replace(RULE, tails=(*RULE.tails, ScaleTail(600.0, 50.0, 10.0, 30.0)))
    subject = monitor(between(33, 100, COVERED), high_between(33, 100), rule=rule)
    play(subject, stream(sound(50)))
    assert subject.microphone.is_fault
    assert all(block.mean < 1.0 for block in subject.block_means)
    assert len(subject.block_means) >= 2


def test_an_uncertain_fault_delays_the_alarm() -> None:
    prompt = monitor(lambda end: SHAPE_DB, high_between(40, 200))
    subject = monitor(between(40, 200, SLIGHTLY), high_between(40, 200))
    due_s, held_s = (
        changes(play(each, stream(sound(200))), TransitionKind.ALARM)[0][0]
        for each in (prompt, subject)
    )
    assert 15.0 < held_s - due_s <= 30.0
    assert subject.microphone.state is MicrophoneState.DEGRADED


def test_a_gain_is_reported_and_delays_nothing() -> None:
    prompt = monitor(lambda end: SHAPE_DB, high_between(40, 200))
    subject = monitor(between(40, 200, LOUDER), high_between(40, 200))
    due, found = (play(each, stream(sound(200))) for each in (prompt, subject))
    assert changes(found, TransitionKind.ALARM) == changes(due, TransitionKind.ALARM)
    assert microphone(found) == ["ok→degraded"]
    assert subject.microphone.reason is not None
    assert "level changed by +12 dB" in subject.microphone.reason


def test_a_transition_states_what_to_do() -> None:
    subject = monitor(between(40, 100, COVERED), lambda end: LOW)
    found = [
        each.why
        for reading in play(subject, stream(sound(200)))
        for each in reading.transitions
        if each.kind is TransitionKind.MICROPHONE
    ]
    assert found[0].endswith("dB lower than ever in training: look at the microphone")
    assert found[1] == "the microphone captures as in training"


def test_a_channel_that_dies_in_another_fault_is_one_fault() -> None:
    subject = monitor(between(40, 300, COVERED), lambda end: LOW)
    readings = play(subject, stream(sound(70), dead(10), sound(20, seed=1)))
    assert microphone(readings) == ["ok→fault"]
    assert subject.microphone.reason != DEAD_CHANNEL.reason


def test_a_dead_channel_is_stated_first() -> None:
    subject = monitor(between(40, 300, LOUDER), lambda end: LOW)
    readings = play(subject, stream(sound(80), dead(10)))
    assert microphone(readings) == ["ok→degraded", "degraded→fault"]
    assert subject.microphone == DEAD_CHANNEL
    assert microphone(play(subject, [block_at(9000, sound(5), RATE_HZ)])) == ["fault→degraded"]


@pytest.mark.parametrize("begin_s", [56, 3600])
def test_the_crackle_before_an_unplug_raises_no_alarm_when_the_sound_returns(begin_s: int) -> None:
    subject = monitor(between(40, 55, SLIGHTLY), high_between(40, 55))
    play(subject, stream(sound(52)))
    assert subject.held is not None
    subject.interrupt()
    after = play(subject, stream(sound(60, seed=1), start=begin_s * RATE_HZ))
    assert changes(after, TransitionKind.ALARM) == []
    assert subject.raise_held() == ()


def test_a_fault_that_goes_on_after_an_unplug_is_raised() -> None:
    subject = monitor(between(40, 55, SLIGHTLY), high_between(40, 10**6))
    play(subject, stream(sound(52)))
    assert subject.held is not None
    subject.interrupt()
    after = play(subject, stream(sound(60, seed=1), start=5600))
    ((raised_s, _),) = changes(after, TransitionKind.ALARM)
    assert 56 + 3 < raised_s < 56 + MAX_HOLD_S


def test_interruptions_again_and_again_do_not_suppress_an_alarm() -> None:
    subject = monitor(lambda end: SLIGHTLY if end > 2000 else SHAPE_DB, high_between(20, 10**6))
    readings: list[Reading] = []
    for turn in range(20):
        readings += play(subject, stream(sound(30, turn), start=turn * 3100))
        subject.interrupt()
    assert len(changes(readings, TransitionKind.ALARM)) == 1


def test_a_fault_after_an_interrupted_capture_discards_a_held_alarm() -> None:
    subject = monitor(between(40, 60, SLIGHTLY), high_between(40, 55))
    held = play(subject, stream(sound(52)))
    subject.interrupt()
    after = play(subject, stream(dead(5), sound(60, seed=1), start=5600))
    assert changes(held + after, TransitionKind.ALARM) == []


@pytest.mark.parametrize("lost", [dead(38), np.full(3800, np.nan, np.float32)])
def test_a_held_alarm_is_discarded_by_a_dead_channel_and_by_unusable_samples(lost: Samples) -> None:
    subject = monitor(between(40, 52, SLIGHTLY), high_between(40, 52))
    play(subject, stream(sound(52)))
    assert subject.held is not None
    readings = play(subject, stream(lost, start=5200))
    assert subject.held is None
    readings += play(subject, stream(sound(60, seed=1), start=9000))
    assert changes(readings, TransitionKind.ALARM) == []


def test_without_a_baseline_the_spectra_are_not_judged() -> None:
    subject = monitor(lambda end: COVERED, lambda end: LOW)
    subject.replace_baseline(None)
    assert microphone(play(subject, stream(sound(100)))) == []
    subject.replace_baseline(baseline())
    assert microphone(play(subject, stream(sound(100), start=10_000))) == ["ok→fault"]


MEANS = {"ordinary": SHAPE_DB, "covered": COVERED, "slightly": SLIGHTLY, "louder": LOUDER}


@settings(deadline=None, max_examples=12)
@given(
    st.lists(
        st.tuples(st.sampled_from([*MEANS, "dead", "gap"]), st.integers(1, 40), st.booleans()),
        min_size=1,
        max_size=5,
    ),
    st.lists(st.integers(20, 900), min_size=1, max_size=8),
)
def test_the_division_into_blocks_makes_no_difference(
    parts: list[tuple[str, int, bool]], cuts: list[int]
) -> None:
    whole: list[Block] = []
    marks: list[tuple[int, Floats, float]] = []
    at = 0
    for kind, seconds, high in parts:
        if kind != "gap":
            samples: Samples = dead(seconds) if kind == "dead" else sound(seconds, at)
            joined = whole and whole[-1].end == at
            before = whole.pop().samples if joined else np.zeros(0, np.float32)
            whole.append(block_at(at - len(before), np.concatenate([before, samples]), RATE_HZ))
        at += seconds * RATE_HZ
        marks.append((at, MEANS.get(kind, SHAPE_DB), HIGH if high else LOW))

    def at_end(end: int) -> tuple[Floats, float]:
        return next((mean, score) for past, mean, score in marks if end <= past)

    pieces, turn = [], 0
    for block in whole:
        begin = block.start
        while begin < block.end:
            size = cuts[turn % len(cuts)]
            pieces.append(block.part(begin, begin + size))
            begin, turn = begin + size, turn + 1
    one, other = (monitor(lambda end: at_end(end)[0], lambda end: at_end(end)[1]) for _ in range(2))
    assert play(one, pieces) == play(other, whole)
    assert one.microphone == other.microphone


def test_dropouts_are_a_fault_and_raise_no_alarm() -> None:
    subject = monitor(lambda end: SHAPE_DB, high_between(40, 100))
    whole = sound(160)
    for begin in range(40 * RATE_HZ, 100 * RATE_HZ, RATE_HZ // 2):
        whole[begin : begin + 33] = 0.05
    readings = play(subject, stream(whole))
    assert microphone(readings) == ["ok→degraded", "degraded→fault", "fault→degraded"]
    _, (fault_s, _), (over_s, _) = changes(readings, TransitionKind.MICROPHONE)
    assert fault_s - 40 < 5
    assert 100 < over_s < 115
    assert changes(readings, TransitionKind.ALARM) == []


def with_dropouts(sound: Samples, *begins_s: float) -> Samples:
    """Return the sound with a run of equal samples at each time."""
    changed = sound.copy()
    for begin_s in begins_s:
        begin = round(begin_s * RATE_HZ)
        changed[begin : begin + 34] = 0.05
    return changed


def has_run_in(whole: Samples) -> Callable[[int], float]:
    """Return the score of a window, high where it contains a run of equal samples."""
    return lambda end: HIGH if (np.diff(whole[max(0, end - 200) : end]) == 0.0).any() else LOW


def test_a_window_with_dropouts_is_no_evidence() -> None:
    """They are too rare for a fault of the microphone."""
    rule = replace(RULE, tails=(*RULE.tails, ScaleTail(600.0, 50.0, 10.0, 30.0)))
    whole = with_dropouts(sound(300), *np.arange(40.0, 290.0, 5.5))
    subject, other = (monitor(lambda end: SHAPE_DB, has_run_in(whole), rule=rule) for _ in range(2))
    other.replace_baseline(None)
    assert microphone(play(subject, stream(whole))) == ["ok→degraded"]
    play(other, stream(whole))
    highest = [max(block.mean for block in each.block_means) for each in (subject, other)]
    assert highest[0] == LOW
    assert highest[1] > 1.0


def test_a_machine_that_runs_briefly_and_has_lost_its_high_frequencies_raises_its_alarm() -> None:
    """Ten minutes of a fault that a machine explains begin anew only in evaluated sound."""
    subject = monitor(lambda end: COVERED, lambda end: HIGH)
    readings: list[Reading] = []
    for start_s in range(0, 4 * 4500, 4500):
        subject.running = True
        readings += play(subject, stream(sound(480), start=start_s * RATE_HZ))
        subject.running = False
        off = [(start_s + at) * RATE_HZ for at in range(480, 4500, 60)]
        readings += play(subject, [block_at(at, sound(60), RATE_HZ) for at in off])
    assert len(changes(readings, TransitionKind.ALARM)) == 1


@pytest.mark.parametrize(
    ("mean_db", "expected"),
    [(SHAPE_DB, False), (LOUDER, False), (SLIGHTLY, True), (COVERED, True)],
    ids=["ordinary", "louder", "slightly", "covered"],
)
def test_a_louder_machine_is_no_changed_microphone(mean_db: Floats, expected: bool) -> None:
    subject = monitor(between(40, 100, mean_db), lambda end: LOW)
    readings = play(subject, stream(sound(100)))
    assert any(each.may_be_changed for each in readings) is expected
    assert not any(each.may_be_changed for each in readings if each.sample <= 40 * RATE_HZ)


def test_windows_with_dropouts_are_counted() -> None:
    subject = monitor(lambda end: SHAPE_DB, lambda end: LOW)
    readings = play(subject, stream(with_dropouts(sound(60), 40.0)))
    scored = sum(each.window is not None for each in readings)
    assert subject.left_out_windows >= 4
    assert scored + subject.left_out_windows == 60 * 2 - 3


def test_bursts_of_dropouts_again_and_again_do_not_suppress_an_alarm() -> None:
    begins = [at + k for at in np.arange(45.0, 290.0, 14.0) for k in (0.0, 0.5, 1.0)]
    subject = monitor(lambda end: SHAPE_DB, high_between(40, 300))
    readings = play(subject, stream(with_dropouts(sound(300), *begins)))
    ((raised_s, _),) = changes(readings, TransitionKind.ALARM)
    assert raised_s < 100
    assert microphone(readings) == ["ok→degraded", "degraded→fault", "fault→degraded"]


def test_a_channel_that_dies_again_and_again_does_not_suppress_an_alarm() -> None:
    whole = sound(300)
    for begin_s in np.arange(45.0, 290.0, 12.0):
        begin = round(begin_s * RATE_HZ)
        whole[begin : begin + 6 * RATE_HZ] = 0.05
    subject = monitor(lambda end: SHAPE_DB, high_between(40, 300))
    readings = play(subject, stream(whole))
    ((raised_s, _),) = changes(readings, TransitionKind.ALARM)
    assert raised_s < 120


def test_evidence_from_before_the_first_dropout_is_kept() -> None:
    rule = replace(RULE, tails=(*RULE.tails, ScaleTail(600.0, 50.0, 10.0, 30.0)))
    subject = monitor(lambda end: SHAPE_DB, lambda end: LOW, rule=rule)
    play(subject, stream(with_dropouts(sound(35), 32.0, 33.0, 34.0)))
    assert subject.microphone.is_fault
    assert len(subject.block_means) == 3


def test_a_held_alarm_is_raised_in_time_while_the_machine_is_off_by_a_signal() -> None:
    subject = monitor(between(40, 52, SLIGHTLY), high_between(40, 52))
    play(subject, stream(sound(52)))
    subject.running = False
    for size in (1.0, 7.0):
        readings = play(subject, [block_at(subject_end(subject), sound(size), RATE_HZ)])
        assert changes(readings, TransitionKind.ALARM) == []
    readings = play(subject, [block_at(subject_end(subject), sound(100), RATE_HZ)])
    ((raised_s, _),) = changes(readings, TransitionKind.ALARM)
    assert raised_s < 52 + MAX_HOLD_S
    assert [each.window for each in readings] == [None]


def test_a_short_gap_discards_a_held_alarm_and_the_evidence_before_it() -> None:
    subject = monitor(between(40, 52, SLIGHTLY), high_between(40, 52))
    play(subject, stream(sound(52)))
    assert subject.held is not None
    readings = play(subject, stream(sound(60, seed=1), start=5210))
    assert changes(readings, TransitionKind.ALARM) == []
    assert all(each.alarm_score < 5.0 for each in readings)


def subject_end(subject: Monitor) -> int:
    assert subject._end is not None
    return subject._end


def test_unusable_samples_in_a_long_block_leave_the_dropouts_before_them() -> None:
    whole = with_dropouts(sound(90), 20.0, 20.5, 21.0)
    whole[80 * RATE_HZ] = np.nan
    blocks = [block_at(at, whole[at : at + RATE_HZ], RATE_HZ) for at in range(0, 9000, RATE_HZ)]
    found = [
        microphone(play(monitor(lambda end: SHAPE_DB, lambda end: LOW), each))
        for each in (blocks, stream(whole))
    ]
    assert found[0] == ["ok→degraded", "degraded→fault", "fault→degraded", "degraded→ok"]
    assert found[1] == found[0]
