"""The buttons: forms about alarms and machines, answered by a redirect to their page."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from asd_monitor.errors import AsdMonitorError, UsageError
from asd_monitor.journal.content import JournalContent
from asd_monitor.web.access_token import Access
from asd_monitor.web.alarm_pages import AlarmPages
from asd_monitor.web.forms import ForeignFormError, read_form
from asd_monitor.web.journal_view import JournalView
from asd_monitor.web.machine_page import MachinePage
from asd_monitor.web.requests import Asking, asked_request
from asd_monitor.web.visitor_name import keep_visitor_name


class AlarmActions:
    """Takes the forms of the pages of alarms and machines.

    Args:
        journal: Has the alarms.
        asking: Asks the daemon.
        access: Checks that the forms are of this page.
        alarms: Shows an alarm with what is wrong with its form.
        machines: Shows a machine.

    """

    def __init__(
        self,
        journal: JournalView,
        asking: Asking,
        access: Access,
        alarms: AlarmPages,
        machines: MachinePage,
    ) -> None:
        self._journal = journal
        self._asking = asking
        self._access = access
        self._alarms = alarms
        self._machines = machines

    async def of_alarm(self, request: Request) -> Response:
        """Take a form about an alarm."""
        alarm, verb = request.path_params["alarm"], request.path_params["verb"]

        def machine_of(content: JournalContent | None) -> str | None:
            known = () if content is None else content.alarms
            return next((each.machine for each in known if each.id == alarm), None)

        try:
            fields = await read_form(request, self._access)
            machine = await self._journal.read(machine_of)
            if machine is None:
                return await self._alarms.answer(request)
            asked = asked_request(verb, machine, alarm, fields, datetime.now(UTC))
            await self._asking.ask(asked)
        except AsdMonitorError as error:
            return await self._alarms.answer(request, _sentence(error), _status(error))
        return _redirect(f"/alarms/{quote(alarm)}?request={asked.id}", asked.who)

    async def of_machine(self, request: Request) -> Response:
        """Take a form about a machine."""
        machine, verb = request.path_params["machine"], request.path_params["verb"]
        try:
            fields = await read_form(request, self._access)
            asked = asked_request(verb, machine, None, fields, datetime.now(UTC))
            await self._asking.ask(asked)
        except AsdMonitorError as error:
            return await self._machines.answer(request, _sentence(error), _status(error))
        return _redirect(f"/machines/{quote(machine)}?request={asked.id}", asked.who)


def _redirect(address: str, who: str) -> Response:
    response = RedirectResponse(f"{address}#outcome", 303)
    keep_visitor_name(response, who)
    return response


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."


def _status(error: Exception) -> int:
    if isinstance(error, ForeignFormError):
        return 403
    return 400 if isinstance(error, UsageError) else 503
