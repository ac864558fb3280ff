"""Unusable recordings, and the message that each gives."""

from pathlib import Path

import numpy as np

from tests.doubles.synthetic_sounds import machine_sound, write


def bad_recordings(folder: Path) -> dict[str, str]:
    """Write every kind of unusable recording; return a part of the message for each name."""
    (folder / "empty folder").mkdir()
    (folder / "zero.wav").touch()
    (folder / "text.wav").write_text("a text file with the name of a recording")
    write(folder / "zeros.wav", np.zeros(16_000 * 70))
    write(folder / "nan.wav", np.full(16_000 * 70, np.nan), subtype="FLOAT")
    write(folder / "short.wav", machine_sound(20.0))
    write(folder / "low.wav", machine_sound(70.0, rate_hz=2_000), 2_000)
    whole = write(folder / "whole.wav", machine_sound(70.0))
    (folder / "truncated.wav").write_bytes(whole.read_bytes()[: 2 * 16_000 * 30])
    whole.unlink()
    return {
        "absent.wav": "no such file",
        "*.ogg": "no file matches",
        "empty folder": "no recording in this folder",
        "zero.wav": "empty file (0 bytes)",
        "text.wav": "not a recording",
        "zeros.wav": "0 s of usable sound",
        "nan.wav": "0 s of usable sound",
        "short.wav": "record 40 s more",
        "low.wav": "2000 Hz is too low",
        "truncated.wav": "s of usable sound",
    }
