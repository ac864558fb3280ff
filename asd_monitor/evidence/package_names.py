"""The names of a package's folder and files."""

from __future__ import annotations

FOLDER = "evidence"
"""In the state folder."""
SIDECAR, SOUND, PAGE = "alarm.json", "sound.flac", "index.html"
IMAGE = "spectrogram.png"
EARLIER_SOUND = "earlier.flac"
"""Sound of commissioning from the span of a mean over minutes or longer."""


def relative_path(machine: str, alarm_id: str) -> str:
    """Return the path of a package below the state folder, as messages name it."""
    return f"{FOLDER}/{machine}/{alarm_id}"
