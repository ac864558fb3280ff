"""The key `geometry` of a machine: shaft and bearing."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from asd_monitor.config.loading import as_yaml
from asd_monitor.config.machine_settings import MachineDefaults
from asd_monitor.records import Bearing, MachineGeometry
from tests.doubles.config_files import errors, load

HEAD = "version: 1\nbox: b\nmachines:\n  fan01:\n    device: 'hw:1'\n"
BEARING = "{balls: 9, ball_mm: 7.94, pitch_mm: 39.04}"


def test_nothing_is_known_by_default() -> None:
    assert MachineDefaults().machine_geometry is None


def test_shaft_and_bearing_are_read_and_shown(file: Path) -> None:
    config = load(file, f"{HEAD}    geometry: {{shaft_rpm: 1480, bearing: {BEARING}}}\n")
    geometry = config.machines["fan01"].machine_geometry
    assert geometry == MachineGeometry(1480.0, Bearing(9, 7.94, 39.04, 0.0))
    shown = yaml.safe_load(as_yaml(config))["machines"]["fan01"]["geometry"]
    assert shown["bearing"] == {"balls": 9, "ball_mm": 7.94, "pitch_mm": 39.04, "angle_deg": 0.0}
    assert load(file, as_yaml(config)) == config


def test_the_bearing_may_be_missing(file: Path) -> None:
    config = load(file, f"{HEAD}    geometry: {{shaft_rpm: 1480}}\n")
    assert config.machines["fan01"].machine_geometry == MachineGeometry(1480.0, None)


def test_a_machine_inherits_and_removes(file: Path) -> None:
    config = load(
        file,
        f"version: 1\nbox: b\ndefaults: {{geometry: {{shaft_rpm: 1480, bearing: {BEARING}}}}}\n"
        "machines:\n"
        "  a: {device: 'hw:1', geometry: {shaft_rpm: 990}}\n"
        "  b: {device: 'hw:2', geometry: {bearing: null}}\n"
        "  c: {device: 'hw:3', geometry: null}\n",
    )
    a, b, c = (machine.machine_geometry for machine in config.machines.values())
    assert a == MachineGeometry(990.0, Bearing(9, 7.94, 39.04))
    assert b == MachineGeometry(1480.0, None)
    assert c is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{bearing: null}", "the key 'shaft_rpm' is missing: add `shaft_rpm: 1480"),
        ("{shaft_rpm: 0}", "geometry.shaft_rpm: 0 "),
        ("{shaft_rpm: 1480, bearing: {balls: 2, ball_mm: 7.9, pitch_mm: 39}}", "bearing.balls: 2 "),
        (
            "{shaft_rpm: 1480, bearing: {balls: 9, ball_mm: 39, pitch_mm: 39}}",
            "9 balls of 39 mm do not fit on a circle of 39 mm: see the data sheet",
        ),
        (
            "{shaft_rpm: 1480, bearing: {balls: 9, ball_mm: 8, pitch_mm: 39, angle_deg: 90}}",
            "bearing.angle_deg: 90 ",
        ),
        ("{shaft_rpm: 1480, bearing: {ball: 9}}", "unknown key 'ball'"),
    ],
)
def test_errors_have_place_and_remedy(file: Path, text: str, found: str) -> None:
    reported = errors(file, f"{HEAD}    geometry: {text}\n")
    assert any(found in each for each in reported), reported


def test_an_unknown_key_of_the_defaults_is_reported_once(file: Path) -> None:
    reported = errors(
        file,
        "version: 1\nbox: b\ndefaults: {geometry: {shaft_rpm: 1, bearing: "
        "{balls: 9, ball_mm: 7, pitch_mm: 39, rollers: 2}}}\n"
        "machines: {a: {device: 'hw:1'}, b: {device: 'hw:2'}}\n",
    )
    assert len(reported) == 1
    assert "unknown key 'rollers'" in reported[0]
