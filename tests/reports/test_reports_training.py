"""The report of a training."""

import html
from dataclasses import replace

from asd_monitor.detector.prior import FUSED_PRIOR
from asd_monitor.model_training.operating_modes import OperatingMode
from asd_monitor.model_training.training_run import TrainingResult
from asd_monitor.reports.training_report import report_html, training_page
from tests.doubles.html_checks import assert_self_contained
from tests.doubles.trained_fan import TRAINED


def test_the_page_is_self_contained(fan_result: TrainingResult) -> None:
    page = report_html(fan_result, "v1", TRAINED)
    assert_self_contained(page)
    assert len(page) < 3_000_000


def test_the_page_shows_views_thresholds_and_recordings(fan_result: TrainingResult) -> None:
    page = report_html(fan_result, "v7", TRAINED)
    assert "<h1>fan01 v7</h1>" in page
    assert "trained 02 January 2026, 03:04 UTC" in page
    for view in fan_result.detector.views:
        assert view.kind.name in page
        assert html.escape(view.kind.description) in page
    assert f"alarm {fan_result.thresholds.alarm:.2f}" in page
    for file in fan_result.reference.files:
        assert file.sha256[:16] in page


def test_names_of_files_are_escaped(fan_result: TrainingResult) -> None:
    page = report_html(fan_result, "v1", TRAINED)
    assert "<one>" not in page
    assert "&lt;one&gt; &amp; two.wav" in page


def test_an_outlier_is_marked(fan_result: TrainingResult) -> None:
    page = report_html(fan_result, "v1", TRAINED)
    assert 'circle class="outlier"' in page
    assert "unusual sound in the recordings" in page


def test_without_a_held_out_part_the_page_says_so(short_result: TrainingResult) -> None:
    page = report_html(short_result, "v1", TRAINED)
    assert_self_contained(page)
    assert "there is too little sound to hold any out" in page
    assert "all recordings, out of fold" in page


def test_the_page_states_budget_prior_and_sensitivity(fan_result: TrainingResult) -> None:
    page = " ".join(report_html(fan_result, "v1", TRAINED).split())
    assert "The model is provisional: its thresholds are those of a budget of 1 per day." in page
    assert "Sound from 147 different hours supports the configured budget of 1 per month" in page
    shift = FUSED_PRIOR.after(1, 1)
    assert f"expected to shift by {shift:.1f} deviations" in page
    assert "an added tone 15 dB above its third-octave band: " in page


def test_a_page_without_measured_sensitivity_says_why(short_result: TrainingResult) -> None:
    page = report_html(short_result, "v1", TRAINED)
    assert "sensitivity was not measured: too little sound to hold a part out" in page


def test_operating_modes_are_a_table(fan_result: TrainingResult) -> None:
    modes = (OperatingMode(-40.2, 0.25), OperatingMode(-30.0, 0.75))
    page = report_html(replace(fan_result, modes=modes[:1]), "v1", TRAINED)
    assert "Operating modes" not in page
    page = report_html(replace(fan_result, modes=modes), "v1", TRAINED)
    assert "shows 2 operating modes" in page
    assert "-40 dBFS" in page
    assert "75 %" in page


def test_long_lists_of_recordings_are_shortened(fan_result: TrainingResult) -> None:
    reference = fan_result.reference
    many = replace(reference, files=reference.files * 150)
    page = training_page(replace(fan_result, reference=many), "v1", TRAINED)
    assert (len(page.files), page.files_not_shown) == (200, 100)
    assert "and 100 more files, all listed in manifest.json" in report_html(
        replace(fan_result, reference=many), "v1", TRAINED
    )
