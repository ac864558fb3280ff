"""The scripts of the repository: help installs nothing, and wrong usage is one line."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(path.name for path in (ROOT / "scripts").iterdir() if os.access(path, os.X_OK))


def run(script: str, *arguments: str, venv: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ASD_VENV": str(venv), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [ROOT / "scripts" / script, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_prints_usage_and_installs_nothing(script: str, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    finished = run(script, "--help", venv=venv)
    assert finished.returncode == 0
    assert finished.stdout.startswith(f"usage: scripts/{script}")
    assert finished.stderr == ""
    assert not venv.exists()


@pytest.mark.parametrize("arguments", [("--nonsense",), ("no_such_area",)])
def test_wrong_usage_of_test_names_the_help_and_installs_nothing(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    venv = tmp_path / "venv"
    finished = run("test", *arguments, venv=venv)
    assert finished.returncode == 1
    assert arguments[0] in finished.stderr
    assert "scripts/test --help" in finished.stderr
    assert not venv.exists()


def test_wrong_usage_of_check_installs_nothing(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    finished = run("check", "--fxi", venv=venv)
    assert finished.returncode == 1
    assert "unknown argument --fxi: takes --fix or nothing" in finished.stderr
    assert not venv.exists()


def test_every_area_of_the_tests_is_offered(tmp_path: Path) -> None:
    usage = run("test", "--help", venv=tmp_path).stdout
    areas = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()}
    for area in areas - {"doubles", "__pycache__"}:
        assert f" {area} " in usage
