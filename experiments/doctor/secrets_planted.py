"""Secrets planted in everything that a support file is made of, and what remains of them."""

from __future__ import annotations

import base64
import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock
from urllib.parse import quote

from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.config.loading import load_config
from asd_monitor.diagnosis.findings import Area, Check
from asd_monitor.diagnosis.subject import ConfigurationRead, Subject
from asd_monitor.diagnosis.support_file import write_support_file
from experiments.doctor.place import Place
from tests.doubles.mosquitto import make_certificates


@dataclass(frozen=True, slots=True)
class Planted:
    """A secret, and in how many forms it is still in the support file."""

    name: str
    planted_forms: int
    remaining: int


def plant_secrets(place: Place) -> list[Planted]:
    """Write a support file of an installation full of secrets, and search for them."""
    secrets = _plant(place)
    forms = {name: sorted(set(_forms(value))) for name, value in secrets.items()}
    every = [form for name in forms for form in forms[name]]
    check = Check(Area.BROKER, "session", "broker")
    findings = [check.failed(f"refused {form}", f"replace {form}") for form in every]
    log = [f"connecting with {form!r}, token={form}" for form in every]
    config = load_config(place.config, parse_device)
    subject = Subject(
        ConfigurationRead(place.config, config),
        place.healthy.models,
        place.state,
        "asd-monitor@hall.service",
    )
    path = place.folder / "support.tar.gz"
    with mock.patch.dict(os.environ, place.environment):
        write_support_file(path, subject, findings, datetime.now(UTC), read_log=lambda _: log)
    text = _text_of(path).casefold()
    return [
        Planted(name, len(forms[name]), sum(form.casefold() in text for form in forms[name]))
        for name in secrets
    ]


def _plant(place: Place) -> dict[str, str]:
    """Return the secrets by where they are."""
    secrets = {
        "the password file": "Pa55-of-the-box",
        "the user name": "plant-user-7",
        "a password beside the configuration": "other instance's pw",
        "a token beside the configuration": "tok.0123456789abcdef",
        "a password with umlauts": "schlüssel-ß-42",
        "a password with quotes": "a\"b\\c'd-secret",
        "a systemd credential": "credential/with+signs==",
        "a password in the environment": "env-Passw0rd",
        "a token in the environment": "ghp_EnvToken123456",
        "a password in a proxy address": "proxyuser:proxypw99",
        "a password in a comment": "was-typed-here",
        "a number as password": "73519460",
    }
    files = make_certificates(place.folder / "tls")
    (place.folder / "password").write_text(f"{secrets['the password file']}\n")
    for number, name in enumerate(list(secrets)[2:6]):
        suffix = "token" if "token" in name else "password"
        (place.folder / f"other{number}.{suffix}").write_text(f"{secrets[name]}\n")
    (place.folder / "pin.password").write_text(f"{secrets['a number as password']}\n")
    credentials = place.folder / "credentials"
    credentials.mkdir()
    (credentials / "mqtt_password").write_text(f"{secrets['a systemd credential']}\n")
    place.environment |= {
        "CREDENTIALS_DIRECTORY": str(credentials),
        "MQTT_PASSWORD": secrets["a password in the environment"],
        "API_TOKEN": secrets["a token in the environment"],
        "HTTPS_PROXY": f"http://{secrets['a password in a proxy address']}@proxy.example:3128",
    }
    place.config.write_text(
        "version: 1\nbox: edge-07\n"
        f"# password: {secrets['a password in a comment']}\n"
        f"mqtt: {{host: 127.0.0.1, port: 1, username: {secrets['the user name']},"
        f" password_file: {place.folder / 'password'},"
        f" tls: {{ca: {files.ca}, cert: {files.client_cert}, key: {files.client_key}}}}}\n"
        f"machines: {{fan01: {{device: '{place.machine['device']}'}}}}\n"
    )
    key = files.client_key.read_text().splitlines()
    return {**secrets, "a line of the private key": key[1], "its last line": key[-2]}


def _forms(secret: str) -> Iterator[str]:
    yield secret
    yield secret.upper()
    yield json.dumps(secret)[1:-1]
    yield repr(secret)[1:-1]
    yield quote(secret, safe="")
    yield base64.b64encode(secret.encode()).decode().rstrip("=")
    yield secret.encode().hex()


def _text_of(path: Path) -> str:
    with tarfile.open(path) as archive:
        files = [archive.extractfile(member) for member in archive.getmembers()]
        return "\n".join(file.read().decode() for file in files if file is not None)
