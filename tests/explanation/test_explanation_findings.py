"""What differs from the training sound is named, with its number and its place."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from asd_monitor.explanation.explain import Explanation, explain
from asd_monitor.explanation.findings import Finding, FindingKind
from tests.explanation.conftest import RATE_HZ, Signal, impacts, machine_sound, profile_of

Reason = Callable[[npt.ArrayLike], Explanation]
SECONDS = 8.0
N = round(SECONDS * RATE_HZ)
TIME = np.arange(N) / RATE_HZ
STRONG = 1.5


def normal(seed: int = 77, speed: float = 1.0) -> Signal:
    return machine_sound(SECONDS, seed, speed)


def band_noise(low_hz: float, high_hz: float, rms: float, seed: int = 5) -> Signal:
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(N))
    each = np.fft.rfftfreq(N, 1 / RATE_HZ)
    spectrum[(each < low_hz) | (each > high_hz)] = 0.0
    noise = np.fft.irfft(spectrum, N)
    return np.asarray(noise * rms / np.sqrt(np.mean(noise**2)))


def first(found: Explanation, kind: FindingKind) -> Finding:
    """Return the first finding, which has to be of this kind."""
    assert found.findings[0].kind is kind, found.sentence
    return found.findings[0]


@pytest.mark.parametrize("seed", range(10, 16))
def test_normal_sound_has_no_strong_finding(reason: Reason, seed: int) -> None:
    found = reason(normal(seed))
    assert all(each.strength < STRONG for each in found.findings)


@pytest.mark.parametrize("hz", [523.0, 1234.5, 3300.0])
def test_a_new_tone_is_named_by_its_frequency(reason: Reason, hz: float) -> None:
    found = reason(normal() + 0.002 * np.sin(2 * np.pi * hz * TIME))
    tone = first(found, FindingKind.TONE)
    assert tone.place_hz == pytest.approx(hz, rel=0.01)
    assert tone.new
    assert "not in the training sound" in found.sentence


@pytest.mark.parametrize("gain_db", [-12.0, 6.0])
def test_a_tone_does_not_depend_on_the_gain(reason: Reason, gain_db: float) -> None:
    sound = normal() + 0.002 * np.sin(2 * np.pi * 1500.0 * TIME)
    as_it_is, amplified = (
        next(each for each in found.findings if each.kind is FindingKind.TONE)
        for found in (reason(sound), reason(sound * 10 ** (gain_db / 20)))
    )
    assert amplified.place_hz == pytest.approx(as_it_is.place_hz, rel=1e-4)
    assert amplified.change_db == pytest.approx(as_it_is.change_db, abs=0.2)


@pytest.mark.parametrize("shift", [1, 777, 2048, 4095])
def test_a_tone_does_not_depend_on_where_the_sound_begins(reason: Reason, shift: int) -> None:
    sound = machine_sound(SECONDS + 1.0, 77)
    sound += 0.002 * np.sin(2 * np.pi * 1500.0 * np.arange(len(sound)) / RATE_HZ)
    whole, shifted = (first(reason(sound[at : at + N]), FindingKind.TONE) for at in (0, shift))
    assert shifted.place_hz == pytest.approx(whole.place_hz, rel=1e-3)
    assert shifted.change_db == pytest.approx(whole.change_db, abs=1.0)


def test_a_louder_tone_of_the_machine_is_no_new_one(reason: Reason) -> None:
    found = reason(normal() + 0.01 * np.sin(2 * np.pi * 915.0 * TIME))
    tone = first(found, FindingKind.TONE)
    assert tone.place_hz == pytest.approx(915.0, rel=0.01)
    assert not tone.new
    assert "more prominent than usual" in found.sentence


def test_sidebands_are_named_by_their_distance(reason: Reason) -> None:
    modulated = (1.0 + 0.8 * np.cos(2 * np.pi * 24.6 * TIME)) * np.sin(2 * np.pi * 2000 * TIME)
    found = reason(normal() + 0.004 * modulated)
    tone = first(found, FindingKind.TONE)
    assert tone.place_hz == pytest.approx(2000.0, rel=0.01)
    assert tone.sideband_hz == pytest.approx(24.6, rel=0.05)


def test_harmonics_are_counted(reason: Reason) -> None:
    hum = sum(np.sin(2 * np.pi * 107.0 * order * TIME) for order in range(1, 5))
    found = reason(normal() + 0.004 * np.asarray(hum))
    tone = first(found, FindingKind.TONE)
    assert tone.rate_hz == pytest.approx(107.0, rel=0.01)
    assert tone.harmonics == 4


def test_a_missing_tone_is_named(reason: Reason) -> None:
    spectrum = np.fft.rfft(normal())
    each = np.fft.rfftfreq(N, 1 / RATE_HZ)
    spectrum[np.abs(each - 610.0) < 8.0] *= 0.01
    found = reason(np.fft.irfft(spectrum, N))
    missing = first(found, FindingKind.MISSING_TONE)
    assert missing.place_hz == pytest.approx(610.0, rel=0.01)


@pytest.mark.parametrize("percent", [-7.0, -3.0, 4.0])
def test_a_change_of_speed_is_one_finding(reason: Reason, percent: float) -> None:
    found = reason(normal(speed=1.0 + percent / 100.0))
    speed = first(found, FindingKind.SPEED)
    assert speed.change_percent == pytest.approx(percent, abs=0.4)
    assert not any(each.kind is FindingKind.TONE for each in found.findings)


def test_the_rhythm_and_the_beats_of_another_speed_are_no_findings_of_their_own() -> None:
    def strokes(seconds: float, seed: int, speed: float) -> Signal:
        time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
        return machine_sound(seconds, seed, speed) * (
            1.0 + 0.4 * np.sign(np.sin(2 * np.pi * 3.1 * speed * time + seed))
        )

    usual = profile_of([strokes(30.0, seed, 1.0) for seed in (1, 2)])
    slower = strokes(SECONDS, 77, 0.9).astype(np.float32)
    found = explain(usual, slower, RATE_HZ, {}).findings
    kinds = {each.kind for each in found}
    assert found[0].kind is FindingKind.SPEED
    assert not kinds & {FindingKind.MODULATION, FindingKind.RHYTHM, FindingKind.TONE}


@pytest.mark.parametrize("rate_hz", [2.3, 12.4, 61.0])
def test_regular_impacts_are_named_by_rate_and_band(reason: Reason, rate_hz: float) -> None:
    times = np.arange(0.05, SECONDS - 0.1, 1.0 / rate_hz)
    found = reason(normal() + impacts(N, times, 2600.0, seed=1, peak=0.06))
    regular = first(found, FindingKind.IMPACTS)
    assert regular.rate_hz == pytest.approx(rate_hz, rel=0.05)
    assert regular.from_hz <= 2600.0 <= regular.to_hz


def test_irregular_impacts_are_counted_and_have_no_regular_rate(reason: Reason) -> None:
    times = np.sort(np.random.default_rng(3).uniform(0.1, SECONDS - 0.2, 30))
    found = reason(normal() + impacts(N, times, 3500.0, seed=2, peak=0.1))
    irregular = first(found, FindingKind.IRREGULAR_IMPACTS)
    assert irregular.rate_hz == pytest.approx(30 / SECONDS, rel=0.3)
    near = [min(abs(at - time) for at in irregular.times_s) < 0.02 for time in times]
    assert np.mean(near) > 0.7


@pytest.mark.parametrize("rate_hz", [3.0, 17.5])
def test_modulation_is_named_by_its_rate(reason: Reason, rate_hz: float) -> None:
    found = reason(normal() * (1.0 + 0.6 * np.cos(2 * np.pi * rate_hz * TIME)))
    modulation = first(found, FindingKind.MODULATION)
    assert modulation.rate_hz == pytest.approx(rate_hz, rel=0.05)


def test_hiss_is_named_by_its_band(reason: Reason) -> None:
    found = reason(normal() + band_noise(3000.0, 5000.0, 0.01))
    loud = first(found, FindingKind.LOUD_BAND)
    assert loud.from_hz == pytest.approx(3000.0, rel=0.2)
    assert loud.to_hz == pytest.approx(5000.0, rel=0.2)
    assert loud.change_db > 8.0


def test_a_silent_band_is_named(reason: Reason) -> None:
    spectrum = np.fft.rfft(normal())
    each = np.fft.rfftfreq(N, 1 / RATE_HZ)
    spectrum[(each > 1400.0) & (each < 2800.0)] *= 0.1
    found = reason(np.fft.irfft(spectrum, N))
    quiet = first(found, FindingKind.QUIET_BAND)
    assert quiet.from_hz == pytest.approx(1400.0, rel=0.2)
    assert quiet.to_hz == pytest.approx(2800.0, rel=0.2)


@pytest.mark.parametrize("change_db", [-9.0, 7.0])
def test_a_change_of_the_level_is_one_finding(reason: Reason, change_db: float) -> None:
    found = reason(normal() * 10 ** (change_db / 20))
    level = first(found, FindingKind.LEVEL)
    assert level.change_db == pytest.approx(change_db, abs=0.5)
    assert {each.kind for each in found.findings} == {FindingKind.LEVEL}


@pytest.mark.parametrize("at_s", [0.2, 0.6, 2.0, 3.6])
@pytest.mark.parametrize("rise_db", [8.0, 20.0])
def test_an_abrupt_change_of_the_level_is_no_short_drop(
    reason: Reason, at_s: float, rise_db: float
) -> None:
    louder = normal() * np.where(at_s <= TIME, 10 ** (rise_db / 20), 1.0)
    for sound in (louder, louder[::-1]):
        assert FindingKind.GAPS not in {each.kind for each in reason(sound).findings}


def abruptly(changed: Signal, at_s: float) -> Signal:
    """Return sound that is the usual one up to a time, and changed from it on."""
    return np.where(at_s <= TIME, changed, normal())


@pytest.mark.parametrize("at_s", [1.2, 2.5, 3.3, 4.5])
@pytest.mark.parametrize("change_db", [-9.0, 8.0])
def test_an_abrupt_change_of_the_level_is_measured_from_the_change_on(
    reason: Reason, at_s: float, change_db: float
) -> None:
    found = reason(abruptly(normal() * 10 ** (change_db / 20), at_s))
    level = first(found, FindingKind.LEVEL)
    assert level.change_db == pytest.approx(change_db, abs=0.7)
    kinds = {each.kind for each in found.findings}
    assert not kinds & {FindingKind.GAPS, FindingKind.IMPACTS, FindingKind.IRREGULAR_IMPACTS}


def test_a_pause_in_the_cycle_of_a_machine_is_no_change_of_its_level() -> None:
    on_s, off_s = 5.0, 3.0

    def cycling(seed: int, from_s: float, tone: float = 0.0) -> Signal:
        sound = machine_sound(SECONDS, seed) + tone * np.sin(2 * np.pi * 1234.0 * TIME)
        return np.where((TIME + from_s) % (on_s + off_s) < on_s, sound, 0.1 * sound)

    profile = profile_of([cycling(seed, 0.7 * seed) for seed in range(12)])
    for from_s in (0.0, 1.0, on_s - 1.0, on_s, on_s + 1.0):
        sound = np.asarray(cycling(70, from_s, tone=0.003), np.float32)
        found = explain(profile, sound, RATE_HZ, {})
        kinds = {each.kind for each in found.findings}
        assert FindingKind.TONE in kinds
        assert not kinds & {FindingKind.LEVEL, FindingKind.QUIET_BAND, FindingKind.RHYTHM}


def test_hiss_that_begins_abruptly_is_no_impacts(reason: Reason) -> None:
    found = reason(abruptly(normal() + band_noise(3000.0, 5000.0, 0.01), 4.5))
    loud = first(found, FindingKind.LOUD_BAND)
    assert loud.change_db > 8.0


def test_the_times_of_impacts_after_a_change_of_the_level_are_those_in_the_sound(
    reason: Reason,
) -> None:
    times = np.arange(4.2, SECONDS - 0.1, 0.31)
    louder = normal() * 4.0 + impacts(N, times, 2600.0, seed=1, peak=0.6)
    found = reason(abruptly(louder, 4.0))
    regular = next(each for each in found.findings if each.kind is FindingKind.IMPACTS)
    assert all(min(abs(times - at)) < 0.02 for at in regular.times_s)


def test_short_drops_after_a_rise_of_the_level_are_named(reason: Reason) -> None:
    gain = np.where(TIME >= 1.0, 3.0, 1.0)
    for start in (2.0, 3.1, 4.5, 6.2):
        gain[round(start * RATE_HZ) : round((start + 0.1) * RATE_HZ)] = 0.03
    gaps = [each for each in reason(normal() * gain).findings if each.kind is FindingKind.GAPS]
    assert gaps[0].change_percent == pytest.approx(100 * 0.4 / SECONDS, abs=1.0)


def test_short_drops_of_the_level_are_named(reason: Reason) -> None:
    gain = np.ones(N)
    for start in np.random.default_rng(4).uniform(0.0, SECONDS - 0.2, 7):
        gain[round(start * RATE_HZ) : round((start + 0.1) * RATE_HZ)] = 0.03
    assert any(each.kind is FindingKind.GAPS for each in reason(normal() * gain).findings)
