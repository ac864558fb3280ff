"""Times as text."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.wording import quoted, rfc3339

zones = st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m)))


@given(st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=zones))
def test_times_are_rfc_3339_in_utc_with_milliseconds(time: datetime) -> None:
    text = rfc3339(time)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text)
    assert timedelta(0) <= time - datetime.fromisoformat(text) < timedelta(milliseconds=1)


def test_a_time_without_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        rfc3339(datetime(2026, 1, 1))


def test_quoted_values_are_short() -> None:
    assert quoted("fan 01") == "'fan 01'"
    assert quoted(7) == "7"
    assert len(quoted("x" * 1000)) == 60
