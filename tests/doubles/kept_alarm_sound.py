"""The sound of an alarm as the daemon keeps it in the state folder."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import soundfile

from asd_monitor.commissioning.alarm_sound import FOLDER
from asd_monitor.records import Samples
from asd_monitor.sealed_json import sealed_json
from asd_monitor.wording import rfc3339


def keep_alarm_sound(
    state: Path,
    machine: str,
    alarm_id: str,
    begin: datetime,
    *,
    sound: Samples,
    rate_hz: int = 16_000,
) -> Path:
    """Write the folder of an alarm with its sound (n,); return the folder."""
    folder = state / FOLDER / machine / alarm_id
    folder.mkdir(parents=True)
    soundfile.write(folder / "sound.flac", sound, rate_hz, "PCM_16")
    document = {
        "alarm": {"id": alarm_id, "raised": rfc3339(begin)},
        "sound": {
            "file": "sound.flac",
            "rate_hz": rate_hz,
            "begin": rfc3339(begin),
            "samples": len(sound),
        },
    }
    (folder / "alarm.json").write_bytes(sealed_json(document)[0])
    return folder
