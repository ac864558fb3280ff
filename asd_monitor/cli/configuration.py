"""The configuration as `run` reads it and `config check` checks it: one rule for both."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.config.loading import Checks, ConfigFile, Notice, read_config
from asd_monitor.config.settings import Config
from asd_monitor.encoders.runtime import check_provider
from asd_monitor.publish.authentication import check_certificates, check_password
from asd_monitor.web.access_token import read_token


def _check_token(config: Config) -> None:
    """Check that the token of the page can be read, where there is one.  Raises `UsageError`."""
    if config.http is not None and config.http.token_file is not None:
        read_token(config.http.token_file)


_CHECKS: Checks = {
    ("inference", "provider"): lambda config: check_provider(config.inference.provider),
    ("mqtt", "password_file"): lambda config: check_password(config.mqtt),
    ("http", "token_file"): _check_token,
    ("mqtt", "tls"): lambda config: check_certificates(config.mqtt),
}


def read_for_run(
    path: Path,
    find_more: Callable[[Config], Iterable[Notice]] = lambda _: (),
    environ: Mapping[str, str] = os.environ,
) -> ConfigFile:
    """Return the configuration that `run` uses; ``find_more`` returns further notices.

    Raises `ConfigError` with every error.
    """
    return read_config(path, parse_device, environ, checks=_CHECKS, find_more=find_more)
