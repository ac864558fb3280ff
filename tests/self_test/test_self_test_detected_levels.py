"""The level that is detected in live sound, against a sweep by hand."""

import numpy as np
import pytest
import soxr

from asd_monitor.alarm.budget import alarm_rule
from asd_monitor.alarm.state import AlarmRule
from asd_monitor.config.machine_settings import AlarmSettings
from asd_monitor.detector.detector import Detector
from asd_monitor.model_training.training_run import TrainingResult
from asd_monitor.monitor import Monitor
from asd_monitor.pipeline import Pipeline
from asd_monitor.records import Block, MachineState, Samples, Stream
from asd_monitor.self_test.detected_levels import SEED, DetectedLevels, level_steps
from asd_monitor.self_test.live_trial import live_steps
from asd_monitor.self_test.stepping import outcome_of
from asd_monitor.synthesis.added_faults import FaultKind, draw_fault
from tests.doubles.synthetic_sounds import machine_sound

pytestmark = pytest.mark.timeout(300)

RATE_HZ = 16_000
SWEEPS_DB = {FaultKind.TONE: np.arange(5.0, 19.0), FaultKind.IMPACTS: np.arange(-4.0, 9.0)}


@pytest.fixture(scope="module")
def rule(fan_result: TrainingResult) -> AlarmRule:
    return alarm_rule(AlarmSettings().criteria, fan_result.detector)


def raises_alarm(detector: Detector, rule: AlarmRule, sound: Samples) -> bool:
    monitor = Monitor(Pipeline(detector), rule, RATE_HZ)
    monitor.push(Block(Stream(RATE_HZ), 0, sound))
    return monitor.state is MachineState.ALARM


def sweep_db(kind: FaultKind, detector: Detector, rule: AlarmRule) -> float:
    """Return the level from which on every higher one of a sweep is detected, in other sound."""
    sound = machine_sound(80.0, seed=77)
    rms = float(np.sqrt(np.mean(sound**2)))
    rng = np.random.default_rng((SEED, list(FaultKind).index(kind)))
    fault = draw_fault(kind, sound, rms, 60.0, rng, rate_hz=RATE_HZ).sound
    lowest = np.inf
    for level_db in SWEEPS_DB[kind][::-1]:
        mixed = sound.copy()
        mixed[-len(fault) :] += fault * np.float32(10 ** (level_db / 20))
        if not raises_alarm(detector, rule, np.clip(mixed, -1, 1)):
            break
        lowest = level_db
    return float(lowest)


def test_the_levels_are_those_of_a_sweep_by_hand(
    fan_result: TrainingResult, rule: AlarmRule
) -> None:
    detector = fan_result.detector
    shares: list[float] = []
    found = outcome_of(level_steps(detector, rule, machine_sound(25.0, seed=5)), shares.append)
    assert shares == sorted(shares)
    assert 0.5 < shares[-1] < 1.0
    for kind, level_db in found.by_kind.items():
        expected_db = sweep_db(kind, detector, rule)
        assert SWEEPS_DB[kind][0] < expected_db < SWEEPS_DB[kind][-1]
        assert level_db is not None
        assert abs(level_db - expected_db) < 3.0, (kind, level_db, expected_db)


def test_the_training_and_the_live_sound_give_similar_levels(
    fan_result: TrainingResult, rule: AlarmRule
) -> None:
    training = fan_result.sensitivity.levels
    assert training is not None
    block = Block(Stream(48_000), 1000, _at_48_khz(machine_sound(25.0, seed=6)))
    shares: list[float] = []
    trial = outcome_of(live_steps(fan_result.detector, rule, block, training), shares.append)
    assert shares == sorted(shares)
    assert shares[-1] < 1.0
    assert trial.levels is not None
    for kind, level_db in trial.levels.by_kind.items():
        known_db = training.by_kind[kind]
        assert level_db is not None
        assert known_db is not None
        assert abs(level_db - known_db) <= 3.0


def test_a_known_level_does_not_change_the_result(
    fan_result: TrainingResult, rule: AlarmRule
) -> None:
    sound = machine_sound(25.0, seed=8)
    alone = outcome_of(level_steps(fan_result.detector, rule, sound))
    near = DetectedLevels(dict.fromkeys(FaultKind, 2.0))
    known = outcome_of(level_steps(fan_result.detector, rule, sound, near))
    for kind, level_db in alone.by_kind.items():
        other_db = known.by_kind[kind]
        assert level_db is not None
        assert other_db is not None
        assert abs(level_db - other_db) <= 1.5


def test_sound_that_raises_an_alarm_is_not_measured(
    fan_result: TrainingResult, rule: AlarmRule
) -> None:
    block = Block(Stream(RATE_HZ), 0, machine_sound(25.0, seed=6, fault=2.0))
    trial = outcome_of(live_steps(fan_result.detector, rule, block, None))
    assert trial.levels is None
    assert trial.not_measured is not None
    assert "alarm" in trial.not_measured.reason


def _at_48_khz(sound: Samples) -> Samples:
    return np.asarray(soxr.resample(sound, RATE_HZ, 48_000), np.float32)
