"""Work that a person asks for: a command of asd-monitor, one at a time.

It is a process of its own with the low priority of the page, and does what the command line does,
with the same checks.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from asd_monitor.child_signals import send_signal
from asd_monitor.errors import OperationError
from asd_monitor.parent_process import with_parent
from asd_monitor.web.job import CHANGES_MODELS, KEEPS_SOUND, Job
from asd_monitor.web.job_failure import failure, lateness
from asd_monitor.web.job_file import JobFile
from asd_monitor.web.recording_progress import RecordedSound
from asd_monitor.wording import printable

LIMIT_S = 3600.0
_KEPT_BYTES = 1 << 16
_LINE_BYTES = 1 << 16
_DATA_BYTES = 2 << 30
_STOP_S = 15.0  # in which what is stopped must end
_CLOSE_S, _END_S = 2.0, 2.0
PROGRAM = (sys.executable, "-m", "asd_monitor")


class Jobs:
    """Runs the work, and keeps the newest result.

    Args:
        file: Keeps the newest job, so that one that the end of the page has ended is reported.
        on_change: Called when another version may be in use.
        program: The command line of asd-monitor.

    """

    def __init__(
        self,
        file: JobFile,
        *,
        on_change: Callable[[], None],
        program: Sequence[str] = PROGRAM,
    ) -> None:
        self.newest = file.read()
        """The job that runs, or has ended last."""
        self._file = file
        self._on_change = on_change
        self._program = tuple(program)
        self._task: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._killing: asyncio.TimerHandle | None = None

    def take_up(self) -> None:
        """Report a job that was cut off with the page before, as by a kill.

        It may have put a version into use that nobody was told of.
        """
        job = self.newest
        if job is not None and self._file.was_cut_off:
            self._file.write(job)
            if job.verb in CHANGES_MODELS:
                self._on_change()

    def begin(self, job: Job, arguments: Sequence[str], *, limit_s: float = LIMIT_S) -> None:
        """Begin a job, which is ended after ``limit_s``.

        Raises `OperationError` while another one runs.
        """
        self.check_free()
        self.newest = job
        command = [*self._program, *arguments]
        self._task = asyncio.create_task(self._run(job, command, limit_s), name="page.job")

    def check_free(self) -> None:
        """Raise `OperationError` while a job runs."""
        if self.newest is not None and self.newest.is_running:
            remedy = "wait for it, or stop it" if self.newest.can_stop else "wait for it"
            raise OperationError(f"other work has not ended ({self.newest.title}): {remedy}")

    def stop(self) -> None:
        """End the job that runs; a recording keeps what it has.

        Raises `OperationError` where none runs that can be stopped.
        """
        job = self.newest
        if job is None or not job.is_running:
            raise OperationError("nothing runs: it has ended already")
        if not job.can_stop:
            raise OperationError(f"{job.title} cannot be stopped: wait for it")
        if not job.is_stopping:
            self.newest = replace(job, is_stopping=True)
            self._terminate()

    async def close(self) -> None:
        """End the job that runs; a recording has a moment to complete its file."""
        task = self._task
        if task is None or task.done():
            return
        if self.newest is not None and self.newest.is_running:
            self.newest = replace(self.newest, is_closed=True)
        self._terminate()
        await asyncio.wait((task,), timeout=_CLOSE_S)
        task.cancel()
        await asyncio.wait((task,), timeout=_END_S)

    def _terminate(self) -> None:
        """Ask the process to end, and kill it where it does not; nothing where none runs."""
        process = self._process
        if process is None or self._killing is not None:
            return
        send_signal(process, signal.SIGTERM)
        self._killing = asyncio.get_running_loop().call_later(_STOP_S, self._abandon, process)

    def _abandon(self, process: asyncio.subprocess.Process) -> None:
        """Kill the process, and do not wait where its disk hangs, or another holds its output."""
        send_signal(process, signal.SIGKILL)
        if self._task is not None:
            self._killing = asyncio.get_running_loop().call_later(_END_S, self._task.cancel)

    async def _run(self, job: Job, command: Sequence[str], limit_s: float) -> None:
        self._file.write(job)
        try:
            process = await asyncio.create_subprocess_exec(
                *with_parent(command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},  # what is done is known after a kill
            )
        except OSError as error:
            self._end(job, -1, problem=f"It could not be started: {error}")
            return
        self._process = process
        with contextlib.suppress(OSError, ValueError):  # it has ended already, or the limit is less
            hard = resource.prlimit(process.pid, resource.RLIMIT_DATA)[1]
            resource.prlimit(process.pid, resource.RLIMIT_DATA, (_DATA_BYTES, hard))
        if self.newest is not None and self.newest.is_stopping:  # while it was started
            self._terminate()
        late = asyncio.get_running_loop().call_later(limit_s, self._terminate)
        output = _Tail(lambda line: self._note_output(job, line))
        errors = _Tail(lambda step: self._note_step(job, step))

        def end(code: int) -> None:
            is_late = late.when() <= asyncio.get_running_loop().time()
            problem = lateness(job, limit_s) if code != 0 and is_late else None
            self._end(job, code, output=output.text, errors=errors.text, problem=problem)

        try:
            await asyncio.gather(output.read(process.stdout), errors.read(process.stderr))
            code = await process.wait()
        except asyncio.CancelledError:
            send_signal(process, signal.SIGKILL)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_END_S):
                    await process.wait()
            process._transport.close()  # type: ignore[attr-defined]  # the pipes stay open else
            end(-signal.SIGKILL if process.returncode is None else process.returncode)
            raise
        finally:
            late.cancel()
            if self._killing is not None:
                self._killing.cancel()
            self._process = self._killing = None
        end(code)

    def _note_step(self, job: Job, step: str) -> None:
        if self._is_newest(job) and self.newest is not None:
            self.newest = replace(self.newest, step=printable(step)[:200])

    def _note_output(self, job: Job, line: str) -> None:
        if job.verb == KEEPS_SOUND and self._is_newest(job) and self.newest is not None:
            sound = (self.newest.sound or RecordedSound()).after(line)
            self.newest = replace(self.newest, sound=sound)

    def _is_newest(self, job: Job) -> bool:
        return self.newest is not None and self.newest.begun == job.begun

    def _end(
        self, job: Job, code: int, *, output: str = "", errors: str = "", problem: str | None = None
    ) -> None:
        current = self.newest if self.newest is not None and self._is_newest(job) else job
        succeeded = code == 0 or replace(current, output=output, succeeded=True).trained is not None
        if succeeded:  # a version that is in use cannot be taken back
            problem = None
        elif current.is_closed:
            problem = current.ended_with_page()
        elif problem is None and not current.is_stopping:
            problem = failure(current, errors, code)
        warnings = [
            line.partition(": ")[2]
            for line in errors.splitlines()
            if line.startswith(("warning: ", "notice: "))
        ]
        self.newest = replace(
            current,
            ended=datetime.now(UTC),
            succeeded=succeeded,
            output=output,
            warnings=tuple(warnings),
            problem=problem,
        )
        self._file.write(self.newest)
        if succeeded and job.verb in CHANGES_MODELS:
            self._on_change()


class _Tail:
    """The last part of a stream; each line that is not too long is passed on when it is complete.

    Args:
        on_line: Takes a line.

    """

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._kept = b""

    @property
    def text(self) -> str:
        """What was read last."""
        return self._kept.decode(errors="replace")

    async def read(self, stream: asyncio.StreamReader | None) -> None:
        """Read a stream to its end."""
        rest = b""
        while stream is not None and (data := await stream.read(1 << 14)):
            self._kept = (self._kept + data)[-_KEPT_BYTES:]
            *lines, rest = (rest + data).split(b"\n")
            rest = rest[-_LINE_BYTES:]
            for line in lines:
                if line.strip():
                    self._on_line(line.decode(errors="replace").strip())
