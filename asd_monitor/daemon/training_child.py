"""Training in a process of its own: `asd-monitor train`, started by the daemon."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

log = structlog.get_logger()

_TRAINING_LIMIT_S = 3600.0
_TERMINATE_S = 10.0  # after SIGTERM
_KILL_S = 5.0  # after SIGKILL, which a process in uninterruptible I/O does not follow
_NICENESS = 10
_STDERR_TAIL_BYTES = 1 << 16
_WARNING = "warning: "


@dataclass(frozen=True, slots=True)
class TrainingOutcome:
    """How a training ended."""

    failure: str | None
    """Why it failed; None: there is a new model."""


async def train(
    machine: str,
    sound: Path,
    models: Path,
    *,
    config: Path | None = None,
    program: tuple[str, ...] = (sys.executable, "-m", "asd_monitor"),
) -> TrainingOutcome:
    """Train a model in a child process; a cancellation ends the process.

    The findings of the training are logged as warnings.

    Args:
        machine: Id of the machine.
        sound: Folder of the training recordings.
        models: Where the model is stored.
        config: The configuration with the machine's window and budgets.
        program: The command line of asd-monitor.

    """
    options = ["--machine", machine, "--normal", str(sound), "--models", str(models)]
    options += ["--config", str(config)] if config else []
    try:
        process = await asyncio.create_subprocess_exec(
            *program,
            "train",
            *options,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is sent to the daemon, which ends the training
        )
    except OSError as error:
        return TrainingOutcome(f"training could not be started: {error}")
    with contextlib.suppress(OSError):  # a lower priority is forbidden in some containers
        os.setpriority(os.PRIO_PROCESS, process.pid, _NICENESS)
    try:
        async with asyncio.timeout(_TRAINING_LIMIT_S):
            lines = await _error_output(process)
            code = await process.wait()
    except TimeoutError:
        return TrainingOutcome(f"training did not end within {_TRAINING_LIMIT_S / 60:g} minutes")
    finally:
        if process.returncode is None:
            await end_process(process)
    for line in lines:
        if line.startswith(_WARNING):
            log.warning("training", machine=machine, finding=line.removeprefix(_WARNING))
    if code == 0:
        return TrainingOutcome(None)
    if code < 0:
        return TrainingOutcome(f"training was killed by {signal.Signals(-code).name}")
    reason = lines[-1].removeprefix("asd-monitor: ") if lines else ""
    return TrainingOutcome(reason or f"training ended with code {code}")


async def _error_output(process: asyncio.subprocess.Process) -> list[str]:
    """Read the error output to its end; return its last lines, the last of all with the reason."""
    if process.stderr is None:
        return []
    tail = b""
    while data := await process.stderr.read(1 << 16):
        tail = (tail + data)[-_STDERR_TAIL_BYTES:]
    lines = tail.decode("utf-8", "replace").replace("\r", "\n").split("\n")
    return [line.strip() for line in lines if line.strip()]


class ChildProcess(Protocol):
    """The part of `asyncio.subprocess.Process` that `end_process` uses."""

    @property
    def pid(self) -> int:
        """Id of the process."""

    def terminate(self) -> None:
        """Send SIGTERM."""

    def kill(self) -> None:
        """Send SIGKILL."""

    async def wait(self) -> int:
        """Wait for the end of the process."""


async def end_process(
    process: ChildProcess, *, terminate_s: float = _TERMINATE_S, kill_s: float = _KILL_S
) -> None:
    """Terminate a process; kill it after ``terminate_s``, and abandon it ``kill_s`` later."""
    process.terminate()
    if await _ends_within(process, terminate_s):
        return
    process.kill()
    if not await _ends_within(process, kill_s):
        log.error("the training process does not end after SIGKILL; abandoned", pid=process.pid)


async def _ends_within(process: ChildProcess, limit_s: float) -> bool:
    try:
        async with asyncio.timeout(limit_s):
            await process.wait()
    except TimeoutError:
        return False
    return True
