"""Configurations that the tests of the diagnosis examine."""

from __future__ import annotations

from typing import Any

import pytest

from asd_monitor.config.settings import Config


@pytest.fixture
def make_config() -> Any:
    """Return a function: settings of the broker, further ones of `Config` → configuration."""

    def make(machines: tuple[str, ...] = ("fan01",), settings: Any = None, **mqtt: Any) -> Config:
        return Config.model_validate(
            {
                "version": 1,
                "box": "edge-07",
                "mqtt": mqtt,
                "machines": {
                    name: {"device": f"hw:{number}", **(settings or {})}
                    for number, name in enumerate(machines)
                },
            }
        )

    return make
