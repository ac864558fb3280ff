"""The support file: what is in it, and that no secret is."""

from __future__ import annotations

import base64
import json
import os
import tarfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.config.settings import Config, Http, Mqtt
from asd_monitor.diagnosis import support_file
from asd_monitor.diagnosis.findings import Area, Check
from asd_monitor.diagnosis.known_secrets import find_secrets
from asd_monitor.diagnosis.redaction import REMOVED, Redaction
from asd_monitor.diagnosis.shown_settings import SET, shown_settings
from asd_monitor.diagnosis.subject import ConfigurationRead, Subject
from asd_monitor.errors import UsageError
from tests.doubles.command_line import without_privileges

UNIT = "asd-monitor@hall.service"
NOW = datetime(2026, 11, 29, tzinfo=UTC)
SECRETS = {
    "password": "hunter2-Zebra",
    "credential": "cred-é-7788",
    "token": "tok_1234567890",
    "variable": "env-secret-9",
    "url": "plc:pa55word",
    "key": "MHcCAQEEIIrandomkeymaterial0123456789abcdef",
    "beside": "another.boxes.password",
    "in the file": "typed-by-hand",
    "user": "brokeruser",
    "umlauts": "schlüssel-ß-42",
}


@pytest.fixture
def subject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_config: Any) -> Subject:
    """An installation with the secrets; no service, no broker."""
    for name in list(os.environ):
        if name != "PATH" and not name.startswith("PYTHON"):
            monkeypatch.delenv(name)
    folder, state, credentials = tmp_path / "etc", tmp_path / "state", tmp_path / "credentials"
    for each in (folder, state, credentials):
        each.mkdir()
    (folder / "password").write_text(SECRETS["password"] + "\n")
    (folder / "web.token").write_text(SECRETS["token"] + "\n")
    (folder / "other.password").write_text(SECRETS["beside"] + "\n")
    (folder / "more.password").write_text(SECRETS["umlauts"] + "\n")
    (credentials / "mqtt_password").write_text(SECRETS["credential"] + "\n")
    (folder / "client.pem").write_text(
        "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"
    )
    (folder / "client.key").write_text(
        f"-----BEGIN EC PRIVATE KEY-----\n{SECRETS['key']}\n-----END EC PRIVATE KEY-----\n"
    )
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    monkeypatch.setenv("BROKER_PASSWORD", SECRETS["variable"])
    monkeypatch.setenv("ALL_PROXY", f"http://{SECRETS['url']}@proxy.example:3128")
    path = folder / "hall.yaml"
    path.write_text(f"mqtt:\n  password: {SECRETS['in the file']}   # mine\n")
    config = make_config(
        port=1, username=SECRETS["user"], password_file=folder / "password",
        tls={"cert": folder / "client.pem", "key": folder / "client.key"},
    )  # fmt: skip
    return Subject(ConfigurationRead(path, config), tmp_path / "models", state)


def written(path: Path) -> dict[str, str]:
    """Return the content of a support file by name."""
    with tarfile.open(path) as archive:
        members = {member.name: archive.extractfile(member) for member in archive.getmembers()}
        return {
            name.partition("/")[2]: file.read().decode() for name, file in members.items() if file
        }


def write(subject: Subject, path: Path, findings: Any = (), log: Any = ()) -> dict[str, str]:
    support_file.write_support_file(path, subject, findings, NOW, read_log=lambda _: log)
    return written(path)


def forms(secret: str) -> set[str]:
    return {
        secret, json.dumps(secret)[1:-1], quote(secret, safe=""), repr(secret)[1:-1],
        base64.b64encode(secret.encode()).decode().rstrip("="), secret.upper(),
        secret.encode().hex(),
    }  # fmt: skip


def test_every_planted_secret_is_found(subject: Subject) -> None:
    found = find_secrets(subject, os.environ)
    assert set(SECRETS.values()) <= found.values
    assert found.unreadable == ()


def test_a_switch_is_no_secret(subject: Subject) -> None:
    variables = {"USE_TOKEN": "1", "AUTH": "true", "NO_PASSWORD": ""}
    assert not {"1", "true", ""} & find_secrets(subject, variables).values


@pytest.mark.parametrize(
    "text",
    [
        "x-pw: &pw S3cretWord\nmqtt: {password: *pw}\n",
        "mqtt:\n  password: >-\n    S3cretWord\n    more\n",
        "mqtt:\n  password:\n    S3cretWord\n",
        'mqtt: {password: "S3cret\\u0057ord"}\n',
        "mqtt: {password: !!str S3cretWord}\n",
        "mqtt: {kennwort: S3cretWord}\n",
        "mqtt:\n  ? pwd\n  : S3cretWord\n",
        "passwords: [other, S3cretWord]\n",
        "# password=S3cretWord\n",
        "# the password of the broker is S3cretWord.\n",
        "# mqtt://edge:S3cretWord@plant\n",
        "# mqtt://edge:S3cret%57ord@plant\n",
        "mqtt: {password: S3cretWord, [malformed\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_secret_in_a_configuration_is_found_as_it_is_meant(
    tmp_path: Path, text: str, encoding: str
) -> None:
    path = tmp_path / "machines.yaml"
    path.write_bytes(text.encode(encoding))
    found = find_secrets(Subject(ConfigurationRead(path, None), tmp_path, tmp_path), {})
    assert "S3cretWord" in found.values


def test_aliases_of_aliases_are_read_once(tmp_path: Path) -> None:
    levels = [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60)]
    path = tmp_path / "machines.yaml"
    path.write_text(f"a0: &a0 [S3cretWord]\n{''.join(levels)}token: *a59\n")
    found = find_secrets(Subject(ConfigurationRead(path, None), tmp_path, tmp_path), {})
    assert "S3cretWord" in found.values


def test_a_secret_is_removed_from_base64_of_more() -> None:
    redaction = Redaction(("S3cretWord",))
    for user in ("", "a", "ab", "edge"):
        text = base64.b64encode(f"{user}:S3cretWord".encode()).decode()
        assert REMOVED in redaction.text(text)


@pytest.mark.parametrize("name", SECRETS)
def test_no_secret_is_in_the_file_in_any_form(subject: Subject, tmp_path: Path, name: str) -> None:
    log = tuple(f"connecting with '{form}' …" for form in forms(SECRETS[name]))
    findings = [
        Check(Area.BROKER, "session", form).failed(f"refused {form}", f"use not {form}")
        for form in forms(SECRETS[name])
    ]
    texts = write(replace(subject, unit=UNIT), tmp_path / "s.tar.gz", findings, log)
    assert {"doctor.json", "configuration.yaml", "log.txt"} <= texts.keys()
    assert texts["log.txt"].count("[removed]") == len(log)
    for text in texts.values():
        for form in forms(SECRETS[name]):
            assert form.casefold() not in text.casefold()
    assert len(json.loads(texts["doctor.json"])["findings"]) == len(findings)


def test_it_holds_what_helps_and_neither_sound_nor_evidence(
    subject: Subject, tmp_path: Path
) -> None:
    evidence = subject.state / "evidence/fan01/x"
    evidence.mkdir(parents=True)
    (evidence / "sound.flac").write_bytes(b"fLaC")
    texts = write(subject, tmp_path / "s.tar.gz")
    assert set(texts) == {
        "doctor.json", "configuration.yaml", "box.json", "journal.json", "versions.json",
        "contents.txt",
    }  # fmt: skip
    assert yaml.safe_load(texts["configuration.yaml"])["mqtt"]["host"] == "localhost"
    assert json.loads(texts["versions.json"])["packages"]["numpy"]
    assert "fLaC" not in "".join(texts.values())


def test_of_the_settings_those_of_the_list_are_shown(make_config: Any) -> None:
    config = make_config(username="u", password_file=Path("/x/p"), tls={"ca": "/x/ca.pem"})
    shown = shown_settings(config)
    assert shown["mqtt"] == {
        "host": "localhost", "port": 1883, "prefix": "asd", "commands": False, "username": SET,
        "password_file": SET, "tls": SET,
    }  # fmt: skip
    assert shown["machines"]["fan01"]["device"] == "hw:0"
    assert shown["http"] is None
    page = make_config()
    page = page.model_copy(update={"http": Http(listen="0.0.0.0:9464", token_file=Path("/x/t"))})
    assert shown_settings(page)["http"] == {"listen": "0.0.0.0:9464", "token_file": SET}


def test_a_setting_that_is_not_on_the_list_is_left_out(make_config: Any) -> None:
    class WithToken(Config):
        cloud: dict[str, str] = {}  # noqa: RUF012 - of pydantic

        def as_written(self) -> Any:
            return {**super().as_written(), "cloud": {"token": "abc"}, "mqtt": {"new": "abc"}}

    config = WithToken(**dict(make_config()), cloud={"token": "abc"})
    assert "abc" not in str(shown_settings(config))


def test_nothing_is_overwritten(subject: Subject, tmp_path: Path) -> None:
    path = tmp_path / "s.tar.gz"
    path.write_text("mine")
    for call in (lambda: support_file.check_target(path), lambda: write(subject, path)):
        with pytest.raises(UsageError, match="not overwritten"):
            call()
    assert path.read_text() == "mine"


def test_it_is_for_its_owner_only(subject: Subject, tmp_path: Path) -> None:
    write(subject, tmp_path / "s.tar.gz")
    assert (tmp_path / "s.tar.gz").stat().st_mode & 0o777 == 0o600


def test_the_log_is_left_out_where_a_secret_cannot_be_read(
    subject: Subject, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = open_folder / "password"
    secret.write_text("unknown-to-this-user\n")
    secret.chmod(0o600)
    mqtt = Mqtt(port=1, username="u", password_file=secret)
    config = subject.config.model_copy(update={"mqtt": mqtt}) if subject.config else None
    closed = Subject(ConfigurationRead(None, config), subject.models, subject.state, UNIT)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    out = open_folder / "out"
    out.mkdir()
    out.chmod(0o777)
    with without_privileges():
        texts = write(closed, out / "s.tar.gz", (), ("unknown-to-this-user",))
    assert "log.txt" not in texts
    assert str(secret) in texts["contents.txt"]


@pytest.mark.parametrize(
    "text",
    [
        "mqtt://user:pw@host/x",
        "password=pw",
        'password: "pw pw"',
        "Authorization: Bearer pwpwpwpw",
        "-----BEGIN PRIVATE KEY-----\npw\n-----END PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----\npw and no end",
        "ha_token = pw",
    ],
)
def test_what_has_the_form_of_a_secret_is_removed(text: str) -> None:
    assert "pw" not in Redaction(()).text(text)


@pytest.mark.parametrize("text", ["asd/fan01/state", "password_file: set", "fan01: 3 alarms", ""])
def test_other_text_stays(text: str) -> None:
    assert Redaction(("hunter2",)).text(text).replace("[removed]", "set") == text


def test_a_short_secret_is_removed_as_a_word_only() -> None:
    assert Redaction(("asd",)).text("asd/x asdf") == "[removed]/x asdf"


def test_numbers_of_a_document_are_no_exception() -> None:
    document = {"pin": 123456, "x": [1.5, True, None], "123456": "a"}
    assert Redaction(("123456",)).document(document) == {
        "pin": "[removed]", "x": [1.5, True, None], "[removed]": "a",
    }  # fmt: skip


@given(st.text(min_size=6).filter(str.strip), st.text(), st.text())
def test_a_known_secret_never_remains(secret: str, before: str, after: str) -> None:
    text = Redaction((secret,)).text(f"{before} {secret} {after}")
    if secret not in REMOVED:
        assert secret not in text
