"""Changes of the spectrum that a microphone explains, and those that a machine does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_monitor.dsp.frames import Floats
from asd_monitor.dsp.front_end import front_end_for
from asd_monitor.dsp.mel import mel_centres_hz
from asd_monitor.microphone.baseline import OFF, fit_baseline
from asd_monitor.microphone.findings import FindingKind
from asd_monitor.microphone.recent_spectra import SpectralStatistics, Spectrum
from asd_monitor.microphone.sample_counter import NO_SAMPLE_FAULTS
from asd_monitor.microphone.spectral_change import SpectralComparison, judged_bands
from tests.doubles.microphone_spectra import (
    BANDS,
    HZ,
    LINES_HZ,
    OFF_DB,
    SHAPE_DB,
    above,
    baseline,
    baseline_of,
    piece_of,
    quiet_lines,
    statistics_of,
)

WITH_PAUSES = baseline_of([piece_of(SHAPE_DB), piece_of(OFF_DB, mode=-1)])


def comparison() -> SpectralComparison:
    return SpectralComparison(baseline())


def lines_of(*raised_hz: float, by_db: float = 30.0) -> Spectrum:
    """Return lines (l,) in dB, raised at these frequencies."""
    lines = SpectralStatistics.of(quiet_lines(1, 20)).median
    for hz in raised_hz:
        lines[np.abs(LINES_HZ - hz).argmin()] += by_db
    return lines


HARMONICS = {hz: [hz * number for number in range(1, 9) if hz * number < 490] for hz in (50, 60)}


@pytest.mark.parametrize("edge_hz", [1000.0, 2000.0, 4000.0])
def test_a_cover_is_certain(edge_hz: float) -> None:
    found = comparison().covered(statistics_of(SHAPE_DB + above(edge_hz, -20.0)))
    assert found is not None
    assert found.kind is FindingKind.COVERED
    assert found.certain
    assert "lower than ever in training: look at the microphone" in found.text


@pytest.mark.parametrize("low_db", [-5.0, -3.0, 3.0, 5.0])
def test_a_cover_is_certain_in_a_hall_of_other_low_frequencies(low_db: float) -> None:
    hall = low_db - above(1000.0, low_db)
    found = comparison().covered(statistics_of(SHAPE_DB + hall + above(2000.0, -20.0)))
    assert found is not None
    assert found.certain
    assert "kHz is 20 dB lower" in found.text


@pytest.mark.parametrize("cut_off_hz", [3400.0, 4000.0, 5000.0])
@pytest.mark.parametrize("edge_hz", [1000.0, 2000.0])
def test_a_cover_is_certain_below_the_cut_off_of_the_microphone(
    cut_off_hz: float, edge_hz: float
) -> None:
    """Above it there is only noise of the microphone, which a cover does not attenuate."""
    own_db = -70.0

    def captured(machine_db: Floats) -> Floats:
        return np.asarray(np.where(cut_off_hz < HZ, own_db, machine_db))

    known = baseline_of([piece_of(captured(SHAPE_DB))])
    subject = SpectralComparison(known)
    assert HZ[judged_bands(known)] == pytest.approx(cut_off_hz, rel=0.06)
    found = subject.covered(statistics_of(captured(SHAPE_DB + above(edge_hz, -20.0))))
    assert found is not None
    assert found.certain
    assert subject.covered(statistics_of(captured(SHAPE_DB))) is None


def test_all_bands_are_judged_where_the_microphone_has_no_low_pass() -> None:
    for shape in (SHAPE_DB, SHAPE_DB + np.where(np.arange(BANDS) == 100, 40.0, 0.0), OFF_DB):
        assert judged_bands(baseline_of([piece_of(shape)])) == BANDS
    steep = SHAPE_DB - 30.0 * np.maximum(0.0, np.log2(HZ / 2000.0))
    assert judged_bands(baseline_of([piece_of(steep)])) == BANDS


def test_what_lies_below_the_pause_as_well_excludes_the_machine() -> None:
    known = baseline_of([piece_of(SHAPE_DB), piece_of(SHAPE_DB - 5.0, OFF)])
    for attenuation_db, excludes in ((-25.0, True), (-16.0, False)):
        covered = statistics_of(SHAPE_DB + above(2000.0, attenuation_db))
        found = SpectralComparison(known).covered(covered)
        assert found is not None
        assert found.excludes_machine is excludes
        found = comparison().covered(covered)
        assert found is not None
        assert not found.excludes_machine, "the machine was never off"


def test_a_slight_cover_is_uncertain() -> None:
    found = comparison().covered(statistics_of(SHAPE_DB + above(2000.0, -9.0)))
    assert found is not None
    assert not found.certain
    assert "a changed machine?" in found.text


def test_the_attenuation_and_the_edge_are_stated() -> None:
    found = comparison().covered(statistics_of(SHAPE_DB + above(2000.0, -20.0)))
    assert found is not None
    stated_khz, stated_db = (
        float(found.text.split("above ")[1].split(" kHz")[0]),
        float(found.text.split("is ")[1].split(" dB")[0]),
    )
    assert stated_khz in {1.4, 2.0, 2.8, 4.0, 5.0}
    assert stated_db == pytest.approx(19.0, abs=1.5)


def test_a_loss_of_another_form_is_uncertain() -> None:
    """High frequencies of the machine are lost, and other sound remains there."""
    other = -20.0 + 4.0 * np.cos(2.0 * np.arange(BANDS))
    found = comparison().covered(statistics_of(SHAPE_DB + above(2000.0, 1.0) * other * -1.0 * -1.0))
    assert found is not None
    assert not found.certain


@pytest.mark.parametrize(
    "change",
    [
        np.zeros(BANDS),
        above(2000.0, 15.0),
        np.full(BANDS, -15.0),
        -5.0 + above(2000.0, -5.0),
        4.0 - above(1000.0, 4.0) + above(2000.0, -9.0),
        9.0 - above(1000.0, 9.0) + above(2000.0, -20.0),
        np.where(np.arange(BANDS) == 100, 25.0, 0.0),
        above(2000.0, -3.0),
        above(300.0, -20.0) + above(2000.0, 20.0),
    ],
    ids=[
        "none",
        "hiss",
        "quieter",
        "darker",
        "tilted",
        "other",
        "tone",
        "night",
        "a gap in the middle",
    ],
)
def test_what_is_no_cover(change: Floats) -> None:
    assert comparison().covered(statistics_of(SHAPE_DB + change)) is None


def test_a_machine_whose_pauses_are_known_is_covered_by_none_of_them() -> None:
    subject = SpectralComparison(WITH_PAUSES)
    assert subject.covered(statistics_of(OFF_DB)) is None
    covered = subject.covered(statistics_of(OFF_DB + above(2000.0, -20.0)))
    assert covered is not None
    assert covered.certain


def test_the_mode_is_that_of_the_low_frequencies() -> None:
    """Covered, the running machine is as low at high frequencies as it is in its pauses."""
    found = SpectralComparison(WITH_PAUSES).covered(statistics_of(SHAPE_DB + above(2000.0, -20.0)))
    assert found is not None
    assert found.certain


@pytest.mark.parametrize("gain_db", [12.0, -12.0, 20.0])
def test_a_gain_is_a_change_of_level(gain_db: float) -> None:
    found = comparison().level(statistics_of(SHAPE_DB + gain_db))
    assert found is not None
    assert not found.certain
    assert not found.is_suspicion
    assert f"level changed by {gain_db:+.0f} dB at all frequencies" in found.text


@pytest.mark.parametrize(
    "change",
    [np.full(BANDS, 8.0), above(700.0, 25.0), -above(700.0, 25.0)],
    ids=["8 dB louder", "louder above 700 Hz", "quieter above 700 Hz"],
)
def test_what_is_no_gain(change: Floats) -> None:
    assert comparison().level(statistics_of(SHAPE_DB + change)) is None


def test_the_level_of_another_mode_is_no_gain() -> None:
    both = SpectralComparison(baseline_of([piece_of(SHAPE_DB), piece_of(SHAPE_DB + 12.0, mode=1)]))
    assert both.level(statistics_of(SHAPE_DB + 12.0)) is None
    assert both.level(statistics_of(SHAPE_DB + 24.0)) is not None


@pytest.mark.parametrize("mains_hz", [50, 60])
def test_hum_in_place_of_the_sound_is_a_fault(mains_hz: int) -> None:
    subject = SpectralComparison(baseline_of([piece_of(SHAPE_DB), piece_of(SHAPE_DB - 5.0, OFF)]))
    recent = statistics_of(SHAPE_DB - 20.0)
    assert subject.may_hum(recent)
    found = subject.hum(recent, lines_of(*HARMONICS[mains_hz]))
    assert found is not None
    assert found.certain
    assert found.excludes_machine
    assert f"{mains_hz} Hz" in found.text


@pytest.mark.parametrize("mains_hz", [50, 60])
def test_odd_harmonics_are_of_a_cable(mains_hz: int) -> None:
    """The forces in a motor are of even ones."""
    for lost_db, certain in ((20.0, True), (9.0, False)):
        found = comparison().hum(
            statistics_of(SHAPE_DB - lost_db), lines_of(*HARMONICS[mains_hz][::2])
        )
        assert found is not None
        assert found.certain is certain
        assert not found.excludes_machine


def test_one_odd_harmonic_is_a_tone_of_the_machine() -> None:
    recent = statistics_of(SHAPE_DB - 20.0)
    for hz in (50.0, 150.0):
        found = comparison().hum(recent, lines_of(hz, 100.0, 200.0, 300.0))
        assert found is not None
        assert not found.certain
    found = comparison().hum(recent, lines_of(50.0, 100.0, 150.0))
    assert found is not None
    assert found.certain


@pytest.mark.parametrize("off_db", [None, -12.0], ids=["no pause", "as in a pause"])
def test_a_motor_that_stalls_is_no_certain_fault_of_the_microphone(off_db: float | None) -> None:
    """It hums, and the sound of its airflow is gone."""
    pieces = [piece_of(SHAPE_DB)] + ([] if off_db is None else [piece_of(SHAPE_DB + off_db, OFF)])
    subject = SpectralComparison(baseline_of(pieces))
    found = subject.hum(statistics_of(SHAPE_DB - 20.0), lines_of(100.0, 200.0, 300.0, 400.0))
    assert found is not None
    assert not found.certain
    assert "a motor that stalls?" in found.text


def test_hum_alone_is_none() -> None:
    recent = statistics_of(SHAPE_DB)
    assert not comparison().may_hum(recent)
    assert comparison().hum(recent, lines_of(*HARMONICS[50])) is None


def test_lower_sound_without_hum_is_none() -> None:
    recent = statistics_of(SHAPE_DB - 20.0)
    assert comparison().hum(recent, lines_of()) is None
    assert comparison().hum(recent, lines_of(50.0, 100.0)) is None, "two harmonics"
    assert comparison().hum(recent, lines_of(37.0, 74.0, 111.0, 148.0)) is None, "of no mains"
    assert comparison().hum(recent, lines_of() + 30.0) is None, "every line is higher"


def test_hum_that_training_had_is_none() -> None:
    raised = baseline_of([piece_of(SHAPE_DB)])
    raised.lines[0] = lines_of(*HARMONICS[50])
    subject = SpectralComparison(raised)
    assert subject.hum(statistics_of(SHAPE_DB - 20.0), lines_of(*HARMONICS[50])) is None


RESPONSE = 3.0 * np.log10(HZ / 1000.0) + 5.0 * np.exp(-0.5 * (np.log2(HZ / 3000.0) / 0.6) ** 2)


def test_another_response_is_seen_in_the_difference() -> None:
    before = statistics_of(SHAPE_DB).median
    found = comparison().response(statistics_of(SHAPE_DB + RESPONSE, seed=2), before)
    assert found is not None
    assert not found.certain
    assert "another microphone, or moved?" in found.text


@pytest.mark.parametrize(
    "change",
    [
        np.zeros(BANDS),
        np.full(BANDS, 12.0),
        np.where(np.arange(BANDS) % 7 == 0, 20.0, 0.0),
    ],
    ids=["none", "gain", "tones"],
)
def test_what_is_no_other_response(change: Floats) -> None:
    before = statistics_of(SHAPE_DB).median
    assert comparison().response(statistics_of(SHAPE_DB + change, seed=2), before) is None


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, BANDS - 1), st.floats(0.0, 40.0), st.floats(0.5, 40.0)),
        max_size=6,
    ),
    st.floats(0.0, 10.0),
    st.integers(0, 50),
)
def test_added_sound_is_no_fault(
    added: list[tuple[int, float, float]], louder_db: float, seed: int
) -> None:
    """Nothing that a machine adds to its sound can be taken for a cover or a broken cable."""
    change = np.full(BANDS, louder_db)
    for band, rise_db, width in added:
        rise = rise_db * np.exp(-0.5 * ((np.arange(BANDS) - band) / width) ** 2)
        change = np.maximum(change, rise)
    recent = statistics_of(SHAPE_DB + change, seed)
    assert comparison().covered(recent) is None
    assert not comparison().may_hum(recent)


def test_sound_of_a_lower_rate_can_be_compared() -> None:
    front_end = front_end_for(8_000)
    hz = mel_centres_hz(8_000, front_end.mel_bands)
    shape = -20.0 - 12.0 * np.log10(np.maximum(hz, 50.0) / 1000.0)
    piece = piece_of(shape)
    lines = front_end_lines(front_end.rate_hz)
    found = fit_baseline(
        [type(piece)(piece.starts, piece.ends, piece.spectra, lines, piece.modes)],
        front_end,
        NO_SAMPLE_FAULTS,
    )
    assert found is not None
    covered = SpectralComparison(found).covered(
        statistics_of(shape - 20.0 / (1.0 + np.exp(-6.0 * np.log2(hz / 1500.0))))
    )
    assert covered is not None
    assert covered.certain


def front_end_lines(rate_hz: int) -> Spectrum:
    from asd_monitor.microphone.baseline import line_count

    return np.full((60, line_count(front_end_for(rate_hz))), -3.0, np.float32)
