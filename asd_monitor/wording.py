"""Times, counts, rates and values as text for the user; pure."""

from __future__ import annotations

import math
from datetime import UTC, datetime

DAY_S = 86400.0
PERIOD_S = {
    "minute": 60.0,
    "hour": 3600.0,
    "day": DAY_S,
    "week": 7 * DAY_S,
    "month": 365.25 / 12 * DAY_S,
    "year": 365.25 * DAY_S,
}
"""Length of each named period, in s."""


def clock(seconds: float) -> str:
    """Return ``1:02:03.4`` or ``2:03.4``."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{head}:{rest // 10:02d}.{rest % 10}"


def length(seconds: float) -> str:
    """Return ``1.5 h``, ``12 min`` or ``48 s``."""
    if seconds >= 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 600 else f"{seconds:.0f} s"


def named_period(seconds: float) -> str:
    """Return ``10 s``, ``10 min``, ``1 h`` or ``1 day``: a time scale in its largest whole unit."""
    for unit, unit_s in (("day", DAY_S), ("h", 3600.0), ("min", 60.0)):
        if seconds >= unit_s and seconds % unit_s == 0:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{seconds:g} s"


def short_duration(seconds: float) -> str:
    """Return ``48 s`` or ``59.9 s``: never more than there is, as against a least duration."""
    return f"{math.floor(seconds * 10) / 10:g} s"


def count(number: int, noun: str) -> str:
    """Return ``1 alarm`` or ``2 alarms``."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def rate(per_second: float) -> str:
    """Return ``3 per week``, in the longest period that gives a number of at least one."""
    if per_second * 100 * PERIOD_S["year"] < 1:
        return "less than 1 in 100 years"
    for unit in ("minute", "hour", "day", "week", "month", "year"):
        number = per_second * PERIOD_S[unit]
        if number >= 1:
            return f"{_short(number)} per {unit}"
    return f"1 in {_short(1 / (per_second * PERIOD_S['year']))} years"


def rfc3339(time: datetime) -> str:
    """Return a time as RFC 3339 in UTC with milliseconds: ``2026-11-23T04:45:00.512Z``.

    Raises ValueError for a time without time zone.
    """
    if time.tzinfo is None:
        raise ValueError(f"the time {time} has no time zone")
    text = time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
    return f"{text}Z"


def printable(text: object) -> str:
    r"""Return text in one line: control characters and undecodable bytes as ``\\x1b``, ``\\udcff``.

    File names can contain both.
    """
    return "".join(each if each.isprintable() else _escaped(each) for each in str(text))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def quoted(value: object) -> str:
    """Return a value as an error message shows it: text in quotes, 60 characters at most."""
    return shortened(repr(value) if isinstance(value, str) else str(value))


def shortened(text: str, max_chars: int = 60) -> str:
    """Return a text, or the beginning and the end of one that is longer than ``max_chars``."""
    return text if len(text) <= max_chars else text[: max_chars - 3] + "…" + text[-2:]


def _short(number: float) -> str:
    return f"{number:.0f}" if number >= 9.5 else f"{math.floor(number * 10 + 0.5) / 10:g}"
