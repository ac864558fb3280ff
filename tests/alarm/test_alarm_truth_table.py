"""The table of transitions in the documentation is that of the program."""

from __future__ import annotations

from pathlib import Path

from asd_monitor.alarm.state import AlarmCondition
from asd_monitor.alarm.truth_table import truth_table

DOCUMENT = Path(__file__).parents[2] / "docs" / "method" / "alarm-life.md"


def test_the_table_of_the_documentation_is_that_of_the_program() -> None:
    assert truth_table() in DOCUMENT.read_text()


def test_every_condition_has_a_row() -> None:
    assert len(truth_table().splitlines()) == 2 + len(AlarmCondition)
