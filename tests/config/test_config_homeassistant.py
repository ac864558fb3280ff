"""The setting of the discovery by Home Assistant."""

from __future__ import annotations

from pathlib import Path

import pytest

from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.config.loading import ConfigError, read_config
from asd_monitor.config.settings import Config


def read(folder: Path, discovery: str, prefix: str = "asd") -> Config:
    path = folder / "edge.yaml"
    path.write_text(
        f"version: 1\nbox: edge\nmqtt: {{prefix: {prefix}}}\nhomeassistant: {discovery}\n"
        "machines: {fan01: {device: 'hw:1'}}\n"
    )
    return read_config(path, parse_device).config


def test_the_prefix_has_a_default(tmp_path: Path) -> None:
    assert read(tmp_path, "null").homeassistant is None
    for discovery, prefix in (
        ("{}", "homeassistant"),
        ("{discovery_prefix: works/ha}", "works/ha"),
    ):
        found = read(tmp_path, discovery).homeassistant
        assert found is not None
        assert found.discovery_prefix == prefix


@pytest.mark.parametrize(
    ("discovery", "prefix", "problem"),
    [
        ("{discovery_prefix: asd}", "asd", "4:16: homeassistant: 'asd' is the prefix of the"),
        ("{discovery_prefix: 'a/#'}", "asd", "4:35: homeassistant.discovery_prefix: 'a/#'"),
        ("true", "asd", "4:16: homeassistant"),
        ("{prefix: ha}", "asd", "did you mean 'discovery_prefix'?"),
    ],
)
def test_what_cannot_work_is_refused(
    tmp_path: Path, discovery: str, prefix: str, problem: str
) -> None:
    with pytest.raises(ConfigError) as error:
        read(tmp_path, discovery, prefix)
    assert problem in str(error.value)
