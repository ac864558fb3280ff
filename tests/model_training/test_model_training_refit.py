"""The refit: which live blocks are learned from, and what becomes of the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from asd_monitor.alarm.budget import alarm_rule
from asd_monitor.commissioning.blocks import Layout, LiveBlock
from asd_monitor.commissioning.sampler import BlockSampler
from asd_monitor.config.machine_settings import AlarmSettings
from asd_monitor.detector.detector import Detector
from asd_monitor.errors import OperationError
from asd_monitor.features.windows import Window
from asd_monitor.model_training.admission import RETURN_S
from asd_monitor.model_training.reference import Reference, read_reference
from asd_monitor.model_training.reference_selection import stored_reference
from asd_monitor.model_training.refit import FirstModelReference, movement, refit
from asd_monitor.model_training.training_run import TrainingResult
from asd_monitor.monitor import Monitor
from asd_monitor.pipeline import Pipeline
from asd_monitor.records import WindowScore
from tests.doubles.blocks import block_at
from tests.doubles.synthetic_sounds import Sound, machine_sound, write

BEGUN_S = 1.7e9


def live_blocks(result: TrainingResult, sound: Sound, *, apart_s: float = 20.0) -> list[LiveBlock]:
    """Return the blocks that are kept of a sound, as if so far apart in time."""
    detector = result.detector
    sampler = BlockSampler(detector, 16_000, seed="fan01")
    pipeline = Pipeline(detector)
    windows: list[Window] = []
    pipeline.tap = windows.extend
    monitor = Monitor(pipeline, alarm_rule(AlarmSettings().criteria, detector), 16_000)
    readings = monitor.push(block_at(0, sound))
    sampler.push(windows, readings, lambda sample: BEGUN_S + sample / 16_000 * apart_s / 10)
    sampler.end()
    return sampler.take()


def layout_of(result: TrainingResult) -> Layout:
    return Layout.of(result.reference.windows[0].features)


@pytest.fixture(scope="module")
def first(fan_result: TrainingResult) -> FirstModelReference:
    return FirstModelReference(fan_result.detector, stored_reference(fan_result.reference))


def test_a_refit_scores_the_live_sound_as_normal_and_a_fault_still_as_anomalous(
    first: FirstModelReference, fan_result: TrainingResult
):
    normal, louder = machine_sound(70.0, seed=4), machine_sound(70.0, seed=5, gain=0.115)  # 1.2 dB
    blocks = live_blocks(fan_result, np.concatenate([normal, louder, normal]), apart_s=1800.0)
    assert len(blocks) >= 5
    result = refit(first, blocks, layout_of(fan_result))
    assert result.blocks == len(blocks)
    assert result.admitted == len(blocks)
    assert result.moved >= 0
    assert not result.candidate

    def median_score(detector, sound: Sound) -> float:
        return float(np.median([w.score for w in Pipeline(detector).push(block_at(0, sound))]))

    again = machine_sound(60.0, seed=6, gain=0.115)
    assert median_score(result.detector, again) <= median_score(first.detector, again)
    fault = machine_sound(60.0, seed=7, gain=0.115, fault=1.0)
    assert median_score(result.detector, fault) > median_score(result.detector, again) + 1.2


def test_training_recordings_unlike_the_machine_as_it_runs_are_reported(
    first: FirstModelReference, fan_result: TrainingResult
) -> None:
    [*blocks, _] = live_blocks(fan_result, machine_sound(40.0, seed=8, gain=0.4, fault=1.0))
    many = [
        replace(block, time_s=BEGUN_S + 600.0 * number, age_s=600.0 * number)
        for number, block in enumerate(blocks * 120)
    ]
    result = refit(first, many, layout_of(fan_result))
    assert result.admitted == 0
    assert any("record it as it runs now and train again" in note for note in result.notes)


def test_the_hours_of_what_is_left_out_count_as_heard_once_it_stays_left_out(
    first: FirstModelReference, fan_result: TrainingResult
) -> None:
    """A fault that begins after ten hours and stays."""
    normal = live_blocks(fan_result, machine_sound(40.0, seed=8))[0]
    faulty = live_blocks(fan_result, machine_sound(40.0, seed=8, fault=1.0))[0]
    days, onset_h = 5, 10
    blocks = [
        replace(
            normal if hour < onset_h else faulty,
            time_s=BEGUN_S + 3600.0 * hour,
            age_s=3600.0 * hour,
        )
        for hour in range(24 * days)
    ]
    undecided, final = (
        refit(first, blocks, layout_of(fan_result), over=over) for over in (False, True)
    )
    assert undecided.admitted == final.admitted == onset_h
    of_training = 1
    assert final.detector.hours == 24 * days + of_training
    still_open_h = RETURN_S / 3600.0 + 1
    assert undecided.detector.hours == 24 * days + of_training - still_open_h
    for wide, narrow in zip(undecided.detector.tails, final.detector.tails, strict=True):
        assert narrow.scale < wide.scale


def test_a_refit_without_live_blocks_scores_as_the_first_model(
    first: FirstModelReference, fan_result: TrainingResult
):
    """float16 in the bundle changes no score by more than a few hundredths."""
    result = refit(first, [], layout_of(fan_result))
    assert result.moved == 0
    sound = machine_sound(60.0, seed=9)
    before, after = (
        np.array([w.score for w in Pipeline(detector).push(block_at(0, sound))])
        for detector in (first.detector, result.detector)
    )
    assert np.abs(before - after).max() < 0.1


def test_a_level_that_only_left_out_training_windows_had_is_kept(fan_result: TrainingResult):
    lowest = min(window.rms_dbfs for window in fan_result.reference.windows)
    reference = stored_reference(fan_result.reference)
    for quietest, expected in ((lowest - 5.0, lowest - 5.0), (lowest + 5.0, lowest)):
        first = replace(fan_result.detector, quietest_dbfs=quietest)
        result = refit(FirstModelReference(first, reference), [], layout_of(fan_result))
        assert result.detector.quietest_dbfs == expected


@pytest.mark.parametrize(
    ("before", "after", "moved"),
    [((1.0, 5.0, 9.0), (0.5, 1.0, 9.0), 0.5), ((1.0, 2.0, 3.0), (2.0, 3.0, 4.0), 0.0)],
)
def test_movement_is_how_far_the_median_score_of_learned_sound_fell(
    fan_result: TrainingResult,
    monkeypatch: pytest.MonkeyPatch,
    before: tuple[float, ...],
    after: tuple[float, ...],
    moved: float,
):
    windows = fan_result.reference.windows[:3]
    first, refitted = fan_result.detector, replace(fan_result.detector)

    def scored(detector: Detector, of: Sequence[Window]) -> list[WindowScore]:
        scores = score(detector, of)
        levels = before if detector is first else after
        return [replace(each, score=level) for each, level in zip(scores, levels, strict=True)]

    score = Detector.score
    monkeypatch.setattr(Detector, "score", scored)
    assert movement(first, refitted, windows) == moved
    assert movement(first, refitted, []) == 0


def test_too_little_sound_is_an_error_with_the_remedy(fan_result: TrainingResult):
    stored = stored_reference(fan_result.reference, max_windows=5)
    with pytest.raises(OperationError, match="the model in use stays"):
        refit(FirstModelReference(fan_result.detector, stored), [], layout_of(fan_result))


def test_all_training_windows_are_stored_where_the_limit_permits(fan_reference: Reference):
    stored = stored_reference(fan_reference)
    windows = fan_reference.windows
    assert len(stored) == len(windows)
    pieces = stored.pieces()
    assert [len(piece) for piece in pieces] == [len(s.windows) for s in fan_reference.segments]
    for before, after in zip(windows, (w for piece in pieces for w in piece), strict=True):
        assert (after.start, after.end) == (before.start, before.end)
        assert after.features.keys() == before.features.keys()
        assert after.rms_dbfs == before.rms_dbfs
        for name, vector in before.features.items():
            assert after.features[name] == pytest.approx(vector, rel=1e-3, abs=1e-3), name
    assert stored.fractions.min() == 0
    assert 0.9 < stored.fractions.max() < 1


@pytest.mark.parametrize("limit", [100, 40, 20])
def test_beyond_the_limit_stored_windows_are_spread_evenly(tmp_path, limit):
    paths = [write(tmp_path / f"{n}.wav", machine_sound(60.0, seed=n)) for n in range(2)]
    reference = read_reference(paths)
    stored = stored_reference(reference, max_windows=limit)
    assert 0.6 * limit <= len(stored) <= limit
    assert set(stored.segments) == {0, 1}
    assert np.all(np.diff(stored.fractions) > 0)
    assert stored.fractions.min() < 0.1
    assert stored.fractions.max() > 0.85
    overlapping = (np.diff(stored.starts) < 31_744) & (np.diff(stored.segments) == 0)
    assert overlapping.any() == (limit == 100)
    restored = type(stored).from_content(stored.content())
    assert np.array_equal(restored.starts, stored.starts)
    assert [len(p) for p in restored.pieces()] == [len(p) for p in stored.pieces()]


def test_the_hours_of_the_training_recordings_count_in_a_refit(fan_result: TrainingResult):
    stored = stored_reference(fan_result.reference)
    hourly = replace(stored, times_s=(3600.0 * stored.segments).astype(np.float32))
    first = FirstModelReference(fan_result.detector, hourly)
    result = refit(first, [], layout_of(fan_result))
    assert result.detector.hours == len(set(stored.segments)) > 1
