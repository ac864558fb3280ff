"""The versions in a models folder, as the command line lists them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from asd_monitor.model_store.versions import current_version
from tests.doubles.command_line import CommandLine


def version_rows(command_line: CommandLine, models: Path) -> list[dict[str, Any]]:
    """Return the versions of all machines as `models list --json` prints them."""
    found: list[dict[str, Any]] = json.loads(
        command_line("models", "list", "--models", models, "--json").out
    )
    return found


def versions_of(command_line: CommandLine, models: Path) -> list[str]:
    """Return the names of the versions, in order."""
    return [row["version"] for row in version_rows(command_line, models)]


def current(models: Path) -> str:
    """Return the version of fan01 that is in use."""
    found = current_version(models, "fan01")
    assert found is not None
    return found.name
