"""Training in a process of its own, started by the daemon: `asd-monitor train`, and others."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shlex
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from asd_monitor.child_signals import send_signal
from asd_monitor.parent_process import with_parent
from asd_monitor.wording import printable, shortened

log = structlog.get_logger()

_TRAINING_LIMIT_S = 3600.0
_TERMINATE_S = 10.0  # after SIGTERM
_KILL_S = 5.0  # after SIGKILL, which a process in uninterruptible I/O does not follow
_NICENESS = 10
_TAIL_BYTES = 1 << 16
_WARNING = "warning: "
_MAX_REASON_CHARS = 500
_FOR_THE_DAEMON = {"--json", "--automatic"}


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
    ended = await run_child(program, ["train", *options], "training", limit_s=_TRAINING_LIMIT_S)
    for line in ended.error_lines:
        if line.startswith(_WARNING):
            log.warning("training", machine=machine, finding=line.removeprefix(_WARNING))
    return TrainingOutcome(ended.failure)


@dataclass(frozen=True, slots=True)
class EndedChild:
    """A child process that has ended."""

    failure: str | None
    """Why it failed; None: it did not."""
    output: bytes = b""
    error_lines: tuple[str, ...] = ()


async def run_child(
    program: Sequence[str],
    arguments: Sequence[str],
    work: str,
    *,
    limit_s: float,
    data_bytes: int | None = None,
) -> EndedChild:
    """Run a command of asd-monitor with low priority; a cancellation ends the process.

    It also ends with this process, whatever ends that, so that no command of an earlier daemon runs
    beside one of a new daemon.  A failure has the remedy.

    Args:
        program: The command line of asd-monitor.
        arguments: The command and its arguments.
        work: What it does, for messages.
        limit_s: The process is ended after this time, in s.
        data_bytes: Limit of its private memory (RLIMIT_DATA); None: none.

    """
    try:
        process = await asyncio.create_subprocess_exec(
            *with_parent([*program, *arguments]),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is sent to the daemon, which ends the child
        )
    except OSError as error:
        return EndedChild(f"{work} could not be started: {error}")
    with contextlib.suppress(OSError):  # a lower priority is forbidden in some containers
        os.setpriority(os.PRIO_PROCESS, process.pid, _NICENESS)
    if data_bytes is not None:
        with contextlib.suppress(OSError):  # it has ended already
            resource.prlimit(process.pid, resource.RLIMIT_DATA, (data_bytes, data_bytes))
    try:
        async with asyncio.timeout(limit_s):
            output, errors = await asyncio.gather(_tail(process.stdout), _tail(process.stderr))
            code = await process.wait()
    except TimeoutError:
        return EndedChild(
            f"{work} did not end within {limit_s / 60:g} minutes: the computer is too busy, "
            f"{_by_hand(arguments)}"
        )
    finally:
        if process.returncode is None:
            await end_process(process)
    text = errors.decode("utf-8", "replace").replace("\r", "\n")
    lines = tuple(line.strip() for line in text.split("\n") if line.strip())
    return EndedChild(_failure(work, code, lines, arguments, data_bytes), output, lines)


def _failure(
    work: str, code: int, lines: Sequence[str], arguments: Sequence[str], data_bytes: int | None
) -> str | None:
    """Return why a child failed, and the remedy: the last line has the reason."""
    if code == 0:
        return None
    if code == -signal.SIGKILL:
        return (
            f"{work} was killed by SIGKILL: the computer was short of memory if `journalctl -k` "
            "has `Out of memory`; free some, or monitor fewer machines on it"
        )
    if code < 0:
        name = signal.Signals(-code).name
        return f"{work} was ended by {name}: {_by_hand(arguments)}"
    reason = lines[-1].removeprefix("asd-monitor: ") if lines else ""
    if not reason:
        return f"{work} ended with code {code}: {_by_hand(arguments)}"
    if "MemoryError" in reason:
        available = "the computer has"
        if data_bytes is not None:
            available = f"the {data_bytes >> 20} MiB that it may use"
        reason = f"{work} needs more memory than {available} ({_bounded(reason)})"
        return f"{reason}: {_by_hand(arguments)}"
    return _bounded(reason)


def _bounded(reason: str) -> str:
    return shortened(printable(reason), _MAX_REASON_CHARS)


def _by_hand(arguments: Sequence[str]) -> str:
    """Return the remedy of a command that failed for want of time or memory."""
    command = shlex.join(each for each in arguments if each not in _FOR_THE_DAEMON)
    return f"run `asd-monitor {command}`, which has no limits and shows its output"


async def _tail(stream: asyncio.StreamReader | None) -> bytes:
    """Read a stream to its end; return the last part."""
    tail = b""
    while stream is not None and (data := await stream.read(1 << 16)):
        tail = (tail + data)[-_TAIL_BYTES:]
    return tail


async def end_process(
    process: asyncio.subprocess.Process,
    *,
    terminate_s: float = _TERMINATE_S,
    kill_s: float = _KILL_S,
) -> None:
    """Terminate a process; kill it after ``terminate_s``, and abandon it ``kill_s`` later."""
    send_signal(process, signal.SIGTERM)
    if await _ends_within(process, terminate_s):
        return
    send_signal(process, signal.SIGKILL)
    if not await _ends_within(process, kill_s):
        log.error("the training process does not end after SIGKILL; abandoned", pid=process.pid)


async def _ends_within(process: asyncio.subprocess.Process, limit_s: float) -> bool:
    try:
        async with asyncio.timeout(limit_s):
            await process.wait()
    except TimeoutError:
        return False
    return True
