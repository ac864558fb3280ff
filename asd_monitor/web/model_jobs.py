"""Work on models that a person asks for: a command of asd-monitor, one at a time.

It is a process of its own with the low priority of the page, and does what the command line does,
with the same checks.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from asd_monitor.errors import OperationError, UsageError
from asd_monitor.parent_process import with_parent
from asd_monitor.wording import printable

LIMIT_S = 3600.0
_KEPT_BYTES = 1 << 16
_DATA_BYTES = 2 << 30
_END_S = 5.0
PROGRAM = (sys.executable, "-m", "asd_monitor")


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work."""

    title: str
    verb: str
    machine: str
    version: str | None
    begun: datetime
    step: str = "starting"
    ended: datetime | None = None
    succeeded: bool = False
    output: str = ""
    """What the command has printed."""
    problem: str | None = None
    """Why it failed, with the remedy."""
    anyway: bool = False
    """Whether it was asked for although the comparison warns."""

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.ended is None

    @property
    def wants_confirmation(self) -> bool:
        """Whether it was refused unless a person confirms it."""
        return self.problem is not None and "--anyway" in self.problem and not self.anyway


class ModelJobs:
    """Runs the work, and keeps the newest result.

    Args:
        options: Options of every command: the folders.
        on_change: Called when another version may be in use.
        program: The command line of asd-monitor.

    """

    def __init__(
        self,
        options: Sequence[str],
        *,
        on_change: Callable[[], None],
        program: Sequence[str] = PROGRAM,
    ) -> None:
        self.newest: Job | None = None
        """The job that runs, or has ended last."""
        self._options = tuple(options)
        self._on_change = on_change
        self._program = tuple(program)
        self._task: asyncio.Task[None] | None = None

    def begin(self, job: Job, arguments: Sequence[str]) -> None:
        """Begin a job.  Raises `OperationError` while another one runs."""
        if self.newest is not None and self.newest.is_running:
            raise OperationError(f"other work has not ended ({self.newest.title}): wait for it")
        self.newest = job
        command = [*self._program, "models", *arguments, *self._options]
        self._task = asyncio.create_task(self._run(job, command), name="page.job")

    async def close(self) -> None:
        """End the job that runs."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,), timeout=_END_S)

    async def _run(self, job: Job, command: Sequence[str]) -> None:
        try:
            process = await asyncio.create_subprocess_exec(
                *with_parent(command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            self._end(job, succeeded=False, output="", problem=f"It could not be started: {error}")
            return
        with contextlib.suppress(OSError, ValueError):  # it has ended already, or the limit is less
            hard = resource.prlimit(process.pid, resource.RLIMIT_DATA)[1]
            resource.prlimit(process.pid, resource.RLIMIT_DATA, (_DATA_BYTES, hard))
        try:
            async with asyncio.timeout(LIMIT_S):
                output, errors = await asyncio.gather(
                    _tail(process.stdout, lambda _: None),
                    _tail(process.stderr, lambda step: self._note_step(job, step)),
                )
                code = await process.wait()
        except TimeoutError:
            text = f"It did not end within {LIMIT_S / 60:g} minutes: the computer is too busy."
            self._end(job, succeeded=False, output="", problem=text)
            return
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        problem = None if code == 0 else _problem(errors, code)
        self._end(job, succeeded=code == 0, output=output, problem=problem)

    def _note_step(self, job: Job, step: str) -> None:
        if self.newest is not None and self.newest.begun == job.begun:
            self.newest = replace(self.newest, step=printable(step)[:200])

    def _end(self, job: Job, *, succeeded: bool, output: str, problem: str | None) -> None:
        self.newest = replace(
            job, ended=datetime.now(UTC), succeeded=succeeded, output=output, problem=problem
        )
        if succeeded:
            self._on_change()


def _problem(errors: str, code: int) -> str:
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    if code < 0:
        return f"It was ended by {signal.Signals(-code).name}."
    text = lines[-1].removeprefix("asd-monitor: ") if lines else f"It ended with code {code}."
    return f"{text[:1].upper()}{text[1:]}"


async def _tail(stream: asyncio.StreamReader | None, on_line: Callable[[str], None]) -> str:
    """Read a stream to its end; return the last part, and pass on each line."""
    kept = b""
    while stream is not None and (data := await stream.read(1 << 14)):
        kept = (kept + data)[-_KEPT_BYTES:]
        lines = data.decode(errors="replace").strip().splitlines()
        if lines:
            on_line(lines[-1])
    return kept.decode(errors="replace")


def new_job(verb: str, machine: str, version: str | None, *, anyway: bool) -> Job:
    """Return a job that has not begun.  Raises `UsageError` for what cannot be asked."""
    titles = {
        "refit": f"Refit of {machine}",
        "rollback": f"Rollback of {machine}",
        "promote": f"Putting {machine} {version} into use",
        "compare": f"Comparison of {machine} {version}",
    }
    if verb not in titles or (version is None) != (verb in ("refit", "rollback")):
        raise UsageError("this cannot be asked here")
    return Job(titles[verb], verb, machine, version, datetime.now(UTC), anyway=anyway)
