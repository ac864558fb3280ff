"""The kept sound of alarms, and how much of a span is kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from asd_monitor.commissioning.kept_sound import KeptSound, kept_sound
from asd_monitor.evidence.alarm_sound import kept_alarms
from asd_monitor.evidence.package_files import PackageError
from asd_monitor.evidence.sound_span import Gap, SoundContent
from tests.doubles.captured_alarm import FIRST
from tests.doubles.kept_alarm_sound import keep_alarm_sound

BEGIN = datetime(2026, 11, 23, 4, 45, tzinfo=UTC)
RATE_HZ = 8000


def ramp(seconds: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.linspace(-0.5, 0.5, round(seconds * RATE_HZ), dtype=np.float32)


def test_the_sound_of_an_alarm_is_read_between_two_times(tmp_path: Path) -> None:
    sound = ramp(20.0)
    keep_alarm_sound(tmp_path, "fan01", "fan01-1", BEGIN, sound=sound, rate_hz=RATE_HZ)
    (found,) = kept_alarms(tmp_path, "fan01").whole_sounds
    assert (found.alarm_id, found.rate_hz, found.begin) == ("fan01-1", RATE_HZ, BEGIN)
    assert found.end == BEGIN + timedelta(seconds=20)
    assert np.allclose(found.read(), sound, atol=1e-4)
    part = found.read(BEGIN + timedelta(seconds=5), BEGIN + timedelta(seconds=7))
    assert np.allclose(part, sound[5 * RATE_HZ : 7 * RATE_HZ], atol=1e-4)
    assert len(found.read(BEGIN - timedelta(hours=1), BEGIN + timedelta(seconds=1))) == RATE_HZ
    assert len(found.read(BEGIN + timedelta(hours=1))) == 0
    assert kept_alarms(tmp_path, "pump02").whole_sounds == ()


def test_damaged_folders_are_left_out(tmp_path: Path) -> None:
    for number in range(4):
        keep_alarm_sound(
            tmp_path, "fan01", f"fan01-{number}", BEGIN, sound=ramp(1.0), rate_hz=RATE_HZ
        )
    folder = tmp_path / "evidence/fan01"
    document = folder / "fan01-0/alarm.json"
    document.write_bytes(document.read_bytes().replace(b"8000", b"9000"))
    (folder / "fan01-1/sound.flac").unlink()
    (folder / "fan01-2/sound.flac").write_bytes(b"no sound")
    (folder / "fan01-3/alarm.json").write_text("{}")
    (found,) = kept_alarms(tmp_path, "fan01").whole_sounds
    assert found.alarm_id == "fan01-2"
    with pytest.raises(PackageError, match="cannot be read"):
        found.read()


def test_sound_that_is_not_that_of_the_machine_is_left_out(tmp_path: Path) -> None:
    keep_alarm_sound(tmp_path, "fan01", "a", BEGIN, sound=ramp(2.0), content=SoundContent.LOWPASS)
    keep_alarm_sound(tmp_path, "fan01", "b", BEGIN, sound=ramp(2.0), content=SoundContent.NONE)
    gap = Gap(FIRST + 100, FIRST + 900)
    keep_alarm_sound(tmp_path, "fan01", "c", BEGIN, sound=ramp(2.0), gaps=(gap,))
    assert kept_alarms(tmp_path, "fan01").whole_sounds == ()
    kept = kept_alarms(tmp_path, "fan01")
    assert kept.without_sound == {"a": "its sound was low-passed", "b": "no sound of it is kept"}
    (with_gap,) = kept.sounds
    ((first, past),) = with_gap.gaps
    assert 95 <= first <= 100
    assert 900 <= past <= 910


def test_what_is_kept_of_a_span_is_counted_without_reading_packages(tmp_path: Path) -> None:
    for second in ("00", "30"):
        folder = keep_alarm_sound(
            tmp_path, "fan01", f"fan01-20261123T0445{second}Z", BEGIN, sound=ramp(1.0)
        )
        (folder / "alarm.json").write_text("not read")
    keep_alarm_sound(
        tmp_path,
        "fan01",
        "fan01-20261123T044510Z",
        BEGIN,
        sound=ramp(1.0),
        content=SoundContent.NONE,
    )
    before = BEGIN - timedelta(seconds=10)
    assert kept_sound(tmp_path, "fan01", before, BEGIN) == KeptSound(0, 0)
    found = kept_sound(tmp_path, "fan01", before, BEGIN + timedelta(seconds=20))
    assert found == KeptSound(0, 1)
    assert kept_sound(tmp_path, "fan01", BEGIN, BEGIN + timedelta(minutes=1)) == KeptSound(0, 2)
    assert kept_sound(tmp_path, "pump02", BEGIN, BEGIN + timedelta(minutes=1)) == KeptSound(0, 0)
