"""What the page says of a change of an alarm."""

from __future__ import annotations

import pytest

from asd_monitor.alarm.state import TRANSITIONS
from asd_monitor.web.event_words import event_words


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("normal", "unacknowledged", "Raised"),
        ("returned", "unacknowledged", "Raised"),
        ("latched", "unacknowledged", "Sound abnormal again"),
        ("acknowledged", "unacknowledged", "Raised again"),
        ("shelved", "unacknowledged", "Shelving over, not acknowledged"),
        ("out_of_service", "unacknowledged", "In service again, not acknowledged"),
        ("latched", "acknowledged", "Acknowledged"),
        ("shelved", "acknowledged", "Unshelved, acknowledged"),
        ("latched", "shelved_returned", "Shelved, sound normal again"),
        ("shelved", "shelved_returned", "Sound normal again, still shelved"),
        ("shelved_returned", "shelved", "Sound abnormal again, shelved"),
        ("unacknowledged", "shelved", "Shelved"),
        ("returned", "normal", "Closed"),
        ("normal", "of_a_later_version", "Of a later version"),
    ],
)
def test_a_change_is_named_by_what_was_before(before: str, after: str, words: str) -> None:
    assert event_words(before, after) == words


def test_every_change_has_words() -> None:
    for (before, _), after in TRANSITIONS.items():
        assert "_" not in event_words(before, after)
        assert event_words(before, after)[0].isupper()
