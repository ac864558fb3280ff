"""Exact matching of PortAudio's device names; imports little, for the capture child."""

from __future__ import annotations

import re
from collections.abc import Sequence

_HW = re.compile(r"\(hw:(\d+),(\d+)\)\Z")


def card_and_pcm(name: str) -> tuple[int, int] | None:
    """Return ALSA card and PCM of a device; None if it is not a card's.

    PortAudio lists an input of a card as ``card: pcm (hw:CARD,PCM)``.
    """
    hw = _HW.search(name)
    return (int(hw[1]), int(hw[2])) if hw else None


def match_hw(names: Sequence[str], card: int, pcm: int | None) -> list[int]:
    """Return the positions of the names of this ALSA card, and PCM if one is given."""
    return [
        position
        for position, name in enumerate(names)
        if (hw := card_and_pcm(name)) and hw[0] == card and pcm in (None, hw[1])
    ]


def match_name(names: Sequence[str], name: str) -> list[int]:
    """Return the positions of the names that are equal to this one."""
    return [position for position, each in enumerate(names) if each == name]
