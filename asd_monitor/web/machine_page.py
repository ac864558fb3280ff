"""The page of one machine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response

from asd_monitor.journal.content import JournalContent
from asd_monitor.journal.listed_alarms import ListedAlarm, listed_alarms
from asd_monitor.journal.machine_entries import OutOfService
from asd_monitor.web.history import SPANS, History
from asd_monitor.web.history_chart import level_chart, score_chart
from asd_monitor.web.journal_view import JournalView
from asd_monitor.web.live_state import LiveState
from asd_monitor.web.rendering import Pages
from asd_monitor.web.requests import Asking
from asd_monitor.web.summaries import box_summary, machine_summary
from asd_monitor.web.visitor_name import visitor_name

_ALARMS = 10
_MARKS = 200  # alarms in the chart
_MAX_REQUEST_ID = 64


class MachinePage:
    """The page of one machine."""

    def __init__(
        self,
        live: LiveState,
        journal: JournalView,
        history: History,
        asking: Asking,
        pages: Pages,
    ) -> None:
        self._live = live
        self._history = history
        self._journal = journal
        self._asking = asking
        self._pages = pages

    async def show(self, request: Request) -> Response:
        """Show a machine, and the outcome of what was asked."""
        return await self.answer(request)

    async def answer(
        self, request: Request, problem: str | None = None, status: int = 200
    ) -> Response:
        """Show a machine with what is wrong with a form; None: nothing is."""
        machine = request.path_params["machine"]
        if machine not in self._live.configured:
            return self._pages.page(
                request,
                "message.html",
                404,
                title="No such machine",
                text=f"The configuration has no machine {machine}.",
            )

        def find(content: JournalContent | None) -> tuple[list[ListedAlarm], OutOfService | None]:
            if content is None:
                return [], None
            records = [each for each in content.alarms if each.machine == machine][:_ALARMS]
            alarms = listed_alarms(content, records, datetime.now(UTC))
            return alarms, content.out_of_service.get(machine)

        alarms, out_of_service = await self._journal.read(find)
        now = datetime.now(UTC)
        key = request.query_params.get("span")
        span = next((each for each in SPANS if each.key == key), SPANS[1])
        rows = await self._history.read(machine, span, now)
        begin = now - timedelta(seconds=span.seconds)
        raised = await self._journal.read(lambda content: _raised(content, machine, begin))
        outcome = None
        asked = request.query_params.get("request", "")[:_MAX_REQUEST_ID]
        if asked and problem is None:
            outcome = await self._asking.outcome(asked)
        return self._pages.page(
            request,
            "machine.html",
            status,
            machine=machine_summary(self._live.machine(machine)),
            summary=box_summary(self._live),
            alarms=alarms,
            out_of_service=out_of_service,
            outcome=outcome,
            problem=problem,
            span=span,
            spans=SPANS,
            history_note=self._history.note,
            score_chart=score_chart(rows, span, now, raised),
            level_chart=level_chart(rows, span, now),
            who=visitor_name(request),
        )


def _raised(content: JournalContent | None, machine: str, begin: datetime) -> list[datetime]:
    """Return when the alarms of a machine were raised since a time, the newest of them."""
    known = () if content is None else content.alarms
    own = [each.raised for each in known if each.machine == machine and each.raised >= begin]
    return own[:_MARKS]
