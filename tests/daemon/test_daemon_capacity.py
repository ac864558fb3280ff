"""The estimate of how many machines a box can monitor."""

from dataclasses import replace

import pytest

from asd_monitor.daemon.capacity import (
    OVERHEAD_WINDOWS_PER_S,
    SLOW_WINDOW_S,
    USABLE_CPU_SHARE,
    estimate_capacity,
)
from asd_monitor.detector.detector import Detector
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.runtime import Runtime
from tests.doubles.encoder_detector import plain_detector, toy_encoders
from tests.doubles.level_detector import LevelDetector

HOP_S = FrontEnd().hop_s


class StepClock:
    """A clock that advances by the same step at each reading, whatever is measured."""

    def __init__(self, step_s: float) -> None:
        self._step_s, self._now_s = step_s, 0.0

    def __call__(self) -> float:
        self._now_s += self._step_s
        return self._now_s


@pytest.fixture
def detector() -> Detector:
    return LevelDetector()


@pytest.mark.parametrize("batch_s", [0.01, 0.02])
def test_capacity_is_inverse_to_the_time_of_a_window(detector: Detector, batch_s: float) -> None:
    window_s = batch_s / 8  # eight machines per batch
    load = window_s / HOP_S + OVERHEAD_WINDOWS_PER_S * window_s
    assert estimate_capacity([detector], cpu_clock_s=StepClock(batch_s)) == pytest.approx(
        USABLE_CPU_SHARE / load, abs=1
    )


def test_slow_window_is_measured_alone(detector: Detector) -> None:
    window_s = 1.2 * SLOW_WINDOW_S
    load = window_s / HOP_S + OVERHEAD_WINDOWS_PER_S * window_s / 8
    capacity = estimate_capacity([detector], cpu_clock_s=StepClock(window_s))
    assert capacity == int(USABLE_CPU_SHARE / load)


def test_capacity_is_at_least_one_machine(detector: Detector) -> None:
    assert estimate_capacity([detector], cpu_clock_s=StepClock(10.0)) == 1


def test_capacity_of_this_box_is_measured(detector: Detector) -> None:
    assert estimate_capacity([detector]) >= 1


@pytest.mark.parametrize(
    ("runtime", "uses_processor_time"), [(Runtime(), True), (Runtime(threads=2), False)]
)
def test_work_outside_of_the_thread_is_measured_by_the_wall_clock(
    runtime: Runtime, uses_processor_time: bool
) -> None:
    """The processor time of this thread does not contain it."""
    detector = replace(
        plain_detector(),
        encoders=tuple(Encoder.from_bytes(e.onnx, e.card, runtime) for e in toy_encoders()),
    )
    read = []

    def clock() -> float:
        read.append(0.0)
        return 10.0 * len(read)

    estimate_capacity([detector], cpu_clock_s=clock)
    statistics_alone = 2 * 7  # readings for the overhead, which runs no network
    assert (len(read) > statistics_alone) == uses_processor_time
