"""From dropouts and clipping to the condition of the microphone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from asd_monitor.dsp.front_end import front_end_for
from asd_monitor.microphone.findings import MicrophoneCondition
from asd_monitor.microphone.recent_spectra import SPAN_S
from asd_monitor.microphone.recognition import (
    CLEAR_S,
    LINGER_S,
    MicrophoneRecognition,
)
from asd_monitor.microphone.sample_counter import COUNTED_S, SampleFaults
from asd_monitor.records import Block, MicrophoneState, Samples
from tests.doubles.microphone_capture import (
    LOUDER,
    RATE_HZ,
    Capture,
    dropouts,
    noise,
)
from tests.doubles.microphone_spectra import (
    SHAPE_DB,
    baseline,
)


def test_dropouts_are_a_fault_at_once_and_over_when_they_stop() -> None:
    capture = Capture()
    capture.push(dropouts(2.0, 2.0))
    assert capture.subject.condition.is_fault
    capture.push(noise(4.0))
    assert capture.subject.condition.is_fault
    capture.push(noise(12.0))
    assert capture.subject.condition.state is MicrophoneState.DEGRADED
    assert capture.subject.suspected_since is None
    capture.push(noise(LINGER_S))
    assert capture.subject.condition == MicrophoneCondition()


def test_a_few_dropouts_after_a_burst_are_degraded() -> None:
    capture = Capture()
    capture.push(dropouts(2.0, 2.0))
    for _ in range(6):
        capture.push(dropouts(10.0, 0.1))
    assert capture.subject.condition.state is MicrophoneState.DEGRADED


def stuck(seconds: float) -> Samples:
    return np.concatenate([noise(0.1), np.full(round(seconds * RATE_HZ), 0.1, np.float32)])


@pytest.mark.parametrize("burst", [dropouts(1.0, 4.0), stuck(1.9)], ids=["short", "long"])
def test_bursts_again_and_again_are_a_fault_once(burst: Samples) -> None:
    """The sound between them is evaluated; dropouts that last are a fault again."""
    capture = Capture()
    capture.push(burst)
    states = []
    for _ in range(6):
        capture.push(noise(6.0))
        states.append(capture.subject.condition.state)
        capture.push(noise(7.0))
        capture.push(burst)
        states.append(capture.subject.condition.state)
    assert states[0] is MicrophoneState.FAULT
    assert set(states[1:]) == {MicrophoneState.DEGRADED}
    capture.push(dropouts(SPAN_S + 1.0, 4.0))
    assert capture.subject.condition.is_fault


@pytest.mark.parametrize(("length_s", "every_s"), [(1.8, 2.6), (0.6, 5.0)])
def test_few_long_dropouts_are_a_fault(length_s: float, every_s: float) -> None:
    capture = Capture()
    sound = noise(10.0)
    for begin_s in np.arange(1.0, 8.0, every_s):
        begin = round(begin_s * RATE_HZ)
        sound[begin : begin + round(length_s * RATE_HZ)] = sound[begin]
    capture.push(sound)
    assert capture.subject.condition.is_fault


def test_dropouts_in_every_window_are_a_fault() -> None:
    """Two in five seconds leave no window of eight seconds to be evaluated."""
    capture = Capture()
    long = front_end_for(RATE_HZ, window_s=7.936)
    capture.subject = MicrophoneRecognition(replace(baseline(), front_end=long), RATE_HZ)
    capture.push(noise(10.0))
    states = []
    for _ in range(8):
        capture.push(dropouts(2.6, 0.1))
        states.append(capture.subject.condition.state)
    assert states[0] is MicrophoneState.DEGRADED
    assert states[-1] is MicrophoneState.FAULT


def test_only_windows_with_dropouts_are_left_out() -> None:
    capture = Capture()
    capture.push(dropouts(1.0, 1.0))
    assert capture.subject.leaves_out_window
    capture.push(noise(2.5))
    assert not capture.subject.leaves_out_window
    assert capture.subject.condition.state is MicrophoneState.DEGRADED


def test_long_dropouts_are_a_fault_where_a_few_short_ones_are_usual() -> None:
    capture = Capture(SampleFaults(constant_runs=1, missing_share=0.002))
    for turn in range(3):
        capture.push(stuck(1.0))
        capture.push(noise(2.4, turn))
    assert capture.subject.condition.is_fault


def test_a_usual_missing_share_is_ok() -> None:
    capture = Capture(SampleFaults(constant_runs=4, missing_share=0.2))
    for turn in range(12):
        capture.push(stuck(0.3))
        capture.push(noise(1.2, turn))
        assert capture.subject.condition == MicrophoneCondition()


def test_sporadic_dropouts_are_one_report() -> None:
    capture = Capture()
    states = []
    for _ in range(8):
        capture.push(dropouts(12.0, 0.08))
        states.append(capture.subject.condition.state)
    assert set(states) == {MicrophoneState.DEGRADED}
    capture.push(noise(LINGER_S + CLEAR_S))
    assert capture.subject.condition == MicrophoneCondition()


def test_dropouts_are_those_of_the_time_that_made_them_certain() -> None:
    capture = Capture()
    for _ in range(5):
        capture.push(dropouts(5.5, 0.1))
    begin = capture.end
    capture.push(dropouts(2.0, 2.0))
    assert capture.subject.condition.is_fault
    assert capture.subject.faulty_since is not None
    assert begin - COUNTED_S * RATE_HZ <= capture.subject.faulty_since <= capture.end


def test_usual_runs_alone_leave_no_window_out_after_a_burst() -> None:
    capture = Capture(SampleFaults(constant_runs=4))
    capture.push(dropouts(2.0, 8.0))
    assert capture.subject.leaves_out_window
    evaluated = []
    for _ in range(5):
        capture.push(dropouts(10.0, 0.8))
        evaluated.append(not capture.subject.leaves_out_window)
    assert evaluated == [True] * 5


def test_clipping_ends_no_dropouts() -> None:
    capture = Capture()
    for turn in range(4):
        for sound in (dropouts(1.0, 4.0), noise(6.0, turn)):
            sound[500::100] = 1.0
            capture.push(sound)
            assert capture.subject.condition.is_fault
            assert capture.subject.condition.reason is not None
            assert capture.subject.condition.reason.startswith("dropouts")


def test_a_single_dropout_is_degraded() -> None:
    capture = Capture()
    capture.push(dropouts(2.0, 0.1))
    assert capture.subject.condition.state is MicrophoneState.DEGRADED
    assert capture.subject.suspected_since is not None


def test_runs_of_equal_samples_as_in_training_are_ok() -> None:
    capture = Capture(SampleFaults(constant_runs=10))
    capture.push(dropouts(5.0, 3.0))
    assert capture.subject.condition == MicrophoneCondition()


@pytest.mark.parametrize(("trained", "reported"), [(0.0, True), (0.02, False)])
def test_clipping_beyond_that_of_training_is_degraded(trained: float, reported: bool) -> None:
    capture = Capture(SampleFaults(clipped_share=trained))
    sound = noise(5.0)
    sound[::50] = 1.0
    capture.push(sound)
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
    capture.subject.push_samples(Block(capture.stream, capture.end, dropouts(2.0, 2.0)))
    capture.play(LOUDER, 2.0)
    assert capture.subject.condition.is_fault
