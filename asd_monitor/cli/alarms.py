"""`asd-monitor alarms`: lists and shows alarms, also while the daemon runs.

The commands that change something are in `asd_monitor.cli.alarm_requests`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asd_monitor.cli.alarm_evidence import evidence_text, find_evidence, open_evidence
from asd_monitor.cli.alarm_marks import mark_normal
from asd_monitor.cli.alarm_requests import AlarmId, add_request_commands, no_alarms, no_alarms_text
from asd_monitor.cli.alarm_stats import stats
from asd_monitor.cli.command_group import CommandGroup
from asd_monitor.cli.options import AsJson, OnlyMachine, StateDir
from asd_monitor.wording import count, named_period, printable, rfc3339

if TYPE_CHECKING:
    from asd_monitor.journal.alarm_records import Event
    from asd_monitor.journal.content import JournalContent
    from asd_monitor.journal.listed_alarms import ListedAlarm

_LISTED = 50  # alarms, where no limit is given
app = CommandGroup("alarms", "List, acknowledge and shelve alarms, also beside the daemon.")


@app.command("list", short_help="List the alarms that are not closed.")
def list_alarms(
    state: StateDir,
    machine: OnlyMachine = None,
    *,
    every: Annotated[
        bool, typer.Option("--all", help="Also closed ones, without a limit.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="So many at most.",
            show_default=f"{_LISTED}; none with --all or --json",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the alarms that are active, hidden or not acknowledged, the newest first."""
    from asd_monitor.journal.commands import read_journal
    from asd_monitor.journal.disk_notices import disk_notices
    from asd_monitor.journal.listed_alarms import listed_alarms

    journal = read_journal(state)
    if limit is None and not (every or as_json):
        limit = _LISTED
    listed: list[ListedAlarm] = []
    if journal is not None:
        if machine is not None:
            journal.check_machine(machine)
        records = journal.newest_alarms(machine, limit=limit, with_closed=every)
        listed = listed_alarms(journal, records, datetime.now(UTC))
    if as_json:
        typer.echo(_json_lines([_as_json(each) for each in listed]))
    elif journal is None:
        typer.echo(no_alarms_text(state), err=True)
    elif listed:
        _print_table(listed)
    else:
        of = "" if machine is None else f" of {machine}"
        which = "" if every else " that is active, hidden or not acknowledged (--all: all)"
        typer.echo(f"{state}: no alarm{of}{which}", err=True)
    if journal is not None and not as_json:
        if limit is not None:
            total = journal.count_alarms(machine, with_closed=every)
            _print_unlisted(total, limit)
        _print_out_of_service(journal, machine)
    _print_warnings(disk_notices(state) if journal is None else journal.warnings)


def _print_unlisted(total: int, limit: int) -> None:
    """Print how many alarms are not listed, where that is so."""
    if total > limit:
        earlier = count(total - limit, "earlier alarm")
        typer.echo(f"asd-monitor: {earlier} not listed: add --limit {total}", err=True)


@app.command()
def show(
    alarm: AlarmId,
    state: StateDir,
    *,
    opens: Annotated[
        bool, typer.Option("--open", help="Open its evidence in the browser.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show one alarm, its events, and where its evidence is."""
    from asd_monitor.journal.commands import read_journal
    from asd_monitor.journal.listed_alarms import listed_alarms

    journal = read_journal(state)
    if journal is None:
        raise no_alarms(state)
    record = journal.alarm(alarm)
    (listed,) = listed_alarms(journal, [record], datetime.now(UTC))
    events = journal.events(alarm)
    _print_warnings(journal.warnings)
    if as_json:
        found = find_evidence(state, record)
        document = _as_json(listed) | {
            "evidence": None if found is None else str(found.folder.relative_to(state)),
            "evidence_bytes": None if found is None else found.bytes,
            "events": [_event_as_json(event) for event in events],
        }
        typer.echo(json.dumps(document, indent=2))
    else:
        _print_alarm(listed, events, evidence_text(state, record))
    if opens:
        open_evidence(state, record)


def _print_alarm(listed: ListedAlarm, events: Sequence[Event], evidence: str | None) -> None:
    record = listed.record
    typer.echo(f"{record.id}: {listed.state}")
    facts = [
        ("machine", record.machine),
        ("raised", _time(record.raised)),
        ("cleared", _time(record.cleared)),
        ("acknowledged", _time(record.acknowledged_at)),
        ("by", record.who),
        ("why", record.why),
        ("shelved until", _time(record.shelved_until)),
        ("reason", record.reason),
        ("peak alarm score", None if record.peak_score is None else f"{record.peak_score:.2f}"),
        ("time scale", None if record.time_scale_s is None else named_period(record.time_scale_s)),
        ("model", record.model),
        ("evidence", evidence),
        ("label", record.label),
        ("labelled by", record.labelled_by),
        ("label, why", record.label_why),
    ]
    for name, value in facts:
        if value:
            typer.echo(f"  {name:<18}{printable(value)}")
    for event in events:
        who = f", by {event.who}" if event.who else ""
        line = f"{_time(event.time)}  {event.before} → {event.after}{who}: {event.why}"
        typer.echo(f"  {printable(line)}")


add_request_commands(app)
app.command("mark-normal", short_help="Mark the sound of an alarm, or of a span, as normal.")(
    mark_normal
)
app.command("stats", short_help="Print the figures of the alarms, beside those of ISA-18.2.")(stats)


def _print_warnings(warnings: list[str]) -> None:
    for text in warnings:
        typer.echo(f"asd-monitor: {text}", err=True)


def _time(time: datetime | None) -> str | None:
    return None if time is None else rfc3339(time)


def _as_json(listed: ListedAlarm) -> dict[str, Any]:
    record = listed.record
    return {
        "id": record.id,
        "machine": record.machine,
        "active": record.active,
        "acknowledged": record.acknowledged,
        "shelved_until": _time(record.shelved_until),
        "suppressed": None,  # of the running daemon: the journal does not know it
        "out_of_service": listed.out_of_service,
        "latched": record.latched,
        "provisional": record.provisional,
        "chattering": listed.chattering,
        "severity": record.severity,
        "raised": _time(record.raised),
        "cleared": _time(record.cleared),
        "acknowledged_at": _time(record.acknowledged_at),
        "who": record.who,
        "why": record.why,
        "peak_alarm_score": record.peak_score,
        "time_scale_s": record.time_scale_s,
        "reason": record.reason,
        "views": dict(record.views),
        "evidence": record.evidence,
        "model": record.model,
        "label": record.label,
        "label_why": record.label_why,
        "labelled_by": record.labelled_by,
    }


def _json_lines(documents: Sequence[dict[str, Any]]) -> str:
    """Return a JSON array with one object a line: an indent takes ten times as long."""
    lines = ",\n".join(json.dumps(document) for document in documents)
    return f"[\n{lines}\n]" if documents else "[]"


def _event_as_json(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "time": _time(event.time),
        "from": event.before,
        "to": event.after,
        "who": event.who,
        "why": event.why,
    }


def _print_out_of_service(journal: JournalContent, machine: str | None) -> None:
    for name, each in sorted(journal.out_of_service.items()):
        if machine in (None, name):
            since = f"since {_time(each.since)} by {each.who}: {each.why}"
            typer.echo(printable(f"{name} is out of service {since}"), err=True)


def _print_table(listed: Sequence[ListedAlarm]) -> None:
    from asd_monitor.cli.console import print_rows

    headings = (
        "id",
        "raised (UTC)",
        "state",
        "peak alarm score",
        "time scale",
        "acknowledged by",
        "reason",
    )
    print_rows(headings, [_cells(each) for each in listed])


def _cells(listed: ListedAlarm) -> list[str]:
    record = listed.record
    first, _, more = (record.reason or "").partition("; ")  # `show` has all of it
    return [
        record.id,
        f"{record.raised:%Y-%m-%d %H:%M:%S}",
        listed.state,
        "" if record.peak_score is None else f"{record.peak_score:.1f}",
        "" if record.time_scale_s is None else named_period(record.time_scale_s),
        printable(record.who or ""),
        printable(first + (" …" if more else "")),
    ]
