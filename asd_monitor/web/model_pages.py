"""The page of the models: versions, and what a person does with them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from asd_monitor.errors import AsdMonitorError, UsageError
from asd_monitor.limited_reading import read_limited
from asd_monitor.model_store.versions import versions
from asd_monitor.web.access_token import Access
from asd_monitor.web.forms import ForeignFormError, read_form
from asd_monitor.web.job import new_job
from asd_monitor.web.jobs import Jobs
from asd_monitor.web.journal_view import JournalView
from asd_monitor.web.live_state import LiveState
from asd_monitor.web.model_list import REPORT, listed_models
from asd_monitor.web.own_policy import page_with_own_policy
from asd_monitor.web.rendering import Pages

_MAX_REPORT_BYTES = 64 << 20


class ModelPages:
    """The page of the models of all machines, and its forms.

    Args:
        live: Has the machines, and where their models are.
        jobs: Does what is asked.
        threads: Reads files.
        access: Checks that the forms are of this page.
        pages: Renders the page.

    """

    def __init__(
        self, live: LiveState, jobs: Jobs, threads: JournalView, access: Access, pages: Pages
    ) -> None:
        self._live = live
        self._models = Path(live.setup.models)
        self._jobs = jobs
        self._threads = threads
        self._access = access
        self._pages = pages

    async def show(self, request: Request) -> Response:
        """Show all versions, and the newest job."""
        return await self._answer(request)

    async def act(self, request: Request) -> Response:
        """Take a form."""
        machine = request.path_params["machine"]
        version = request.path_params.get("version")
        verb = request.path_params["verb"]
        try:
            fields = await read_form(request, self._access)
            await self._check(machine, version)
            anyway = verb == "promote" and bool(fields.get("anyway"))
            job = new_job(verb, machine, version, anyway=anyway)
            self._jobs.begin(job, self._arguments(verb, machine, version, fields, anyway=anyway))
        except AsdMonitorError as error:
            status = 403 if isinstance(error, ForeignFormError) else 400
            text = str(error)
            return await self._answer(request, f"{text[:1].upper()}{text[1:]}.", status)
        return RedirectResponse("/models#job", 303)

    async def report(self, request: Request) -> Response:
        """Answer with the report of the training of a version."""
        machine, version = request.path_params["machine"], request.path_params["version"]
        try:
            await self._check(machine, version)
            path = self._models / machine / version / REPORT
            content = await self._threads.work(lambda: read_limited(path, _MAX_REPORT_BYTES))
        except (AsdMonitorError, OSError, ValueError):
            return PlainTextResponse("there is no such report\n", 404)
        return page_with_own_policy(content)

    async def _answer(
        self, request: Request, problem: str | None = None, status: int = 200
    ) -> Response:
        machines = list(self._live.configured)
        models = await self._threads.work(lambda: listed_models(self._models, machines))
        job = self._jobs.newest
        response = self._pages.page(
            request, "models.html", status, models=models, job=job, problem=problem
        )
        if job is not None and job.is_running and not job.is_of_recordings and status == 200:
            response.headers["refresh"] = "3; url=/models"
        return response

    async def _check(self, machine: str, version: str | None) -> None:
        """Raise UsageError for what is not configured here, or does not exist."""
        if machine not in self._live.configured:
            raise UsageError(f"the configuration has no machine {machine}")
        if version is not None:
            known = await self._threads.work(lambda: versions(self._models, machine))
            if version not in known:
                raise UsageError(f"{machine} has no version {version}")

    def _arguments(
        self,
        verb: str,
        machine: str,
        version: str | None,
        fields: dict[str, str],
        *,
        anyway: bool,
    ) -> list[str]:
        setup = self._live.setup
        state = ["--state", setup.state]
        config = [] if setup.config is None else ["--config", setup.config]
        options = ["--models", setup.models]
        if verb == "rollback":
            return ["models", verb, "--machine", machine, *options]
        if verb == "promote":
            confirmed = ["--anyway"] if anyway else []
            named = ["--machine", machine, "--version", version or ""]
            return ["models", verb, *named, *options, *state, *confirmed]
        if verb == "compare":
            return ["models", verb, machine, version or "", *options, *state, *config]
        since = _since(fields.get("since", ""))
        after = [] if since is None else ["--since", since]
        return ["models", verb, machine, *state, *options, *config, *after]


def _since(text: str) -> str | None:
    """Return a time of a form as the command takes it.  Raises UsageError."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).isoformat()
    except ValueError as error:
        raise UsageError("write a time, such as 2026-11-23T06:00") from error
