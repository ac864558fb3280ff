"""When the stride changes under load."""

from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.daemon.load_shedding import Load, LoadShedder, SheddingThresholds

THRESHOLDS = SheddingThresholds()
OVERLOAD = Load(busy=1.0, backlog_s=THRESHOLDS.max_backlog_s + 0.1)
CALM = Load(busy=0.1, backlog_s=0.0)


class Shedding:
    """A load shedder and the stride that it has chosen."""

    def __init__(self, max_stride: int, stride: int = 1) -> None:
        self.stride = stride
        self._max_stride = max_stride
        self._shedder = LoadShedder()

    def update(self, load: Load, now_s: float) -> bool:
        """Evaluate a measurement; return whether the stride has changed."""
        before = self.stride
        self.stride = self._shedder.next_stride(before, load, now_s, max_stride=self._max_stride)
        return self.stride != before


def test_stride_rises_step_by_step_up_to_its_maximum() -> None:
    shedder = Shedding(max_stride=3)
    delay_s, settling_s = THRESHOLDS.overload_delay_s, THRESHOLDS.settling_s
    assert not shedder.update(OVERLOAD, 0.0), "the overload has just begun"
    assert not shedder.update(OVERLOAD, delay_s - 0.1)
    assert shedder.update(OVERLOAD, delay_s)
    assert shedder.stride == 2
    assert not shedder.update(OVERLOAD, delay_s + settling_s - 0.1), "it must settle first"
    assert shedder.update(OVERLOAD, delay_s + settling_s)
    assert shedder.stride == 3
    assert not shedder.update(OVERLOAD, 10 * settling_s), "windows would no longer touch"
    assert shedder.stride == 3


def test_backlog_that_does_not_wait_for_scoring_is_no_overload() -> None:
    """Skipping windows does not help where a model is loading or a disk is slow."""
    shedder = Shedding(max_stride=3)
    for second in range(30):
        assert not shedder.update(Load(busy=0.02, backlog_s=4.0), float(second))


def test_short_overloads_do_not_add_up() -> None:
    shedder = Shedding(max_stride=3)
    for second in range(20):
        assert not shedder.update(CALM if second % 2 else OVERLOAD, float(second))


def test_stride_falls_after_a_long_calm_period() -> None:
    shedder = Shedding(max_stride=3, stride=2)
    recovery_s = THRESHOLDS.recovery_delay_s
    for second in range(int(recovery_s)):
        assert not shedder.update(CALM, float(second))
    assert shedder.update(CALM, recovery_s)
    assert shedder.stride == 1
    assert not shedder.update(CALM, 10 * recovery_s)


def test_stride_does_not_fall_where_the_smaller_one_would_overload() -> None:
    shedder = Shedding(max_stride=3, stride=2)
    busy = Load(busy=0.51 * THRESHOLDS.busy_share, backlog_s=0.0)  # twice as much is too much
    for second in range(3 * int(THRESHOLDS.recovery_delay_s)):
        assert not shedder.update(busy, float(second))


def test_overload_restarts_the_calm_period() -> None:
    shedder = Shedding(max_stride=2, stride=2)
    recovery_s = THRESHOLDS.recovery_delay_s
    for second in range(int(recovery_s)):
        shedder.update(CALM, float(second))
    shedder.update(OVERLOAD, recovery_s - 0.5)
    assert not shedder.update(CALM, recovery_s + 1)
    assert shedder.stride == 2


@given(
    loads=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 30), st.floats(0.1, 90)), max_size=60),
    max_stride=st.integers(1, 4),
    initial=st.integers(-1, 9),
)
def test_stride_stays_in_its_bounds_and_changes_by_one(
    loads: list[tuple[float, float, float]], max_stride: int, initial: int
) -> None:
    shedder, now_s = Shedding(max_stride, min(max(1, initial), max_stride)), 0.0
    for busy, backlog_s, after_s in loads:
        now_s += after_s
        before = shedder.stride
        changed = shedder.update(Load(busy, backlog_s), now_s)
        assert abs(shedder.stride - before) == int(changed)
        assert 1 <= shedder.stride <= max_stride
