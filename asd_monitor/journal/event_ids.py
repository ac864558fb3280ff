"""Ids of alarms and events, which begin with their times."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime, timedelta

_ID_TIME = re.compile(r"(\d{8}T\d{6}Z)(?:\.\d+)?")
_ID_TIME_FORMAT = "%Y%m%dT%H%M%SZ"


def new_alarm_id(machine: str, time: datetime, highest: str | None) -> str:
    """Return an id that comes after ``highest``, the last of the machine in alphabetical order.

    Its time is that of the alarm, or one second after that of the last id where the clock was set
    back.
    """
    second = time.astimezone(UTC).replace(microsecond=0)
    found = _ID_TIME.fullmatch((highest or "").removeprefix(f"{machine}-"))
    if found is not None:
        last = datetime.strptime(f"{found[1]}+0000", f"{_ID_TIME_FORMAT}%z")
        second = max(second, last + timedelta(seconds=1))
    return f"{machine}-{second:{_ID_TIME_FORMAT}}"


def new_event_id(time: datetime) -> str:
    """Return a unique id that begins with the time: ``20261123T044500.512Z-`` and 8 digits."""
    utc = time.astimezone(UTC)
    return f"{utc:%Y%m%dT%H%M%S}.{utc.microsecond // 1000:03}Z-{secrets.token_hex(4)}"
