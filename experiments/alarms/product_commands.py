"""The product's commands on sound in memory: train, backtest."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import soundfile

from asd_monitor.errors import OperationError
from asd_monitor.records import Samples


@dataclass(frozen=True, slots=True)
class TrainedMachine:
    """A machine with a model in a folder of its own."""

    models: Path
    name: str
    said: str  # by the command that trained it


def train(folder: Path, name: str, sound: Samples, rate_hz: int) -> TrainedMachine:
    """Train a machine on sound (n,); the recording and the model are written to a folder.

    Raises:
        OperationError: the command refuses the sound; the message is that of the command.

    """
    recording = folder / f"{name}-training.flac"
    soundfile.write(recording, sound, rate_hz, subtype="PCM_16")
    models = folder / "models"
    said = _run("train", "--machine", name, "--normal", str(recording), "--models", str(models))
    return TrainedMachine(models, name, said)


def backtest(
    machine: TrainedMachine, sound: Samples, rate_hz: int, budget: str = "1 per month"
) -> dict[str, Any]:
    """Return what `backtest --json` prints for sound (n,)."""
    recording = machine.models.parent / f"{machine.name}-test.flac"
    soundfile.write(recording, sound, rate_hz, subtype="PCM_16")
    options = ["--machine", machine.name, "--models", str(machine.models)]
    said = _run("backtest", str(recording), *options, "--false-alarms", budget, "--json")
    found: dict[str, Any] = json.loads(said[said.index("{") : said.rindex("}") + 1])
    return found


def _run(*arguments: str) -> str:
    """Return all that the command prints."""
    done = subprocess.run(
        [sys.executable, "-m", "asd_monitor", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise OperationError(done.stdout.strip())
    return done.stdout
