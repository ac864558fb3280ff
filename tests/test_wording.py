"""Times as text."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.wording import clock, count, length, named_period, quoted, rate, rfc3339

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


@pytest.mark.parametrize(
    ("per_second", "text"),
    [
        (0.0, "less than 1 in 100 years"),
        (1 / (365.25 * 86400 * 4), "1 in 4 years"),
        (1 / (86400 * 31), "12 per year"),
        (1.5 / 86400, "1.5 per day"),
        (0.2, "12 per minute"),
    ],
)
def test_rates_are_given_in_the_longest_period_with_one_event(per_second: float, text: str) -> None:
    assert rate(per_second) == text


@given(st.floats(1e-11, 10))
def test_the_number_of_a_rate_is_readable(per_second: float) -> None:
    number = float(next(word for word in rate(per_second).split() if word[0].isdigit()))
    assert 1 <= number <= 600


def test_clocks_lengths_and_counts() -> None:
    assert clock(0.04) == "0:00.0"
    assert clock(59.96) == "1:00.0"
    assert clock(3723.4) == "1:02:03.4"
    assert length(48) == "48 s"
    assert length(1200) == "20 min"
    assert length(5400) == "1.5 h"
    assert (count(1, "file"), count(0, "alarm")) == ("1 file", "0 alarms")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(10.0, "10 s"), (30.0, "30 s"), (600.0, "10 min"), (3600.0, "1 h"), (86400.0, "1 day")],
)
def test_a_time_scale_is_named_in_its_largest_whole_unit(seconds: float, text: str) -> None:
    assert named_period(seconds) == text
