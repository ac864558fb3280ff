import io

import numpy as np
import pytest
from rich.console import Console

from asd_monitor.demo.scenario import (
    FAULT_FULL_S,
    FAULT_START_S,
    MONITORED_S,
    draw_scenario,
    severity_at,
)
from asd_monitor.demo.screen import Screen, status_line
from asd_monitor.demo.terminal_spectrogram import palette, spectrogram
from asd_monitor.demo.timeline import Timeline
from asd_monitor.errors import UsageError
from asd_monitor.records import MachineState
from tests.demo.test_demo_timeline import alarm, score


def printed(screen: Screen, timeline: Timeline, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    with console.capture() as capture:
        console.print(screen.draw(timeline))
    return capture.get().splitlines()


def screen(columns: int = 60, rows: int = 5) -> Screen:
    picture = np.linspace(0.0, 1.0, 12 * columns).reshape(12, columns)
    return Screen("a machine", picture, {"rhythm": "changed modulation"}, rows)


def test_the_display_fits_80_columns_and_24_rows_at_any_time() -> None:
    timeline, picture = Timeline(16000), screen()
    for at_s in (None, 2.0, 60.0, 120.0, MONITORED_S, MONITORED_S + 5.0):
        if at_s is not None:
            timeline.add(score(at_s, at_s / 30.0, MachineState.WARNING))
        lines = printed(picture, timeline, 80)
        assert len(lines) <= 24
        assert max(map(len, lines)) <= 80


def test_the_display_shows_state_score_thresholds_severity_and_the_highest_view() -> None:
    timeline = Timeline(16000)
    timeline.add(score(2.0, 0.1))
    timeline.add(score(FAULT_FULL_S, 3.5, MachineState.ALARM))
    timeline.add(alarm(FAULT_FULL_S))
    text = "\n".join(printed(screen(), timeline, 80))
    for shown in (
        " ALARM ",
        "3.5 (threshold 3.0)",
        "alarm 3.0",
        "warning 2.0",
        "fault 100 %",
        "2:30 of 3:00",
    ):
        assert shown in text
    assert "rhythm: changed modulation" in text
    assert "score  3.5  alarm score  3.5 (threshold 3.0)  fault 100 %" in status_line(timeline)


def test_a_tone_is_bright_in_its_band_only() -> None:
    rng = np.random.default_rng(1)
    time = np.arange(160000) / 16000
    sound = 0.001 * rng.standard_normal(160000) + 0.1 * np.sin(2 * np.pi * 1000.0 * time)
    picture = spectrogram(sound.astype(np.float32), 16000, bands=12, columns=20)
    assert picture.shape == (12, 20)
    assert picture.min() >= 0.0
    assert picture.max() <= 1.0
    bright = np.argsort(picture.mean(axis=1))[::-1]
    # 60 Hz to 7520 Hz in 12 bands from the top: 1 kHz lies in the fifth
    assert bright[0] in {4, 5}
    assert picture[bright[0]].mean() > 2 * picture[bright[3]].mean()


def test_the_palette_goes_from_dark_to_light() -> None:
    assert palette(0.0) == "#000008"
    assert palette(1.0) == "#fce18c"
    assert palette(7.0) == palette(1.0)


def test_severity_rises_from_0_to_1_between_start_and_full() -> None:
    assert severity_at(FAULT_START_S) == 0.0
    assert severity_at((FAULT_START_S + FAULT_FULL_S) / 2) == pytest.approx(0.5)
    assert severity_at(MONITORED_S) == 1.0


@pytest.mark.slow
def test_a_scenario_is_determined_by_its_seed() -> None:
    first, again, other = (draw_scenario("fan", "bearing", seed) for seed in (1, 1, 2))
    assert first == again
    assert first.machine != other.machine
    np.testing.assert_array_equal(
        first.training_recording(0)[:16000], again.training_recording(0)[:16000]
    )


def test_unknown_families_and_faults_are_refused_with_the_choices() -> None:
    with pytest.raises(UsageError, match="choose one of fan, pump"):
        draw_scenario("rocket", "bearing", 1)
    with pytest.raises(UsageError, match=r"choose one of .*bearing"):
        draw_scenario("fan", "gear_tooth", 1)
