"""The addresses of the page, and what answers them."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from asd_monitor.errors import AsdMonitorError, UsageError
from asd_monitor.web.access_token import Access
from asd_monitor.web.alarm_actions import AlarmActions
from asd_monitor.web.alarm_pages import AlarmPages
from asd_monitor.web.event_stream import EventStreams
from asd_monitor.web.evidence_files import EvidenceFiles
from asd_monitor.web.forms import ForeignFormError
from asd_monitor.web.glance import Glance
from asd_monitor.web.guard import Guard
from asd_monitor.web.health import Health
from asd_monitor.web.history import History
from asd_monitor.web.jobs import Jobs
from asd_monitor.web.journal_view import JournalView
from asd_monitor.web.live_state import LiveState
from asd_monitor.web.login import Login
from asd_monitor.web.machine_page import MachinePage
from asd_monitor.web.metrics import Metrics
from asd_monitor.web.model_pages import ModelPages
from asd_monitor.web.record_pages import RecordPages
from asd_monitor.web.rendering import Pages
from asd_monitor.web.requests import Asking

_WHAT = {
    404: "There is no such page.",
    405: "This address does not take that kind of request.",
}


@dataclass(frozen=True, slots=True)
class PageParts:
    """What the application is made of; each has a life of its own."""

    live: LiveState
    access: Access
    streams: EventStreams
    history: History
    jobs: Jobs


def build_app(parts: PageParts) -> Guard:
    """Return the application, behind its guard."""
    live, access, streams = parts.live, parts.access, parts.streams
    pages = Pages(live, access)
    login = Login(pages, access)
    health = Health(live)
    journal = JournalView(Path(live.setup.state))
    asking = Asking(journal.state)
    alarms = AlarmPages(journal, asking, pages)
    machines = MachinePage(live, journal, parts.history, asking, pages)
    models = ModelPages(live, parts.jobs, journal, access, pages)
    recordings = RecordPages(live, parts.jobs, journal, access, pages)
    actions = AlarmActions(journal, asking, access, alarms, machines)

    async def on_error(request: Request, error: Exception) -> Response:
        status, title, text = _problem(error)
        return pages.page(request, "message.html", status, title=title, text=text)

    routes = [
        Route("/", Glance(live, pages).show),
        Route("/stream", streams.all_machines),
        Route("/machines/{machine}", machines.show),
        Route("/machines/{machine}/stream", streams.one_machine),
        Route("/machines/{machine}/{verb}", actions.of_machine, methods=["POST"]),
        Route("/alarms", alarms.show_list),
        Route("/alarms/{alarm}", alarms.show),
        Route("/alarms/{alarm}/{verb}", actions.of_alarm, methods=["POST"]),
        Route("/alarms/{alarm}/evidence/{name}", EvidenceFiles(journal).show),
        Route("/models", models.show),
        Route("/models/{machine}/{verb}", models.act, methods=["POST"]),
        Route("/models/{machine}/{version}/report", models.report),
        Route("/models/{machine}/{version}/{verb}", models.act, methods=["POST"]),
        Route("/recordings", recordings.show),
        Route("/recordings/work", recordings.work),
        Route("/recordings/stop", recordings.stop, methods=["POST"]),
        Route("/recordings/{machine}/record", recordings.record, methods=["POST"]),
        Route("/recordings/{machine}/train", recordings.train, methods=["POST"]),
        Route("/recordings/{machine}/{name}/delete", recordings.delete, methods=["POST"]),
        Route("/login", login.show),
        Route("/login", login.enter, methods=["POST"]),
        Route("/logout", login.leave, methods=["POST"]),
        Route("/healthz", health.healthz),
        Route("/readyz", health.readyz),
        Route("/metrics", Metrics(live, streams, parts.history).show),
        Route("/static/{name}", pages.static),
    ]
    handlers = dict.fromkeys((HTTPException, AsdMonitorError), on_error)
    app = Starlette(routes=routes, exception_handlers=handlers)
    return Guard(app, access, live.setup.listen)


def _problem(error: Exception) -> tuple[int, str, str]:
    """Return status, title and text of the page about an error."""
    if isinstance(error, HTTPException):
        return (
            error.status_code,
            HTTPStatus(error.status_code).phrase,
            _WHAT.get(error.status_code, error.detail),
        )
    if isinstance(error, ForeignFormError):
        return 403, "Not done", str(error)
    if isinstance(error, UsageError):
        return 400, "Not done", str(error)
    return 503, "Not possible now", str(error)
