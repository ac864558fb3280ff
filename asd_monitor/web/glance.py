"""The first page: all machines and the box at a glance."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from asd_monitor.web.live_state import LiveState
from asd_monitor.web.rendering import Pages
from asd_monitor.web.sparkline import spark_of
from asd_monitor.web.summaries import box_summary, by_urgency, machine_summary


class Glance:
    """The page of all machines."""

    def __init__(self, live: LiveState, pages: Pages) -> None:
        self._live = live
        self._pages = pages

    async def show(self, request: Request) -> Response:
        """Show all machines, those that need attention first."""
        now = datetime.now(UTC)
        return self._pages.page(
            request,
            "glance.html",
            machines=by_urgency([machine_summary(each) for each in self._live.shown()]),
            sparks={each.id: spark_of(each, now) for each in self._live.shown()},
            summary=box_summary(self._live),
        )
