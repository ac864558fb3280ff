"""`asd-monitor alarms`: lists and acknowledges alarms, also while the daemon runs."""

from __future__ import annotations

import getpass
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asd_monitor.cli.command_group import CommandGroup
from asd_monitor.cli.options import AsJson, OnlyMachine, StateDir
from asd_monitor.errors import UsageError
from asd_monitor.names import check_id
from asd_monitor.wording import named_period, printable, quoted, rfc3339

if TYPE_CHECKING:
    from asd_monitor.journal.alarm_records import AlarmRecord, Event

app = CommandGroup("alarms", "List and acknowledge alarms, also while the daemon runs.")

AlarmId = Annotated[str, typer.Argument(metavar="ID", help="Id of the alarm.")]


@app.command("list", short_help="List the alarms that are active or not acknowledged.")
def list_alarms(
    state: StateDir,
    machine: OnlyMachine = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Also cleared, acknowledged ones.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the alarms that are active or not acknowledged, the newest first."""
    from asd_monitor.journal.commands import disk_notices, read_journal

    journal = read_journal(state)
    records: list[AlarmRecord] = []
    if journal is not None:
        if machine is not None:
            journal.check_machine(machine)
        records = [
            record
            for record in journal.alarms
            if machine in (None, record.machine) and (every or not record.closed)
        ]
    if as_json:
        typer.echo(json.dumps([_as_json(record) for record in records], indent=2))
    elif journal is None:
        typer.echo(f"{state}: no daemon has written alarms here yet", err=True)
    elif records:
        _print_table(records)
    else:
        of = "" if machine is None else f" of {machine}"
        which = "" if every else " that is active or not acknowledged"
        typer.echo(f"{state}: no alarm{of}{which}", err=True)
    _print_warnings(disk_notices(state) if journal is None else journal.warnings)


@app.command()
def show(alarm: AlarmId, state: StateDir, *, as_json: AsJson = False) -> None:
    """Show one alarm and its events."""
    from asd_monitor.journal.commands import read_journal

    journal = read_journal(state)
    if journal is None:
        raise _no_alarms(state)
    record = journal.alarm(alarm)
    events = journal.events(alarm)
    _print_warnings(journal.warnings)
    if as_json:
        document = _as_json(record) | {"events": [_event_as_json(event) for event in events]}
        typer.echo(json.dumps(document, indent=2))
        return
    typer.echo(f"{record.id}: {_state(record)}")
    facts = [
        ("machine", record.machine),
        ("raised", _time(record.raised)),
        ("cleared", _time(record.cleared)),
        ("acknowledged", _time(record.acknowledged_at)),
        ("by", record.who),
        ("reason", record.why),
        ("peak alarm score", None if record.peak_score is None else f"{record.peak_score:.2f}"),
        ("time scale", None if record.time_scale_s is None else named_period(record.time_scale_s)),
        ("model", record.model),
    ]
    for name, value in facts:
        if value:
            typer.echo(f"  {name:<18}{printable(value)}")
    for event in events:
        who = f", by {event.who}" if event.who else ""
        line = f"{_time(event.time)}  {event.before} → {event.after}{who}: {event.why}"
        typer.echo(f"  {printable(line)}")


@app.command(short_help="Acknowledge an alarm, or all alarms of a machine.")
def ack(
    state: StateDir,
    alarm: Annotated[
        str | None, typer.Argument(metavar="ID", help="Id of the alarm.", show_default=False)
    ] = None,
    machine: Annotated[
        str | None,
        typer.Option(
            "--machine",
            "-m",
            metavar="ID",
            help="All alarms of this machine.",
            show_default=False,
        ),
    ] = None,
    why: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Cause found, or work done.")
    ] = None,
    who: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Name of the person.", show_default="the user's name"),
    ] = None,
) -> None:
    """Acknowledge an alarm, or all alarms of a machine; latched alarms can then clear."""
    from asd_monitor.journal.commands import acknowledge_alarm, read_journal

    if (alarm is None) == (machine is None):
        raise UsageError("give either the ID of an alarm, or --machine M for all of a machine")
    name = who or _user()
    for text in (why, name):
        _check_text(text)
    if machine is not None:
        check_id(machine)
    journal = read_journal(state)
    if journal is None:
        raise _no_alarms(state)
    if alarm is not None:
        wanted = [journal.alarm(alarm)]
    else:
        journal.check_machine(machine or "")
        wanted = [a for a in journal.alarms if a.machine == machine and not a.acknowledged]
    if not wanted:
        typer.echo(f"{state}: {machine} has no alarm to acknowledge", err=True)
    for record in wanted:
        if record.acknowledged:
            by = f"{record.who}, {_time(record.acknowledged_at)}"
            typer.echo(printable(f"{record.id}: already acknowledged by {by}"), err=True)
            continue
        updated = acknowledge_alarm(state, record.id, name, why, datetime.now(UTC))
        typer.echo(printable(f"{updated.id}: acknowledged by {updated.who}"))


def _no_alarms(state: Path) -> UsageError:
    return UsageError(
        f"{state}: no daemon has written alarms here yet: name its state folder with --state"
    )


def _check_text(text: str | None) -> None:
    """Raise `UsageError` for bytes of the command line that are not UTF-8."""
    try:
        (text or "").encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{quoted(text)}: this is not valid text: write it in UTF-8") from error


def _print_warnings(warnings: list[str]) -> None:
    for text in warnings:
        typer.echo(f"asd-monitor: {text}", err=True)


def _user() -> str:
    """Return the name of the user, also of the one who called sudo."""
    sudo = os.environ.get("SUDO_USER")
    if sudo:
        return sudo
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name
        return str(os.getuid())


def _state(record: AlarmRecord) -> str:
    if record.active:
        if record.acknowledged:
            return "active, acknowledged"
        return "active, sound is normal" if record.latched else "ACTIVE"
    return "cleared" if record.acknowledged else "cleared, not acknowledged"


def _time(time: datetime | None) -> str | None:
    return None if time is None else rfc3339(time)


def _as_json(record: AlarmRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "machine": record.machine,
        "active": record.active,
        "acknowledged": record.acknowledged,
        "shelved_until": None,
        "latched": record.latched,
        "severity": record.severity,
        "raised": _time(record.raised),
        "cleared": _time(record.cleared),
        "acknowledged_at": _time(record.acknowledged_at),
        "who": record.who,
        "why": record.why,
        "peak_alarm_score": record.peak_score,
        "time_scale_s": record.time_scale_s,
        "evidence": record.evidence,
        "model": record.model,
    }


def _event_as_json(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "time": _time(event.time),
        "from": event.before,
        "to": event.after,
        "who": event.who,
        "why": event.why,
    }


def _print_table(records: list[AlarmRecord]) -> None:
    from asd_monitor.cli.console import plain_table, result_console

    table = plain_table(
        "id", "raised (UTC)", "state", "peak alarm score", "time scale", "acknowledged by"
    )
    for record in records:
        table.add_row(
            record.id,
            f"{record.raised:%Y-%m-%d %H:%M:%S}",
            _state(record),
            "" if record.peak_score is None else f"{record.peak_score:.1f}",
            "" if record.time_scale_s is None else named_period(record.time_scale_s),
            printable(record.who or ""),
        )
    result_console().print(table)
