"""The held-out part of the recordings, and the trial of a detector on it."""

from pathlib import Path

import numpy as np
import pytest

from asd_monitor.alarm.budget import alarm_rule
from asd_monitor.alarm.state import AlarmRule
from asd_monitor.config.machine_settings import AlarmSettings
from asd_monitor.model_training.findings import HeldOutAlarms, HeldOutExcess, assess
from asd_monitor.model_training.held_out_split import HELD_OUT_SHARE, hold_out
from asd_monitor.model_training.held_out_trial import run_trial
from asd_monitor.model_training.recording_parts import RecordingPart
from asd_monitor.model_training.reference import Reference, read_reference
from asd_monitor.model_training.sound_files import inspect_recording
from asd_monitor.model_training.training_run import train_model
from asd_monitor.records import Thresholds
from tests.doubles.synthetic_sounds import machine_sound, write


def test_the_last_part_is_held_out(fan_reference: Reference) -> None:
    split = hold_out(fan_reference)
    expected_s = HELD_OUT_SHARE * fan_reference.usable_s
    assert split.held_out_s == pytest.approx(expected_s, abs=0.1)
    [part] = split.parts
    assert part.file.path.name == "three.wav"
    assert part.to_s == pytest.approx(40.0, abs=0.01)
    rate_hz = fan_reference.front_end.rate_hz
    kept = [w for s in split.kept if s.file is part.file for w in s.windows]
    assert kept
    assert max(w.end for w in kept) <= part.from_s * rate_hz


def test_several_short_files_are_held_out(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{n}.wav", machine_sound(6.0, seed=n)) for n in range(10)]
    split = hold_out(read_reference(paths))
    assert [part.file.path.name for part in split.parts] == ["8.wav", "9.wav"]
    assert [(part.from_s, part.to_s) for part in split.parts] == [(0.0, 6.0), (0.0, 6.0)]
    assert len(split.kept) == 8
    assert sum(s.seconds for s in split.kept) + split.held_out_s == pytest.approx(60.0)


@pytest.mark.usefixtures("unmeasured")
def test_sound_between_held_out_excerpts_is_scored_too(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", machine_sound(100.0))
    reference = read_reference([path], max_windows=60, excerpt_s=5.0)
    assert (reference.excerpt_stride, reference.usable_s) == (4, 25.0)
    [part] = hold_out(reference).parts  # the last ten seconds used begin at 60 and at 80 s
    assert (part.from_s, part.to_s) == (60.0, 85.0)
    trial = train_model("fan01", reference, AlarmSettings()).trial
    assert trial is None or trial.seconds == 25.0


def test_a_trial_counts_every_alarm(tmp_path: Path) -> None:
    reference = read_reference([write(tmp_path / "normal.wav", machine_sound(40.0, seed=4))])
    fitted = reference.fit()
    detector = fitted.detector
    normal, faulty = machine_sound(25.0, seed=8), machine_sound(15.0, seed=9, fault=1.0)
    path = write(tmp_path / "trial.wav", np.concatenate([normal, faulty, normal, faulty]))
    file = inspect_recording(path)
    rule = AlarmRule(
        Thresholds(2.5, 3.0),
        detector.hop_s,
        tails=detector.tails,
        effect_bound=detector.effect_bound,
    )
    trial = run_trial(fitted, rule, [RecordingPart(file, 0.0, 80.0)])
    assert trial.alarms == 2  # not latched
    assert trial.seconds == 80.0
    [scores], [windows] = trial.alarm_scores, trial.windows
    assert len(scores) == len(windows) > 140
    assert trial.share_above_usual == pytest.approx(0.4, abs=0.1)
    assert run_trial(fitted, rule, [RecordingPart(file, 0.0, 20.0)]).alarms == 0
    assert run_trial(fitted, rule, [RecordingPart(file, 20.0, 42.0)]).alarms == 1


@pytest.mark.parametrize(
    ("fault", "expected"), [(0.0, None), (0.15, HeldOutExcess), (1.0, HeldOutAlarms)]
)
def test_a_held_out_part_that_sounds_different_is_a_finding(
    tmp_path: Path, fault: float, expected: type | None
) -> None:
    sound = np.concatenate([machine_sound(96.0, seed=1), machine_sound(24.0, seed=2, fault=fault)])
    reference = read_reference([write(tmp_path / "a.wav", sound)])
    split = hold_out(reference)
    fitted = reference.fit(split.kept)
    rule = alarm_rule(AlarmSettings().criteria, fitted.detector)
    trial = run_trial(fitted, rule, split.parts)
    found = {type(each) for each in assess(reference, trial, None, [], None)}
    assert found & {HeldOutAlarms, HeldOutExcess} == ({expected} if expected else set())
