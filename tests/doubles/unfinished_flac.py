"""A FLAC file as it is left by a program that was killed while it recorded."""

from pathlib import Path

import numpy.typing as npt
import soundfile


def unfinished_flac(path: Path, sound: npt.ArrayLike, rate_hz: int) -> Path:
    """Write sound (n,) as FLAC whose header has no length and no checksum; return the path."""
    soundfile.write(path, sound, rate_hz, "PCM_16", format="FLAC")
    data = bytearray(path.read_bytes())
    number = int.from_bytes(data[18:26], "big")  # STREAMINFO, RFC 9639, 8.2
    data[18:26] = (number >> 36 << 36).to_bytes(8, "big")
    data[26:42] = bytes(16)
    path.write_bytes(data)
    return path
