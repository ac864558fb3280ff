"""The commands of `asd-monitor alarms` that ask the daemon for a change.

Each adds a request to the journal of the state folder.  A running daemon applies it, and its answer
is printed; without one it is applied at the next start.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asd_monitor.cli.command_group import CommandGroup
from asd_monitor.cli.options import StateDir, machine_option
from asd_monitor.errors import OperationError, UsageError
from asd_monitor.names import check_id
from asd_monitor.wording import printable, quoted, rfc3339

if TYPE_CHECKING:
    from asd_monitor.journal.alarm_records import AlarmRecord
    from asd_monitor.journal.content import JournalContent
    from asd_monitor.journal.requests import Request

_AT_ONCE = 100  # requests in one transaction, which the daemon applies between two blocks of sound
_UNITS_S = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_FAR_S = 1e9  # longer periods are none of a shelf, and not of the calendar either

_ID_HELP = "Id of the alarm, as `asd-monitor alarms list` has it."
AlarmId = Annotated[str, typer.Argument(metavar="ID", help=_ID_HELP)]
OptionalAlarmId = Annotated[
    str | None, typer.Argument(metavar="ID", help=_ID_HELP, show_default=False)
]
Machine = Annotated[str, typer.Argument(metavar="MACHINE", help="Id of the machine.")]
Who = Annotated[
    str | None, typer.Option(metavar="NAME", help="Name of the person.", show_default="the user")
]
Why = Annotated[
    str | None, typer.Option(metavar="TEXT", help="Reason, for whoever reads it later.")
]


def add_request_commands(app: CommandGroup) -> None:
    """Add the commands to a group."""
    commands: dict[str, tuple[Callable[..., None], str]] = {
        "ack": (ack, "Acknowledge an alarm, or all alarms of a machine."),
        "shelve": (shelve, "Hide an alarm until a time."),
        "unshelve": (unshelve, "End the shelving of an alarm, which acknowledges it."),
        "out-of-service": (out_of_service, "Hide the alarms of a machine during maintenance."),
        "in-service": (in_service, "Return a machine to service."),
        "label": (label, "Label an alarm valid or invalid."),
    }
    for name, (command, short_help) in commands.items():
        app.command(name, short_help=short_help)(command)


def ack(
    state: StateDir,
    alarm: OptionalAlarmId = None,
    machine: Annotated[str | None, machine_option("All alarms of this machine.")] = None,
    why: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Cause found, or work done.")
    ] = None,
    who: Who = None,
) -> None:
    """Acknowledge an alarm, or all alarms of a machine; latched alarms can then clear."""
    if (alarm is None) == (machine is None):
        raise UsageError(
            "give either the ID of an alarm, or --machine M for all of a machine: "
            "`asd-monitor alarms list` has both"
        )
    check_texts(why, who)
    content = journal_of(state)
    if alarm is not None:
        wanted = [content.alarm(alarm)]
    else:
        content.check_machine(machine or "")
        wanted = [
            each
            for each in content.alarms
            if each.machine == machine and not each.closed and not each.acknowledged
        ]
    if not wanted:
        typer.echo(f"{state}: {machine} has no alarm to acknowledge", err=True)
    requests = [new_request("ack", record.machine, who, why, alarm=record) for record in wanted]
    ask(state, requests)


def shelve(
    alarm: AlarmId,
    state: StateDir,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="End of the shelving, as 2026-11-23T06:00 (local) or with its zone.",
        ),
    ] = None,
    period: Annotated[
        str | None,
        typer.Option("--for", metavar="PERIOD", help="Period of the shelving: 30m, 2h, 3d."),
    ] = None,
    *,
    why: Why = None,
    who: Who = None,
) -> None:
    """Hide an alarm until a time, a minute to seven days ahead; its sound is still evaluated."""
    if (until is None) == (period is None):
        raise UsageError("say until when: --until TIME, or --for PERIOD such as 2h")
    if not why:
        raise UsageError("say why the alarm is shelved: --why TEXT")
    check_texts(why, who)
    now = datetime.now(UTC)
    end = now + _period(period) if period is not None else local_time(until or "")
    _check_shelf(end, now)
    record = journal_of(state).alarm(alarm)
    arguments = {"until": rfc3339(end)}
    shelving = new_request("shelve", record.machine, who, why, alarm=record, arguments=arguments)
    ask(state, [replace(shelving, time=now)])  # of which the period is counted


def unshelve(alarm: AlarmId, state: StateDir, why: Why = None, who: Who = None) -> None:
    """End the shelving of an alarm before its time, which acknowledges it."""
    check_texts(why, who)
    record = journal_of(state).alarm(alarm)
    ask(state, [new_request("unshelve", record.machine, who, why, alarm=record)])


def out_of_service(machine: Machine, state: StateDir, why: Why = None, who: Who = None) -> None:
    """Hide the alarms of a machine during maintenance; none is raised until it is in service."""
    if not why:
        raise UsageError("say why the machine is out of service: --why TEXT")
    check_texts(why, who)
    journal_of(state).check_machine(check_id(machine))
    ask(state, [new_request("out-of-service", machine, who, why)])


def in_service(machine: Machine, state: StateDir, why: Why = None, who: Who = None) -> None:
    """Return a machine to service: its alarm is shown again, and alarms are raised."""
    check_texts(why, who)
    journal_of(state).check_machine(check_id(machine))
    ask(state, [new_request("in-service", machine, who, why)])


def label(
    alarm: AlarmId,
    value: Annotated[str, typer.Argument(metavar="valid|invalid", help="The label.")],
    state: StateDir,
    why: Why = None,
    who: Who = None,
) -> None:
    """Label an alarm: valid where the machine had a fault or needed attention, else invalid."""
    from asd_monitor.journal.request_decisions import LABELS

    if value not in LABELS:
        raise UsageError(f"{quoted(value)} is not a label: write valid or invalid")
    check_texts(why, who)
    record = journal_of(state).alarm(alarm)
    arguments = {"label": value}
    ask(state, [new_request("label", record.machine, who, why, alarm=record, arguments=arguments)])


def journal_of(state: Path) -> JournalContent:
    """Return the journal of a state folder.  Raises `UsageError` where it has none."""
    from asd_monitor.journal.commands import read_journal

    content = read_journal(state)
    if content is None:
        raise no_alarms(state)
    return content


def no_alarms(state: Path) -> UsageError:
    """Return the error of a state folder without a journal."""
    return UsageError(no_alarms_text(state))


def no_alarms_text(state: Path) -> str:
    """Return what is said of a state folder without a journal."""
    from asd_monitor.cli.known_places import state_hint

    named = state_hint(state)
    remedy = "name its state folder with --state" if named is None else f"add {named}, with sudo"
    return f"{state}: no daemon has written alarms here yet: {remedy}"


def new_request(
    verb: str,
    machine: str,
    who: str | None,
    why: str | None,
    *,
    alarm: AlarmRecord | None = None,
    arguments: dict[str, str] | None = None,
) -> Request:
    """Return a request of a person, by default of the user."""
    from asd_monitor.journal.requests import Request, Verb

    return Request(
        Verb(verb),
        machine,
        who or _user(),
        datetime.now(UTC),
        alarm_id=None if alarm is None else alarm.id,
        why=why,
        arguments=arguments or {},
    )


def ask(state: Path, requests: list[Request]) -> None:
    """Add requests, and print the answers.  Raises `OperationError` where one is refused."""
    from asd_monitor.daemon.state_lock import is_in_use
    from asd_monitor.journal.asked import ANSWER_S, awaited_outcome, waiting_text
    from asd_monitor.journal.commands import make_request
    from asd_monitor.journal.journal_file import FILE_NAME

    if not (state / FILE_NAME).exists():
        raise no_alarms(state)
    is_running = is_in_use(state)
    wait_s = ANSWER_S
    refused = []
    for begin in range(0, len(requests), _AT_ONCE):
        portion = requests[begin : begin + _AT_ONCE]
        make_request(state, *portion)
        for request in portion:
            answer = awaited_outcome(state, request, wait_s) if is_running else None
            if answer is None:
                wait_s = 0.0  # the others wait for the same
                typer.echo(waiting_text(request, is_running=is_running))
            elif answer.accepted:
                typer.echo(printable(answer.outcome or ""))
            else:
                refused.append(printable(answer.outcome or ""))
    if refused:
        raise OperationError("; ".join(refused))


def check_texts(*texts: str | None) -> None:
    """Raise `UsageError` for bytes of the command line that are not UTF-8."""
    for text in texts:
        try:
            (text or "").encode()
        except UnicodeEncodeError as error:
            raise UsageError(
                f"{quoted(text)}: this is not valid text: write it in UTF-8"
            ) from error


def _period(text: str) -> timedelta:
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    try:
        seconds = float(number) * _UNITS_S[text[len(number) :].strip()]
        return timedelta(seconds=max(-_FAR_S, min(_FAR_S, seconds)))
    except (ValueError, KeyError) as error:
        raise UsageError(
            f"{quoted(text)} is not a period: write a number and its unit, as 30m, 2h or 3d"
        ) from error


def local_time(text: str) -> datetime:
    """Return a time (UTC) from text; without a zone it is local.  Raises `UsageError`."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"{quoted(text)} is not a time: write 2026-11-23T06:00, or 2026-11-23T05:00Z"
        ) from error


def _check_shelf(until: datetime, now: datetime) -> None:
    from asd_monitor.journal.request_decisions import problem_of_shelf

    problem = problem_of_shelf(until, now, now)
    if problem is not None:
        raise UsageError(problem)


def _user() -> str:
    """Return the name of the user, also of the one who called sudo."""
    sudo = os.environ.get("SUDO_USER")
    if sudo:
        return sudo
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name
        return str(os.getuid())
