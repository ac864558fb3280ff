"""DC removal: the filter of the definition, no output for offset and drift, any block sizes."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_monitor.dsp.dc_removal import CORNER_HZ, START_S, DCRemover

RATE_HZ = 16_000


def _noise(seconds: float, rate_hz: int = RATE_HZ) -> npt.NDArray[np.float32]:
    sound = np.random.default_rng(1).normal(0.0, 0.05, round(seconds * rate_hz))
    return sound.astype(np.float32)


def _removed(sound: npt.ArrayLike, rate_hz: int = RATE_HZ) -> npt.NDArray[np.float32]:
    remover = DCRemover(rate_hz)
    return np.concatenate([remover.push(np.asarray(sound, np.float32)), remover.flush()])


def _by_definition(sound: npt.NDArray[np.float64], rate_hz: int) -> npt.NDArray[np.float64]:
    a = np.exp(-2 * np.pi * CORNER_HZ / rate_hz)
    g = ((1 + a) / 2) ** 2
    x, y = np.concatenate([[0.0, 0.0], sound]), np.zeros(len(sound) + 2)
    for n in range(2, len(x)):
        difference = x[n] - 2 * x[n - 1] + x[n - 2]
        y[n] = g * difference + 2 * a * y[n - 1] - a * a * y[n - 2]
    return y[2:]


@pytest.mark.parametrize("rate_hz", [4_000, 16_000, 48_000])
def test_output_is_that_of_the_difference_equation_for_sound_without_its_first_line(
    rate_hz: int,
) -> None:
    sound = _noise(2.0, rate_hz) + np.float32(0.03)
    first = sound[: round(START_S * rate_hz)].astype(np.float64)
    line = np.polynomial.Polynomial.fit(np.arange(len(first)), first, 1)
    expected = _by_definition(sound - line(np.arange(len(sound))), rate_hz)
    np.testing.assert_allclose(_removed(sound, rate_hz), expected, atol=2e-7)


@settings(max_examples=50, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 9000), min_size=1, max_size=12),
    rate_hz=st.sampled_from([4_000, 16_000, 44_100]),
)
def test_output_does_not_depend_on_block_sizes(sizes: list[int], rate_hz: int) -> None:
    sound = np.random.default_rng(2).normal(0.02, 0.1, sum(sizes)).astype(np.float32)
    remover = DCRemover(rate_hz)
    blocks = np.split(sound, np.cumsum(sizes)[:-1])
    found = [remover.push(block) for block in blocks] + [remover.flush()]
    np.testing.assert_array_equal(np.concatenate(found), _removed(sound, rate_hz))


def test_nothing_lags_after_the_start() -> None:
    remover = DCRemover(RATE_HZ)
    remover.push(_noise(START_S))
    assert [len(remover.push(_noise(1.0)[:size])) for size in (1, 37, 8192)] == [1, 37, 8192]


@pytest.mark.parametrize("offset", [0.1, -0.1, 0.003])
def test_a_constant_offset_has_no_output(offset: float) -> None:
    sound = _noise(3.0)
    with_offset = _removed(sound + np.float32(offset))
    np.testing.assert_allclose(with_offset, _removed(sound), atol=1.5e-7)


def test_an_even_drift_has_no_output() -> None:
    sound, drift = _noise(3.0), np.linspace(0.0, 0.1, 3 * RATE_HZ, dtype=np.float32)
    np.testing.assert_allclose(_removed(sound + drift), _removed(sound), atol=1.5e-7)


def test_half_a_second_after_a_step_nothing_is_left_of_it() -> None:
    sound, at = _noise(4.0), 2 * RATE_HZ
    stepped = sound.copy()
    stepped[at:] += np.float32(0.1)
    change = _removed(stepped) - _removed(sound)
    assert not change[:at].any()
    assert change[at] == pytest.approx(0.1, rel=0.01)
    assert np.abs(change[at + RATE_HZ // 2 :]).max() < 1e-6  # -100 dB of the step


@pytest.mark.parametrize(("frequency_hz", "gain_db"), [(20.0, -0.53), (50.0, -0.09), (1e3, 0.0)])
def test_tones_of_machines_pass(frequency_hz: float, gain_db: float) -> None:
    tone = 0.1 * np.sin(2 * np.pi * frequency_hz * np.arange(4 * RATE_HZ) / RATE_HZ)
    settled = _removed(tone)[2 * RATE_HZ :].astype(np.float64)
    level_db = 20 * np.log10(np.sqrt(2 * np.mean(settled**2)) / 0.1)
    assert level_db == pytest.approx(gain_db, abs=0.01)


@pytest.mark.parametrize("samples", [1, 2, 500, round(START_S * RATE_HZ) - 1])
def test_a_short_stream_is_returned_at_its_end(samples: int) -> None:
    remover = DCRemover(RATE_HZ)
    assert len(remover.push(_noise(1.0)[:samples])) == 0
    assert len(remover.flush()) == samples
    assert len(DCRemover(RATE_HZ).flush()) == 0
