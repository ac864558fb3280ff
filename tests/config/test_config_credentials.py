"""The broker's password and the private key as credentials of systemd."""

from __future__ import annotations

from pathlib import Path

import pytest

from asd_monitor.config.credentials import KEY_CREDENTIAL, PASSWORD_CREDENTIAL
from asd_monitor.config.loading import ConfigError, load_config, machine_from_options
from asd_monitor.config.settings import Mqtt
from asd_monitor.errors import UsageError
from tests.doubles.command_line import without_privileges

MACHINES = "machines: {fan01: {device: 'hw:1'}}\n"


def environment(folder: Path, text: str) -> dict[str, str]:
    (folder / PASSWORD_CREDENTIAL).write_text(text)
    return {"CREDENTIALS_DIRECTORY": str(folder)}


def load(folder: Path, mqtt: str, environ: dict[str, str]) -> Mqtt:
    file = folder / "edge.yaml"
    file.write_text(f"version: 1\nbox: edge\n{mqtt}\n{MACHINES}")
    return load_config(file, environ=environ).mqtt


def test_a_credential_is_the_password(tmp_path: Path) -> None:
    environ = environment(tmp_path, "secret\n")
    mqtt = load(tmp_path, "mqtt: {username: u}", environ)
    assert mqtt.password_file == tmp_path / PASSWORD_CREDENTIAL


def test_a_configured_password_file_takes_precedence(tmp_path: Path) -> None:
    environ = environment(tmp_path, "secret\n")
    mqtt = load(tmp_path, "mqtt: {username: u, password_file: own}", environ)
    assert mqtt.password_file == tmp_path / "own"


@pytest.mark.parametrize("text", ["", "\n"])
@pytest.mark.parametrize("mqtt", ["", "mqtt: {username: u}"])
def test_an_empty_credential_is_no_password(tmp_path: Path, text: str, mqtt: str) -> None:
    assert load(tmp_path, mqtt, environment(tmp_path, text)).password_file is None


def test_without_a_credential_there_is_no_password(tmp_path: Path) -> None:
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path / "absent")}
    assert load(tmp_path, "mqtt: {username: u}", environ).password_file is None
    assert load(tmp_path, "mqtt: {username: u}", {}).password_file is None


def test_a_credential_without_a_user_name_is_refused(tmp_path: Path) -> None:
    environ = environment(tmp_path, "secret")
    with pytest.raises(ConfigError, match=r"edge.yaml:3:7: .* add `username:` under `mqtt:`"):
        load(tmp_path, "mqtt: {port: 1883}", environ)
    with pytest.raises(UsageError, match="add `username:`"):
        machine_from_options("hw:1", "fan01", box="edge", environ=environ)


def test_an_unreadable_credential_is_refused(open_folder: Path) -> None:
    environ = environment(open_folder, "secret")
    (open_folder / PASSWORD_CREDENTIAL).chmod(0)
    with without_privileges(), pytest.raises(UsageError, match=r"cannot be read \(Permission"):
        machine_from_options("hw:1", "fan01", box="edge", environ=environ)


def test_a_credential_is_the_key_of_the_client_certificate(tmp_path: Path) -> None:
    """Also where the configuration names a key, which only root can read."""
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    tls = "mqtt: {tls: {cert: own.pem, key: own.key}}"
    for content, expected in ((None, "own.key"), ("\n", "own.key"), ("PEM", KEY_CREDENTIAL)):
        if content is not None:
            (tmp_path / KEY_CREDENTIAL).write_text(content)
        found = load(tmp_path, tls, environ).tls
        assert found is not None
        assert found.key == tmp_path / expected
    without_cert = load(tmp_path, "mqtt: {tls: {ca: ca.pem}}", environ).tls
    assert without_cert is not None
    assert without_cert.key is None
    assert load(tmp_path, "", environ).tls is None
