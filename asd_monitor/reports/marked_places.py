"""The findings of an alarm, with the time of each beside the alarm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from asd_monitor.evidence.contents import PackageContent


@dataclass(frozen=True, slots=True)
class MarkedPlace:
    """A finding beside the pictures."""

    number: int
    text: str
    place: str


def marked_places(content: PackageContent) -> Iterator[MarkedPlace]:
    """Yield the findings, with the number of each in the pictures and its time."""
    for number, mark in enumerate(content.marks, 1):
        raised_s = content.at_s(content.facts.raised_sample)
        if not mark.is_located:
            place = "in all of the ten seconds before the alarm"
        else:
            begin, end = mark.from_s - raised_s, mark.to_s - raised_s
            place = f"from {_relative(begin)}"
            if content.sound is not None and mark.to_s < content.sound.seconds - 0.5:
                place += f" to {_relative(end)}"
        yield MarkedPlace(number, f"{mark.text[0].upper()}{mark.text[1:]}", place)


def _relative(seconds: float) -> str:
    if abs(seconds) < 0.5:
        return "the alarm on"
    return f"{abs(seconds):.0f} s {'before' if seconds < 0 else 'after'} the alarm"
