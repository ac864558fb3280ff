"""`config`: check, show, schema."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from asd_monitor.cli.app import app as asd_monitor
from asd_monitor.cli.config_command import app, models_of
from asd_monitor.cli.options import default_models_dir
from asd_monitor.config.loading import ConfigError
from asd_monitor.config.machine_settings import AlarmSettings, EvidenceSettings, Machine
from asd_monitor.config.settings import Config, Inference, Mqtt, Tls
from asd_monitor.daemon import service
from asd_monitor.errors import AsdMonitorError, OperationError, UsageError
from tests.doubles.command_line import without_privileges

VALID = "version: 1\nbox: b\nmqtt: {tls: {}}\nmachines: {fan01: {device: 'hw:1'}}\n"
FAN = "machines: {fan01: {device: 'hw:1'}}\n"
CUDA = "version: 1\nbox: b\ninference: {provider: cuda}\nmachines: {fan01: {device: 'hw:1'}}\n"
INVALID = "version: 1\nbox: b\nmachines: {fan01: {device: 'hv:1', x: 1}}\n"


def run(tmp_path: Path, text: str, *arguments: str) -> Result:
    file = tmp_path / "edge.yaml"
    file.write_text(text)
    name, *options = arguments
    return CliRunner().invoke(app, [name, str(file), *options])


def notices(output: str) -> list[str]:
    """Return the notices of `check`, each without the name of the file."""
    lines = [line for line in output.splitlines() if line.startswith("notice: ")]
    return [line.partition("edge.yaml:")[2] for line in lines]


def test_a_valid_file_is_checked_with_its_notices(tmp_path: Path) -> None:
    result = run(tmp_path, VALID, "check")
    assert result.exit_code == 0
    *found, summary = result.stdout.splitlines()
    assert any("edge.yaml:3:8: mqtt.tls: TLS on port 1883: most" in each for each in found)
    assert summary.endswith("edge.yaml: valid, 1 machine")


def test_what_is_missing_now_is_noticed_with_the_remedy(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    absent = tmp_path / "absent.wav"
    text = (
        f"version: 1\nbox: b\nmqtt: {{host: 127.0.0.1, port: {port}}}\nmachines:\n"
        f"  fan01: {{device: 'file:{absent}'}}\n  fan02: {{device: 'card-id:None', learn: 30m}}\n"
    )
    models = tmp_path / "models"
    result = run(tmp_path, text, "check", "--models", str(models))
    assert result.exit_code == 0
    broker, no_model, recording, device = notices(result.stdout)
    assert broker.startswith("3:8: mqtt.host: the broker cannot be reached now: connection refused")
    assert "start the broker, or correct mqtt.host and mqtt.port" in broker
    assert no_model.startswith("5:3: machines.fan01: its state will be no_model: no model of fan01")
    assert f"`asd-monitor train --machine fan01 --models {models} --normal PATH`" in no_model
    assert recording.startswith("5:11: machines.fan01.device: not present now: ")
    assert str(absent) in recording
    assert device.startswith("6:11: machines.fan02.device: not present now: not plugged in: ")


def test_nothing_is_noticed_where_all_is_there(tmp_path: Path, fault: Path, trained: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        text = (
            f"version: 1\nbox: b\nmqtt: {{host: 127.0.0.1, port: {port}}}\n"
            f"machines: {{fan01: {{device: 'file:{fault}', learn: 30m}}}}\n"
        )
        result = run(tmp_path, text, "check", "--models", str(trained))
    (learn,) = notices(result.stdout)
    assert learn.startswith(
        f"4:{learn.split(':')[1]}: machines.fan01.learn: no effect, since there"
    )


@pytest.mark.parametrize("kind", [None, socket.SOCK_STREAM])
def test_an_unknown_host_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: int | None
) -> None:
    def unknown(*_: object) -> None:
        raise socket.gaierror if kind else UnicodeError

    monkeypatch.setattr(socket, "create_connection", unknown)
    found = notices(run(tmp_path, VALID, "check").stdout)
    (broker,) = (notice for notice in found if "mqtt.host" in notice)
    assert "the broker cannot be reached now: the host name localhost cannot" in broker


def test_the_models_of_the_service_are_those_of_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    expected = Path("/var/lib/asd-monitor/hall/models")
    assert models_of(Path("/etc/asd-monitor/hall.yaml")) == expected
    assert models_of(Path("/home/x/hall.yaml")) == default_models_dir()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("mqtt: {username: u, password_file: absent}", "1:36: mqtt.password_file: MQTT password"),
        ("mqtt: {username: u, password_file: .}", "Is a directory"),
        ("mqtt: {username: u, password_file: empty}", "is empty; put the password on its first"),
        ("mqtt: {username: u, password_file: /dev/zero}", "zero is not a regular file"),
        ("mqtt: {tls: {ca: /dev/zero}}", "zero is not a regular file"),
        ("mqtt: {tls: {cert: /dev/zero}}", "zero is not a regular file"),
        ("mqtt: {tls: {ca: absent.pem}}", "1:13: mqtt.tls: MQTT certificate authority"),
        ("mqtt: {tls: {ca: empty}}", "1:13: mqtt.tls: MQTT certificate authority"),
        ("mqtt: {tls: {cert: absent.pem}}", "1:13: mqtt.tls: MQTT client certificate"),
        (f"mqtt: {{prefix: {'a' * 300}}}", "1:16: mqtt.prefix: "),
        ("inference: {provider: cuda}", "1:23: inference.provider: "),
        ('box: "\\UFFFFFFFF"', "1:7: "),
        ("", ""),
    ],
)
def test_what_check_accepts_is_what_run_accepts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, message: str
) -> None:
    def started(*_: object) -> None:
        raise OperationError("the daemon was started")

    monkeypatch.setattr(service, "Service", started)
    (tmp_path / "empty").touch()
    file = tmp_path / "edge.yaml"
    file.write_text(f"{setting}\nversion: 1\n{FAN}" + ("" if "box" in setting else "box: b\n"))
    ran = CliRunner().invoke(asd_monitor, ["run", "--config", str(file)]).exception
    checked = CliRunner().invoke(app, ["check", str(file)])
    if setting:
        assert isinstance(ran, ConfigError)
        assert str(ran) == str(checked.exception)
        assert message in str(ran)
    else:
        assert isinstance(ran, OperationError)
        assert checked.exit_code == 0


def test_every_error_of_an_invalid_file_is_reported_with_its_place(tmp_path: Path) -> None:
    message = str(run(tmp_path, INVALID, "check").exception)
    assert "edge.yaml:3:28: machines.fan01.device: device 'hv:1'" in message
    assert "edge.yaml:3:36: machines.fan01: unknown key 'x'" in message


def test_the_result_as_json(tmp_path: Path) -> None:
    valid = json.loads(run(tmp_path, VALID, "check", "--json").stdout)
    assert (valid["ok"], valid["machines"]) == (True, ["fan01"])
    assert any("mqtt.tls" in notice for notice in valid["notices"])
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


def test_the_token_of_the_page_is_checked(tmp_path: Path) -> None:
    token = tmp_path / "page.token"
    text = f"version: 1\nbox: b\nhttp: {{token_file: {token.name}}}\n{FAN}"
    result = run(tmp_path, text, "check")
    assert "edge.yaml:3:20: http.token_file: the token file" in str(result.exception)
    token.write_text("short\n")
    result = run(tmp_path, text, "check")
    assert "has 5 characters: write 16 or more" in str(result.exception)
    token.write_text("a token that is long enough\n")
    assert run(tmp_path, text, "check").exit_code == 0


def test_a_missing_extra_of_the_page_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asd_monitor.extras.importlib.util.find_spec", lambda _: None)
    found = notices(run(tmp_path, f"version: 1\nbox: b\nhttp: {{}}\n{FAN}", "check").stdout)
    (notice,) = (each for each in found if "http" in each)
    assert "the page needs starlette, which is not installed" in notice
