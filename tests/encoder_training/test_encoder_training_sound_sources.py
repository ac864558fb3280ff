"""Sources of training sound: each number is always the same instance."""

from collections.abc import Callable

import numpy as np
import pytest

from asd_monitor.dsp.spectrogram import LOG_FLOOR
from asd_monitor.encoder_training import sound_sources
from asd_monitor.encoder_training.log_mel_frames import (
    BANDS,
    FRONT_END,
    LogMel,
    duration_s,
    frames_in,
    log_mel,
)
from asd_monitor.encoder_training.sound_sources import (
    REFERENCE_CLIPS,
    Backgrounds,
    ClipLengths,
    Instance,
    RecordedSounds,
    SyntheticMachines,
)
from asd_monitor.encoder_training.sound_variation import (
    at_unit_rms,
    draw_tilt_db,
    loop,
    repeat_as_impacts,
)
from asd_monitor.errors import UsageError
from asd_monitor.records import Samples
from asd_monitor.synthesis.families import FAMILIES
from tests.doubles.synthetic_sounds import machine_sound

LENGTHS = ClipLengths(reference=0.8, faulty=0.6, background=2.0)
CLICK_S = 0.2


def frames(seconds: float) -> int:
    """Frames of 64 ms every 32 ms."""
    return (round(seconds * 16_000) - 1024) // 512 + 1


def click() -> Samples:
    """An impact that decays within 0.2 s."""
    n = round(CLICK_S * 16_000)
    rng = np.random.default_rng(1)
    return (0.5 * rng.normal(size=n) * np.exp(-np.arange(n) / 600)).astype(np.float32)


def synthetic(seed: int) -> SyntheticMachines:
    return SyntheticMachines(seed, lengths=LENGTHS)


def recorded(seed: int) -> RecordedSounds:
    sounds = [machine_sound(3.0), click()]
    return RecordedSounds(seed, sounds, ["hum.wav", "click.wav"], LENGTHS)


SOURCES = pytest.mark.parametrize("source", [synthetic, recorded])
Source = Callable[[int], SyntheticMachines | RecordedSounds]


def same(one: Instance, other: Instance) -> bool:
    clips = [*one.reference, *one.faults], [*other.reference, *other.faults]
    return (
        (one.name, one.fault_names, one.severities)
        == (other.name, other.fault_names, other.severities)
    ) and all(np.array_equal(a, b) for a, b in zip(*clips, strict=True))


@SOURCES
def test_a_number_is_always_the_same_instance(source: Source) -> None:
    """Whatever was drawn before, and from another object."""
    one, other = source(1), source(1)
    first = one.instance(7)
    one.instance(3)
    assert same(one.instance(7), first)
    assert same(other.instance(7), first)


@SOURCES
def test_other_numbers_and_seeds_are_other_instances(source: Source) -> None:
    found = [source(1).instance(7), source(1).instance(8), source(2).instance(7)]
    clips = [instance.reference[0] for instance in found]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not np.allclose(clips[one], clips[other], atol=0.5)


@SOURCES
@pytest.mark.parametrize("index", [0, 1, 2])
def test_clips_of_an_instance_have_their_lengths_and_are_not_silent(
    source: Source, index: int
) -> None:
    found = source(3).instance(index)
    assert found.source == source(3).source
    assert len(found.reference) == REFERENCE_CLIPS
    assert 1 <= len(found.faults) == len(found.fault_names) == len(found.severities)
    assert len(set(found.fault_names)) == len(found.fault_names)
    assert all(0.2 <= severity <= 1 for severity in found.severities)
    for clips, seconds in ((found.reference, LENGTHS.reference), (found.faults, LENGTHS.faulty)):
        for clip in clips:
            assert clip.shape == (frames(seconds), BANDS)
            assert clip.dtype == np.float16
            assert np.isfinite(clip).all()
            assert clip.astype(np.float32).std() > 0.1
    first, second = found.reference
    assert not np.array_equal(first, second)


def test_machines_are_of_the_given_families() -> None:
    wanted = FAMILIES[:2]
    machines = SyntheticMachines(0, wanted, LENGTHS)
    families = {machines.instance(index).name.split()[0] for index in range(5)}
    assert families == set(wanted)


@pytest.mark.parametrize("sound", [click(), machine_sound(15.0)], ids=["click", "long"])
def test_a_recording_of_any_length_suffices(sound: Samples) -> None:
    sounds = RecordedSounds(0, [sound], ["one.wav"], LENGTHS)
    for index in range(4):
        found = sounds.instance(index)
        assert found.name == f"one.wav {index}"
        for clip in (*found.reference, *found.faults):
            assert np.isfinite(clip).all()
            assert clip.astype(np.float32).std() > 0.1


def test_a_source_of_no_recordings_is_refused_with_the_option() -> None:
    with pytest.raises(UsageError, match=r"no sound to train on: name more .* --sounds"):
        RecordedSounds(0, [], [])


# ---------- variation


def test_an_impact_recurs_at_most_every_1_6_s() -> None:
    for seed in range(8):
        train = repeat_as_impacts(click().astype(np.float64), 64_000, np.random.default_rng(seed))
        loud = np.flatnonzero(np.abs(train) > 0.05)
        gaps = np.diff(loud, prepend=0, append=len(train))
        assert gaps.max() < 1.8 * 16_000  # the interval and its jitter


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_looped_tone_has_no_click(dtype: type) -> None:
    tone: np.ndarray = np.sin(2 * np.pi * 50.0 * np.arange(16_123) / 16_000).astype(dtype)
    looped = loop(tone, 50_000, start=3000)
    assert looped.dtype == dtype
    assert looped.shape == (50_000,)
    assert float(np.abs(np.diff(looped)).max()) < 0.05, "a cut would make 0.68"
    assert float(at_unit_rms(looped.astype(np.float64)).std()) == pytest.approx(1.0, abs=1e-2)


def test_a_tilt_is_zero_at_1_khz_and_limited() -> None:
    tilts = np.array([draw_tilt_db(np.random.default_rng(seed)) for seed in range(50)])
    assert np.abs(tilts[:, 32]).max() < 1e-9  # 1 kHz of 0 … 8 kHz in 257 points
    assert np.abs(tilts).max() <= 2.0
    assert tilts[:, -1].std() == pytest.approx(0.25 * 3, rel=0.3)  # three octaves above


# ---------- backgrounds


def rendered(monkeypatch: pytest.MonkeyPatch) -> list[Samples]:
    """Record the sound of which log-mel spectrograms are computed."""
    found: list[Samples] = []

    def note(sound: Samples) -> LogMel:
        found.append(sound)
        return log_mel(sound)

    monkeypatch.setattr(sound_sources, "log_mel", note)
    return found


@pytest.mark.parametrize(("share", "factor"), [(0.0, 2.0), (1.0, 1.1)], ids=["hall", "recorded"])
def test_backgrounds_have_about_unit_rms(
    share: float, factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machines of a hall fluctuate, so that a piece of it may be off by some decibels."""
    sounds = rendered(monkeypatch)
    recordings = [machine_sound(5.0), machine_sound(30.0, gain=0.001)]
    backgrounds = Backgrounds(0, recordings, share, LENGTHS)
    for index in range(4):
        assert backgrounds.background(index).shape == (frames(LENGTHS.background), BANDS)
    for sound in sounds:
        assert 1 / factor < float(np.sqrt(np.mean(np.square(sound)))) < factor


def test_a_number_is_always_the_same_background() -> None:
    one, other = (Backgrounds(1, [machine_sound(5.0)], lengths=LENGTHS) for _ in range(2))
    found = one.background(4)
    assert np.array_equal(other.background(4), found)
    assert not np.array_equal(other.background(5), found)
    another_seed = Backgrounds(2, [machine_sound(5.0)], lengths=LENGTHS)
    assert not np.array_equal(another_seed.background(4), found)


def test_without_recordings_all_backgrounds_are_halls() -> None:
    without = [Backgrounds(1, [], share, LENGTHS).background(3) for share in (0.0, 0.5, 1.0)]
    assert all(np.array_equal(one, without[0]) for one in without)


# ---------- log-mel spectrograms


def test_the_duration_of_a_log_mel_spectrogram_is_that_of_its_sound() -> None:
    assert duration_s(len(log_mel(machine_sound(10.0)))) == pytest.approx(10.0, abs=0.064)
    assert duration_s(frames_in(10.0)) == pytest.approx(10.0, abs=0.51 * FRONT_END.frame_period_s)


def test_log_mel_is_log10_of_power_with_a_floor() -> None:
    sound = machine_sound(1.0)
    louder = log_mel(10 * sound) - log_mel(sound).astype(np.float32)
    assert louder == pytest.approx(np.full_like(louder, 2.0), abs=0.01)  # 20 dB
    assert log_mel(np.zeros(1600)) == pytest.approx(np.log10(LOG_FLOOR))
