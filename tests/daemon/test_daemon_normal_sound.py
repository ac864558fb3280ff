"""Normal sound beside that of an alarm: of commissioning, else of the training windows."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from asd_monitor.commissioning.blocks import BAND_DB, SoundMode, SoundPiece
from asd_monitor.commissioning.sound_pieces import write_sound
from asd_monitor.daemon import normal_sound
from asd_monitor.daemon.normal_sound import NormalSounds
from asd_monitor.evidence.building import CapturedAlarm, alarm_picture, content_of
from asd_monitor.evidence.pictures import Picture, picture_of
from asd_monitor.evidence.sound_span import SoundContent
from asd_monitor.model_store.bundle import Bundle
from asd_monitor.model_store.reference_file import StoredReference
from asd_monitor.model_store.versions import BundleError
from asd_monitor.records import Samples
from tests.doubles.captured_alarm import RAISED, RATE_HZ, captured_alarm, machine_sound
from tests.doubles.level_detector import StubBundle

HOUR_S = 3600.0


def keep(state: Path, sound: Samples, age_s: float, *, alarm_active: bool = False) -> SoundPiece:
    """Store sound as commissioning does, so long before the alarm."""
    level_dbfs = 10 * np.log10(np.mean(np.square(sound, dtype=np.float64)))
    mode = SoundMode(int(level_dbfs // BAND_DB), alarm_active)
    piece = SoundPiece(float(round(RAISED.timestamp() - age_s)), mode)
    write_sound(state / "commissioning" / "fan" / "sound", piece, sound, RATE_HZ)
    return piece


def picture(captured: CapturedAlarm) -> Picture:
    found = alarm_picture(captured)
    assert found is not None
    return found


def low_noise(seconds: float) -> Samples:
    """Return sound of the same level and another spectrum: another operating mode."""
    white = machine_sound(seconds, 7)
    smooth = np.convolve(white, np.ones(16) / 4.0, mode="same")
    return np.asarray(smooth, np.float32)


def test_the_nearest_sound_of_commissioning_is_shown(tmp_path: Path) -> None:
    captured = captured_alarm()
    keep(tmp_path, machine_sound(10.0, 2), 5 * HOUR_S)
    keep(tmp_path, low_noise(10.0), 3 * HOUR_S)
    keep(tmp_path, machine_sound(10.0, 3), HOUR_S, alarm_active=True)
    found = NormalSounds(tmp_path, tmp_path).beside(captured, picture(captured), None)
    assert found is not None
    assert found.source == "commissioning, 2026-11-22 23:45 UTC"
    expected = picture_of(machine_sound(10.0, 2), RATE_HZ)
    assert found.picture.levels_db.mean() == pytest.approx(expected.levels_db.mean(), abs=0.5)


def test_damaged_sound_is_left_out(tmp_path: Path) -> None:
    captured = captured_alarm()
    keep(tmp_path, machine_sound(10.0, 2), 5 * HOUR_S)
    (path,) = (tmp_path / "commissioning/fan/sound").iterdir()
    path.write_bytes(b"not FLAC")
    assert NormalSounds(tmp_path, tmp_path).beside(captured, picture(captured), None) is None


def reference() -> StoredReference:
    """Return 40 training windows, of which ten to nineteen are like the alarm's sound."""
    captured = captured_alarm()
    usual = np.median(picture(captured).levels_db, axis=0) / 10
    spectra = np.tile(usual + 1.5, (40, 1))
    spectra[10:20] = usual
    starts = np.arange(40) * 8192
    return StoredReference(
        {"spectrum": spectra.astype(np.float16)},
        np.zeros(40, np.float32),
        starts,
        starts + 31_744,
        np.zeros(40, np.int64),
        np.zeros(40, np.float32),
        np.zeros(40, np.float32),
    )


def test_without_such_sound_the_nearest_training_windows_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    captured = captured_alarm()
    bundle = cast(Bundle, StubBundle(manifest={"files": {}}))
    monkeypatch.setattr(normal_sound, "load_reference", lambda *_: reference())
    found = NormalSounds(tmp_path, tmp_path).beside(captured, picture(captured), bundle)
    assert found is not None
    assert found.source.startswith("training, mean spectra of the 6 consecutive windows")
    assert found.picture.levels_db.shape == (6, 128)
    assert found.picture.step_s == pytest.approx(0.512)
    usual = np.median(picture(captured).levels_db, axis=0)
    np.testing.assert_allclose(found.picture.levels_db[0], usual, atol=0.1)


def test_a_model_without_training_windows_has_no_normal_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> StoredReference:
        raise BundleError("holds no training windows")

    captured = captured_alarm()
    bundle = cast(Bundle, StubBundle(manifest={"files": {}}))
    monkeypatch.setattr(normal_sound, "load_reference", fail)
    sounds = NormalSounds(tmp_path, tmp_path)
    assert sounds.beside(captured, picture(captured), bundle) is None
    assert sounds.beside(captured, picture(captured), cast(Bundle, StubBundle())) is None


def test_an_alarm_of_a_slow_mean_gets_sound_of_its_time(tmp_path: Path) -> None:
    slow = captured_alarm(time_scale_s=HOUR_S)
    sounds = NormalSounds(tmp_path, tmp_path)
    assert sounds.earlier(slow) is None
    keep(tmp_path, machine_sound(10.0, 2), 3 * HOUR_S)
    assert sounds.earlier(slow) is None  # before the hour of the mean
    keep(tmp_path, machine_sound(10.0, 3), 0.7 * HOUR_S)
    found = sounds.earlier(slow)
    assert found is not None
    time, content = found
    assert abs(time - RAISED + timedelta(seconds=0.7 * HOUR_S)) <= timedelta(seconds=1)
    assert content.startswith(b"fLaC")
    package = content_of(slow, None, earlier=found)
    assert (package.earlier_sound, package.notes) == (content, ())
    assert sounds.earlier(captured_alarm()) is None
    private = captured_alarm(time_scale_s=HOUR_S, content=SoundContent.LOWPASS)
    assert sounds.earlier(private) is None
