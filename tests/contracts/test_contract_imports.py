"""What is imported where: the linter's rules, and what only a running process can show."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asd_monitor.synthesis.families import draw_machine
from asd_monitor.synthesis.rendering import render

ROOT = Path(__file__).parents[2]
FORBIDDEN = {"torch", "sounddevice"}
COMMANDS = """
import sys
commands, sys.argv = sys.argv[1], ["asd-monitor"]
import json
from asd_monitor.cli.app import main
for command in json.loads(commands):
    sys.argv[1:] = command
    try:
        main()
    except SystemExit as ended:
        assert not ended.code, (command, ended.code)
"""


def python(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    # every process below this one lists on stderr what it imports
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPROFILEIMPORTTIME": "1", "HOME": str(cwd)},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def imported(finished: subprocess.CompletedProcess[str]) -> set[str]:
    """Return the packages that were imported, by any process."""
    lines = re.findall(r"^import time:.*\|\s*(\S+)$", finished.stderr, re.MULTILINE)
    assert lines, finished.stderr
    return {name.split(".")[0] for name in lines}


def asd_monitor(*commands: tuple[str, ...], cwd: Path) -> set[str]:
    """Run commands one after the other in one process, and return the packages imported."""
    finished = python("-c", COMMANDS, json.dumps(commands), cwd=cwd)
    assert finished.returncode == 0, finished.stdout + finished.stderr[-2000:]
    return imported(finished)


@pytest.fixture
def normal(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    path = tmp_path / "normal.flac"
    soundfile.write(path, render(draw_machine("fan", rng), 65.0, rng), 16000)
    return path


def test_import_rules_are_kept() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    finished = subprocess.run(
        [linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_only_encoder_training_imports_torch_and_only_the_capture_child_a_sound_library() -> None:
    everything = (
        "import importlib, pkgutil, asd_monitor;"
        "[importlib.import_module(module.name)"
        " for module in pkgutil.walk_packages(asd_monitor.__path__, 'asd_monitor.')"
        " if not module.name.startswith('asd_monitor.encoder_training.')"
        " and module.name not in ('asd_monitor.__main__', 'asd_monitor.audio.capture.child')]"
    )
    finished = python("-c", everything)
    assert finished.returncode == 0, finished.stderr[-2000:]
    assert not imported(finished) & FORBIDDEN


def test_the_command_line_is_quick_to_start(tmp_path: Path) -> None:
    heavy = {"numpy", "onnxruntime", "soundfile", "soxr", "paho", "amqtt", "sqlite3", "jinja2"}
    assert not asd_monitor(("--version",), cwd=tmp_path) & (heavy | FORBIDDEN)


@pytest.mark.slow
def test_training_and_scoring_load_neither_torch_nor_a_sound_library(
    normal: Path, tmp_path: Path
) -> None:
    """What `run` loads is in `tests/system`, where it has a broker."""
    model = ("--machine", "fan01", "--models", str(tmp_path / "models"))
    loaded = asd_monitor(
        ("train", "--normal", str(normal), *model),
        ("score", str(normal), *model),
        ("backtest", str(normal), *model),
        cwd=tmp_path,
    )
    assert {"asd_monitor", "onnxruntime"} <= loaded
    assert not loaded & FORBIDDEN
