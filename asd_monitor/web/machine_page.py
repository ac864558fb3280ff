"""The page of one machine."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from asd_monitor.web.live_state import LiveState
from asd_monitor.web.rendering import Pages
from asd_monitor.web.summaries import box_summary, machine_summary


class MachinePage:
    """The page of one machine."""

    def __init__(self, live: LiveState, pages: Pages) -> None:
        self._live = live
        self._pages = pages

    async def show(self, request: Request) -> Response:
        """Show a machine."""
        machine = request.path_params["machine"]
        if machine not in self._live.configured:
            return self._pages.page(
                request,
                "message.html",
                404,
                title="No such machine",
                text=f"The configuration has no machine {machine}.",
            )
        return self._pages.page(
            request,
            "machine.html",
            machine=machine_summary(self._live.machine(machine)),
            summary=box_summary(self._live),
        )
