"""A Doom archive with one sound."""

import struct


def wad() -> bytes:
    """Return an archive with the sound `DSBOOM` and a lump of music."""
    lump = struct.pack("<HHI", 3, 11025, 4000 + 32)
    lump += bytes([128] * 16 + [128, 192, 64, 128] * 1000 + [128] * 16)
    entries = struct.pack("<ii8s", 12, len(lump), b"DSBOOM")
    entries += struct.pack("<ii8s", 12, len(lump), b"D_MUSIC")
    return struct.pack("<4sii", b"IWAD", 2, 12 + len(lump)) + lump + entries
