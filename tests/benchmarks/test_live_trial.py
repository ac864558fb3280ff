"""What the live trial expects of its arguments and of the alarms."""

import argparse
from pathlib import Path

import pytest

from benchmarks.live_trial import TrialMachine


def machine(fault_from_s: float | None) -> TrialMachine:
    return TrialMachine("fan", Path("train.wav"), Path("play.wav"), fault_from_s)


def rise(trial: TrialMachine, alarm_id: str, at_s: float) -> None:
    event = {"to": "unacknowledged", "alarm_id": alarm_id}
    trial.receive("asd/fan/event", event, trial.began + at_s)


def test_an_argument_names_recordings_and_the_begin_of_the_fault() -> None:
    parsed = TrialMachine.parse("fan=a.wav:b.wav:12.5")
    assert (parsed.name, parsed.train, parsed.play) == ("fan", Path("a.wav"), Path("b.wav"))
    assert parsed.fault_from_s == 12.5
    assert TrialMachine.parse("fan=a.wav:b.wav").fault_from_s is None


@pytest.mark.parametrize("text", ["fan", "fan=a.wav", "=a.wav:b.wav", "fan=a:b:1:2"])
def test_other_arguments_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not NAME=TRAIN:PLAY"):
        TrialMachine.parse(text)


@pytest.mark.parametrize(("at_s", "passed"), [(19.0, False), (25.0, True), (41.0, False)])
def test_an_alarm_must_follow_the_fault_within_20_s(at_s: float, passed: bool) -> None:
    trial = machine(20.0)
    rise(trial, "a1", at_s)
    rise(trial, "a1", at_s + 100)  # the same alarm again
    assert trial.passed is passed


def test_a_second_alarm_or_one_without_a_fault_fails_the_trial() -> None:
    faulty, healthy = machine(20.0), machine(None)
    assert not faulty.passed
    assert healthy.passed
    for trial in (faulty, healthy):
        rise(trial, "a1", 25.0)
    assert faulty.passed
    assert not healthy.passed
    rise(faulty, "a2", 30.0)
    assert not faulty.passed


def test_scores_are_counted_with_the_highest_alarm_score() -> None:
    trial = machine(None)
    for alarm_score, lost in ((0.5, 0), (2.5, 16), (1.0, 16)):
        trial.receive("asd/fan/score", {"alarm_score": alarm_score, "lost_samples": lost}, 0.0)
    assert (trial.windows, trial.lost_samples, trial.max_alarm_score) == (3, 16, 2.5)
