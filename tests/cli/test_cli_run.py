"""run: what is refused before the daemon starts."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from asd_monitor.cli.app import app
from asd_monitor.cli.run import parse_broker
from asd_monitor.daemon import service
from asd_monitor.encoders.runtime import Runtime
from asd_monitor.errors import AsdMonitorError, UsageError

FAN = "machines: {fan01: {device: 'hw:1'}}\n"
ONE = ["--device", "hw:1", "--machine", "fan01"]


def refused(folder: Path, *arguments: str) -> str:
    """Return the message of a usage error; the exit code must be 2."""
    common = ["--models", str(folder / "models"), "--state", str(folder / "state")]
    result = CliRunner().invoke(app, ["run", *arguments, *common])
    if isinstance(result.exception, AsdMonitorError):
        assert result.exception.exit_code == 2
        return str(result.exception)
    assert result.exit_code == 2, result
    return result.output


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "no machine: give --device D and --machine M"),
        (["--device", "hw:1"], "no machine: give --device D and --machine M"),
        (["--machine", "fan01"], "no machine: give --device D and --machine M"),
        (["--device", "hw:1", "--machine", "../etc"], "cannot be an id"),
        (["--device", "hw:1", "--machine", "box"], "'box'"),
        (["--device", "hw:1", "--machine", "fan/#"], "cannot be an id"),
        (["--device", "hw:1", "--machine", "+"], "cannot be an id"),
        (["--device", "plughw:1", "--machine", "fan01"], "plughw"),
        (["--device", "1", "--machine", "fan01"], "hw:1"),
        (["--device", "/dev/snd/pcmC1D0c", "--machine", "fan01"], "write hw:1 for card 1"),
        ([*ONE, "--learn", "30"], "--learn: '30' is not a duration"),
        ([*ONE, "--learn", "59s"], "too short"),
        ([*ONE, "--broker", "host:port"], "--broker host:port"),
        ([*ONE, "--broker", "host:99999"], "--broker host:99999"),
        ([*ONE, "--broker", "host:" + "9" * 5000], "write HOST or HOST:PORT"),
        (["--device", "hw:" + "9" * 5000, "--machine", "fan01"], "too long"),
        (["--device", "hw:1#" + "9" * 5000, "--machine", "fan01"], "too long"),
        ([*ONE, "--broker", "local host"], "'local host' cannot be the name of a computer"),
        ([*ONE, "--broker", " plant:1883"], "' plant' cannot be the name of a computer"),
        ([*ONE, "--broker", "a..b"], "'a..b' cannot be"),
        ([*ONE, "--broker", "-plant"], "--broker -plant"),
        ([*ONE, "--broker", "user@plant"], "'user@plant' cannot be"),
        ([*ONE, "--broker", "x" * 64], "cannot be the name"),
        ([*ONE, "--speed", "-1"], "--speed -1"),
        ([*ONE, "--speed", "nan"], "--speed nan"),
        ([*ONE, "--log-format", "xml"], "xml"),
        (["--config", "absent.yaml"], "no such file"),
        (["--config", "absent.yaml", *ONE], "--device and --machine cannot be combined"),
        (["--config", "absent.yaml", "--learn", "30m"], "--learn cannot be combined"),
        (["--config", "absent.yaml", "--broker", "h"], "--broker cannot be combined"),
    ],
)
def test_wrong_usage_is_refused_with_the_remedy(tmp_path, arguments, text):
    assert text in refused(tmp_path, *arguments)
    assert not (tmp_path / "state").exists()


def test_every_error_of_a_configuration_is_reported_with_its_place(tmp_path):
    config = tmp_path / "a.yaml"
    config.write_text("version: 1\nmqtt: {hots: x}\nmachines:\n  fan01: {device: plughw:1}\n")
    message = refused(tmp_path, "--config", str(config))
    assert f"{config}:2:8: " in message
    assert f"{config}:4:19: " in message


def test_cuda_is_refused_where_the_runtime_has_none(tmp_path):
    config = tmp_path / "a.yaml"
    config.write_text(f"version: 1\ninference: {{provider: cuda}}\n{FAN}")
    message = refused(tmp_path, "--config", str(config))
    assert f"{config}:2:23: inference.provider: 'cuda' is not possible here" in message
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("written", "runtime"),
    [("{provider: cpu, threads: 3}", Runtime("cpu", 3)), ("", Runtime("cpu", 1))],
)
def test_networks_run_by_the_configured_runtime(tmp_path, monkeypatch, written, runtime):
    seen = []

    def start(config, options):
        seen.append(options.dependencies.load_model.keywords["runtime"])
        raise UsageError("enough")

    monkeypatch.setattr(service, "Service", start)
    config = tmp_path / "a.yaml"
    config.write_text(f"version: 1\nbox: b\ninference: {written}\n{FAN}")
    result = CliRunner().invoke(app, ["run", "--config", str(config)])
    assert isinstance(result.exception, UsageError), result
    assert seen == [runtime]


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        (None, "localhost", 1883),
        ("plant", "plant", 1883),
        ("plant:8883", "plant", 8883),
        ("10.0.0.1:1884", "10.0.0.1", 1884),
        ("[::1]:1884", "::1", 1884),
        ("::1", "::1", 1883),
        ("plant.example.", "plant.example.", 1883),
        ("plant_2", "plant_2", 1883),
        ("bücher.example", "bücher.example", 1883),
        ("[fe80::1%eth0]:1884", "fe80::1%eth0", 1884),
        ("[fe80::1]", "fe80::1", 1883),
        ("2001:db8::5", "2001:db8::5", 1883),
    ],
)
def test_the_broker_option_accepts_hosts_and_addresses(text, host, port):
    broker = parse_broker(text)
    assert (broker.host, broker.port) == (host, port)
