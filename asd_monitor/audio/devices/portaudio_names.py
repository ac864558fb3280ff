"""PortAudio's device names, matched whole.  Imports next to nothing: the capture child uses it."""

from __future__ import annotations

import re
from collections.abc import Sequence

_HW = re.compile(r"\(hw:(\d+),(\d+)\)\Z")


def match_hw(names: Sequence[str], card: int, pcm: int | None) -> list[int]:
    """Return the positions of the names that are this ALSA card (and PCM).

    PortAudio lists a card as ``card: pcm (hw:N,M)``; ``hw:1`` is not ``hw:10``.
    """
    hits = []
    for position, name in enumerate(names):
        at = _HW.search(name)
        if at and int(at[1]) == card and pcm in (None, int(at[2])):
            hits.append(position)
    return hits


def match_name(names: Sequence[str], name: str) -> list[int]:
    """Return the positions of the names that are this one, letter for letter."""
    return [position for position, each in enumerate(names) if each == name]
