"""`asd-monitor alarms mark-normal`: sound that a person declares to be normal."""

from __future__ import annotations

from typing import Annotated

import typer

from asd_monitor.cli.alarm_requests import (
    OptionalAlarmId,
    Who,
    Why,
    ask,
    check_texts,
    journal_of,
    local_time,
    new_request,
)
from asd_monitor.cli.options import StateDir, machine_option
from asd_monitor.errors import UsageError
from asd_monitor.wording import rfc3339


def mark_normal(
    state: StateDir,
    alarm: OptionalAlarmId = None,
    *,
    machine: Annotated[str | None, machine_option("Machine of the span.")] = None,
    begin: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="TIME",
            help="Begin of the span, as 2026-11-23T06:00 (local) or with its zone.",
        ),
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="End of the span.")
    ] = None,
    why: Why = None,
    who: Who = None,
    withdraw: Annotated[
        bool, typer.Option("--withdraw", help="Withdraw the mark instead.")
    ] = False,
) -> None:
    """Mark the sound of an alarm, or of a machine between two times, as normal.

    The alarm is labelled invalid.  `models refit` makes a candidate that is extended with what is
    kept of this sound; the model in use stays.
    """
    if not why:
        raise UsageError("say why this sound is normal, or is not any more: --why TEXT")
    check_texts(why, who)
    content = journal_of(state)
    arguments = {"withdraw": "true"} if withdraw else {}
    if alarm is not None and (machine, begin, end) == (None, None, None):
        record = content.alarm(alarm)
        asked = new_request(
            "mark-normal", record.machine, who, why, alarm=record, arguments=arguments
        )
    elif alarm is None and machine is not None and begin is not None and end is not None:
        content.check_machine(machine)
        arguments |= {"from": rfc3339(local_time(begin)), "to": rfc3339(local_time(end))}
        asked = new_request("mark-normal", machine, who, why, arguments=arguments)
    else:
        raise UsageError(
            "give either the ID of an alarm, or --machine M with --from TIME and --to TIME"
        )
    ask(state, [asked])
