"""`asd-monitor alarms stats`: how many alarms people got, beside the figures of ISA-18.2."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from asd_monitor.cli.alarm_requests import no_alarms
from asd_monitor.cli.options import AsJson, OnlyMachine, StateDir
from asd_monitor.errors import UsageError
from asd_monitor.wording import length

_SHARES = frozenset({"share_of_10_min_over_10", "flood_share", "top_share"})


def stats(
    state: StateDir,
    machine: OnlyMachine = None,
    *,
    days: Annotated[float, typer.Option(metavar="N", help="Days up to now.")] = 30.0,
    as_json: AsJson = False,
) -> None:
    """Print the figures of the alarms, with what ISA-18.2 recommends for one operator position.

    The period begins when the monitoring did, where that is later.
    """
    from asd_monitor.alarm.figures import RECOMMENDED
    from asd_monitor.cli.console import print_rows
    from asd_monitor.journal.commands import read_journal

    if not 0.0 < days <= 36525.0:
        raise UsageError(f"{days:g} is not a number of days: write one above 0, such as 30")
    journal = read_journal(state)
    if journal is None:
        raise no_alarms(state)
    if machine is not None:
        journal.check_machine(machine)
    figures = journal.figures(machine, days=days, now=datetime.now(UTC))
    for text in journal.warnings:
        typer.echo(f"asd-monitor: {text}", err=True)
    if as_json:
        typer.echo(json.dumps(asdict(figures), indent=2))
        return
    values = asdict(figures)
    rows = [("days", f"{figures.days:.1f}", "at least 30")]
    for name, (words, recommended) in RECOMMENDED.items():
        value = _text(name, values[name])
        if name == "top_share" and figures.top_machine is not None:
            value += f" ({figures.top_machine})"
        rows.append((words, value, recommended or ""))
    print_rows(("figure", "value", "ISA-18.2"), rows)


def _text(name: str, value: float | None) -> str:
    if value is None:
        return "too little data"
    if name in _SHARES:
        return f"{value:.1%}"
    if name.endswith("_s"):
        return length(value)
    return str(value) if isinstance(value, int) else f"{value:.2f}"
