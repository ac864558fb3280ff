"""The settings of commissioning, and of stored sound."""

from __future__ import annotations

from pathlib import Path

import pytest

from asd_monitor.config.loading import ConfigError
from asd_monitor.config.quantities import TimeOfDay
from tests.doubles.config_files import SMALLEST, load, notices


def test_a_new_model_is_extended_for_seven_days_by_default(file: Path) -> None:
    settings = load(file, SMALLEST).machines["fan01"]
    assert (settings.commissioning.days, str(settings.commissioning.refit_at)) == (7, "03:00")
    assert settings.evidence.sound == "full"


def test_each_machine_can_have_its_own(file: Path) -> None:
    text = """\
version: 1
defaults: {commissioning: {days: 3}, evidence: {sound: none}}
machines:
  fan01: {device: "hw:1", commissioning: {refit_at: "13:30"}}
  pump02: {device: "hw:2", commissioning: {days: 0}}
"""
    machines = load(file, text).machines
    fan, pump = machines["fan01"].commissioning, machines["pump02"].commissioning
    assert (fan.days, fan.refit_at, pump.days) == (3, TimeOfDay(13, 30), 0)
    assert machines["fan01"].evidence.sound == "none"
    assert notices(file, text) == []


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("commissioning: {refit_at: 13:00}", "780 is not a time of day: write hours and minutes"),
        ('commissioning: {refit_at: "24:00"}', "'24:00' is not a time of day"),
        ("commissioning: {days: -1}", "days"),
        ("commissioning: {day: 3}", "days"),
        ("evidence: {sound: half}", "sound"),
    ],
)
def test_what_cannot_work_is_refused(file: Path, section: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(file, f"defaults: {{{section}}}\n{SMALLEST}")
    assert message in str(caught.value)
    assert len(caught.value.problems) == 1
