"""The page on which normal sound is recorded and a model is trained from it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from asd_monitor.errors import AsdMonitorError, UsageError
from asd_monitor.web.access_token import Access
from asd_monitor.web.forms import ForeignFormError, read_form
from asd_monitor.web.job import KEEPS_SOUND, Job, new_job
from asd_monitor.web.jobs import Jobs
from asd_monitor.web.journal_view import JournalView
from asd_monitor.web.live_state import LiveState
from asd_monitor.web.recording_progress import RecordedSound
from asd_monitor.web.recordings import MAX_MINUTES, Recording, Recordings
from asd_monitor.web.rendering import Pages
from asd_monitor.wording import count, rfc3339

ADDRESS = "/recordings"
_USE = "use:"
_DEFAULT_MINUTES = 20
_SPARE_S = 600.0  # that a recording may take longer, also twice as long


@dataclass(frozen=True, slots=True)
class RecordedMachine:
    """What is shown of a machine."""

    id: str
    recordings: list[Recording]
    model: str | None
    is_abnormal: bool


class RecordPages:
    """The page, its forms, and the progress for its script.

    Args:
        live: Has the machines.
        jobs: Does what is asked.
        threads: Reads and writes the disk.
        access: Checks that the forms are of this page.
        pages: Renders the page.

    """

    def __init__(
        self, live: LiveState, jobs: Jobs, threads: JournalView, access: Access, pages: Pages
    ) -> None:
        self._live = live
        self._recordings = Recordings(Path(live.setup.state))
        self._jobs = jobs
        self._threads = threads
        self._access = access
        self._pages = pages
        self._acting = asyncio.Lock()  # two persons may press at once

    async def show(self, request: Request) -> Response:
        """Show the newest work, and the recordings of all machines."""
        return await self._answer(request)

    async def work(self, _request: Request) -> Response:
        """Answer with the progress of the work that runs."""
        job = self._jobs.newest
        if job is None or not job.is_running:
            return JSONResponse({"running": False})
        return JSONResponse(
            {
                "running": True,
                "begun": rfc3339(job.begun),
                "progress": progress_text(job),
                "share": job.share,
                "sound": None if job.sound is None else _sound_json(job.sound),
            }
        )

    async def record(self, request: Request) -> Response:
        """Begin a recording."""
        return await self._act(request, self._record)

    async def train(self, request: Request) -> Response:
        """Begin a training."""
        return await self._act(request, self._train)

    async def stop(self, request: Request) -> Response:
        """Stop what runs."""
        return await self._act(request, self._stop)

    async def delete(self, request: Request) -> Response:
        """Delete a recording."""
        return await self._act(request, self._delete)

    async def _act(
        self, request: Request, act: Callable[[Request, dict[str, str]], Awaitable[None]]
    ) -> Response:
        try:
            fields = await read_form(request, self._access)
            machine = request.path_params.get("machine")
            if machine is not None and machine not in self._live.configured:
                raise UsageError(f"the configuration has no machine {machine}")
            async with self._acting:
                await act(request, fields)
        except AsdMonitorError as error:
            status = 403 if isinstance(error, ForeignFormError) else 400
            text = str(error)
            return await self._answer(request, f"{text[:1].upper()}{text[1:]}.", status)
        return RedirectResponse(f"{ADDRESS}#work", 303)

    async def _record(self, request: Request, fields: dict[str, str]) -> None:
        machine = request.path_params["machine"]
        try:
            minutes = float(fields.get("minutes", ""))
        except ValueError as error:
            raise UsageError("write how many minutes are recorded, such as 20") from error
        self._jobs.check_free()
        machines = list(self._live.configured)
        folder = await self._threads.work(
            lambda: self._recordings.begin(machine, minutes, machines, datetime.now(UTC))
        )
        self._jobs.begin(
            new_job(KEEPS_SOUND, machine, None),
            [
                *(KEEPS_SOUND, "--machine", machine, "--minutes", f"{minutes:g}"),
                *("--state", self._live.setup.state, "--output", str(folder), "--json"),
            ],
            limit_s=2 * 60 * minutes + _SPARE_S,
        )

    async def _train(self, request: Request, fields: dict[str, str]) -> None:
        machine = request.path_params["machine"]
        names = [each.removeprefix(_USE) for each in fields if each.startswith(_USE)]
        folders = await self._threads.work(lambda: self._recordings.chosen(machine, names))
        setup = self._live.setup
        config = [] if setup.config is None else ["--config", setup.config]
        normal = [part for folder in folders for part in ("--normal", str(folder))]
        self._jobs.begin(
            new_job("train", machine, None),
            ["train", "--machine", machine, *normal, "--models", setup.models, *config],
        )

    async def _stop(self, _request: Request, _fields: dict[str, str]) -> None:
        self._jobs.stop()

    async def _delete(self, request: Request, _fields: dict[str, str]) -> None:
        machine, name = request.path_params["machine"], request.path_params["name"]
        job = self._jobs.newest
        if job is not None and job.is_running and job.machine == machine and job.is_of_recordings:
            raise UsageError(f"it may be in use ({job.title}): wait for it, or stop it")
        await self._threads.work(lambda: self._recordings.delete(machine, name))

    async def _answer(
        self, request: Request, problem: str | None = None, status: int = 200
    ) -> Response:
        names = list(self._live.configured)
        found = await self._threads.work(
            lambda: [self._recordings.of_machine(each) for each in names]
        )
        machines = [
            self._machine(machine, recordings)
            for machine, recordings in zip(names, found, strict=True)
        ]
        job = self._jobs.newest
        return self._pages.page(
            request,
            "recordings.html",
            status,
            machines=machines,
            job=job,
            progress=None if job is None else progress_text(job),
            kept="" if job is None or job.sound is None else minutes_text(job.sound.recorded_s),
            problem=problem,
            findings=[] if job is None else self._findings(job),
            failure=None if job is None else self._without_folder(job, job.problem or ""),
            most_minutes=MAX_MINUTES,
            usual_minutes=_DEFAULT_MINUTES,
        )

    def _findings(self, job: Job) -> list[str]:
        """Return what a recording or a training has found, one sentence each."""
        sound = job.sound
        of_sound = () if sound is None else (*sound.warnings, *sound.notices)
        return [self._without_folder(job, text) for text in (*job.warnings, *of_sound)]

    def _without_folder(self, job: Job, text: str) -> str:
        """Return a text in which recordings are named as in the list."""
        return text.replace(f"{self._recordings.folder(job.machine)}/", "")

    def _machine(self, machine: str, recordings: list[Recording]) -> RecordedMachine:
        known = self._live.machine(machine)
        return RecordedMachine(
            machine,
            recordings,
            None if known.state is None else known.state.model,
            known.alarm is not None and known.alarm.active,
        )


def progress_text(job: Job) -> str:
    """Return how far work is, in words."""
    if job.is_stopping:
        return "Stopping"
    sound = job.sound
    if job.verb != KEEPS_SOUND:
        return f"{job.step[:1].upper()}{job.step[1:]}"
    if sound is None or sound.total_s is None:
        return "Waiting for the first sound"
    return f"{minutes_text(sound.recorded_s)} of {minutes_text(sound.total_s)} recorded"


def minutes_text(seconds: float) -> str:
    """Return a duration, as in ``3.4 minutes``; below a minute in seconds."""
    if seconds < 60:
        return count(round(seconds), "second")
    return f"{seconds / 60:.1f} minutes".replace(".0 ", " ")


def _sound_json(sound: RecordedSound) -> dict[str, Any]:
    return {
        "share": round(sound.share, 4),
        "level": round(sound.level, 3),
        "rms_dbfs": sound.rms_dbfs,
        "clipped": sound.clipped,
        "coverage": sound.coverage,
        "lacks": sound.lacks,
    }
