"""Quantities as text: budgets `1 per month`, durations `30m`, times `03:00`, sizes, host names.

Every parser raises `UsageError` for text that is not in its form, with the remedy.
"""

from __future__ import annotations

import ipaddress
import math
import re
from dataclasses import dataclass, field

from asd_monitor.errors import UsageError
from asd_monitor.wording import DAY_S, PERIOD_S, quoted

_DURATION_S = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": DAY_S}
_SIZE = {"": 1, "B": 1}
_SIZE |= {f"{prefix}B": 1000**power for power, prefix in enumerate("kMGT", start=1)}
_SIZE |= {f"{prefix}iB": 1024**power for power, prefix in enumerate("KMGT", start=1)}

_NUMBER = r"(\d{1,15}(?:\.\d{1,15})?)"
_BUDGET = re.compile(rf"{_NUMBER} +(?:per|/) +(?:(\d{{1,4}}) +)?([a-z]+?)s?")
_DURATION = re.compile(rf"{_NUMBER} *([a-z]+)")
_TIME_OF_DAY = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_SIZE_TEXT = re.compile(rf"{_NUMBER} *([A-Za-z]*)")

_HOST_LABEL = re.compile(r"(?!-)[\w-]{1,63}(?<!-)")  # letters of all scripts: IDNA
_MAX_HOST_CHARS = 253


@dataclass(frozen=True, slots=True)
class Budget:
    """An accepted rate: ``allowed`` events in ``period_s``."""

    allowed: float
    period_s: float
    text: str = field(compare=False)  # as in the configuration

    def __str__(self) -> str:
        return self.text

    @property
    def per_second(self) -> float:
        """The accepted rate, in events a second."""
        return self.allowed / self.period_s


@dataclass(frozen=True, slots=True)
class Duration:
    """A span of time."""

    seconds: float
    text: str = field(compare=False)  # as in the configuration

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class TimeOfDay:
    """A local time of day."""

    hour: int
    minute: int

    def __str__(self) -> str:
        return f"{self.hour:02}:{self.minute:02}"


def parse_time_of_day(text: object) -> TimeOfDay:
    """Return the time of day `03:00` … `23:59`.  Raises `UsageError`.

    YAML reads `13:00` without quotes as the number 780.
    """
    match = _TIME_OF_DAY.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise UsageError(
            f'{quoted(text)} is not a time of day: write hours and minutes in quotes, "03:00"'
        )
    return TimeOfDay(int(match[1]), int(match[2]))


def parse_budget(text: object) -> Budget:
    """Return the budget of `1 per month`, `2 per week` or `1 per 2 years`.

    The range is that of the scores: one per 100 years to one per minute.  Raises `UsageError`.
    """
    remedy = "write a number per period, such as `1 per month`"
    match = _BUDGET.fullmatch(text.strip().lower()) if isinstance(text, str) else None
    if match is None or match[3] not in PERIOD_S:
        raise UsageError(f"{quoted(text)} is not a budget: {remedy} (hour, day, week, month, year)")
    allowed, period_s = float(match[1]), int(match[2] or 1) * PERIOD_S[match[3]]
    if allowed == 0 or period_s == 0:
        raise UsageError(
            f"{quoted(text)}: no threshold excludes every false alarm: {remedy} or `1 per year`"
        )
    budget = Budget(allowed, period_s, str(text).strip())
    if not 1 / (100 * PERIOD_S["year"]) <= budget.per_second <= 1 / 60:
        raise UsageError(f"{quoted(text)} is outside `1 per minute` … `1 per 100 years`: {remedy}")
    return budget


def parse_duration(text: object) -> Duration:
    """Return the duration of `90s`, `30m`, `2h` or `1d`.  Raises `UsageError`."""
    match = _DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None or match[2] not in _DURATION_S:
        raise UsageError(
            f"{quoted(text)} is not a duration: write a number and s, m, h or d, such as `30m`"
        )
    return Duration(float(match[1]) * _DURATION_S[match[2]], str(text).strip())


def parse_size(text: object) -> int:
    """Return the bytes of `2 GB`, `500 MB`, `1 GiB` or a number of bytes.  Raises `UsageError`."""
    if isinstance(text, int) and not isinstance(text, bool):
        text = str(text)
    match = _SIZE_TEXT.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None or match[2] not in _SIZE:
        raise UsageError(
            f"{quoted(text)} is not a size: write a number and kB, MB, GB or TB, such as `2 GB`"
        )
    return math.floor(float(match[1]) * _SIZE[match[2]])


def format_size(size: int) -> str:
    """Return bytes in the largest decimal unit that divides them: `2 GB`."""
    for unit in ("TB", "GB", "MB", "kB"):
        if size and size % _SIZE[unit] == 0:
            return f"{size // _SIZE[unit]} {unit}"
    return f"{size} B"


def check_host(text: str) -> str:
    """Return a host name or IP address unchanged.  Raises `UsageError`."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        labels = text.removesuffix(".").split(".")
        if len(text) > _MAX_HOST_CHARS or not all(_HOST_LABEL.fullmatch(label) for label in labels):
            raise UsageError(
                f"{quoted(text)} cannot be the name of a computer: write a host name or address, "
                "such as plant-broker or 10.0.0.5, without spaces, '/' or 'mqtt://'"
            ) from None
    return text
