"""The findings of an alarm, with the time of each beside the alarm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from asd_monitor.evidence.contents import PackageContent
from asd_monitor.evidence.sound_span import KeptSound


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
        begin, end = mark.from_s - raised_s, mark.to_s - raised_s
        if not mark.is_located:
            place = f"in all of the {_length(-begin)} before the alarm"
            if abs(end) >= 0.5:  # the sound since another change was explained
                place = f"in all of the sound from {_relative(begin)} to {_relative(end)}"
        else:
            place = f"from {_relative(begin)}"
            if content.sound is not None and not _ends_with(content.sound, mark.to_s):
                place += f" to {_relative(end)}"
        yield MarkedPlace(number, f"{mark.text[0].upper()}{mark.text[1:]}", place)


def _ends_with(sound: KeptSound, at_s: float) -> bool:
    """Return whether the sound ends at a time, or a gap begins: what is after it is not known."""
    ends_s = [sound.seconds, *(sound.at_s(gap.first) for gap in sound.gaps)]
    return any(end_s - 0.5 <= at_s <= end_s for end_s in ends_s)


def _length(seconds: float) -> str:
    return "ten seconds" if seconds > 9.5 else f"{seconds:.0f} s"


def _relative(seconds: float) -> str:
    if abs(seconds) < 0.5:
        return "the alarm on"
    return f"{abs(seconds):.0f} s {'before' if seconds < 0 else 'after'} the alarm"
