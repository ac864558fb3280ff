"""Rates, limits and verdicts of the measurements of alarms."""

from pathlib import Path
from xml.etree.ElementTree import fromstring

import numpy as np
import pytest
import soundfile

from asd_monitor.alarm.scale_tail import ScaleTail
from asd_monitor.alarm.time_scales import STEP_S, TIME_SCALES
from asd_monitor.detector.prior import FUSED_PRIOR, SHIFT_BY_VIEW
from asd_monitor.errors import UsageError
from experiments.alarms.budget import allowed
from experiments.alarms.chart import Axis, Line, line_chart
from experiments.alarms.detection_methods import delay_h, limit_for
from experiments.alarms.hall_parameters import HallSet
from experiments.alarms.plant_sound import RATE_HZ, make_plant, outside_recordings
from experiments.alarms.prior_scaling import scaled_prior
from experiments.alarms.priors import decay_of
from experiments.alarms.promised_rates import SCORES, exceedances_of, promised, rates
from experiments.alarms.recordings import RecordingResult, verdict
from experiments.alarms.simulated_months import PERIODS_S, count_of_segments
from experiments.alarms.training_sound import cases


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    """A folder of six long recordings and a short one."""
    rng = np.random.default_rng(0)
    for number in range(6):
        sound = 0.1 * rng.standard_normal(21 * RATE_HZ)
        soundfile.write(tmp_path / f"{number}.wav", sound, RATE_HZ)
    soundfile.write(tmp_path / "short.wav", np.zeros(RATE_HZ), RATE_HZ)
    return tmp_path


def test_the_sets_of_halls_have_different_recordings(noise: Path) -> None:
    choice, report = (outside_recordings(noise, each) for each in HallSet)
    assert len(choice) == len(report) == 3
    assert not set(choice) & set(report)


def test_too_few_recordings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="0 recordings of 20 s or more: 4 are needed"):
        outside_recordings(tmp_path, HallSet.CHOICE)


def test_takes_have_other_sound_of_the_same_sources(noise: Path) -> None:
    recordings = outside_recordings(noise, HallSet.CHOICE)
    first, second = (
        make_plant(HallSet.CHOICE, 0, recordings, seed=1, take=take, seconds=2.0) for take in (1, 2)
    )
    assert first.hall == second.hall
    assert first.spec == second.spec
    for one, other in zip(first.outside, second.outside, strict=True):
        assert len(one) == len(other) == 10.5 * RATE_HZ
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.1


@pytest.mark.parametrize(("name", "alarms"), [("month", 10), ("week", 35), ("day", 205)])
def test_the_alarms_that_a_budget_allows_in_half_a_year(name: str, alarms: int) -> None:
    assert allowed(PERIODS_S[name]) == alarms


def test_normal_evidence_has_the_promised_rates() -> None:
    rng = np.random.default_rng(0)
    tails = [ScaleTail(scale.seconds, 0.0, 1.0, 1000.0) for scale in TIME_SCALES]
    machines = []
    for _ in range(10):
        of_segment = rng.standard_normal(480)
        evidence = np.repeat(of_segment[:, None], 35, axis=1)
        machines.append(exceedances_of(evidence, np.repeat(np.arange(20), 24), tails, np.inf))
    shortest = [rate for rate in rates(machines, rng) if rate.seconds == STEP_S]
    assert [rate.score for rate in shortest] == list(SCORES)
    first = shortest[0]
    assert first.low <= first.observed <= first.high
    assert first.stretches == 9600
    assert first.observed == pytest.approx(first.promised, rel=0.5)
    assert promised(STEP_S, 2.0) == pytest.approx(0.01 * TIME_SCALES[0].share)


def test_a_limit_is_the_lowest_with_the_same_total() -> None:
    rng = np.random.default_rng(0)
    peaks = [rng.normal(0.0, 1.0, 48) for _ in range(3)]
    hours = [np.arange(48)[:, None] for _ in range(3)]

    def total(limit: float) -> int:
        return sum(
            count_of_segments(own >= limit, each) for own, each in zip(peaks, hours, strict=True)
        )

    limit = limit_for(9, peaks, hours, count_of_segments)
    assert total(limit) == 9
    below = max(value for own in peaks for value in own if value < limit)
    assert total(below) > 9
    assert total(limit_for(0, peaks, hours, count_of_segments)) == 0


def test_a_delay_counts_from_the_onset() -> None:
    exceeding = np.zeros(10 * 360, np.bool_)
    exceeding[[100, 5 * 360 + 90]] = True
    assert delay_h(exceeding, 3) == 2.25
    assert delay_h(exceeding, 6) is None


def test_a_prior_is_scaled_until_the_end_of_the_context() -> None:
    level, fused = SHIFT_BY_VIEW["level"], FUSED_PRIOR.shift
    with scaled_prior(0.5):
        assert SHIFT_BY_VIEW["level"] == level / 2
        assert FUSED_PRIOR.after(1, 7) == fused / 2
    assert SHIFT_BY_VIEW["level"] == level
    assert FUSED_PRIOR.shift == fused


def test_the_decay_is_a_power_of_the_hours() -> None:
    hours = np.array([1.0, 24.0, 168.0])
    assert decay_of(hours, 3.0 * hours**-0.4) == pytest.approx(0.4)


FAILURE = {"RMS × 1.5": 150.0, "RMS × 2": 170.0, "failure": 190.0}


@pytest.mark.parametrize(
    ("limits", "alarms", "said"),
    [
        ({}, (), "no alarm"),
        ({}, (5.0,), "false alarm"),
        ({"fault": 70.0}, (60.0,), "false alarm"),
        ({"fault": 70.0}, (75.0, 90.0), "5.0 s after the fault"),
        (FAILURE, (), "no alarm"),
        (FAILURE, (59.0,), "in the first tenth"),
        (FAILURE, (149.0,), "before RMS × 1.5"),
        (FAILURE, (160.0,), "before RMS × 2"),
        (FAILURE, (180.0,), "before failure"),
        (FAILURE, (195.0,), "after the failure"),
    ],
)
def test_verdicts(limits: dict[str, float], alarms: tuple[float, ...], said: str) -> None:
    scales = (10.0,) * len(alarms)
    tested = RecordingResult("a", 50.0, 50.0, 200.0, alarms, scales, 3.0, limits)
    assert verdict(tested) == said


def test_training_sounds_differ_as_they_are_named() -> None:
    normal = np.full(200 * RATE_HZ, 0.01, np.float32)
    slow, fault = np.full_like(normal, 0.005), np.full_like(normal, 0.1)
    found = cases(normal, slow, fault, 0.01)
    assert found["as it is"].tolist() == normal.tolist()
    drifting = found["level falls by 5 dB"]
    assert 20 * np.log10(drifting[0] / drifting[-1]) == pytest.approx(5.0, abs=0.01)
    assert np.mean(found["a fault in 70%"] > 0.05) == pytest.approx(0.7)
    assert len(found["60 s"]) == 60 * RATE_HZ
    assert np.mean(found["two operating modes"] == slow) == pytest.approx(0.4)
    assert 0 < np.mean(found["a knock"] != normal) < 0.01


def test_a_chart_is_an_svg_with_its_lines() -> None:
    axis = Axis(0.0, 1.0, (0.0, 1.0), "share")
    lines = [Line(name, [(0.0, 0.5), (1.0, 0.7)]) for name in ("one", "two")]
    drawn = line_chart("Title", axis, axis, lines, 0.5)
    root = fromstring(drawn)  # noqa: S314 - our own
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"Title", "one", "two"} <= set(texts)
