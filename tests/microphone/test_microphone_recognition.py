"""From samples and spectra to the condition of the microphone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from asd_monitor.dsp.frames import Floats
from asd_monitor.dsp.front_end import front_end_for
from asd_monitor.microphone.baseline import OFF
from asd_monitor.microphone.findings import MicrophoneCondition
from asd_monitor.microphone.recent_spectra import SPAN_S
from asd_monitor.microphone.recognition import (
    CLEAR_S,
    CONFIRM_S,
    FORGOTTEN_S,
    LINGER_S,
    PRESUMED_S,
    RESPONSE_S,
    MicrophoneRecognition,
)
from asd_monitor.microphone.sample_counter import COUNTED_S, SampleFaults
from asd_monitor.records import Block, MicrophoneState, Samples, Stream
from tests.doubles.microphone_spectra import (
    FRONT_END,
    SHAPE_DB,
    above,
    baseline,
    baseline_of,
    piece_of,
    quiet_lines,
    spectra_of,
)

RATE_HZ = FRONT_END.rate_hz
HOP, WINDOW = FRONT_END.hop, FRONT_END.window
COVERED = SHAPE_DB + above(2000.0, -20.0)
SLIGHTLY = SHAPE_DB + above(2000.0, -9.0)
LOUDER = SHAPE_DB + 12.0
OTHER = SHAPE_DB + 6.0 * np.cos(np.arange(len(SHAPE_DB)) / 20.0)


class Capture:
    """Feeds a recognition with windows, one every hop."""

    def __init__(self, samples: SampleFaults | None = None) -> None:
        known = baseline() if samples is None else baseline_of([piece_of(SHAPE_DB)], samples)
        self.subject = MicrophoneRecognition(known, RATE_HZ)
        self.end = 0
        self._stream = Stream(RATE_HZ)

    def play(
        self, mean_db: Floats, seconds: float, *, running: bool = True
    ) -> list[tuple[float, MicrophoneCondition]]:
        """Push windows of this mean; return the changes of the condition, in s from now."""
        begin, found, before = self.end, [], self.subject.condition
        for number in range(round(seconds * RATE_HZ / HOP)):
            self.end += HOP
            spectrum = spectra_of(mean_db, 1, seed=self.end + number)[0]
            self.subject.push_window(spectrum, quiet_lines(number, 1)[0], self.end, running=running)
            if self.subject.condition != before:
                before = self.subject.condition
                found.append(((self.end - begin) / RATE_HZ, before))
        return found

    def gap(self, seconds: float) -> None:
        """Let samples be lost."""
        self.end += round(seconds * RATE_HZ) + WINDOW - HOP

    def hear(self, samples: Samples) -> None:
        """Push samples, and the windows of training sound that they complete."""
        start = self.end
        self.subject.push_samples(Block(self._stream, start, samples))
        self.play(SHAPE_DB, len(samples) / RATE_HZ)


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


def noise(seconds: float, seed: int = 0) -> Samples:
    sound = np.random.default_rng(seed).uniform(-0.5, 0.5, round(seconds * RATE_HZ))
    return sound.astype(np.float32)


def dropouts(seconds: float, per_s: float) -> Samples:
    sound = noise(seconds)
    for begin in range(1000, len(sound), round(RATE_HZ / per_s)):
        sound[begin : begin + 160] = 0.0
    return sound


def test_dropouts_are_a_fault_at_once_and_over_when_they_stop() -> None:
    capture = Capture()
    capture.hear(dropouts(2.0, 2.0))
    assert capture.subject.condition.is_fault
    capture.hear(noise(4.0))
    assert capture.subject.condition.is_fault
    capture.hear(noise(12.0))
    assert capture.subject.condition.state is MicrophoneState.DEGRADED
    assert capture.subject.suspected_since is None
    capture.hear(noise(LINGER_S))
    assert capture.subject.condition == MicrophoneCondition()


def test_a_few_dropouts_after_a_burst_are_degraded() -> None:
    capture = Capture()
    capture.hear(dropouts(2.0, 2.0))
    for _ in range(6):
        capture.hear(dropouts(10.0, 0.1))
    assert capture.subject.condition.state is MicrophoneState.DEGRADED


def stuck(seconds: float) -> Samples:
    return np.concatenate([noise(0.1), np.full(round(seconds * RATE_HZ), 0.1, np.float32)])


@pytest.mark.parametrize("burst", [dropouts(1.0, 4.0), stuck(1.9)], ids=["short", "long"])
def test_bursts_again_and_again_are_a_fault_once(burst: Samples) -> None:
    """The sound between them is evaluated; dropouts that last are a fault again."""
    capture = Capture()
    capture.hear(burst)
    states = []
    for _ in range(6):
        capture.hear(noise(6.0))
        states.append(capture.subject.condition.state)
        capture.hear(noise(7.0))
        capture.hear(burst)
        states.append(capture.subject.condition.state)
    assert states[0] is MicrophoneState.FAULT
    assert set(states[1:]) == {MicrophoneState.DEGRADED}
    capture.hear(dropouts(SPAN_S + 1.0, 4.0))
    assert capture.subject.condition.is_fault


@pytest.mark.parametrize(("length_s", "every_s"), [(1.8, 2.6), (0.6, 5.0)])
def test_few_long_dropouts_are_a_fault(length_s: float, every_s: float) -> None:
    capture = Capture()
    sound = noise(10.0)
    for begin_s in np.arange(1.0, 8.0, every_s):
        begin = round(begin_s * RATE_HZ)
        sound[begin : begin + round(length_s * RATE_HZ)] = sound[begin]
    capture.hear(sound)
    assert capture.subject.condition.is_fault


def test_dropouts_in_every_window_are_a_fault() -> None:
    """Two in five seconds leave no window of eight seconds to be evaluated."""
    capture = Capture()
    long = front_end_for(RATE_HZ, window_s=7.936)
    capture.subject = MicrophoneRecognition(replace(baseline(), front_end=long), RATE_HZ)
    capture.hear(noise(10.0))
    states = []
    for _ in range(8):
        capture.hear(dropouts(2.6, 0.1))
        states.append(capture.subject.condition.state)
    assert states[0] is MicrophoneState.DEGRADED
    assert states[-1] is MicrophoneState.FAULT


def test_only_windows_with_dropouts_are_left_out() -> None:
    capture = Capture()
    capture.hear(dropouts(1.0, 1.0))
    assert capture.subject.leaves_out_window
    capture.hear(noise(2.5))
    assert not capture.subject.leaves_out_window
    assert capture.subject.condition.state is MicrophoneState.DEGRADED


def test_long_dropouts_are_a_fault_where_a_few_short_ones_are_usual() -> None:
    capture = Capture(SampleFaults(constant_runs=1, missing_share=0.002))
    for turn in range(3):
        capture.hear(stuck(1.0))
        capture.hear(noise(2.4, turn))
    assert capture.subject.condition.is_fault


def test_a_usual_missing_share_is_ok() -> None:
    capture = Capture(SampleFaults(constant_runs=4, missing_share=0.2))
    for turn in range(12):
        capture.hear(stuck(0.3))
        capture.hear(noise(1.2, turn))
        assert capture.subject.condition == MicrophoneCondition()


def test_sporadic_dropouts_are_one_report() -> None:
    capture = Capture()
    states = []
    for _ in range(8):
        capture.hear(dropouts(12.0, 0.08))
        states.append(capture.subject.condition.state)
    assert set(states) == {MicrophoneState.DEGRADED}
    capture.hear(noise(LINGER_S + CLEAR_S))
    assert capture.subject.condition == MicrophoneCondition()


def test_dropouts_are_those_of_the_time_that_made_them_certain() -> None:
    capture = Capture()
    for _ in range(5):
        capture.hear(dropouts(5.5, 0.1))
    begin = capture.end
    capture.hear(dropouts(2.0, 2.0))
    assert capture.subject.condition.is_fault
    assert capture.subject.faulty_since is not None
    assert begin - COUNTED_S * RATE_HZ <= capture.subject.faulty_since <= capture.end


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


def test_usual_runs_alone_leave_no_window_out_after_a_burst() -> None:
    capture = Capture(SampleFaults(constant_runs=4))
    capture.hear(dropouts(2.0, 8.0))
    assert capture.subject.leaves_out_window
    evaluated = []
    for _ in range(5):
        capture.hear(dropouts(10.0, 0.8))
        evaluated.append(not capture.subject.leaves_out_window)
    assert evaluated == [True] * 5


def test_clipping_ends_no_dropouts() -> None:
    capture = Capture()
    for turn in range(4):
        for sound in (dropouts(1.0, 4.0), noise(6.0, turn)):
            sound[500::100] = 1.0
            capture.hear(sound)
            assert capture.subject.condition.is_fault
            assert capture.subject.condition.reason is not None
            assert capture.subject.condition.reason.startswith("dropouts")


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


def test_a_single_dropout_is_degraded() -> None:
    capture = Capture()
    capture.hear(dropouts(2.0, 0.1))
    assert capture.subject.condition.state is MicrophoneState.DEGRADED
    assert capture.subject.suspected_since is not None


def test_runs_of_equal_samples_as_in_training_are_ok() -> None:
    capture = Capture(SampleFaults(constant_runs=10))
    capture.hear(dropouts(5.0, 3.0))
    assert capture.subject.condition == MicrophoneCondition()


@pytest.mark.parametrize(("trained", "reported"), [(0.0, True), (0.02, False)])
def test_clipping_beyond_that_of_training_is_degraded(trained: float, reported: bool) -> None:
    capture = Capture(SampleFaults(clipped_share=trained))
    sound = noise(5.0)
    sound[::50] = 1.0
    capture.hear(sound)
    condition = capture.subject.condition
    assert (condition.state is MicrophoneState.DEGRADED) is reported
    if reported:
        assert condition.reason is not None
        assert condition.reason.startswith("clipping: more than 0.1 % of the samples")
    assert capture.subject.suspected_since is None


def test_a_fault_is_stated_before_what_is_uncertain() -> None:
    capture = Capture()
    capture.play(SHAPE_DB, 30.0)
    capture.play(LOUDER, 40.0)
    capture.subject.push_samples(Block(capture._stream, capture.end, dropouts(2.0, 2.0)))
    capture.play(LOUDER, 2.0)
    assert capture.subject.condition.is_fault


def test_another_baseline_applies_from_the_next_window_on() -> None:
    capture = Capture()
    capture.play(SHAPE_DB, 30.0)
    capture.play(COVERED, 30.0)
    capture.subject.replace_baseline(baseline().extended([piece_of(COVERED)]))
    assert capture.play(COVERED, 30.0)[-1][1] == MicrophoneCondition()
