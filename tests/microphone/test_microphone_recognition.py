"""From spectra to the condition of the microphone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from asd_monitor.dsp.frames import Floats
from asd_monitor.dsp.front_end import front_end_for
from asd_monitor.microphone.baseline import OFF
from asd_monitor.microphone.findings import MicrophoneCondition
from asd_monitor.microphone.recognition import (
    CLEAR_S,
    CONFIRM_S,
    FORGOTTEN_S,
    PRESUMED_S,
    RESPONSE_S,
    MicrophoneRecognition,
)
from asd_monitor.records import MicrophoneState
from tests.doubles.microphone_capture import (
    COVERED,
    LOUDER,
    OTHER,
    RATE_HZ,
    SLIGHTLY,
    Capture,
)
from tests.doubles.microphone_spectra import (
    SHAPE_DB,
    baseline,
    baseline_of,
    piece_of,
    quiet_lines,
    spectra_of,
)


def test_training_sound_is_ok() -> None:
    capture = Capture()
    assert capture.play(SHAPE_DB, 120.0) == []
    assert capture.subject.suspected_since is None


def test_a_cover_is_suspected_then_a_fault_then_over() -> None:
    capture = Capture()
    capture.play(SHAPE_DB, 30.0)
    capture.play(COVERED, 4.5)
    assert capture.subject.suspected_since is not None
    assert capture.subject.condition == MicrophoneCondition()
    ((at, condition),) = capture.play(COVERED, 30.0)
    assert condition.is_fault
    assert condition.reason is not None
    assert "covered or moved?" in condition.reason
    assert at + 4.5 < 10.0
    ((at, condition),) = capture.play(SHAPE_DB, 60.0)
    assert condition == MicrophoneCondition()
    assert CLEAR_S < at < 10.0 + CLEAR_S
    assert capture.subject.suspected_since is None


def test_a_short_cover_is_not_reported() -> None:
    capture = Capture()
    capture.play(SHAPE_DB, 30.0)
    assert capture.play(COVERED, 2.0) + capture.play(SHAPE_DB, 60.0) == []


def test_what_is_uncertain_is_degraded_and_stays_a_suspicion() -> None:
    capture = Capture()
    capture.play(SHAPE_DB, 30.0)
    ((at, condition),) = capture.play(SLIGHTLY, 40.0)
    assert condition.state is MicrophoneState.DEGRADED
    assert CONFIRM_S < at < 15.0
    assert capture.subject.suspected_since is not None


def test_what_becomes_certain_becomes_a_fault() -> None:
    capture = Capture()
    capture.play(SHAPE_DB, 30.0)
    capture.play(SLIGHTLY, 30.0)
    assert [each.is_fault for _, each in capture.play(COVERED, 30.0)] == [True]


def test_a_gain_is_degraded_and_no_suspicion() -> None:
    capture = Capture()
    capture.play(SHAPE_DB, 30.0)
    ((_, condition),) = capture.play(LOUDER, 40.0)
    assert condition.state is MicrophoneState.DEGRADED
    assert condition.reason is not None
    assert condition.reason.startswith("level changed by +12 dB at all frequencies")
    assert capture.subject.suspected_since is None


def test_a_gap_keeps_the_condition_until_it_is_known_anew() -> None:
    capture = Capture()
    capture.play(SHAPE_DB, 30.0)
    capture.play(COVERED, 30.0)
    capture.gap(60.0)
    assert capture.play(SHAPE_DB, 3.0) == []
    assert [each.is_fault for _, each in capture.play(SHAPE_DB, 30.0)] == [False]


def test_another_microphone_after_an_interruption_is_reported_until_the_first_returns() -> None:
    capture = Capture()
    capture.play(SHAPE_DB, 30.0)
    capture.subject.interrupt()
    ((_, condition),) = capture.play(OTHER, 30.0)
    assert condition.state is MicrophoneState.DEGRADED
    assert condition.reason is not None
    assert condition.reason.startswith("another microphone, or moved?")
    capture.subject.interrupt()
    ((_, condition),) = capture.play(SHAPE_DB, 30.0)
    assert condition == MicrophoneCondition()


def test_the_same_response_without_an_interruption_is_not_reported() -> None:
    capture = Capture()
    capture.play(SHAPE_DB, 30.0)
    assert capture.play(OTHER, 30.0) == []


def test_the_same_microphone_after_an_interruption_is_forgotten() -> None:
    """What changes much later is not compared with the sound before it."""
    capture = Capture()
    capture.play(SHAPE_DB, 30.0)
    capture.subject.interrupt()
    assert capture.play(SHAPE_DB, 30.0) + capture.play(OTHER, 30.0) == []


@pytest.mark.parametrize(
    ("window_s", "hop_s", "stride"), [(8.0, 4.0, 1), (4.0, 1.024, 3), (8.0, 2.048, 3)]
)
def test_a_cover_is_a_fault_and_over_with_long_hops(
    window_s: float, hop_s: float, stride: int
) -> None:
    front_end = front_end_for(RATE_HZ, window_s, hop_s)
    subject = MicrophoneRecognition(replace(baseline(), front_end=front_end), RATE_HZ)
    states = {}
    for number in range(round(180.0 / (front_end.hop_s * stride))):
        at_s = number * front_end.hop_s * stride + front_end.window_s
        mean_db = COVERED if 60.0 < at_s < 120.0 else SHAPE_DB
        spectrum = spectra_of(mean_db, 1, seed=number)[0]
        subject.push_window(spectrum, quiet_lines(number, 1)[0], round(at_s * RATE_HZ))
        states[at_s] = subject.condition.state
    faults = [at_s for at_s, state in states.items() if state is MicrophoneState.FAULT]
    assert 60.0 < faults[0] < 85.0
    assert 120.0 < faults[-1] < 150.0


def among_gaps(capture: Capture, mean_db: Floats, turns: int) -> None:
    for _ in range(turns):
        capture.play(mean_db, 2.0)
        capture.gap(0.1)


def test_a_cover_is_found_and_over_among_gaps() -> None:
    capture = Capture()
    among_gaps(capture, SHAPE_DB, 10)
    among_gaps(capture, COVERED, 6)
    assert capture.subject.condition.is_fault
    among_gaps(capture, SHAPE_DB, 10)
    assert capture.subject.condition == MicrophoneCondition()


def test_a_cover_is_over_in_sound_too_scarce_to_be_compared() -> None:
    capture = Capture()
    capture.play(SHAPE_DB, 30.0)
    capture.play(COVERED, 30.0)
    for _ in range(20):
        capture.gap(8.0)
        capture.play(SHAPE_DB, 1.0)
    assert capture.subject.condition == MicrophoneCondition()


def test_a_suspicion_before_a_pause_confirms_nothing_after_it() -> None:
    capture = Capture()
    capture.play(SHAPE_DB, 30.0)
    capture.play(COVERED, 5.0)
    assert capture.subject.suspected_since is not None
    capture.gap(600.0)
    ((at, condition),) = capture.play(COVERED, 30.0)
    assert condition.is_fault
    assert at > CONFIRM_S + 2.5


def test_a_cover_that_a_machine_might_explain_is_a_fault_for_a_limited_time() -> None:
    capture = Capture()
    capture.play(SHAPE_DB, 30.0)
    changes = capture.play(COVERED, PRESUMED_S + 60.0)
    assert [each.state for _, each in changes] == [MicrophoneState.FAULT, MicrophoneState.DEGRADED]
    assert changes[1][0] == pytest.approx(PRESUMED_S, abs=20.0)
    capture.play(SHAPE_DB, 60.0)
    assert not any(each.is_fault for _, each in capture.play(COVERED, 60.0)), "again"
    capture.gap(FORGOTTEN_S)
    assert not any(each.is_fault for _, each in capture.play(COVERED, 60.0)), "after a gap"
    capture.play(SHAPE_DB, FORGOTTEN_S + 60.0)
    assert any(each.is_fault for _, each in capture.play(COVERED, 60.0)), "after an hour"


def test_an_hour_in_which_the_machine_is_off_is_no_hour_without_the_cover() -> None:
    capture = Capture()
    capture.play(SHAPE_DB, 30.0)
    capture.play(COVERED, PRESUMED_S + 60.0)
    capture.play(SHAPE_DB, FORGOTTEN_S + 60.0, running=False)
    assert not any(each.is_fault for _, each in capture.play(COVERED, 60.0))


def test_a_cover_that_excludes_the_machine_is_a_fault_until_it_is_removed() -> None:
    known = baseline_of([piece_of(SHAPE_DB), piece_of(SHAPE_DB - 3.0, mode=OFF)])
    capture = Capture()
    capture.subject.replace_baseline(known)
    capture.play(SHAPE_DB, 30.0)
    changes = capture.play(COVERED, PRESUMED_S + 60.0)
    assert [each.state for _, each in changes] == [MicrophoneState.FAULT]


def test_another_response_is_taken_as_given_after_an_hour() -> None:
    capture = Capture()
    capture.play(SHAPE_DB, 30.0)
    capture.subject.interrupt()
    (_, degraded), (at, ok) = capture.play(OTHER, RESPONSE_S + 60.0)
    assert degraded.state is MicrophoneState.DEGRADED
    assert ok == MicrophoneCondition()
    assert at == pytest.approx(RESPONSE_S, abs=20.0)
    assert "taken as given" in capture.subject.recovered


def test_a_trained_mode_after_an_interruption_is_no_other_microphone() -> None:
    capture = Capture()
    capture.subject.replace_baseline(baseline_of([piece_of(SHAPE_DB), piece_of(OTHER, mode=1)]))
    capture.play(SHAPE_DB, 30.0)
    capture.subject.interrupt()
    assert capture.play(OTHER, 60.0) == []


def test_another_baseline_applies_from_the_next_window_on() -> None:
    capture = Capture()
    capture.play(SHAPE_DB, 30.0)
    capture.play(COVERED, 30.0)
    capture.subject.replace_baseline(baseline().extended([piece_of(COVERED)]))
    assert capture.play(COVERED, 30.0)[-1][1] == MicrophoneCondition()
