"""`config`: check, show, schema."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from typer.testing import CliRunner, Result

from asd_monitor.cli.config_command import app
from asd_monitor.config.settings import (
    AlarmSettings,
    Config,
    EvidenceSettings,
    Inference,
    Machine,
    Mqtt,
    Tls,
)
from asd_monitor.errors import AsdMonitorError, UsageError
from tests.doubles.command_line import without_privileges

VALID = "version: 1\nbox: b\nmqtt: {commands: true}\nmachines: {fan01: {device: 'hw:1'}}\n"
CUDA = "version: 1\nbox: b\ninference: {provider: cuda}\nmachines: {fan01: {device: 'hw:1'}}\n"
INVALID = "version: 1\nbox: b\nmachines: {fan01: {device: 'hv:1', x: 1}}\n"


def run(tmp_path: Path, text: str, *arguments: str) -> Result:
    file = tmp_path / "edge.yaml"
    file.write_text(text)
    name, *options = arguments
    return CliRunner().invoke(app, [name, str(file), *options])


def test_a_valid_file_is_checked_with_its_notices(tmp_path: Path) -> None:
    result = run(tmp_path, VALID, "check")
    assert result.exit_code == 0
    notice, summary = result.stdout.splitlines()
    assert "edge.yaml:3:8: mqtt.commands: commands over MQTT are not available yet" in notice
    assert summary.endswith("edge.yaml: valid, 1 machine")


def test_every_error_of_an_invalid_file_is_reported_with_its_place(tmp_path: Path) -> None:
    message = str(run(tmp_path, INVALID, "check").exception)
    assert "edge.yaml:3:28: machines.fan01.device: device 'hv:1'" in message
    assert "edge.yaml:3:36: machines.fan01: unknown key 'x'" in message


def test_the_result_as_json(tmp_path: Path) -> None:
    valid = json.loads(run(tmp_path, VALID, "check", "--json").stdout)
    assert (valid["ok"], len(valid["notices"]), valid["machines"]) == (True, 1, ["fan01"])
    result = run(tmp_path, INVALID, "check", "--json")
    assert result.exit_code == 2
    assert len(json.loads(result.stdout)["errors"]) == 2


def test_cuda_is_an_error_where_the_runtime_does_not_support_it(tmp_path: Path) -> None:
    refused = run(tmp_path, CUDA, "check").exception
    assert isinstance(refused, UsageError)
    assert refused.exit_code == 2
    assert "edge.yaml:3:23: inference.provider: 'cuda' is not possible here" in str(refused)
    assert "install onnxruntime-gpu in its place" in str(refused)
    assert "write `provider: cpu`" in str(refused)
    # the settings are shown on any computer
    shown = yaml.safe_load(run(tmp_path, CUDA, "show").stdout)
    assert shown["inference"] == {"provider": "cuda", "threads": 1}


def test_show_prints_every_setting(tmp_path: Path) -> None:
    shown = yaml.safe_load(run(tmp_path, VALID, "show").stdout)
    assert shown["machines"]["fan01"]["alarm"]["false_alarms"] == "1 per month"
    assert json.loads(run(tmp_path, VALID, "show", "--json").stdout) == shown
    assert Config.model_validate(shown).as_written() == shown


def test_the_schema_has_every_setting_and_the_required_keys() -> None:
    schema = json.loads(CliRunner().invoke(app, ["schema"]).stdout)
    assert schema["required"] == ["version", "machines"]
    sections = schema["$defs"]
    for section in (AlarmSettings, EvidenceSettings, Inference, Machine, Mqtt, Tls):
        known = sections[section.__name__]
        assert set(known["properties"]) == set(section.model_fields)
        assert known["additionalProperties"] is False
    assert sections["Machine"]["required"] == ["device"]
    assert sections["AlarmSettings"]["properties"]["false_alarms"]["default"] == "1 per month"


def test_a_file_without_read_permission_is_refused_with_the_remedy(open_folder: Path) -> None:
    file = open_folder / "edge.yaml"
    file.write_text(VALID)
    file.chmod(0)
    with without_privileges():
        result = CliRunner().invoke(app, ["check", str(file)])
    assert isinstance(result.exception, AsdMonitorError)
    assert "no permission to read it" in str(result.exception)
