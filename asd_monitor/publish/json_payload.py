"""Payloads as JSON.

Times are RFC 3339 in UTC with milliseconds.  Numbers have three decimals at most: scores are
logarithms of probabilities, of which more digits say nothing.  A number that JSON does not have
(NaN, infinity) is sent as null.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from numbers import Integral, Real
from typing import Any, ClassVar

from asd_monitor.wording import rfc3339

DECIMALS = 3  # of all numbers that are no counts
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


class Payload:
    """A dataclass with a form in JSON."""

    __slots__ = ()
    SCHEMA: ClassVar[str]

    def payload(self) -> bytes:
        """Return the message as one JSON object in UTF-8.

        Raises ValueError for a time without time zone.
        """
        fields = dataclasses.fields(self)  # type: ignore[arg-type]  # subclasses are dataclasses
        # `from` is a keyword of Python, hence the field `from_`
        keys = {f.name.rstrip("_"): getattr(self, f.name) for f in fields}
        return _ENCODER.encode(_plain({"schema": self.SCHEMA, **keys})).encode()


def decimal_json(value: float | None, decimals: int = DECIMALS) -> str:
    """Return a number as JSON."""
    return f"{value:.{decimals}f}" if value is not None and math.isfinite(value) else "null"


@lru_cache(maxsize=4096)
def text_json(value: str | None) -> str:
    """Return a name as JSON; the names of a daemon are few."""
    return _ENCODER.encode(value)


def _plain(value: Any) -> object:
    match value:
        case None | bool() | str():
            return value
        case datetime():
            return rfc3339(value)
        case Real():
            return _number(value)
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:  # a dataclass; fields() raises TypeError for anything else
            return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}


def _number(value: Real) -> int | float | None:
    if isinstance(value, Integral):  # those of numpy are registered as such
        return int(value)
    number = float(value)
    return round(number, DECIMALS) if math.isfinite(number) else None
