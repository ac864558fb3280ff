"""`asd-monitor alarms`: the alarms of a state folder, also while the daemon runs."""

from __future__ import annotations

import getpass
import json
import os
import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asd_monitor.cli.options import AsJson, StateDir
from asd_monitor.errors import UsageError

if TYPE_CHECKING:
    from asd_monitor.journal.alarm_records import AlarmRecord, Event

app = typer.Typer(
    name="alarms",
    help="The alarms of a state folder, also while the daemon runs.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

OneMachine = Annotated[
    str | None, typer.Option("--machine", "-m", help="Only this machine's.", show_default=False)
]
AlarmId = Annotated[str, typer.Argument(metavar="ID", help="The alarm's id.")]


@app.command("list", short_help="Print the alarms that need somebody, the newest first.")
def list_alarms(
    state: StateDir,
    machine: OneMachine = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Also those that are done with.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the alarms that stand or that nobody acknowledged, the newest first."""
    from asd_monitor.journal.store import Journal

    journal = Journal.existing(state)
    records: list[AlarmRecord] = []
    if journal is not None:
        with journal:
            records = journal.alarms(machine, every=every)
    if as_json:
        typer.echo(json.dumps([_as_json(record) for record in records], indent=2))
        return
    if journal is None:
        typer.echo(f"no daemon has kept alarms in {state} yet", err=True)
        return
    if not records:
        what = "alarms" if every else "alarms that need anybody"
        where = f"{state}" if machine is None else f"{state} for {machine}"
        typer.echo(f"no {what} in {where}", err=True)
        return
    rows = [("ID", "RAISED (UTC)", "STATE", "PEAK", "ACKNOWLEDGED BY")]
    rows += [
        (
            record.id,
            f"{record.raised:%Y-%m-%d %H:%M:%S}",
            _state(record),
            f"{record.peak_score:.1f}",
            record.who or "",
        )
        for record in records
    ]
    _print_table(rows)


@app.command()
def show(alarm: AlarmId, state: StateDir, *, as_json: AsJson = False) -> None:
    """Print one alarm and what happened to it."""
    from asd_monitor.journal.store import Journal

    journal = Journal.existing(state)
    if journal is None:
        raise _none_yet(state)
    with journal:
        record = journal.alarm(alarm)
        events = journal.events(alarm)
    if as_json:
        told = _as_json(record) | {"events": [_event_as_json(event) for event in events]}
        typer.echo(json.dumps(told, indent=2))
        return
    typer.echo(f"{record.id}: {_state(record)}")
    facts = [
        ("machine", record.machine),
        ("raised", _time(record.raised)),
        ("cleared", _time(record.cleared)),
        ("acknowledged", _time(record.acknowledged_at)),
        ("by", record.who),
        ("because", record.why),
        ("peak score", f"{record.peak_score:.2f}"),
        ("model", record.model),
    ]
    for name, value in facts:
        if value:
            typer.echo(f"  {name:<13}{value}")
    for event in events:
        who = f", by {event.who}" if event.who else ""
        line = f"{_time(event.time)}  {event.before} → {event.after}{who}: {event.why}"
        typer.echo(textwrap.indent(line, "  "))


@app.command(short_help="Acknowledge an alarm, or all of a machine.")
def ack(
    state: StateDir,
    alarm: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="The alarm's id.", show_default=False)
    ] = None,
    machine: Annotated[
        str | None,
        typer.Option("--machine", "-m", help="All of this machine's.", show_default=False),
    ] = None,
    why: Annotated[str | None, typer.Option(help="What you found or did.")] = None,
    who: Annotated[
        str | None, typer.Option(help="Who acknowledges.", show_default="the user")
    ] = None,
) -> None:
    """Acknowledge an alarm, or all of a machine: a latched one can then clear."""
    from asd_monitor.journal.store import Journal

    if (alarm is None) == (machine is None):
        raise UsageError("say which alarm: give its ID, or --machine M for all of a machine")
    journal = Journal.existing(state)
    if journal is None:
        raise _none_yet(state)
    with journal:
        if alarm is not None:
            wanted = [journal.alarm(alarm)]
        else:
            wanted = [a for a in journal.alarms(machine) if not a.acknowledged]
        if not wanted:
            typer.echo(f"{machine} has no alarm to acknowledge in {state}", err=True)
        for record in wanted:
            if record.acknowledged:
                by = f"{record.who}, {_time(record.acknowledged_at)}"
                typer.echo(f"{record.id}: acknowledged already by {by}", err=True)
                continue
            signed = journal.acknowledge(record.id, who or _user(), why, datetime.now(UTC))
            typer.echo(f"{signed.id}: acknowledged by {signed.who}")


def _none_yet(state: Path) -> UsageError:
    return UsageError(
        f"{state} holds no alarms yet: is it the state folder of the daemon? Choose it with --state"
    )


def _user() -> str:
    """Return who sits there, behind sudo too."""
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
        return "active, sound is calm" if record.latched else "ACTIVE"
    return "cleared" if record.acknowledged else "cleared, not acknowledged"


def _time(time: datetime | None) -> str | None:
    from asd_monitor.journal.alarm_records import text_of

    return text_of(time)


def _as_json(record: AlarmRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "machine": record.machine,
        "active": record.active,
        "acknowledged": record.acknowledged,
        "shelved": False,
        "latched": record.latched,
        "severity": record.severity,
        "raised": _time(record.raised),
        "cleared": _time(record.cleared),
        "acknowledged_at": _time(record.acknowledged_at),
        "who": record.who,
        "why": record.why,
        "peak_score": record.peak_score,
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


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())
