"""Processor time by function and section."""

import time

from benchmarks.cpu_profiler import CpuProfiler


class Worker:
    def outer(self) -> None:
        spin(0.02)
        self.inner("counted")
        self.inner("not counted")

    def inner(self, _: str) -> None:
        spin(0.03)


def spin(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_nested_time_is_counted_once_and_functions_are_restored() -> None:
    profiler, worker, original = CpuProfiler(), Worker(), Worker.inner
    with (
        profiler.timing(Worker, "outer", lambda *_: "outer"),
        profiler.timing(Worker, "inner", lambda _, what: what if what == "counted" else None),
        profiler.section("rest"),
    ):
        worker.outer()
        spin(0.01)
    assert Worker.inner is original
    assert set(profiler.seconds) == {"rest", "outer", "counted"}
    assert 0.03 <= profiler.seconds["counted"] < 0.05
    assert 0.05 <= profiler.seconds["outer"] < 0.08, "with the inner call that is not timed"
    assert 0.01 <= profiler.seconds["rest"] < 0.03
