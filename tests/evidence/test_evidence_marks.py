"""The places of what differs: where a known change begins, and its frequencies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from asd_monitor.evidence.building import alarm_picture, content_of
from asd_monitor.evidence.contents import PackageContent
from asd_monitor.evidence.sound_span import KeptSound
from asd_monitor.explanation.findings import FindingKind
from asd_monitor.records import Samples
from asd_monitor.reports.marked_places import marked_places
from tests.doubles.captured_alarm import (
    BEGIN_S,
    FIRST,
    RATE_HZ,
    SECONDS,
    TONE_HZ,
    captured_alarm,
    machine_sound,
    with_tone,
)


def content_with(sound: Samples) -> PackageContent:
    captured = captured_alarm(sound=sound)
    return content_of(captured, alarm_picture(captured))


def impacts(sound: Samples, rate_hz: float) -> Samples:
    changed = sound.copy()
    time_s = np.arange(400) / RATE_HZ
    impact = 0.4 * np.exp(-time_s / 0.003) * np.sin(2 * np.pi * 3700 * time_s)
    for at in np.arange(BEGIN_S, SECONDS - 0.1, 1 / rate_hz):
        first = round(at * RATE_HZ)
        changed[first : first + 400] += impact.astype(np.float32)
    return changed


def louder(sound: Samples) -> Samples:
    gain = np.where(np.arange(len(sound)) >= BEGIN_S * RATE_HZ, 2.8, 1.0)
    return np.asarray(gain * sound, np.float32)


def test_a_tone_is_marked_from_its_begin_at_its_frequency() -> None:
    (mark,) = content_with(with_tone(machine_sound(SECONDS))).marks
    assert mark.finding.kind is FindingKind.TONE
    assert mark.is_located
    assert mark.from_s == pytest.approx(BEGIN_S, abs=0.5)
    assert mark.to_s == SECONDS
    assert mark.from_hz < TONE_HZ < mark.to_hz


def test_a_tone_that_ends_is_marked_up_to_its_end() -> None:
    sound = with_tone(machine_sound(SECONDS))
    end = round(18.0 * RATE_HZ)
    sound[end:] = machine_sound(SECONDS)[end:]
    (mark,) = content_with(sound).marks
    assert (mark.from_s, mark.to_s) == pytest.approx((BEGIN_S, 18.0), abs=0.6)


def test_impacts_are_marked_in_their_band_from_their_begin() -> None:
    mark = content_with(impacts(machine_sound(SECONDS), 7.0)).marks[0]
    assert mark.finding.kind is FindingKind.IMPACTS
    assert mark.finding.rate_hz == pytest.approx(7.0, rel=0.03)
    assert mark.from_s == pytest.approx(BEGIN_S, abs=1.0)
    assert mark.from_hz < 3700 < mark.to_hz
    assert min(mark.impacts_s) >= BEGIN_S - 0.1
    assert max(mark.impacts_s) <= SECONDS


def test_a_rise_of_the_level_is_named_alone_although_it_begins_before_the_alarm() -> None:
    (mark,) = content_with(louder(machine_sound(SECONDS))).marks
    assert mark.finding.kind is FindingKind.LEVEL
    assert mark.finding.change_db == pytest.approx(9.0, abs=1.0)
    assert mark.from_s == pytest.approx(BEGIN_S, abs=0.6)


def test_what_lasts_longer_than_the_sound_is_marked_before_the_alarm() -> None:
    (mark,) = content_with(with_tone(machine_sound(SECONDS), begin_s=0.0)).marks
    assert not mark.is_located
    assert (mark.from_s, mark.to_s) == (3.0, 13.0)  # the ten seconds before


def test_what_has_no_begin_is_marked_in_the_sound_that_was_explained() -> None:
    louder_s = 9.5
    sound = with_tone(machine_sound(SECONDS), begin_s=0.0)
    hiss = 0.1 * np.random.default_rng(4).standard_normal(len(sound))
    later = np.arange(len(sound)) >= louder_s * RATE_HZ
    content = content_with(np.asarray(sound + np.where(later, hiss, 0.0), np.float32))
    level, tone = content.marks
    assert (level.finding.kind, level.is_located) == (FindingKind.LEVEL, True)
    assert (tone.finding.kind, tone.is_located) == (FindingKind.TONE, False)
    assert (tone.from_s, tone.to_s) == pytest.approx((louder_s, louder_s + 10.0), abs=0.5)
    places = [each.place for each in marked_places(content)]
    assert places == [
        "from 4 s before the alarm",
        "in all of the sound from 4 s before the alarm to 6 s after the alarm",
    ]


def test_quiet_sound_and_sound_without_a_profile_have_no_marks() -> None:
    captured = captured_alarm()
    quiet = replace(captured, facts=replace(captured.facts, is_quiet=True))
    for each in (quiet, replace(captured, profile=None)):
        content = content_of(each, None)
        assert content.marks == ()
        assert content.sentence == "Tone at 1,500 Hz."


def test_sound_that_begins_late_is_explained_as_far_as_it_goes() -> None:
    captured = captured_alarm()
    sound = captured.sound
    assert sound is not None
    late = KeptSound(FIRST + 200_000, RATE_HZ, sound.samples[200_000:240_000])
    marks = content_of(replace(captured, sound=late), None).marks
    assert all(0.0 <= mark.from_s <= mark.to_s <= late.seconds for mark in marks)
