"""Evidence: relative to the operating mode, with a tail for each time scale."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.alarm.time_scales import TIME_SCALES
from asd_monitor.detector.back_end import Floats, Vectors
from asd_monitor.detector.calibration import upper_spread
from asd_monitor.detector.evidence import (
    EFFECT_BOUND,
    MIN_BLOCKS,
    Blocks,
    EvidenceCalibration,
    fit_evidence,
    fit_tails,
)
from asd_monitor.detector.loudness import RISE_BOUND_DB, TrainingLevels
from asd_monitor.detector.modes import OperatingModes
from asd_monitor.detector.prior import FUSED_PRIOR, PRIOR_DOF

BANDS = 8
PER_BLOCK = 20
BLOCK_S = 10.0


def blocks_of(count: int, *, hours: int = 1, days: int = 1) -> Blocks:
    """Return consecutive blocks of ten seconds."""
    number = np.repeat(np.arange(count), PER_BLOCK)
    return Blocks(number, BLOCK_S * np.arange(count, dtype=np.float64), hours, days)


def spectra_of(levels: Floats) -> Vectors:
    """Return flat spectra (n, BANDS) of these levels in dB."""
    return np.repeat(levels[:, None] / 10.0, BANDS, 1).astype(np.float32)


def levels_of(spectra: Vectors) -> TrainingLevels:
    """Return the levels of flat spectra."""
    measured = 10.0 * spectra[:, 0].astype(np.float64)
    return TrainingLevels(measured, measured)


def evidence_of(calibration: EvidenceCalibration, fused: Floats, spectra: Vectors) -> Floats:
    """Return the evidence of windows with flat spectra."""
    mode = calibration.mode_of(spectra)
    return calibration.evidence(calibration.raised(fused, mode, levels_of(spectra).measured), mode)


def one_mode(**parameters: object) -> dict[str, object]:
    """Return the parameters of an evidence calibration of one mode."""
    tails = fit_tails(np.zeros(6 * PER_BLOCK), blocks_of(6))
    calibration = EvidenceCalibration(
        OperatingModes(np.zeros((1, BANDS), np.float32)),
        np.zeros(1),
        np.ones(1),
        np.full(1, -30.0),
        tails,
    )
    return calibration.to_json() | parameters


def test_the_evidence_is_0_at_the_usual_fused_score_of_each_mode() -> None:
    """The mode that the machine is in half of the time has another location and spread."""
    rng = np.random.default_rng(0)
    blocks = blocks_of(400)
    is_loud = blocks.number % 2 == 1
    spread = np.where(is_loud, 2.0, 0.3)
    fused = np.where(is_loud, 3.0, 1.0) + spread * rng.normal(size=len(is_loud))
    spectra = spectra_of(np.where(is_loud, -40.0, -55.0) + rng.normal(0, 0.3, len(is_loud)))
    calibration = fit_evidence(fused, spectra, levels_of(spectra), blocks)
    assert len(calibration.modes) == 2
    evidence = evidence_of(calibration, fused, spectra)
    for mode in (is_loud, ~is_loud):
        assert np.median(evidence[mode]) == pytest.approx(0.0, abs=0.1)
    assert upper_spread(evidence[is_loud]) < upper_spread(fused[is_loud])
    assert upper_spread(evidence[~is_loud]) == pytest.approx(
        upper_spread(fused[~is_loud]), rel=0.05
    )


def test_the_evidence_of_one_mode_is_the_fused_score_above_its_median() -> None:
    fused = np.random.default_rng(1).exponential(size=60 * PER_BLOCK)
    spectra = spectra_of(np.full(len(fused), -40.0))
    calibration = fit_evidence(fused, spectra, levels_of(spectra), blocks_of(60))
    assert len(calibration.modes) == 1
    assert evidence_of(calibration, fused, spectra) == pytest.approx(fused - np.median(fused))
    assert calibration.effect_bound == EFFECT_BOUND


def test_sound_louder_than_ever_in_training_reaches_the_bound_of_the_effect() -> None:
    """Whatever the views say of it."""
    rng = np.random.default_rng(1)
    spectra = spectra_of(rng.normal(-45.0, 0.3, 60 * PER_BLOCK))
    calibration = fit_evidence(
        rng.exponential(size=len(spectra)), spectra, levels_of(spectra), blocks_of(60)
    )
    [loudest] = calibration.loudest_dbfs
    assert -45.0 < loudest < -44.5
    usual = np.full(5, calibration.locations[0])
    rises = loudest + RISE_BOUND_DB * np.array([-9.0, 0.0, 0.5, 1.0, 7.0])
    found = calibration.evidence(calibration.raised(usual, 0, rises), 0)
    assert found.tolist() == pytest.approx([0, 0, 0, EFFECT_BOUND, EFFECT_BOUND])
    unlike = usual + 100.0
    assert calibration.raised(unlike, 0, rises).tolist() == unlike.tolist()


@given(st.integers(1, 2000), st.integers(1, 300))
def test_every_time_scale_has_a_tail_and_longer_ones_are_not_wider_than_the_blocks(
    count: int, hours: int
) -> None:
    evidence = np.random.default_rng(count).normal(size=count * PER_BLOCK)
    tails = fit_tails(evidence, blocks_of(count, hours=hours))
    assert [tail.seconds for tail in tails] == [scale.seconds for scale in TIME_SCALES]
    assert all(tail.scale >= FUSED_PRIOR.after(hours, 1) for tail in tails)
    assert tails[-1].scale <= 1.2 * math.hypot(1.0, tails[0].scale)


def test_scales_with_few_blocks_have_the_variance_of_the_next_shorter_one() -> None:
    evidence = np.random.default_rng(2).normal(size=60 * PER_BLOCK) * 10
    shortest, half_minute, *longer = fit_tails(evidence, blocks_of(60))
    assert half_minute.scale < shortest.scale
    for tail in longer:  # ten minutes of sound have one block of these scales
        assert (tail.scale, tail.dof) == (half_minute.scale, half_minute.dof)
    spread = upper_spread(blocks_of(60).means_over(30.0, blocks_of(60).means(evidence)))
    assert (half_minute.scale, half_minute.dof) == FUSED_PRIOR.predictive(
        spread, hours=1, days=1, blocks=20
    )


def test_a_scale_is_fitted_to_its_own_blocks_where_there_are_enough() -> None:
    """Half an hour has three blocks of ten minutes, a day has 144 of them and 24 hours."""
    evidence = np.repeat(np.random.default_rng(3).normal(size=8640) * 10, PER_BLOCK)
    short = fit_tails(evidence[: 180 * PER_BLOCK], blocks_of(180))
    assert short[2].scale == short[1].scale
    long = fit_tails(evidence, blocks_of(8640, hours=24))
    scales = [tail.scale for tail in long]
    assert scales[:4] == sorted(scales[:4], reverse=True)
    assert scales[2] < 0.5 * scales[0]
    assert (long[4].scale, long[4].dof) == (long[3].scale, long[3].dof)


def test_blocks_that_were_left_out_do_not_make_the_tails_lighter() -> None:
    evidence = np.random.default_rng(5).exponential(size=300 * PER_BLOCK) * 10
    blocks = blocks_of(300)
    alone = fit_tails(evidence, blocks)
    for left_out in (10, 400):
        for before, after in zip(
            alone, fit_tails(evidence, replace(blocks, left_out=left_out)), strict=True
        ):
            assert after.scale >= before.scale
            assert after.scale < 3 * before.scale, "however many they are"
    assert fit_tails(evidence, replace(blocks, left_out=10))[0].scale > alone[0].scale


def test_the_tails_follow_the_number_of_blocks_and_the_prior() -> None:
    evidence = np.repeat(np.random.default_rng(4).normal(size=2000) * 1e4, PER_BLOCK)
    dofs = [fit_tails(evidence[: n * PER_BLOCK], blocks_of(n))[0].dof for n in (5, 50, 500)]
    assert dofs == sorted(dofs)
    assert dofs[0] == pytest.approx(4, rel=0.1), "of the blocks: the prior is negligible"
    steady = evidence * 1e-8
    first_hour = fit_tails(steady, blocks_of(2000))[0]
    assert first_hour.dof == pytest.approx(PRIOR_DOF, rel=0.01)
    assert first_hour.scale == pytest.approx(FUSED_PRIOR.after(1, 1), rel=0.01)
    first_week = fit_tails(steady, blocks_of(2000, hours=168, days=7))[0]
    assert first_week.scale == pytest.approx(FUSED_PRIOR.after(168, 7), rel=0.01)


def test_blocks_have_lower_medians_and_means() -> None:
    blocks = Blocks(np.array([0, 0, 0, 0, 1, 2, 2]), np.array([0.0, 10.0, 20.0]), 1, 1)
    values = np.array([4.0, 1.0, 3.0, 2.0, 7.0, 9.0, 5.0])
    assert blocks.medians(values).tolist() == [2.0, 7.0, 5.0]
    assert blocks.means(values).tolist() == [2.5, 7.0, 7.0]


def test_times_that_are_less_than_half_recorded_do_not_count() -> None:
    begins_s = 5000.0 + np.array([0.0, 10.0, 20.0, 30.0, 50.0, 60.0, 90.0, 100.0, 110.0])
    blocks = Blocks(np.arange(9), begins_s, 1, 1)
    means = blocks.means_over(30.0, np.array([0.0, 3.0, 6.0, 1.0, 3.0, 99.0, 5.0, 5.0, 5.0]))
    assert means.tolist() == [3.0, 2.0, 5.0]


def test_fewer_than_five_blocks_of_a_scale_are_few() -> None:
    assert MIN_BLOCKS == 5
    evidence = np.random.default_rng(5).normal(size=15 * PER_BLOCK) * 10
    four, five = (fit_tails(evidence[: n * PER_BLOCK], blocks_of(n)) for n in (12, 15))
    assert four[1].scale == four[0].scale
    assert five[1].scale != five[0].scale


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_constant_evidence_has_tails_of_the_prior(value: float) -> None:
    for tail in fit_tails(np.full(6 * PER_BLOCK, value), blocks_of(6)):
        assert tail.location == value
        assert tail.scale == pytest.approx(FUSED_PRIOR.after(1, 1), rel=1e-3)


def test_parameters_are_restored_from_json() -> None:
    rng = np.random.default_rng(6)
    spectra = spectra_of(np.repeat([-40.0, -60.0], 60 * PER_BLOCK))
    fused = rng.exponential(size=len(spectra))
    calibration = fit_evidence(fused, spectra, levels_of(spectra), blocks_of(120))
    restored = EvidenceCalibration.from_json(calibration.to_json(), BANDS)
    assert restored.tails == calibration.tails
    assert restored.effect_bound == calibration.effect_bound
    found = evidence_of(restored, fused, spectra)
    assert np.array_equal(found, evidence_of(calibration, fused, spectra))


@pytest.mark.parametrize(
    "broken",
    [
        {"locations": [math.nan]},
        {"locations": [0.0, 1.0]},
        {"ratios": [0.0]},
        {"loudest_dbfs": [math.nan]},
        {"loudest_dbfs": [-30.0, -20.0]},
        {"ratios": [math.inf]},
        {"effect_bound": 0.0},
        {"effect_bound": math.nan},
        {"modes": [[0.0] * BANDS, [1.0] * BANDS]},
        {"tails": []},
    ],
)
def test_invalid_parameters_are_refused(broken: dict[str, object]) -> None:
    assert EvidenceCalibration.from_json(one_mode(), BANDS)
    with pytest.raises(ValueError, match=r"evidence|level|modes|scales|effect"):
        EvidenceCalibration.from_json(one_mode(**broken), BANDS)
