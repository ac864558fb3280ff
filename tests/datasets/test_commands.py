"""The help of every command of the development packages."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMANDS = [
    *("datasets.synthetic_tree", "datasets.injected_tree", "datasets.impact_tree"),
    "datasets.sounds",
]


@pytest.mark.parametrize("module", COMMANDS)
def test_help_shows_the_command_as_it_is_called(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: python -m {module} ")
    assert f"    python -m {module} " in done.stdout
