"""Facts of the configuration file and of the files that it names."""

from __future__ import annotations

import os
from pathlib import Path

from asd_monitor.config.settings import Config
from asd_monitor.diagnosis.configuration import FileFacts
from asd_monitor.diagnosis.subject import ConfigurationRead, instance_of


def credential_files(path: Path | None) -> dict[str, Path]:
    """Return the files that systemd passes as credentials to the service of a configuration.

    The keys are those of the settings that they take the place of.
    """
    name = instance_of(path)
    if path is None or name is None:
        return {}
    return {
        "mqtt.password_file": path.with_name(f"{name}.password"),
        "mqtt.tls.key": path.with_name(f"{name}.key"),
        "http.token_file": path.with_name(f"{name}.token"),
    }


def with_service_credentials(config: Config, path: Path | None) -> Config:
    """Return the configuration with the secrets that the service gets from systemd."""
    files = {key: file for key, file in credential_files(path).items() if _has_content(file)}
    mqtt = config.mqtt
    password = files.get("mqtt.password_file")
    if password is not None and mqtt.password_file is None and mqtt.username is not None:
        mqtt = mqtt.model_copy(update={"password_file": password})
    key = files.get("mqtt.tls.key")
    if key is not None and mqtt.tls is not None and mqtt.tls.cert is not None:
        mqtt = mqtt.model_copy(update={"tls": mqtt.tls.model_copy(update={"key": key})})
    http, token = config.http, files.get("http.token_file")
    if token is not None and http is not None and http.token_file is None:
        http = http.model_copy(update={"token_file": token})
    return config.model_copy(update={"mqtt": mqtt, "http": http})


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 1
    except OSError:
        return False


def read_config_files(read: ConfigurationRead) -> list[FileFacts]:
    """Return the facts of the configuration and of the files that it names."""
    if read.path is None:
        return []
    credentials = credential_files(read.path)
    files = [_facts(read.path, "", is_secret=False)]
    named = {} if read.config is None else secret_settings(read.config)
    for key, (path, is_secret) in named.items():
        is_credential = credentials.get(key) == path
        files.append(_facts(path, key, is_secret=is_secret, is_credential=is_credential))
    known = {each.path for each in files}
    for key, path in credentials.items():
        if path not in known:
            files.append(_facts(path, key, is_secret=True, is_credential=True))
    return files


def secret_settings(config: Config) -> dict[str, tuple[Path, bool]]:
    """Return the files that settings of broker and page name, and whether each is a secret."""
    mqtt, tls = config.mqtt, config.mqtt.tls
    named = {
        "mqtt.password_file": (mqtt.password_file, True),
        "mqtt.tls.ca": (None if tls is None else tls.ca, False),
        "mqtt.tls.cert": (None if tls is None else tls.cert, False),
        "mqtt.tls.key": (None if tls is None else tls.key, True),
        "http.token_file": (None if config.http is None else config.http.token_file, True),
    }
    return {key: (path, is_secret) for key, (path, is_secret) in named.items() if path is not None}


def _facts(path: Path, key: str, *, is_secret: bool, is_credential: bool = False) -> FileFacts:
    try:
        mode = path.stat().st_mode
    except OSError:
        mode = None
    return FileFacts(path, key, is_secret, mode, os.access(path, os.R_OK), is_credential)
