"""Sound without end: always the same for a number, never what is held out."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from asd_monitor.encoder_training import sound_supply
from asd_monitor.encoder_training.sound_supply import (
    BANDS,
    LOG_FLOOR,
    REFERENCE,
    Backgrounds,
    Instance,
    LogMel,
    RealSounds,
    SyntheticMachines,
    duration_s,
    log_mel,
    read_sounds,
)
from asd_monitor.errors import UsageError
from asd_monitor.records import Samples
from asd_monitor.synthesis.families import FAMILIES
from tests.doubles.synthetic_sounds import machine_sound, write

CLICK_S = 0.2


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_supply, "NORMAL_S", 2.5)
    monkeypatch.setattr(sound_supply, "FAULTY_S", 2.0)
    monkeypatch.setattr(sound_supply, "BACKGROUND_S", 6.0)


def steps(seconds: float) -> int:
    """Frames of 64 ms every 32 ms."""
    return (round(seconds * 16_000) - 1024) // 512 + 1


def click() -> Samples:
    """A blow that has died away after 0.2 s."""
    n = round(CLICK_S * 16_000)
    rng = np.random.default_rng(1)
    return (0.5 * rng.normal(size=n) * np.exp(-np.arange(n) / 600)).astype(np.float32)


def real(seed: int) -> RealSounds:
    return RealSounds(seed, [machine_sound(3.0), click()], ["hum.wav", "click.wav"])


SUPPLIES = pytest.mark.parametrize("supplies", [SyntheticMachines, real])


def same(one: Instance, other: Instance) -> bool:
    clips = [*one.reference, *one.faults], [*other.reference, *other.faults]
    return (
        (one.name, one.fault_names, one.severities)
        == (other.name, other.fault_names, other.severities)
    ) and all(np.array_equal(a, b) for a, b in zip(*clips, strict=True))


@SUPPLIES
def test_a_number_is_always_the_same_instance(
    supplies: Callable[[int], SyntheticMachines | RealSounds],
) -> None:
    """Also when others were asked for before, and of another object."""
    one, other = supplies(1), supplies(1)
    first = one.instance(7)
    one.instance(3)
    assert same(one.instance(7), first)
    assert same(other.instance(7), first)


@SUPPLIES
def test_other_numbers_and_seeds_are_other_instances(
    supplies: Callable[[int], SyntheticMachines | RealSounds],
) -> None:
    found = [supplies(1).instance(7), supplies(1).instance(8), supplies(2).instance(7)]
    clips = [instance.reference[0] for instance in found]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not np.allclose(clips[one], clips[other], atol=0.5)


@SUPPLIES
@pytest.mark.parametrize("index", [0, 1, 2])
def test_an_instance_has_normals_and_faults_of_the_right_shape(
    supplies: Callable[[int], SyntheticMachines | RealSounds], index: int
) -> None:
    found = supplies(3).instance(index)
    assert found.kind == supplies(3).kind
    assert len(found.reference) == REFERENCE
    assert 1 <= len(found.faults) == len(found.fault_names) == len(found.severities)
    assert len(set(found.fault_names)) == len(found.fault_names)
    assert all(0.2 <= severity <= 1 for severity in found.severities)
    for clips, seconds in (
        (found.reference, sound_supply.NORMAL_S),
        (found.faults, sound_supply.FAULTY_S),
    ):
        for clip in clips:
            assert clip.shape == (steps(seconds), BANDS)
            assert clip.dtype == np.float16
            assert np.isfinite(clip).all()
            assert clip.astype(np.float32).std() > 0.1
    assert not np.array_equal(*found.reference[:2])


def test_only_the_families_asked_for_are_made() -> None:
    wanted = FAMILIES[:2]
    made = SyntheticMachines(0, wanted)
    names = {made.instance(index).name.split()[0] for index in range(6)}
    assert names == set(wanted)


@pytest.mark.parametrize("sound", [click(), machine_sound(60.0)], ids=["click", "minute"])
def test_a_single_recording_of_any_length_will_do(sound: Samples) -> None:
    sounds = RealSounds(0, [sound], ["one.wav"])
    for index in range(8):
        found = sounds.instance(index)
        assert found.name == f"one.wav {index}"
        for clip in (*found.reference, *found.faults):
            assert np.isfinite(clip).all()
            assert clip.astype(np.float32).std() > 0.1


def test_a_short_sound_comes_again_and_again() -> None:
    """A click of 0.2 s fills seconds: it is struck in a rhythm, so that every piece has one."""
    sounds = RealSounds(0, [click()], ["one.wav"])
    for index in range(8):
        one, other = (float(normal.max()) for normal in sounds.instance(index).reference)
        assert abs(one - other) < 1.0  # 10 dB


def test_without_sounds_it_says_how_to_name_some() -> None:
    with pytest.raises(UsageError, match=r"no sound to train on: name more .* --sounds"):
        RealSounds(0, [], [])


def heard(monkeypatch: pytest.MonkeyPatch) -> list[Samples]:
    """Keep the samples that log-mel is computed of."""
    found: list[Samples] = []

    def listening(sound: Samples) -> LogMel:
        found.append(sound)
        return log_mel(sound)

    monkeypatch.setattr(sound_supply, "log_mel", listening)
    return found


@pytest.mark.parametrize(("share", "off"), [(0.0, 2.0), (1.0, 1.1)], ids=["made", "recorded"])
def test_backgrounds_have_about_unit_rms(
    share: float, off: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hall's machines come and go, so that a piece of it may be off by some decibels."""
    sounds = heard(monkeypatch)
    backgrounds = Backgrounds(0, [machine_sound(5.0), machine_sound(30.0, gain=0.001)], share)
    for index in range(4):
        assert backgrounds.background(index).shape == (steps(sound_supply.BACKGROUND_S), BANDS)
    for sound in sounds:
        assert 1 / off < float(np.sqrt(np.mean(np.square(sound)))) < off


def test_a_background_of_a_number_is_always_the_same() -> None:
    one, other = (Backgrounds(1, [machine_sound(5.0)]) for _ in range(2))
    found = one.background(4)
    assert np.array_equal(other.background(4), found)
    assert not np.array_equal(other.background(5), found)
    assert not np.array_equal(Backgrounds(2, [machine_sound(5.0)]).background(4), found)


def test_without_recordings_all_backgrounds_are_made() -> None:
    without = [Backgrounds(1, [], share).background(3) for share in (0.0, 0.5, 1.0)]
    assert all(np.array_equal(one, without[0]) for one in without)


def test_the_duration_of_a_log_mel_spectrogram_is_that_of_its_sound() -> None:
    assert duration_s(len(log_mel(machine_sound(10.0)))) == pytest.approx(10.0, abs=0.064)


def test_log_mel_knows_levels_and_silence() -> None:
    sound = machine_sound(1.0)
    louder = log_mel(10 * sound) - log_mel(sound).astype(np.float32)
    assert louder == pytest.approx(np.full_like(louder, 2.0), abs=0.01)  # 20 dB
    assert log_mel(np.zeros(1600)) == pytest.approx(np.log10(LOG_FLOOR))


NAMES = ["dog", "rain", "saw", "engine", "door", "clock", "bell", "train", "pump", "wind", "saw2"]


def recordings(folder: Path) -> list[Path]:
    return [
        write(folder / f"{name}-{number}.wav", machine_sound(0.3, seed=k))
        for k, name in enumerate(NAMES)
        for number in (1, 23)
    ]


def test_held_out_and_trained_on_share_nothing_and_lose_nothing(tmp_path: Path) -> None:
    paths = recordings(tmp_path)
    trained, held = (read_sounds(paths, held_out=out)[1] for out in (False, True))
    assert trained
    assert held
    assert sorted(trained + held) == sorted(path.name for path in paths)
    assert not set(trained) & set(held)


def test_recordings_that_differ_by_a_number_only_stay_together(tmp_path: Path) -> None:
    paths = recordings(tmp_path)
    for out in (False, True):
        names = set(read_sounds(paths, held_out=out)[1])
        for name in names:
            letters = name.split("-")[0].rstrip("2")
            siblings = {p.name for p in paths if p.name.split("-")[0].rstrip("2") == letters}
            assert siblings <= names


def test_about_a_third_is_held_out_wherever_it_lies(tmp_path: Path) -> None:
    letters = "abcdefghij"
    names = [f"{one}{other}.wav" for one in letters for other in letters]
    paths = [write(tmp_path / "a" / name, machine_sound(0.2)) for name in names]
    held = read_sounds(paths, held_out=True)[1]
    assert 20 <= len(held) <= 47
    moved = [write(tmp_path / "b" / name, machine_sound(0.2)) for name in reversed(names)]
    assert set(read_sounds(moved, held_out=True)[1]) == set(held)


def both(paths: list[Path]) -> tuple[list[Samples], list[str]]:
    sounds, names = read_sounds(paths, held_out=False)
    more, others = read_sounds(paths, held_out=True)
    return sounds + more, names + others


def test_what_is_no_sound_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_bytes(b"RIFF of nothing")
    paths = [
        tmp_path / "broken.wav",
        tmp_path / "absent.wav",
        write(tmp_path / "silent.wav", np.zeros(16_000)),
        write(tmp_path / "empty.wav", np.zeros(0)),
        write(tmp_path / "short.wav", machine_sound(0.14)),
        write(tmp_path / "good.wav", machine_sound(0.16)),
    ]
    assert both(paths)[1] == ["good.wav"]


@pytest.mark.parametrize("rate_hz", [8000, 44_100])
def test_recordings_of_other_rates_are_resampled(tmp_path: Path, rate_hz: int) -> None:
    path = write(tmp_path / "other.wav", machine_sound(1.0, rate_hz=rate_hz), rate_hz)
    [sound], _ = both([path])
    assert sound.dtype == np.float32
    assert len(sound) == pytest.approx(16_000, abs=2)
    plain = machine_sound(1.0)
    assert float(np.std(sound)) == pytest.approx(float(np.std(plain)), rel=0.35)
