"""The checks of a self-test, from what was measured to their results."""

import numpy as np
import pytest

from asd_monitor.microphone.findings import MicrophoneCondition
from asd_monitor.microphone.recent_spectra import SpectralStatistics
from asd_monitor.records import MicrophoneState, WindowScore
from asd_monitor.self_test.baseline import KEY, levels_at_training, manifest_entry
from asd_monitor.self_test.checks import (
    FAR_OFF_S,
    STALLED_S,
    Check,
    Result,
    check_microphone,
    check_model,
    check_scoring,
    check_sensitivity,
    checks_in_fault,
    not_possible,
    overall,
)
from asd_monitor.self_test.detected_levels import DetectedLevels
from asd_monitor.self_test.live_trial import ALARMING, LiveTrial
from asd_monitor.self_test.obstacle import Obstacle
from asd_monitor.self_test.recent_scores import BIN_S, BINS, FAR_OFF, RecentScores
from asd_monitor.self_test.scoring_progress import ScoringProgress
from asd_monitor.synthesis.added_faults import FaultKind
from tests.doubles.level_detector import LevelDetector
from tests.doubles.microphone_spectra import (
    LINES_HZ,
    SHAPE_DB,
    above,
    baseline,
    baseline_of,
    piece_of,
    quiet_lines,
    statistics_of,
)

BANDS = 128
DETECTOR = LevelDetector(quietest_dbfs=-40.0)
FLAT = np.zeros(BANDS, np.float32)


def levels(tone_db: float | None, impacts_db: float | None) -> DetectedLevels:
    return DetectedLevels({FaultKind.TONE: tone_db, FaultKind.IMPACTS: impacts_db})


def trial(
    found: DetectedLevels | None = None,
    *,
    spectrum_db: np.ndarray = FLAT,
    level_dbfs: float = -30.0,
    lines_db: np.ndarray | None = None,
    off: bool = False,
) -> LiveTrial:
    return LiveTrial(
        statistics_of(spectrum_db),
        SpectralStatistics.of(quiet_lines()).median if lines_db is None else lines_db,
        level_dbfs,
        off,
        found,
        None if found else ALARMING,
    )


@pytest.mark.parametrize(
    ("found", "known", "result"),
    [
        (levels(3.0, -9.0), levels(3.0, -9.0), Result.PASSED),
        (levels(9.0, -3.0), levels(3.0, -9.0), Result.PASSED),
        (levels(9.1, -9.0), levels(3.0, -9.0), Result.FAILED),
        (levels(3.0, None), levels(3.0, -9.0), Result.FAILED),
        (levels(None, -9.0), levels(None, -9.0), Result.PASSED),  # not detected at training either
        (levels(3.0, -9.0), None, Result.PASSED),
        (None, levels(3.0, -9.0), Result.NOT_POSSIBLE),
    ],
)
def test_the_sensitivity_fails_where_it_is_more_than_6_db_worse(found, known, result) -> None:
    check = check_sensitivity(trial(found), known)
    assert check.result is result
    assert (check.remedy is None) is (result is Result.PASSED)
    if found is not None and known is not None:
        assert check.numbers["tone_db"] == found.by_kind[FaultKind.TONE]
        assert check.numbers["impacts_training_db"] == known.by_kind[FaultKind.IMPACTS]


COVERED = MicrophoneCondition(MicrophoneState.FAULT, "covered or moved? look at the microphone")
LOUDER = MicrophoneCondition(MicrophoneState.DEGRADED, "level changed by +12 dB")


@pytest.mark.parametrize("condition", [COVERED, LOUDER])
@pytest.mark.parametrize("off", [False, True])
def test_what_is_wrong_with_the_microphone_fails(condition, off) -> None:
    found = check_microphone(trial(off=off), DETECTOR, condition)
    assert (found.result, found.reason) == (Result.FAILED, condition.reason)


@pytest.mark.parametrize(("level_dbfs", "result"), [(-30.0, Result.PASSED), (-50.1, Result.FAILED)])
def test_a_level_far_below_the_training_fails(level_dbfs, result) -> None:
    found = check_microphone(trial(level_dbfs=level_dbfs), DETECTOR, MicrophoneCondition())
    assert found.result is result


def test_sound_of_a_machine_that_is_off_says_nothing_of_the_microphone() -> None:
    found = check_microphone(trial(off=True, level_dbfs=-90.0), DETECTOR, MicrophoneCondition())
    assert found.result is Result.NOT_POSSIBLE


def test_the_change_of_the_spectrum_is_stated_in_relation_to_the_nearest_mode() -> None:
    modes = [piece_of(SHAPE_DB), piece_of(SHAPE_DB - 20.0, mode=1)]
    detector = LevelDetector(microphone=baseline_of(modes))
    found = check_microphone(
        trial(spectrum_db=SHAPE_DB - 17.0 + above(4000.0, -6.0)), detector, MicrophoneCondition()
    )
    assert (found.result, found.reason) == (Result.PASSED, None)
    assert found.numbers["spectrum_change_db"] == pytest.approx(3.0, abs=0.5)
    assert found.numbers["high_frequencies_db"] == pytest.approx(-2.0, abs=1.5)


def hum() -> np.ndarray:
    """Return lines with harmonics of 50 Hz far above those of the training, in dB."""
    near = np.abs(LINES_HZ - 50.0 * np.round(LINES_HZ / 50.0)) < 1.5
    return SpectralStatistics.of(quiet_lines()).median + np.where(near, 30.0, 0.0)


@pytest.mark.parametrize(
    ("change_db", "lines_db", "text"),
    [
        (above(1000.0, -30.0), None, "covered or moved?"),
        (above(2000.0, -9.0), None, "covered, moved, or a changed machine?"),
        (np.full(BANDS, 12.0), None, "level changed by +12 dB"),
        (above(1000.0, -12.0), hum(), "hum of the mains (50 Hz"),
    ],
)
def test_a_spectrum_that_a_microphone_explains_fails_whatever_was_recognised_before(
    change_db, lines_db, text
) -> None:
    detector = LevelDetector(microphone=baseline())
    found = check_microphone(
        trial(spectrum_db=SHAPE_DB + change_db, lines_db=lines_db),
        detector,
        MicrophoneCondition(),
    )
    assert found.result is Result.FAILED
    assert text in (found.reason or "")
    assert "look at the microphone" in (found.remedy or "")
    assert found.numbers["high_frequencies_db"] == pytest.approx(change_db[-1], abs=2.0)


def test_the_spectrum_of_the_training_passes() -> None:
    detector = LevelDetector(microphone=baseline())
    found = check_microphone(trial(spectrum_db=SHAPE_DB), detector, MicrophoneCondition())
    assert (found.result, found.reason) == (Result.PASSED, None)


def test_in_a_fault_only_the_microphone_fails_and_no_window_is_expected() -> None:
    found = checks_in_fault(COVERED)
    assert found["microphone"].result is Result.FAILED
    assert found["microphone"].reason == COVERED.reason
    others = {found[name].result for name in ("sensitivity", "scoring", "model")}
    assert others == {Result.NOT_POSSIBLE}
    assert overall(found) is Result.FAILED


def test_without_a_baseline_it_is_said_that_the_spectrum_was_not_compared() -> None:
    found = check_microphone(trial(), DETECTOR, MicrophoneCondition())
    assert found.result is Result.PASSED
    assert "not compared" in (found.reason or "")
    assert "spectrum_change_db" not in found.numbers


def window(score: float, *, idle: bool = False) -> WindowScore:
    return WindowScore(0, 1, score, 0.0, 0.0, {}, -30.0, idle)


def recent(far_off: int, of: int, seconds: float) -> RecentScores:
    scores = RecentScores()
    for number in range(of):
        scores.push(window(FAR_OFF if number < far_off else 0.0), seconds / of)
    return scores


@pytest.mark.parametrize(
    ("scores", "result"),
    [
        (RecentScores(), Result.PASSED),
        (recent(89, 100, FAR_OFF_S), Result.PASSED),
        (recent(90, 100, FAR_OFF_S), Result.FAILED),
        (recent(90, 100, FAR_OFF_S / 2), Result.NOT_POSSIBLE),  # it may not last
    ],
)
def test_a_model_does_not_fit_where_its_scores_are_far_off_for_hours(scores, result) -> None:
    assert check_model("fan", "fan", scores).result is result
    assert check_model("fan", "pump", scores).result is Result.FAILED


def test_the_scores_of_three_hours_of_running_count() -> None:
    scores = recent(1000, 1000, BINS * BIN_S)
    for _ in range(1000):
        scores.push(window(FAR_OFF, idle=True), 60.0)
    assert scores.windows == 2000
    assert scores.far_off_share == 1.0
    for _ in range(1000):
        scores.push(window(0.0), (BINS + 1) * BIN_S / 1000)
    assert scores.far_off_share == 0.0
    assert scores.seconds <= (BINS + 1) * BIN_S
    scores.begin_model()
    assert scores.seconds == 0.0
    assert scores.far_off_share is None


def test_scoring_has_stopped_after_captured_sound_without_a_window() -> None:
    progress = ScoringProgress()
    for captured_s, windows in ((10.0, 5), (20.0, 10), (20.0 + STALLED_S - 0.1, 10)):
        progress.observe(captured_s, windows, openings=0, expected=True)
        assert not progress.has_stopped
    progress.observe(20.0 + STALLED_S, 10, openings=0, expected=True)
    assert progress.has_stopped
    assert check_scoring(progress.stalled_s).result is Result.FAILED
    progress.observe(60.0, 11, openings=0, expected=True)
    assert not progress.has_stopped
    progress.observe(600.0, 11, openings=0, expected=False)  # the machine was off
    progress.observe(605.0, 11, openings=0, expected=True)
    assert progress.stalled_s == 5.0
    progress.observe(1.0, 11, openings=0, expected=True)  # another stream
    assert progress.stalled_s == 0.0


def test_scoring_has_not_stopped_where_outages_leave_no_sound_for_a_window() -> None:
    progress = ScoringProgress()
    for opening in range(10):
        progress.observe(opening * STALLED_S, 5, openings=opening, expected=True)
        progress.observe((opening + 0.9) * STALLED_S, 5, openings=opening, expected=True)
        assert not progress.has_stopped
    progress.observe(10 * STALLED_S, 5, openings=9, expected=True)
    assert progress.has_stopped


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ((Result.PASSED, Result.PASSED), Result.PASSED),
        ((Result.PASSED, Result.NOT_POSSIBLE), Result.NOT_POSSIBLE),
        ((Result.FAILED, Result.NOT_POSSIBLE), Result.FAILED),
    ],
)
def test_the_worst_result_is_that_of_all(results, expected) -> None:
    checks = {str(number): Check(result) for number, result in enumerate(results)}
    assert overall(checks) is expected
    assert not_possible(Obstacle("why", "what to do")).remedy == "what to do"


@pytest.mark.parametrize("known", [levels(3.0, None), None])
def test_the_levels_at_training_survive_a_manifest(known) -> None:
    assert levels_at_training({KEY: manifest_entry(known)}) == known
    assert levels_at_training({}) is None
