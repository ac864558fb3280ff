"""`asd-monitor models refit`: a model extended from live and marked sound."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asd_monitor.cli.alarm_requests import local_time
from asd_monitor.cli.named_model import MachineArgument, MachineOption, named_machine
from asd_monitor.cli.options import AsJson, MachineConfig, ModelsDir, StateDir
from asd_monitor.cli.reload_hint import print_in_use
from asd_monitor.errors import OperationError

if TYPE_CHECKING:
    from asd_monitor.cli.machine_labels import JournalledLabels
    from asd_monitor.config.machine_settings import MachineDefaults
    from asd_monitor.model_training.hand_refit import HandRefit


def refit(
    models: ModelsDir,
    state: StateDir,
    machine: MachineArgument = None,
    *,
    machine_option: MachineOption = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="After a repair: only from sound since this time, as 2026-11-23T06:00.",
        ),
    ] = None,
    config: MachineConfig = None,
    promote: Annotated[bool, typer.Option("--promote", help="Also put it into use.")] = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="With --promote: also where the comparison warns.")
    ] = False,
    automatic: Annotated[bool, typer.Option("--automatic", hidden=True)] = False,
    as_json: AsJson = False,
) -> None:
    """Make a candidate: the model in use, extended from live sound and sound marked as normal.

    It is compared with the model in use on the kept sound of past alarms and on held-out sound, for
    a person to decide; the model in use stays.  The daemon refits by itself in the first days.
    """
    from asd_monitor.cli.known_machine import check_machine
    from asd_monitor.cli.machine_settings import machine_settings
    from asd_monitor.cli.model_comparison import shown_labels

    machine = named_machine(machine, machine_option, "asd-monitor models refit MACHINE")
    check_machine(models, machine)
    settings = machine_settings(machine, config)
    if automatic:
        _refit_automatically(models, state, machine, settings, as_json=as_json)
        return
    begin = None if since is None else local_time(since)
    known = shown_labels(state, machine)
    result = _refit_by_hand(models, state, machine, settings, begin, known=known)
    warnings = result.comparison.warnings()
    if known.unknown is not None:
        warnings.append(known.unknown)
    is_promoted = promote and (anyway or not warnings)
    if is_promoted:
        from asd_monitor.model_store.catalogue import promote as make_current

        make_current(models, machine, result.version)
    _print(models, state, result, in_use=is_promoted, as_json=as_json)
    if promote and not is_promoted:
        raise OperationError(
            f"{machine} {result.version} is not put into use: {'; '.join(warnings)}: look at the "
            "sound, or promote it with --anyway"
        )


def _refit_by_hand(
    models: Path,
    state: Path,
    machine: str,
    settings: MachineDefaults,
    since: datetime | None,
    *,
    known: JournalledLabels,
) -> HandRefit:
    from asd_monitor.cli.progress import shown_progress
    from asd_monitor.model_training.hand_refit import refit_by_hand
    from asd_monitor.model_training.repair_refit import refit_since

    now = datetime.now(UTC)
    with shown_progress() as progress:
        if since is not None:
            return refit_since(
                models,
                state,
                machine,
                settings,
                now,
                since=since,
                labels=known.said.labels,
                progress=progress,
            )
        return refit_by_hand(
            models,
            state,
            machine,
            settings,
            now,
            spans=known.said.normal_spans,
            withdrawn=known.withdrawn,
            labels=known.said.labels,
            progress=progress,
        )


def _print(models: Path, state: Path, result: HandRefit, *, in_use: bool, as_json: bool) -> None:
    from asd_monitor.cli.json_lines import print_json
    from asd_monitor.cli.model_comparison import as_document, print_comparison, state_command

    found = result.comparison
    machine, version = found.machine, result.version
    if as_json:
        print_json(
            {
                "machine": machine,
                "version": version,
                "in_use": in_use,
                "reason": result.reason,
                "moved": result.moved,
                "blocks": result.blocks,
                "admitted": result.admitted,
                "notes": list(result.notes),
                "comparison": as_document(found),
            }
        )
        return
    for note in result.notes:
        typer.echo(f"notice: {note}", err=True)
    print_comparison(found)
    typer.echo(
        f"{machine} {version}: {result.reason}; {result.admitted} learned from, moved by "
        f"{result.moved:.2f}."
    )
    if in_use:
        print_in_use(machine, version, models, state)
    else:
        decision = found.decision(state_command(models, state, found))
        typer.echo(f"It is a candidate and not in use.  {decision}")


def _refit_automatically(
    models: Path, state: Path, machine: str, settings: MachineDefaults, *, as_json: bool
) -> None:
    """Refit for the daemon, and put the result into use unless a person must decide."""
    from dataclasses import asdict

    from asd_monitor.cli.json_lines import print_json
    from asd_monitor.journal.labelled_alarms import labelled_alarms
    from asd_monitor.model_store.versions import promote_command
    from asd_monitor.model_training.refit_run import refit_machine
    from asd_monitor.wording import count

    known = labelled_alarms(state, machine)
    outcome = refit_machine(
        models,
        state,
        machine,
        settings,
        datetime.now(UTC),
        labels=known.labels,
        notices=[] if known.damage is None else [f"labels of alarms are not known: {known.damage}"],
    )
    if as_json:
        print_json(asdict(outcome))
        return
    for note in outcome.notes:
        typer.echo(f"notice: {note}", err=True)
    typer.echo(
        f"{machine} {outcome.version}: {outcome.reason}, {outcome.admitted} of "
        f"{count(outcome.blocks, 'block')} learned from, moved by {outcome.moved:.2f}."
    )
    if outcome.in_use:
        typer.echo(f"{machine} uses {outcome.version}.")
        if outcome.deleted:
            typer.echo(f"Deleted, since newer refits supersede them: {', '.join(outcome.deleted)}.")
    else:
        command = promote_command(models, machine, outcome.version)
        typer.echo(f"It is a candidate and not in use: put it into use with `{command}`.")
