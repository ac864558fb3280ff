"""Values of the columns of a row: checked when read, and made fit to be written.

What reads raises TypeError or ValueError for a value that the column cannot have.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime

from asd_monitor.journal.checksums import Value
from asd_monitor.wording import rfc3339


def time_text(time: datetime | None) -> str | None:
    """Return a time as text."""
    return None if time is None else rfc3339(time)


def time_of(value: Value) -> datetime:
    """Return a time, which has a time zone, in UTC."""
    time = datetime.fromisoformat(text(value))
    if time.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone")
    try:
        return time.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{value!r} is outside the calendar in UTC") from error


def optional_time(value: Value) -> datetime | None:
    """Return a time; None for NULL."""
    return None if value is None else time_of(value)


def text(value: Value) -> str:
    """Return text."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def optional_text(value: Value) -> str | None:
    """Return text; None for NULL."""
    return None if value is None else text(value)


def count(value: Value) -> int:
    """Return a whole number."""
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is not a whole number")
    return value


def optional_bool(value: Value) -> bool | None:
    """Return whether a whole number is not 0; None for NULL."""
    return None if value is None else bool(count(value))


def finite(value: float | None) -> float | None:
    """Return a number to be written; None for one that is not finite."""
    return None if value is None or not math.isfinite(value) else float(value)


def score(value: Value) -> float | None:
    """Return a number; None for NULL and for one that is not finite."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is not a number")
    return float(value)


def json_text(values: Mapping[str, object]) -> str:
    """Return a mapping as a JSON object."""
    return json.dumps(dict(values), allow_nan=False)


def json_object(value: Value) -> dict[str, object]:
    """Return the values of a JSON object by key."""
    try:
        found = json.loads(text(value))
    except RecursionError as error:
        raise ValueError("a JSON value is nested too deeply") from error
    if not isinstance(found, dict):
        raise TypeError(f"{value!r} is not a JSON object")
    return found
