"""The sound of an alarm as the daemon keeps it in the state folder."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from asd_monitor.evidence.building import content_of
from asd_monitor.evidence.package_files import write_package
from asd_monitor.evidence.package_paths import package_folder
from asd_monitor.evidence.sound_span import Gap, KeptSound, SoundContent
from asd_monitor.records import Samples
from tests.doubles.captured_alarm import FIRST, captured_alarm


def keep_alarm_sound(
    state: Path,
    machine: str,
    alarm_id: str,
    begin: datetime,
    *,
    sound: Samples,
    rate_hz: int = 16_000,
    content: SoundContent = SoundContent.FULL,
    gaps: tuple[Gap, ...] = (),
) -> Path:
    """Write the package of an alarm with its sound (n,); return the folder."""
    captured = replace(
        captured_alarm(machine=machine, alarm_id=alarm_id, content=content),
        sound=KeptSound(FIRST, rate_hz, sound, gaps),
        begin=begin,
        rate_hz=rate_hz,
        profile=None,
    )
    write_package(state, content_of(captured, None), "<!doctype html>")
    return package_folder(state, machine, alarm_id)
