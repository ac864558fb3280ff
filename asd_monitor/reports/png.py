"""Matrix → PNG picture; W3C, "Portable Network Graphics", 2nd edition, §5 and §11."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
import numpy.typing as npt

Colours = npt.NDArray[np.float64]

_STEPS = 96
"""Colours of a picture: fewer than a byte holds, since their noise takes the most space."""

# dark blue, violet, red, orange, pale yellow: lightness grows evenly
_COLOURS = np.array(
    [[8, 8, 32], [58, 22, 102], [130, 38, 122], [204, 62, 92], [246, 126, 68], [252, 240, 180]],
    np.float64,
)
_DIFFERENCE_COLOURS = np.array(
    [[56, 132, 255], [24, 62, 132], [16, 18, 26], [150, 52, 30], [255, 150, 60]], np.float64
)


def as_picture(matrix: npt.ArrayLike, low: float, high: float) -> bytes:
    """Return a PNG of a matrix (rows, columns), its first row on top.

    Values up to ``low`` are darkest, values from ``high`` lightest.
    """
    return _picture(matrix, low, high, _COLOURS)


def as_difference(matrix: npt.ArrayLike, limit: float) -> bytes:
    """Return a PNG of differences (rows, columns), its first row on top.

    0 is neutral; −limit and less is blue, limit and more red.
    """
    return _picture(matrix, -limit, limit, _DIFFERENCE_COLOURS)


def _picture(matrix: npt.ArrayLike, low: float, high: float, colours: Colours) -> bytes:
    share = np.clip((np.asarray(matrix, np.float64) - low) / max(high - low, 1e-9), 0.0, 1.0)
    pixels = (share * (_STEPS - 1)).round().astype(np.uint8)
    rows, columns = pixels.shape
    lines = np.zeros((rows, 1 + columns), np.uint8)  # each begins with filter type 0
    lines[:, 1:] = pixels
    steps, stops = np.linspace(0.0, 1.0, _STEPS), np.linspace(0.0, 1.0, len(colours))
    channels = [np.interp(steps, stops, colours[:, channel]) for channel in range(3)]
    palette = np.stack(channels, axis=-1).round().astype(np.uint8)
    header = struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"PLTE", palette.tobytes())
        + _chunk(b"IDAT", zlib.compress(lines.tobytes(), 9))
        + _chunk(b"IEND", b"")
    )


def data_url(png: bytes) -> str:
    """Return a picture as a data URL."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
