"""What the terminal of a stream can do, by its environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TextIO

_DUMB = frozenset({"dumb", "unknown"})


def moves_cursor(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether it is a terminal on which a display can be drawn anew."""
    return stream.isatty() and environ.get("TERM", "").lower() not in _DUMB


def has_colours(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether it is a terminal with colours that are wanted (https://no-color.org)."""
    return moves_cursor(stream, environ) and not environ.get("NO_COLOR")
