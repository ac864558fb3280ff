"""Single flipped bits of a journal."""

import pytest

from asd_monitor.journal import alarm_entries
from experiments.bit_flips.journal import Case, make_case, try_case, write_journals


@pytest.fixture(scope="module")
def journals():
    return write_journals()


@pytest.mark.parametrize("number", range(20))
def test_no_flipped_bit_changes_an_alarm_silently(journals, number):
    outcome, failure = try_case(make_case(journals, number, seed=7))
    assert failure is None, outcome


def test_a_case_is_the_same_for_the_same_seed(journals):
    assert make_case(journals, 5, seed=1) == make_case(journals, 5, seed=1)
    assert make_case(journals, 5, seed=1) != make_case(journals, 5, seed=2)


def test_a_change_that_is_not_noticed_is_a_failure(journals, monkeypatch):
    files, alarms = journals[0]
    (name,) = files
    position = files[name].index(b"alarmunacknowledged2026-11-23T04:45:00")
    monkeypatch.setattr(alarm_entries, "is_intact", lambda table, row: True)
    outcome, failure = try_case(Case(files, alarms, name, 8 * (position + 28)))
    assert outcome == "silently different in the list"
    assert failure is not None
