"""Ids of alarms and events, which begin with their times."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta

from asd_monitor.names import ALARM_ID_TIME_FORMAT, time_of_alarm_id


def new_alarm_id(machine: str, time: datetime, highest: str | None) -> str:
    """Return an id that comes after ``highest``, the last of the machine in alphabetical order.

    Its time is that of the alarm, or one second after that of the last id where the clock was set
    back.
    """
    second = time.astimezone(UTC).replace(microsecond=0)
    last = time_of_alarm_id(machine, highest or "")
    if last is not None:
        second = max(second, last + timedelta(seconds=1))
    return f"{machine}-{second:{ALARM_ID_TIME_FORMAT}}"


def new_event_id(time: datetime) -> str:
    """Return a unique id that begins with the time: ``20261123T044500.512Z-`` and 8 digits."""
    utc = time.astimezone(UTC)
    return f"{utc:%Y%m%dT%H%M%S}.{utc.microsecond // 1000:03}Z-{secrets.token_hex(4)}"
