"""Length of a WAV file as its header declares it, which libsndfile corrects without notice.

RIFF/WAVE: Microsoft and IBM, "Multimedia Programming Interface and Data Specifications 1.0", 1991.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

_UNKNOWN_SIZE = 0xFFFFFFFF


def declared_frames(path: Path) -> int | None:
    """Return the samples of one channel that a WAV header declares.

    None: not a WAV file, or the header declares no length.
    """
    with path.open("rb") as file:
        if file.read(4) != b"RIFF":
            return None
        file.seek(12)
        bytes_per_frame = 0
        while len(header := file.read(8)) == 8:
            name, size = struct.unpack("<4sI", header)
            if name == b"data":
                is_known = bytes_per_frame and size != _UNKNOWN_SIZE
                return size // bytes_per_frame if is_known else None
            if name == b"fmt ":
                layout = file.read(16)
                bytes_per_frame = int.from_bytes(layout[12:14], "little")
                size -= len(layout)
            file.seek(size + size % 2, os.SEEK_CUR)
    return None
