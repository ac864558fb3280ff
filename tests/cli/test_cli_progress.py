"""Progress: on a terminal a bar, otherwise lines."""

import pytest
from rich.console import Console
from rich.progress import Progress

from asd_monitor.cli import progress
from asd_monitor.cli.progress import shown_progress


def test_the_time_goes_on_after_a_step_that_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0
    bars: list[Progress] = []

    class Clocked(Progress):
        def __init__(self, *columns, **options) -> None:
            super().__init__(*columns, **options, auto_refresh=False, get_time=lambda: now_s)
            bars.append(self)

    def terminal(**_) -> Console:
        return Console(stderr=True, force_terminal=True)

    monkeypatch.setattr(progress, "Console", terminal)
    monkeypatch.setattr(progress, "Progress", Clocked)
    with shown_progress() as show:
        (bar,) = bars
        show("extracting features", 0.5)
        now_s = 28.0
        show("extracting features", 1.0)
        assert bar.tasks[0].finished_time == 28.0
        show("fitting", 0.0)
        now_s = 40.0
        assert (bar.tasks[0].finished, bar.tasks[0].elapsed) == (False, 12.0)


def test_without_a_terminal_each_step_and_each_tenth_is_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with shown_progress() as show:
        for thousandth in range(1000):
            show("extracting features" if thousandth < 250 else "fitting", thousandth / 1000)
    assert capsys.readouterr().err.splitlines() == [
        "extracting features … 0 %",
        "extracting features … 10 %",
        "extracting features … 20 %",
        *(f"fitting … {percent} %" for percent in range(25, 100, 10)),
    ]
