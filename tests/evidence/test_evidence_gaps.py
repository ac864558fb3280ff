"""The evidence of an alarm in whose sound there are gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from asd_monitor.evidence.building import CapturedAlarm, alarm_picture, content_of
from asd_monitor.evidence.normal_sound import usual_levels
from asd_monitor.evidence.pictures import Picture
from asd_monitor.evidence.sound_span import Gap, KeptSound
from asd_monitor.reports.marked_places import marked_places
from asd_monitor.reports.sound_pictures import colour_range, columns_before, difference_plot
from tests.doubles.captured_alarm import (
    FIRST,
    RAISED_S,
    RATE_HZ,
    SECONDS,
    captured_alarm,
    machine_sound,
    with_tone,
)


def alarm_with(gaps_s: Sequence[tuple[float, float]], *, tone_from_s: float) -> CapturedAlarm:
    """Return an alarm whose sound is silent in its gaps."""
    captured = captured_alarm(sound=with_tone(machine_sound(SECONDS), begin_s=tone_from_s))
    sound = captured.sound
    assert sound is not None
    samples, gaps = sound.samples.copy(), []
    for begin_s, end_s in gaps_s:
        first, past = round(begin_s * RATE_HZ), round(end_s * RATE_HZ)
        samples[first:past] = 0.0
        gaps.append(Gap(FIRST + first, FIRST + past))
    return replace(captured, sound=KeptSound(FIRST, RATE_HZ, samples, tuple(gaps)))


@pytest.mark.parametrize(
    "gaps_s", [[(4.0, 7.0)], [(6.0, 6.3)], [(4.0, 4.08), (5.5, 5.58), (7.0, 7.08)], [(1.0, 8.5)]]
)
def test_a_gap_is_neither_a_finding_nor_the_begin_of_one(
    gaps_s: list[tuple[float, float]],
) -> None:
    captured = alarm_with(gaps_s, tone_from_s=0.0)
    content = content_of(captured, alarm_picture(captured))
    assert content.sentence.startswith("Tone at 1,500 Hz")
    assert not any(word in content.sentence for word in ("drops", "impacts", "level"))
    after_gap_s = gaps_s[-1][1]
    mark = content.marks[0]
    assert not mark.is_located
    assert mark.from_s == pytest.approx(max(after_gap_s, RAISED_S - 10.0))
    place = next(marked_places(content)).place
    assert place == f"in all of the {RAISED_S - after_gap_s:.0f} s before the alarm"


def test_a_change_after_a_gap_is_marked_where_it_begins() -> None:
    captured = alarm_with([(2.0, 4.0)], tone_from_s=6.0)
    (mark,) = content_of(captured, alarm_picture(captured)).marks
    assert mark.from_s == pytest.approx(6.0, abs=0.5)
    assert mark.to_s == SECONDS


def test_it_is_not_said_that_a_change_ends_where_the_capture_was_interrupted() -> None:
    captured = alarm_with([(16.0, 17.0)], tone_from_s=6.0)
    (place,) = marked_places(content_of(captured, alarm_picture(captured)))
    assert place.place == "from 7 s before the alarm"


def test_pictures_are_drawn_as_without_the_gap() -> None:
    def shown(gaps_s: Sequence[tuple[float, float]]) -> tuple[Picture, tuple[float, float]]:
        captured = alarm_with(gaps_s, tone_from_s=11.0)
        picture = alarm_picture(captured)
        assert picture is not None
        content = content_of(captured, picture)
        assert columns_before(content) is not None
        assert difference_plot(content) is not None
        return picture, colour_range(content)

    (whole, whole_range), (picture, levels) = shown([]), shown([(1.0, 6.0)])
    assert usual_levels(picture) == pytest.approx(usual_levels(whole), abs=1.0)
    assert levels == pytest.approx(whole_range, abs=1.0)
    silent = np.flatnonzero(picture.levels_db.max(axis=1) < whole.levels_db.min())
    assert set(silent.tolist()) <= set(picture.lost)


def test_the_gapless_part_is_that_in_which_the_alarm_was_raised() -> None:
    sound = KeptSound(100, 10, np.arange(100, dtype=np.float32), (Gap(120, 130), Gap(160, 190)))

    def part(sample: int) -> tuple[int, int]:
        found = sound.gapless_at(sample)
        assert np.array_equal(found.samples, np.arange(found.first, found.past) - 100)
        return found.first, found.past

    assert [part(each) for each in (50, 100, 120, 125, 130)] == [(100, 120)] * 5
    assert [part(each) for each in (131, 160, 170, 190)] == [(130, 160)] * 4
    assert [part(each) for each in (191, 500)] == [(190, 200)] * 2
