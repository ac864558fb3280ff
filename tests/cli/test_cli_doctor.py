"""`doctor`: the whole command, without a broker or a service."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from benchmarks.mosquitto import free_port
from tests.doubles.command_line import CommandLine


@pytest.fixture
def hall(tmp_path: Path, fault: Path) -> Any:
    """Return a function that writes a configuration, of a broker that does not run."""

    def write(extra: str = "") -> Path:
        path = tmp_path / "hall.yaml"
        path.write_text(
            f"version: 1\nbox: edge-07\nmqtt: {{host: 127.0.0.1, port: {free_port()}{extra}}}\n"
            f"machines: {{fan01: {{device: 'file:{fault}'}}}}\n"
        )
        return path

    return write


def arguments(config: Path, models: Path, tmp_path: Path) -> tuple[object, ...]:
    return ("doctor", "--config", config, "--models", models, "--state", tmp_path / "state")


def test_findings_as_json(
    command_line: CommandLine, hall: Any, trained: Path, tmp_path: Path
) -> None:
    result = command_line(*arguments(hall(), trained, tmp_path), "--json")
    document = json.loads(result.out)
    assert (result.code, document["schema"], document["result"]) == (1, "asd.doctor/1", "failed")
    by_check = {(each["area"], each["check"]): each for each in document["findings"]}
    assert by_check["broker", "connection"]["result"] == "failed"
    assert by_check["models", "usable"]["result"] == "ok"
    assert by_check["models", "rate"]["result"] == "ok"
    assert by_check["sound", "sound"]["result"] == "ok"
    assert {each["area"] for each in document["findings"]} == {
        "configuration", "sound", "models", "broker", "clock", "disk", "load", "versions",
        "service",
    }  # fmt: skip
    failed = [each for each in document["findings"] if each["result"] == "failed"]
    assert all(each["remedy"] for each in failed)


def test_findings_as_text_and_a_support_file(
    command_line: CommandLine, hall: Any, trained: Path, tmp_path: Path
) -> None:
    support = tmp_path / "support.tar.gz"
    result = command_line(*arguments(hall(), trained, tmp_path), "--bundle", support)
    assert result.code == 1
    assert "failed       broker" in result.out
    assert "remedy: start the broker" in result.out
    assert "no evidence" in result.err
    with tarfile.open(support) as archive:
        assert "support/doctor.json" in archive.getnames()
    again = command_line(*arguments(hall(), trained, tmp_path), "--bundle", support)
    assert (again.code, again.out) == (2, "")
    assert "not overwritten" in again.message


def test_an_invalid_configuration_is_a_finding(
    command_line: CommandLine, hall: Any, tmp_path: Path
) -> None:
    result = command_line(*arguments(hall(", prot: 1"), tmp_path, tmp_path), "--json")
    (error,) = [
        each for each in json.loads(result.out)["findings"] if each["result"] == "failed"
    ]  # fmt: skip
    assert (result.code, error["check"]) == (1, "settings")
    assert "hall.yaml:3:" in error["where"]


def test_a_configuration_that_is_absent(command_line: CommandLine, tmp_path: Path) -> None:
    result = command_line(*arguments(tmp_path / "x.yaml", tmp_path, tmp_path))
    assert result.code == 1
    assert "no such file" in result.out


@pytest.mark.parametrize(
    "options",
    [("--device", "hw:1"), ("--machine", "fan01"), ("--config", "x.yaml", "--device", "hw:1")],
)
def test_incomplete_options(command_line: CommandLine, options: tuple[str, ...]) -> None:
    result = command_line("doctor", *options)
    assert (result.code, result.out) == (2, "")
    assert "--device" in result.message
