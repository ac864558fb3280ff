"""The setting of the self-test."""

from __future__ import annotations

from pathlib import Path

import pytest

from asd_monitor.config.loading import ConfigError
from tests.doubles.config_files import SMALLEST, load


@pytest.mark.parametrize(
    ("line", "mode"),
    [
        ("", "daily"),
        ("selftest: daily\n", "daily"),
        ("selftest: off\n", "off"),  # a boolean in YAML 1.1
        ("selftest: 'off'\n", "off"),
    ],
)
def test_the_self_test_is_daily_unless_it_is_off(file: Path, line: str, mode: str) -> None:
    config = load(file, SMALLEST + line)
    assert config.selftest == mode
    assert config.as_written()["selftest"] == mode


@pytest.mark.parametrize("value", ["weekly", "on", "0", "null"])
def test_other_values_are_refused(file: Path, value: str) -> None:
    with pytest.raises(ConfigError, match="selftest"):
        load(file, f"{SMALLEST}selftest: {value}\n")
