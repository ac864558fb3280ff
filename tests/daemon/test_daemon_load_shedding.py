"""When windows are passed over, and how many machines a box is said to carry."""

import pytest
from tests.doubles.synthetic_sounds import machine_sound
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.daemon import load_shedding as load_module
from asd_monitor.daemon.load_shedding import (
    BEHIND_S,
    BUSY,
    CALM_S,
    HEARING,
    PATIENCE_S,
    SETTLE_S,
    USABLE,
    Load,
    LoadShedder,
    carries,
)
from asd_monitor.detector.detector import Detector
from asd_monitor.detector.fit import fit_detector
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.features.windows import WindowStream

FRONT_END = FrontEnd()
FALLING_BEHIND = Load(busy=1.0, behind_s=BEHIND_S + 0.1)
CALM = Load(busy=0.1, behind_s=0.0)


@pytest.fixture(scope="module")
def detector() -> Detector:
    windows = WindowStream(FRONT_END).push(machine_sound(40.0))
    return fit_detector([windows], FRONT_END, FRONT_END.rate_hz).detector


def test_who_falls_behind_passes_more_over_step_by_step() -> None:
    widening = LoadShedder(most=3)
    assert not widening.watch(FALLING_BEHIND, 0.0), "a moment is no load"
    assert not widening.watch(FALLING_BEHIND, PATIENCE_S - 0.1)
    assert widening.watch(FALLING_BEHIND, PATIENCE_S)
    assert widening.every == 2
    assert not widening.watch(FALLING_BEHIND, PATIENCE_S + SETTLE_S - 0.1), "it has to settle"
    assert widening.watch(FALLING_BEHIND, PATIENCE_S + SETTLE_S)
    assert widening.every == 3
    assert not widening.watch(FALLING_BEHIND, 10 * SETTLE_S), "windows would no longer touch"
    assert widening.every == 3


def test_sound_that_waits_for_something_else_is_no_load() -> None:
    """A model that is loaded, a disk that is slow: to pass windows over would mend nothing."""
    widening = LoadShedder(most=3)
    for second in range(30):
        assert not widening.watch(Load(busy=0.02, behind_s=4.0), float(second))


def test_moments_of_trouble_do_not_add_up() -> None:
    widening = LoadShedder(most=3)
    for second in range(20):
        assert not widening.watch(CALM if second % 2 else FALLING_BEHIND, float(second))


def test_it_goes_back_when_there_was_time_for_long() -> None:
    widening = LoadShedder(most=3, every=2)
    for second in range(int(CALM_S)):
        assert not widening.watch(CALM, float(second))
    assert widening.watch(CALM, CALM_S)
    assert widening.every == 1
    assert not widening.watch(CALM, 10 * CALM_S)


def test_it_does_not_go_back_into_what_was_too_much() -> None:
    widening = LoadShedder(most=3, every=2)
    busy = Load(busy=0.51 * BUSY, behind_s=0.0)  # twice of it would be too much
    for second in range(3 * int(CALM_S)):
        assert not widening.watch(busy, float(second))


def test_a_moment_of_trouble_begins_the_calm_anew() -> None:
    widening = LoadShedder(most=2, every=2)
    for second in range(int(CALM_S)):
        widening.watch(CALM, float(second))
    widening.watch(FALLING_BEHIND, CALM_S - 0.5)
    assert not widening.watch(CALM, CALM_S + 1)
    assert widening.every == 2


@given(
    loads=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 30), st.floats(0.1, 90)), max_size=60),
    most=st.integers(1, 4),
    begins=st.integers(-1, 9),
)
def test_it_stays_in_its_bounds_and_changes_by_one(
    loads: list[tuple[float, float, float]], most: int, begins: int
) -> None:
    widening, now_s = LoadShedder(most, begins), 0.0
    for busy, behind_s, after_s in loads:
        now_s += after_s
        before = widening.every
        changed = widening.watch(Load(busy, behind_s), now_s)
        assert abs(widening.every - before) == int(changed)
        assert 1 <= widening.every <= most


def test_a_box_that_is_twice_as_slow_carries_half(
    detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock:
        """Each look takes so long, however fast the processor is."""

        def __init__(self, step_s: float) -> None:
            self.step_s, self.now_s = step_s, 0.0

        def thread_time(self) -> float:
            self.now_s += self.step_s
            return self.now_s

    found = []
    for batch_s in (0.01, 0.02):
        monkeypatch.setattr(load_module, "time", Clock(batch_s))
        found.append(carries([detector]))
    # eight machines' windows in 10 ms, two a second each, beside all else on 0.8 of a core
    window_s = 0.010 / 8
    assert found[0] == pytest.approx(
        USABLE / (window_s / FRONT_END.hop_s + HEARING * window_s), abs=1
    )
    assert found[1] == pytest.approx(found[0] / 2, abs=1)


def test_this_box_carries_some(detector: Detector) -> None:
    assert carries([detector]) >= 1
