"""What the microphone has captured in training."""

from __future__ import annotations

import numpy as np
import pytest

from asd_monitor.dsp.front_end import front_end_for
from asd_monitor.microphone.baseline import MAX_MODES, MicrophoneBaseline, fit_baseline
from asd_monitor.microphone.sample_counter import NO_SAMPLE_FAULTS, SampleFaults
from tests.doubles.microphone_spectra import (
    BANDS,
    FRONT_END,
    OFF_DB,
    SHAPE_DB,
    baseline,
    baseline_of,
    piece_of,
)


def same(one: MicrophoneBaseline, other: MicrophoneBaseline) -> bool:
    arrays = other.arrays()
    return all(np.array_equal(array, arrays[name]) for name, array in one.arrays().items())


def test_the_ranges_lie_about_the_spectra_of_training() -> None:
    found = baseline()
    assert found.typical.shape == (1, BANDS)
    assert np.abs(found.typical[0] - SHAPE_DB).max() < 0.5
    assert (found.lowest <= found.typical).all()
    assert (found.typical <= found.highest).all()
    assert (found.quietest <= found.lowest).all()


def test_each_operating_mode_has_ranges_of_its_own() -> None:
    found = baseline_of([piece_of(SHAPE_DB), piece_of(OFF_DB, mode=-1)])
    assert np.abs(found.typical - np.stack([OFF_DB, SHAPE_DB])).max() < 0.5


def test_a_piece_that_is_too_short_has_no_baseline() -> None:
    assert fit_baseline([piece_of(SHAPE_DB, count=5)], FRONT_END, NO_SAMPLE_FAULTS) is None


def test_similar_sound_widens_the_ranges_of_its_mode() -> None:
    first = baseline_of([piece_of(SHAPE_DB), piece_of(OFF_DB, mode=-1)])
    found = first.extended([piece_of(SHAPE_DB - 3.0, seed=1)])
    assert found.lowest[1].mean() == pytest.approx(first.lowest[1].mean() - 3.0, abs=0.3)
    assert np.array_equal(found.lowest[0], first.lowest[0])
    assert np.array_equal(found.typical, first.typical)


def test_extending_never_narrows_a_range() -> None:
    first = baseline()
    found = first.extended([piece_of(SHAPE_DB, count=20, seed=number) for number in range(5)])
    assert (found.lowest <= first.lowest).all()
    assert (found.quietest <= first.quietest).all()
    assert (found.highest >= first.highest).all()
    assert (found.lines >= first.lines).all()


def test_other_sound_is_a_further_mode_up_to_a_limit() -> None:
    pieces = [piece_of(SHAPE_DB + 10.0 * number, seed=number) for number in range(1, 12)]
    found = baseline().extended(pieces)
    assert len(found.typical) == MAX_MODES
    assert found.typical[1].mean() == pytest.approx(SHAPE_DB.mean() + 10.0, abs=0.5)


def test_a_baseline_is_restored_from_its_arrays() -> None:
    first = baseline_of([piece_of(SHAPE_DB)], SampleFaults(2, 0.01))
    found = MicrophoneBaseline.restore(first.arrays(), FRONT_END, first.samples, has_pause=True)
    assert same(found, first)
    assert found.has_pause
    assert found.samples == SampleFaults(2, 0.01)


@pytest.mark.parametrize("name", ["typical", "lowest", "highest", "quietest", "lines"])
def test_arrays_of_other_shapes_are_refused(name: str) -> None:
    arrays = baseline().arrays()
    arrays[name] = arrays[name][:, :-1]
    with pytest.raises(ValueError, match="ranges"):
        MicrophoneBaseline.restore(arrays, FRONT_END, NO_SAMPLE_FAULTS, has_pause=True)


def test_arrays_of_another_front_end_are_refused() -> None:
    with pytest.raises(ValueError, match="another front end"):
        MicrophoneBaseline.restore(
            baseline().arrays(), front_end_for(8_000), NO_SAMPLE_FAULTS, has_pause=True
        )


def test_too_many_modes_are_refused() -> None:
    arrays = baseline().arrays()
    for name in ("typical", "lowest", "highest", "quietest"):
        arrays[name] = np.repeat(arrays[name], MAX_MODES + 1, axis=0)
    with pytest.raises(ValueError, match="shapes"):
        MicrophoneBaseline.restore(arrays, FRONT_END, NO_SAMPLE_FAULTS, has_pause=True)


def test_a_missing_and_a_further_array_are_refused() -> None:
    arrays = baseline().arrays()
    with pytest.raises(ValueError, match="do not belong"):
        MicrophoneBaseline.restore(
            {**arrays, "more": arrays["lines"]}, FRONT_END, NO_SAMPLE_FAULTS, has_pause=True
        )
    del arrays["lines"]
    with pytest.raises(KeyError):
        MicrophoneBaseline.restore(arrays, FRONT_END, NO_SAMPLE_FAULTS, has_pause=True)
