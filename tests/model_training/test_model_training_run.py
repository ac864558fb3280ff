"""What is held out is not learned; the report and the manifest say what happened."""

import functools
import html
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from asd_monitor.alarm.state import AlarmRule
from asd_monitor.config.settings import AlarmSettings
from asd_monitor.errors import OperationError, UsageError
from asd_monitor.model_store.bundle import load_bundle
from asd_monitor.model_training import reference as recordings_module
from asd_monitor.model_training.held_out_trial import (
    HELD_OUT_LEAST_S,
    HELD_OUT_SHARE,
    RecordingPart,
    hold_out,
    run_trial,
)
from asd_monitor.model_training.reference import Reference, read_reference
from asd_monitor.model_training.training_run import facts, save, train_model
from asd_monitor.records import Thresholds
from asd_monitor.reports.training_report import report_html
from tests.doubles.synthetic_sounds import machine_sound, write

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    folder = tmp_path_factory.mktemp("normals")
    first = machine_sound(50.0, seed=1)
    first[16_000 * 20 : 16_000 * 21] *= 8  # somebody knocks
    return read_reference(
        [
            write(folder / "<one> & two.wav", first),
            write(folder / "three.wav", machine_sound(40.0, seed=2, rate_hz=48_000), 48_000),
        ]
    )


@functools.cache
def _split_sizes(seconds: float) -> float:
    return max(HELD_OUT_LEAST_S, HELD_OUT_SHARE * seconds)


def test_the_last_part_is_held_out(reference: Reference) -> None:
    split = hold_out(reference)
    assert split.held_out_s == pytest.approx(_split_sizes(reference.usable_s), abs=0.1)
    [part] = split.parts
    assert part.file.path.name == "three.wav"
    assert part.to_s == pytest.approx(40.0, abs=0.01)
    rate_hz = reference.front_end.rate_hz
    kept = [w for s in split.kept if s.file is part.file for w in s.windows]
    assert kept
    assert max(w.end for w in kept) <= part.from_s * rate_hz


def test_several_short_files_are_held_out_whole_or_in_part(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{n}.wav", machine_sound(6.0, seed=n)) for n in range(10)]
    reference = read_reference(paths)
    split = hold_out(reference)
    assert [part.file.path.name for part in split.parts] == ["8.wav", "9.wav"]
    assert [(part.from_s, part.to_s) for part in split.parts] == [(0.0, 6.0), (0.0, 6.0)]
    assert len(split.kept) == 8
    assert sum(s.seconds for s in split.kept) + split.held_out_s == pytest.approx(60.0)


def test_what_was_left_out_between_is_tried_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recordings_module, "MOST_WINDOWS", 60)
    monkeypatch.setattr(recordings_module, "PIECE_S", 5.0)
    path = write(tmp_path / "a.wav", machine_sound(100.0))
    reference = read_reference([path])
    assert (reference.every, reference.usable_s) == (4, 25.0)
    [part] = hold_out(reference).parts  # the last ten learned seconds are those from 60 and 80 on
    assert (part.from_s, part.to_s) == (60.0, 85.0)
    learned = train_model("fan01", reference, AlarmSettings())
    assert learned.trial is None or learned.trial.seconds == 25.0
    assert save(tmp_path, learned, NOW, report_html) == "v1"


def test_a_trial_goes_through_the_alarm_rule(tmp_path: Path) -> None:
    plain = read_reference([write(tmp_path / "plain.wav", machine_sound(60.0, seed=4))])
    learned = train_model("fan01", plain, AlarmSettings())
    # calm, wrong, calm, wrong: with nobody to acknowledge, each counts
    calm, wrong = machine_sound(25.0, seed=8), machine_sound(15.0, seed=9, fault=1.0)
    path = write(tmp_path / "trial.wav", np.concatenate([calm, wrong, calm, wrong]))
    [file] = read_reference([path]).files
    rule = AlarmRule(Thresholds(warning=2.5, alarm=3.0), learned.detector.hop_s)
    trial = run_trial(learned.detector, rule, [RecordingPart(file, 0.0, 80.0)])
    assert trial.alarms == 2
    assert trial.seconds == 80.0
    [scores], [windows] = trial.alarm_scores, trial.windows
    assert len(scores) == len(windows) > 140
    assert trial.share_above(3.0) == pytest.approx(0.4, abs=0.1)
    # a part of a file is that part
    assert run_trial(learned.detector, rule, [RecordingPart(file, 0.0, 20.0)]).alarms == 0
    assert run_trial(learned.detector, rule, [RecordingPart(file, 20.0, 42.0)]).alarms == 1


def test_what_is_learned_and_told(reference: Reference, tmp_path: Path) -> None:
    learned = train_model("fan01", reference, AlarmSettings())
    assert learned.trial is not None
    budget_hz = AlarmSettings().false_alarms.per_second
    assert learned.interval.low_hz <= budget_hz * 1.001
    assert learned.interval.high_hz >= budget_hz * 0.999
    [knock] = [o for o in learned.outliers if o.file.path.name.startswith("<one>")]
    assert 17 < knock.start_s < 20
    assert 20 < knock.end_s < 24
    told = "\n".join(learned.warnings)
    assert "is little" in told
    assert "unusual moments" in told

    version = save(tmp_path, learned, NOW, report_html)
    manifest = load_bundle(tmp_path, "fan01").manifest
    assert version == "v1"
    assert manifest["trained"] == "2026-01-02T03:04:05.000Z"
    assert [file["name"] for file in manifest["training"]["files"]] == [
        "<one> & two.wav",
        "three.wav",
    ]
    assert manifest["training"]["files"][1]["rate_hz"] == 48_000
    assert re.fullmatch(r"[0-9a-f]{64}", manifest["training"]["files"][0]["sha256"])
    assert manifest["training"]["seconds"] == pytest.approx(90.0, abs=0.1)
    thresholds = manifest["thresholds"]
    assert thresholds["false_alarms"] == "1 per month"
    assert thresholds["warning"] <= thresholds["alarm"]
    assert manifest["held_out"]["parts"][0]["name"] == "three.wav"
    assert manifest["warnings"] == list(learned.warnings)
    json.dumps(facts(learned, NOW), allow_nan=False)


def test_the_same_recordings_give_the_same_model(reference: Reference) -> None:
    one, other = (train_model("fan01", reference, AlarmSettings()) for _ in range(2))
    assert facts(one, NOW) == facts(other, NOW)
    assert one.detector.calibration == other.detector.calibration


def test_the_report_stands_alone(reference: Reference, tmp_path: Path) -> None:
    learned = train_model("fan01", reference, AlarmSettings())
    save(tmp_path, learned, NOW, report_html)
    page = (tmp_path / "fan01/v1/report.html").read_text("utf-8")
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!data:|#)""", page)
    assert not re.findall(r"@import|url\((?!data:)|<script", page)
    assert "<one>" not in page
    assert "&lt;one&gt; &amp; two.wav" in page
    for view in learned.detector.views:
        assert view.kind.name in page
        assert html.escape(view.kind.description) in page
    assert f"{learned.thresholds.alarm:.2f}" in page
    assert "prefers-color-scheme" in page
    assert len(page) < 3_000_000


def test_a_report_of_little_sound_still_comes(tmp_path: Path) -> None:
    reference = read_reference([write(tmp_path / "a.wav", machine_sound(16.0))])
    learned = train_model("fan01", reference, AlarmSettings())
    assert learned.trial is None
    assert any("too little sound to hold any out" in warning for warning in learned.warnings)
    assert save(tmp_path / "models", learned, NOW, report_html) == "v1"
    assert facts(learned, NOW)["held_out"] is None


def test_a_machine_that_is_off_teaches_nothing(tmp_path: Path) -> None:
    short = read_reference([write(tmp_path / "a.wav", machine_sound(8.0))])
    with pytest.raises(UsageError, match="runs in too little of these recordings"):
        train_model("fan01", short, AlarmSettings())


def test_a_models_folder_that_is_a_file_is_refused(reference: Reference, tmp_path: Path) -> None:
    learned = replace(train_model("fan01", reference, AlarmSettings()))
    (tmp_path / "models").touch()
    with pytest.raises(OperationError, match=r"models.*--models"):
        save(tmp_path / "models", learned, NOW, report_html)
