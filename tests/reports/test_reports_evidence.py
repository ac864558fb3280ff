"""The page of an alarm: it shows what differs and where, loads nothing, and escapes all text."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from asd_monitor.alarm.alarm_score import ScoreLevel
from asd_monitor.alarm.block_means import BlockMean
from asd_monitor.evidence.building import alarm_picture, content_of
from asd_monitor.evidence.contents import NormalSound, PackageContent, document_of
from asd_monitor.evidence.package_names import SOUND
from asd_monitor.evidence.pictures import picture_of, picture_of_windows
from asd_monitor.evidence.sound_span import SoundContent
from asd_monitor.records import MicrophoneState, Thresholds
from asd_monitor.reports.evidence_page import evidence_page
from asd_monitor.reports.png import as_difference, as_picture
from tests.doubles.captured_alarm import RATE_HZ, captured_alarm, machine_sound
from tests.doubles.html_checks import PageTags

MAX_PAGE_BYTES = 600_000


def content_as(content: SoundContent = SoundContent.FULL) -> PackageContent:
    captured = captured_alarm(content=content)
    normal = picture_of(machine_sound(10.0, 5), RATE_HZ, coarse=captured.is_coarse)
    return content_of(
        captured,
        alarm_picture(captured),
        normal=NormalSound(normal, "commissioning, 2026-11-22 10:15 UTC"),
    )


def test_the_page_shows_what_differs_first_and_marks_it() -> None:
    text = evidence_page(content_as())
    heading = text.index("<h1>Tone at 1,500 Hz")
    assert heading < text.index("<audio") < text.index("This alarm") < text.index("Views against")
    places = re.findall(r'class="box mark-1" style="left:([\d.]+)%;top:([\d.]+)%', text)
    assert len(places) == 3  # in the spectrogram, the difference and the spectrum
    assert float(places[0][0]) == pytest.approx(100 * 6 / 23, abs=2.5)
    assert "from 7 s before the alarm" in text
    assert text.count('role="img"') == text.count('aria-label="') - 1  # and the player
    assert 'alt="Spectrogram of the sound of the alarm. Marked: 1: Tone at 1,500 Hz' in text


@pytest.mark.parametrize("content", SoundContent)
def test_single_impacts_are_shown_and_stored_only_with_the_whole_sound(
    content: SoundContent,
) -> None:
    sound, rng = machine_sound(23.0), np.random.default_rng(3)
    time_s = np.arange(800) / RATE_HZ
    impact = 0.6 * np.exp(-time_s / 0.006) * np.sin(2 * np.pi * 4300 * time_s)
    for begin_s in 6 + np.cumsum(rng.uniform(0.4, 1.1, 18)):
        first = round(begin_s * RATE_HZ)
        sound[first : first + len(impact)] += impact.astype(np.float32)
    captured = captured_alarm(sound=sound, content=content)
    package = content_of(captured, alarm_picture(captured))
    findings = document_of(package, 0, {})["findings"]
    assert "impacts" in package.sentence.lower()
    has_times = any(each["impacts_s"] for each in findings)
    assert has_times == ("impact of 1" in evidence_page(package)) == (content == "full")


@pytest.mark.parametrize(
    ("warning", "names"),
    [(3.94, ["alarm 3.94, warning 3.94"]), (1.5, ["warning 1.50", "alarm 3.94"])],
)
def test_the_names_of_thresholds_do_not_cover_each_other(warning: float, names: list[str]) -> None:
    content = content_as()
    facts = replace(content.facts, thresholds=Thresholds(warning, 3.94))
    text = evidence_page(replace(content, facts=facts))
    found = re.findall(r'<span class="across [^>]*><b>([^<]+)</b>', text)
    assert found == names


def test_the_page_loads_nothing_but_its_sound() -> None:
    text = evidence_page(content_as())
    tags = PageTags(text)
    assert not tags.unclosed
    loaded = {address for address in tags.addresses if not address.startswith("data:")}
    assert loaded == {SOUND}
    assert not re.findall(r"@import|url\((?!data:)|<link|https?:", text)
    assert "default-src 'none'" in text
    (hashed,) = re.findall(r"script-src '(sha256-[^']+)'", text)
    assert text.count("<script>") == 1
    assert hashed
    assert "prefers-color-scheme: dark" in text
    assert len(text.encode()) < MAX_PAGE_BYTES


def test_text_is_escaped() -> None:
    captured = captured_alarm(
        reason="<b>Tone</b> (<i>rule</i>)", machine="fan", alarm_id="fan-20261123T044500Z"
    )
    facts = replace(
        captured.facts,
        model="<script>alert(1)</script>",
        microphone=MicrophoneState.DEGRADED,
        microphone_reason="<img src=x>",
    )
    text = evidence_page(content_of(replace(captured, facts=facts, profile=None), None))
    assert "<script>alert" not in text
    assert "<img src=x>" not in text
    assert "&lt;b&gt;Tone" in text


@pytest.mark.parametrize("content", [SoundContent.LOWPASS, SoundContent.NONE])
def test_what_is_not_stored_is_said(content: SoundContent) -> None:
    text = evidence_page(content_as(content))
    assert f"evidence.sound is {content}" in text
    assert ("<audio" in text) is (content is SoundContent.LOWPASS)


def test_a_package_without_sound_has_its_numbers() -> None:
    captured = replace(captured_alarm(), sound=None, notes=("There was no memory.",))
    text = evidence_page(content_of(captured, None))
    assert not PageTags(text).unclosed
    assert "There was no memory." in text
    assert "9.2" in text  # of a view
    assert "<audio" not in text


def test_an_alarm_of_a_slow_mean_has_its_course_and_says_that_its_sound_was_not_kept() -> None:
    captured = captured_alarm(time_scale_s=3600.0)
    raised = captured.facts.raised_sample
    means = [
        BlockMean(raised - (600 - number) * 10 * RATE_HZ, 0.001 * number) for number in range(600)
    ]
    levels = (ScoreLevel(600.0, 0.5, 0.6, 0.9), ScoreLevel(3600.0, 0.4, 0.3, 0.4))
    scores = replace(captured.scores, block_means=means, levels=levels)
    text = evidence_page(content_of(replace(captured, scores=scores), None))
    assert "The sound of that time was not kept" in text
    assert "Evidence of the last 1 h" in text
    assert "mean of an alarm 0.40" in text


def test_training_windows_stand_in_for_normal_sound() -> None:
    spectra = np.random.default_rng(3).normal(-4.0, 0.3, (6, 128))
    normal = NormalSound(picture_of_windows(spectra, RATE_HZ, 0.512), "training")
    captured = captured_alarm()
    text = evidence_page(content_of(captured, alarm_picture(captured), normal=normal))
    assert "Normal sound: training." in text


def test_pictures_are_palettes_of_few_colours() -> None:
    matrix = np.random.default_rng(1).normal(size=(128, 700))
    for png in (as_picture(matrix, -2, 2), as_difference(matrix, 2.0)):
        assert png[25] == 3  # colour type: palette
        assert len(png) < 128 * 700
