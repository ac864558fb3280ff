"""Fitting: folds share no sound, off is learned only where it shows, faults stand out."""

from collections.abc import Sequence

import numpy as np
import pytest
from tests.doubles.synthetic_sounds import machine_sound
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.alarm.score import SPAN_S
from asd_monitor.alarm.state import AlarmRule
from asd_monitor.detector.calibration import HIGHEST, Tail
from asd_monitor.detector.detector import Detector
from asd_monitor.detector.fit import (
    BLOCK_S,
    FEWEST_WINDOWS,
    FOLDS,
    Fitted,
    fit_detector,
    folds_of,
    running_only,
)
from asd_monitor.detector.fusion import fuse
from asd_monitor.detector.idle import ABOVE_DB, BELOW_DB, VALLEY_SHARE, idle_region
from asd_monitor.detector.spans import Spans
from asd_monitor.detector.views import VIEW_KINDS
from asd_monitor.dsp.front_end import front_end_for
from asd_monitor.features.windows import Window
from asd_monitor.monitor import Monitor
from asd_monitor.pipeline import SoundWindows
from asd_monitor.records import Block, Thresholds, WindowScore

FRONT_END = front_end_for(16_000)


def _windows(sound: np.ndarray) -> list[Window]:
    return SoundWindows(FRONT_END, 16_000).push(Block(0, sound))


def _placed(starts: list[int], length: int = 200) -> list[Window]:
    return [Window(start, start + length, {}) for start in starts]


stretches = st.lists(
    st.lists(st.integers(0, 4000), max_size=60, unique=True).map(sorted), min_size=1, max_size=8
).filter(any)


@given(stretches)
def test_folds_are_whole_blocks_in_order_and_share_no_sound(starts: list[list[int]]) -> None:
    placed = [_placed(each) for each in starts]
    folds = folds_of(placed, 100)
    assert len(folds) == sum(map(len, starts))
    assert set(np.diff(folds)) <= {0, 1}
    assert folds[0] == 0
    assert folds.max() < FOLDS
    spans = Spans.of(placed)
    for fold in np.unique(folds):
        out = folds == fold
        kept = ~spans.touching(out)
        assert not (kept & out).any()
        # brute force: what is kept overlaps nothing that is held out
        for i in np.flatnonzero(kept):
            for j in np.flatnonzero(out):
                apart = spans.end[i] <= spans.start[j] or spans.end[j] <= spans.start[i]
                assert spans.stretch[i] != spans.stretch[j] or apart


def test_a_long_recording_is_cut_into_blocks_of_time() -> None:
    windows = _placed(list(range(0, 6000, 50)))
    folds = folds_of([windows], 100)
    changes = [windows[i].start / 100 for i in np.flatnonzero(np.diff(folds)) + 1]
    assert len(changes) == FOLDS - 1
    assert all(change % BLOCK_S == 0 for change in changes)


def test_the_neighbours_of_a_fold_are_left_out_on_both_sides() -> None:
    spans = Spans.of([_placed(list(range(0, 4000, 50)))])  # four windows deep
    out = np.zeros(80, bool)
    out[30:40] = True
    assert np.flatnonzero(spans.touching(out)).tolist() == list(range(27, 43))


@given(stretches)
def test_sharing_is_what_overlaps_within_a_stretch(starts: list[list[int]]) -> None:
    spans = Spans.of([_placed(each) for each in starts])
    sharing = spans.sharing()
    assert (sharing == sharing.T).all()
    assert sharing.diagonal().all()
    for i in range(0, len(spans.start), 7):
        for j in range(len(spans.start)):
            overlap = max(spans.start[i], spans.start[j]) < min(spans.end[i], spans.end[j])
            assert sharing[i, j] == (spans.stretch[i] == spans.stretch[j] and overlap)


def test_normals_score_as_normals_and_a_fault_does_not() -> None:
    fitted = fit_detector([_windows(machine_sound(60.0, seed=1))], FRONT_END, 16_000)
    detector = fitted.detector
    assert fitted.by_view.shape == (len(fitted.fused), len(VIEW_KINDS))
    assert fuse(fitted.by_view) == pytest.approx(fitted.fused)
    # the calibration is that of the held-out normals themselves
    scores = detector.tail.score(fitted.fused)
    assert np.mean(scores >= 1) == pytest.approx(0.1, abs=0.02)
    fresh = [w.score for w in detector.judge(_windows(machine_sound(20.0, seed=2)))]
    faulty = [w.score for w in detector.judge(_windows(machine_sound(20.0, seed=2, fault=0.5)))]
    assert np.median(fresh) < 1.5
    assert np.median(faulty) > max(3.0, *fresh)
    assert max(faulty) <= HIGHEST


def test_louder_and_quieter_are_both_heard() -> None:
    detector = fit_detector([_windows(machine_sound(40.0))], FRONT_END, 16_000).detector
    for gain in (0.02, 0.5):
        found = detector.judge(_windows(machine_sound(5.0, seed=4, gain=gain)))
        assert min(w.views["level"] for w in found) > 3


def test_too_few_windows_are_refused() -> None:
    few = _windows(machine_sound(30.0))[: FEWEST_WINDOWS - 1]
    with pytest.raises(ValueError, match="too few"):
        fit_detector([few], FRONT_END, 16_000)
    with pytest.raises(ValueError, match="too few"):
        fit_detector([], FRONT_END, 16_000)


def test_rarer_alarms_need_a_higher_score() -> None:
    detector = fit_detector([_windows(machine_sound(40.0))], FRONT_END, 16_000).detector
    rates = [1 / 3600, 1 / 86400, 1 / (30 * 86400)]
    thresholds = [detector.alarm_threshold(rate) for rate in rates]
    assert thresholds == sorted(thresholds)
    assert len(set(thresholds)) == 3
    spans = [rate * SPAN_S for rate in rates]  # a trial each
    assert thresholds == pytest.approx(-np.log10(spans))


def test_what_lasts_is_calibrated_by_what_lasts_among_the_normals() -> None:
    fitted = fit_detector([_windows(machine_sound(60.0))], FRONT_END, 16_000)
    tail = fitted.detector.sustained
    assert np.mean(tail.score(fitted.sustained) >= 1) == pytest.approx(0.1, abs=0.03)
    assert np.ptp(fitted.sustained) < np.ptp(fitted.fused), "a median varies less than one window"
    judged = fitted.detector.judge(_windows(machine_sound(20.0, seed=2, fault=0.5)))
    fused = np.array([window.fused for window in judged])
    assert [window.sustained for window in judged] == pytest.approx(tail.score(fused))


def test_a_knock_among_the_normals_makes_it_not_deaf() -> None:
    """A slammed door in the training widens what single windows may do, not what may last."""
    reference = machine_sound(120.0)
    knocked = reference.copy()
    knocked[50 * 16_000 : 51 * 16_000] *= 8.0
    faulty = _windows(machine_sound(20.0, seed=2, fault=0.5))
    deaf = []
    for sound in (reference, knocked):
        detector = fit_detector([_windows(sound)], FRONT_END, 16_000).detector
        judged = detector.judge(faulty)
        month = detector.alarm_threshold(1 / (30 * 86400))
        deaf.append(float(np.median([window.sustained for window in judged])) < month)
    assert deaf == [False, False]


# where a machine is off


def _levels(rng: np.random.Generator, *parts: tuple[float, float, int]) -> np.ndarray:
    return np.concatenate([rng.normal(mean, spread, n) for mean, spread, n in parts])


@given(st.integers(0, 100), st.integers(40, 300), st.integers(100, 600))
def test_off_is_found_where_a_valley_lies_above_it(seed: int, off: int, running: int) -> None:
    rng = np.random.default_rng(seed)
    levels = _levels(rng, (-70, 0.5, off), (-40, 1.0, running))
    region = idle_region(rng.permutation(levels))
    assert region is not None
    low, high = region
    quiet = levels[:off]
    assert low == pytest.approx(quiet.min() - BELOW_DB)
    assert high <= quiet.max() + ABOVE_DB
    assert np.mean((quiet >= low) & (quiet <= high)) > 1 - 2 * VALLEY_SHARE * len(levels) / off
    assert not ((levels[off:] >= low) & (levels[off:] <= high)).any()


@pytest.mark.parametrize(
    "parts",
    [
        ((-40, 1.0, 500),),  # it always runs
        ((-46, 0.5, 200), (-42, 0.5, 300)),  # two loads, close together
        ((-70, 0.5, 5), (-40, 1.0, 500)),  # a moment of quiet is no state
        ((-70, 0.5, 500), (-40, 1.0, 20)),  # hardly ever on
    ],
)
def test_without_a_valley_nothing_is_off(parts: tuple[tuple[float, float, int], ...]) -> None:
    assert idle_region(_levels(np.random.default_rng(3), *parts)) is None
    assert idle_region([]) is None


def test_off_windows_are_learned_as_off_and_not_scored_as_running() -> None:
    on, off = machine_sound(30.0), machine_sound(15.0, gain=0.0005, seed=5)
    windows = [_windows(on), _windows(off), _windows(machine_sound(30.0, seed=6))]
    fitted = fit_detector(windows, FRONT_END, 16_000)
    detector = fitted.detector
    assert detector.idle_dbfs is not None
    assert [len(kept) for kept in running_only(windows, detector.idle_dbfs)] == [
        len(windows[0]),
        0,
        len(windows[2]),
    ]
    assert all(w.idle for w in detector.judge(windows[1]))
    assert not any(w.idle for w in detector.judge(windows[0]))


class _ListedScorer:
    """Returns each of the given windows once the stream has reached its end."""

    def __init__(self, windows: Sequence[WindowScore]) -> None:
        self._windows = list(windows)

    def push(self, block: Block) -> list[WindowScore]:
        reached = [window for window in self._windows if window.end <= block.end]
        del self._windows[: len(reached)]
        return reached


def _medians_of_a_monitor(
    stretches: Sequence[Sequence[Window]], fitted: Fitted
) -> tuple[list[float], int]:
    """Send the stretches through a monitor, a gap between them, with the held-out fused scores.

    Returns its alarm scores of whole spans, and how many windows are idle.
    """
    detector, rate_hz = fitted.detector, FRONT_END.rate_hz
    scores = iter(fitted.fused.tolist())
    rng = np.random.default_rng(0)
    blocks, windows, counts, offset = [], [], [], 0
    for stretch in stretches:
        running = 0
        for window in stretch:
            idle = detector.is_idle(window.rms_dbfs)
            running += not idle
            counts.append(running)
            windows.append(
                WindowScore(
                    start=offset + window.start,
                    end=offset + window.end,
                    score=0.0,
                    fused=0.0,
                    sustained=0.0 if idle else next(scores),
                    views={},
                    rms_dbfs=window.rms_dbfs,
                    idle=idle,
                )
            )
        length = stretch[-1].end
        blocks.append(Block(offset, rng.uniform(-0.1, 0.1, length).astype(np.float32)))
        offset += length + rate_hz
    rule = AlarmRule(Thresholds(warning=4.0, alarm=6.0), FRONT_END.hop_s)
    monitor = Monitor(_ListedScorer(windows), rule, rate_hz)
    readings = [reading for block in blocks for reading in monitor.push(block)]
    span = round(SPAN_S / FRONT_END.hop_s)
    medians = [
        reading.alarm_score
        for reading, window, count in zip(readings, windows, counts, strict=True)
        if not window.idle and count >= span
    ]
    return medians, sum(window.idle for window in windows)


@pytest.mark.parametrize("on_s", [6, 25])
def test_training_forms_the_medians_that_a_monitor_forms(on_s: int) -> None:
    """Idle windows are skipped within a stretch, and each stretch begins anew."""
    stretches = []
    for seed in (1, 2):
        sound = machine_sound(90.0, seed=seed)
        seconds = np.arange(len(sound)) / FRONT_END.rate_hz
        sound[seconds % (on_s + 5) >= on_s] *= 0.0005
        stretches.append(_windows(sound))
    fitted = fit_detector(stretches, FRONT_END, FRONT_END.rate_hz)
    medians, idle = _medians_of_a_monitor(stretches, fitted)
    assert idle > 10
    assert len(fitted.sustained) == len(fitted.fused) - 2 * (round(SPAN_S / FRONT_END.hop_s) - 1)
    assert fitted.sustained.tolist() == medians


def test_nothing_is_off_for_a_detector_without_a_region() -> None:
    tail = Tail((0.0, 1.0), 0.1, 1.0)
    detector = Detector(FRONT_END, (), tail, tail, None)
    assert not detector.is_idle(-120.0)
