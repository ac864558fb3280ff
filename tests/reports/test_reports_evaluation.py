"""The report of an evaluation: self-contained, with the misjudged clips, played or not."""

import base64
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asd_monitor.evaluation.dcase_data_set import DcaseMachine, LabelledClip
from asd_monitor.evaluation.dcase_years import Rules
from asd_monitor.evaluation.results import AUTOENCODER, FUSED, MachineResult, Results
from asd_monitor.reports.evaluation_report import evaluation_page, report_html
from asd_monitor.reports.misjudged_clips import (
    MAX_CLIP_S,
    MAX_CLIPS,
    MAX_CLIPS_OF_MACHINE,
    NOMINAL_RMS,
    playable,
    read_clip,
    spectrogram,
    worst_clips,
)
from tests.doubles.html_checks import assert_self_contained
from tests.doubles.synthetic_sounds import machine_sound, write


def test_the_page_is_self_contained(results_2023: Results) -> None:
    text = report_html(results_2023)
    assert_self_contained(text)
    assert text.count("<audio") == text.count("data:audio/flac") == 8  # 4 of each class
    assert text.count("data:image/png") == 8
    for part in ("DCASE 2023", "official score", "AUC target", "statistics", "fan section_00"):
        assert part in text
    assert 'polyline class="target"' in text  # the ROC curve of the target domain
    assert "range of the partial AUC" in text
    assert len(text) < 10e6


def test_sound_can_be_left_out(results_2023: Results) -> None:
    text = report_html(results_2023, sound=False)
    assert "audio" not in re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)
    assert text.count("data:image/png") == 8


def test_the_gain_over_the_baseline_is_rated(results_2023: Results) -> None:
    [result] = results_2023.machines
    baseline = tuple(-score for score in result.scores[FUSED])
    rated = replace(result, baselines={**result.baselines, AUTOENCODER: baseline})
    page = evaluation_page(replace(results_2023, machines=(rated,)), sound=False)
    [gain] = [figure for figure in page.key_figures if "against the baseline" in figure.label]
    assert gain.rating == "good"
    assert gain.value.startswith("+")
    assert AUTOENCODER in [row.name for row in page.comparison.rows]


def _played(address: str) -> tuple[np.ndarray, int]:
    samples, rate_hz = soundfile.read(io.BytesIO(base64.b64decode(address.split(",")[1])))
    return samples, rate_hz


def test_the_sound_in_the_page_is_the_clip_at_a_nominal_level(tmp_path: Path) -> None:
    sound = machine_sound(20.0, rate_hz=48_000, gain=0.001)
    path = write(tmp_path / "quiet.wav", sound, 48_000, subtype="FLOAT")
    rate_hz, samples = read_clip(path, None)
    assert (rate_hz, len(samples)) == (16_000, MAX_CLIP_S * 16_000)
    played, its_rate_hz = _played(playable(samples, rate_hz))
    assert its_rate_hz == 16_000
    assert np.corrcoef(played, samples)[0, 1] > 0.999
    assert np.sqrt(np.mean(played**2)) == pytest.approx(NOMINAL_RMS, rel=0.02)
    silent, _ = _played(playable(0 * samples, rate_hz))
    assert np.isfinite(silent).all()
    assert spectrogram(samples[:100], rate_hz).startswith("data:image/png")


def test_an_impact_is_not_clipped() -> None:
    impact = np.zeros(16_000, np.float32)
    impact[0] = 1.0
    played, _ = _played(playable(impact, 16_000))
    assert np.abs(played).max() == pytest.approx(0.9, abs=1e-3)


def test_a_page_of_noise_stays_small() -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, round(MAX_CLIP_S * 16_000)).astype(np.float32)
    clips = 2 * MAX_CLIPS * (len(playable(noise, 16_000)) + len(spectrogram(noise, 16_000)))
    assert clips < 10e6


def _result(kind: str, scores: dict[bool, list[float]], threshold: float = 1.0) -> MachineResult:
    clips = [
        (LabelledClip(Path(f"{kind}_{label}_{at}.wav"), label), score)
        for label, of_label in scores.items()
        for at, score in enumerate(of_label)
    ]
    machine = DcaseMachine(kind, "id_00", (), tuple(clip for clip, _ in clips))
    fused = tuple(score for _, score in clips)
    return MachineResult(machine, Rules.Y2020, 1.0, threshold, {FUSED: fused}, {}, ())


def test_scores_above_the_threshold_are_decided_to_be_anomalous() -> None:
    result = _result("fan", {False: [0.5, 1.0, 1.5], True: [0.9, 1.1, 3.0]})
    assert result.decided == [False, False, True, False, True, True]


def test_the_worst_clips_are_the_furthest_on_the_wrong_side() -> None:
    fan = _result("fan", {False: [0.1, 3.0, 2.0, 1.0], True: [5.0, 0.2, 4.0]})
    pump = _result("pump", {False: [10.0, 1.0], True: [2.0, 1.0]}, threshold=10.0)
    normal = worst_clips([fan, pump], anomalous=False)
    assert [(each.result.machine.type, each.score) for each in normal] == [
        ("fan", 3.0),
        ("fan", 2.0),
        ("pump", 10.0),
        ("pump", 1.0),
    ]
    anomalous = worst_clips([fan, pump], anomalous=True)
    assert [each.score for each in anomalous] == [1.0, 0.2, 2.0, 4.0]
    assert MAX_CLIPS_OF_MACHINE == 2
    alone = worst_clips([_result("fan", {False: list(range(9)), True: [1.0]})], anomalous=False)
    assert [each.score for each in alone] == [8, 7, 6, 5, 4, 3]
