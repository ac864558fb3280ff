"""The list of alarms, and the page of one alarm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from asd_monitor.errors import UsageError
from asd_monitor.evidence.package_names import PAGE, SIDECAR
from asd_monitor.evidence.package_paths import package_folder
from asd_monitor.journal.alarm_records import AlarmRecord, Event
from asd_monitor.journal.content import JournalContent
from asd_monitor.journal.listed_alarms import ListedAlarm, listed_alarms
from asd_monitor.web.journal_view import JournalView
from asd_monitor.web.rendering import Pages
from asd_monitor.web.requests import SHELF_HOURS, Asking
from asd_monitor.web.visitor_name import visitor_name
from asd_monitor.wording import count

MAX_LISTED = 300
"""Alarms that are listed of each condition, the newest; of active ones all."""
_MAX_REQUEST_ID = 64


@dataclass(frozen=True, slots=True)
class AlarmDetails:
    """What the page of an alarm shows."""

    listed: ListedAlarm
    events: tuple[Event, ...]
    is_newest: bool
    marked: bool
    """Whether its sound is marked as normal."""
    has_evidence: bool
    warnings: tuple[str, ...]

    @property
    def record(self) -> AlarmRecord:
        """The alarm."""
        return self.listed.record


@dataclass(frozen=True, slots=True)
class AlarmList:
    """What the list of alarms shows."""

    open: Sequence[ListedAlarm] = ()
    """All that are active, hidden or not acknowledged."""
    closed: Sequence[ListedAlarm] = ()
    machine: str | None = None  # whose alarms they are; None: of all machines
    machines: Sequence[str] = ()
    warnings: Sequence[str] = ()


class AlarmPages:
    """The pages of alarms.

    Args:
        journal: Has the alarms.
        asking: Knows the outcome of what was asked.
        pages: Renders them.

    """

    def __init__(self, journal: JournalView, asking: Asking, pages: Pages) -> None:
        self._journal = journal
        self._asking = asking
        self._pages = pages

    async def show_list(self, request: Request) -> Response:
        """Show the alarms, those that need attention first, of one machine where it is given."""
        asked = request.query_params.get("machine")

        def find(content: JournalContent | None) -> AlarmList:
            return AlarmList() if content is None else _alarm_list(content, asked)

        found = await self._journal.read(find)
        return self._pages.page(
            request,
            "alarms.html",
            open=found.open,
            closed=found.closed,
            machine=found.machine,
            machines=found.machines,
            warnings=found.warnings,
        )

    async def show(self, request: Request) -> Response:
        """Show one alarm, and the outcome of what was asked."""
        return await self.answer(request)

    async def answer(
        self, request: Request, problem: str | None = None, status: int = 200
    ) -> Response:
        """Show one alarm with what is wrong with a form; None: nothing is."""
        alarm_id = request.path_params["alarm"]
        try:
            details = await self._journal.read(lambda content: self._details(content, alarm_id))
        except UsageError:
            return self._pages.page(
                request,
                "message.html",
                404,
                title="No such alarm",
                text="It was never raised here, or its record was deleted.",
            )
        outcome = None
        asked = request.query_params.get("request", "")[:_MAX_REQUEST_ID]
        if asked and problem is None:
            outcome = await self._asking.outcome(asked)
        return self._pages.page(
            request,
            "alarm.html",
            status,
            details=details,
            alarm=details.record,
            outcome=outcome,
            problem=problem,
            who=visitor_name(request),
            hours=SHELF_HOURS,
        )

    def _details(self, content: JournalContent | None, alarm_id: str) -> AlarmDetails:
        """Return what is known of an alarm.  Raises UsageError where there is none."""
        if content is None:
            raise UsageError("there is no journal")
        record = content.alarm(alarm_id)
        (listed,) = listed_alarms(content, [record], datetime.now(UTC))
        newest = next(each for each in content.alarms if each.machine == record.machine)
        folder = package_folder(self._journal.state, record.machine, record.id)
        return AlarmDetails(
            listed,
            tuple(content.events(alarm_id)),
            is_newest=newest.id == alarm_id,
            marked=any(span.alarm_id == alarm_id for span in content.normal_spans),
            has_evidence=(folder / SIDECAR).is_file() and (folder / PAGE).is_file(),
            warnings=tuple(content.warnings),
        )


def _alarm_list(content: JournalContent, asked: str | None) -> AlarmList:
    """Return the alarms of a machine, of all where there is no such machine."""
    machine = asked if asked in content.machines else None
    records = [each for each in content.alarms if machine in (None, each.machine)]
    active = sorted((each for each in records if each.active), key=_is_less_urgent)
    over = [each for each in records if not each.active and not each.closed]
    closed = [each for each in records if each.closed]
    warnings = content.warnings
    if len(over) > MAX_LISTED:
        earlier = count(len(over) - MAX_LISTED, "earlier alarm")
        warnings.append(
            f"Not listed: {earlier}, over and not acknowledged; `asd-monitor alarms list` has all."
        )
    now = datetime.now(UTC)
    return AlarmList(
        listed_alarms(content, [*active, *over[:MAX_LISTED]], now),
        listed_alarms(content, closed[:MAX_LISTED], now),
        machine,
        content.machines,
        warnings,
    )


def _is_less_urgent(alarm: AlarmRecord) -> tuple[bool, bool]:
    """Order by whether an alarm is hidden, then by whether a person knows of it."""
    return alarm.shelved or alarm.out_of_service, alarm.acknowledged
