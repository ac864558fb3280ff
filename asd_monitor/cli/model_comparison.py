"""`asd-monitor models compare`, and what else shows or regards a comparison of two models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asd_monitor.cli.named_model import MachineArgument, MachineOption, named_machine
from asd_monitor.cli.options import AsJson, MachineConfig, ModelsDir, StateDir
from asd_monitor.errors import OperationError, UsageError

if TYPE_CHECKING:
    from asd_monitor.cli.machine_labels import JournalledLabels
    from asd_monitor.model_store.bundle import Bundle
    from asd_monitor.model_training.comparison import Comparison

_RISES = {
    (True, True): "as before",
    (True, False): "no more",
    (False, True): "newly",
    (False, False): "with neither",
}


def compare(
    models: ModelsDir,
    state: StateDir,
    machine: MachineArgument = None,
    before: Annotated[
        str | None,
        typer.Argument(metavar="A", help="A version.", show_default="the version in use"),
    ] = None,
    after: Annotated[
        str | None,
        typer.Argument(metavar="B", help="Another one.", show_default="the newest other one"),
    ] = None,
    *,
    machine_option: MachineOption = None,
    config: MachineConfig = None,
    as_json: AsJson = False,
) -> None:
    """Compare two versions on the kept sound of past alarms and on normal sound.

    With one version, the version in use is compared with it.
    """
    from asd_monitor.cli.json_lines import print_json
    from asd_monitor.cli.known_machine import check_machine
    from asd_monitor.cli.machine_settings import machine_settings
    from asd_monitor.cli.progress import shown_progress
    from asd_monitor.model_store.bundle import load_bundle
    from asd_monitor.model_training.version_comparison import compare_versions

    usage = "asd-monitor models compare MACHINE [A] [B]"
    machine = named_machine(machine, machine_option, usage)
    check_machine(models, machine)
    settings = machine_settings(machine, config)
    chosen = _chosen(models, machine, before, after)
    one, other = (load_bundle(models, machine, each) for each in chosen)
    labels = shown_labels(state, machine).labels
    with shown_progress() as progress:
        found = compare_versions(state, settings, one, other, labels=labels, progress=progress)
    if as_json:
        print_json(as_document(found))
        return
    print_comparison(found)
    typer.echo(found.decision(state_command(models, state, found)))


def _chosen(models: Path, machine: str, before: str | None, after: str | None) -> tuple[str, str]:
    """Return the names of the versions to compare.  Raises `UsageError`."""
    from asd_monitor.model_store.catalogue import require_version, version_in_use
    from asd_monitor.model_store.versions import no_current, versions

    for named in (before, after):
        if named is not None:
            require_version(models, machine, named)
    if before is not None and after is not None:
        return before, after
    in_use = version_in_use(models, machine)
    if in_use is None:
        raise no_current(models, machine)
    if before is not None:
        return in_use, before
    others = [each for each in versions(models, machine) if each != in_use]
    if not others:
        raise UsageError(f"{machine} has one version, {in_use}: there is nothing to compare")
    return in_use, others[-1]


def shown_labels(state: Path, machine: str) -> JournalledLabels:
    """Return the labels of a machine; print what is wrong with the journal."""
    from asd_monitor.cli.machine_labels import labels_of

    found = labels_of(state, machine)
    unknown = () if found.unknown is None else (found.unknown,)
    for notice in (*unknown, *found.notices):
        typer.echo(f"notice: {notice}", err=True)
    return found


def check_promotion(models: Path, state: Path, machine: str, version: str) -> None:
    """Raise `OperationError` where the comparison of a candidate warns, by the present labels.

    So it does where these cannot be read.
    """
    from asd_monitor.cli.machine_labels import labels_of
    from asd_monitor.model_store.bundle import load_bundle
    from asd_monitor.model_store.catalogue import require_version

    require_version(models, machine, version)
    found = _stored_comparison(load_bundle(models, machine, version))
    if found is None:
        return
    known = labels_of(state, machine)
    warnings = found.with_labels(known.labels).warnings()
    if known.unknown is not None:
        warnings.append(known.unknown)
    if warnings:
        raise OperationError(
            f"{machine} {version} is not put into use: {'; '.join(warnings)}: see `asd-monitor "
            f"models compare {machine} {version} --models {models} --state {state}`, or promote it "
            "with --anyway"
        )


def _stored_comparison(bundle: Bundle) -> Comparison | None:
    """Return the comparison of a candidate with the version in use at its refit.

    Raises `OperationError` where it cannot be read.
    """
    from asd_monitor.model_training.version_comparison import stored_comparison

    try:
        return stored_comparison(bundle)
    except (KeyError, TypeError, ValueError) as error:
        raise OperationError(
            f"{bundle.machine} {bundle.version} is not put into use: its comparison cannot be read "
            f"({type(error).__name__}: {error}): refit again, or promote it with --anyway"
        ) from error


def state_command(models: Path, state: Path, found: Comparison) -> str:
    """Return the command that puts the other model into use, with the labels of a state folder."""
    from asd_monitor.model_store.versions import promote_command

    return f"{promote_command(models, found.machine, found.after.version)} --state {state}"


def as_document(found: Comparison) -> dict[str, Any]:
    """Return a comparison as JSON."""
    return found.to_json() | {"warnings": found.warnings()}


def print_comparison(found: Comparison) -> None:
    """Print the figures of a comparison, its warnings first."""
    from asd_monitor.cli.console import plain_table, result_console
    from asd_monitor.model_training.comparison import rows
    from asd_monitor.wording import count, printable

    console = result_console()
    for warning in found.warnings():
        typer.echo(f"WARNING: {warning}")
    for note in found.notes:
        typer.echo(f"notice: {printable(note)}", err=True)
    names = found.before.version, found.after.version
    table = plain_table("", *names)
    for row in rows(found):
        table.add_row(*row)
    console.print(table)
    if found.not_measured:
        typer.echo(f"Added faults were not measured: {found.not_measured}.")
    if found.alarms:
        alarms = plain_table("alarm", "label", *(f"score {name}" for name in names), "rises")
        for each in found.alarms:
            scores = f"{each.before:.1f}", f"{each.after:.1f}"
            rises = _RISES[each.rises_before, each.rises_after]
            alarms.add_row(each.alarm_id, each.label or "", *scores, rises)
        console.print(alarms)
    if found.uncompared:
        typer.echo(f"{count(len(found.uncompared), 'alarm')} not monitored again:")
        for uncompared in found.uncompared:
            typer.echo(f"  {printable(uncompared.alarm_id)}: {uncompared.reason}")
