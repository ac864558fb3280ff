"""`asd-monitor models export|import|delete`: versions are passed on, taken in and deleted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asd_monitor.cli.command_group import CommandGroup
from asd_monitor.cli.named_model import (
    MachineArgument,
    MachineOption,
    VersionArgument,
    VersionOption,
    named_machine,
    named_version,
    optional_version,
)
from asd_monitor.cli.options import (
    AsJson,
    ModelsDir,
    StateDir,
    check_machine_id,
    check_version,
    is_version,
)
from asd_monitor.cli.reload_hint import print_in_use
from asd_monitor.errors import UsageError

if TYPE_CHECKING:
    from asd_monitor.model_store.labels_file import MachineLabels

SUFFIX = ".tar"
"""The end of the name of an archive; `export` takes another name for that of a models folder."""

_EXPORT = "asd-monitor models export MACHINE [VERSION] FILE.tar"


def add_archive_commands(app: CommandGroup) -> None:
    """Add the commands to a group."""
    commands: dict[str, tuple[Callable[..., None], str]] = {
        "export": (export, "Write a version to one archive."),
        "import": (import_, "Read a version from an archive."),
        "delete": (delete, "Delete a version."),
    }
    for name, (command, short_help) in commands.items():
        app.command(name, short_help=short_help)(command)


def export(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="MACHINE [VERSION] FILE.tar",
            help="Id of the machine; version of the model, else the one in use; the archive.",
            show_default=False,
        ),
    ],
    models: ModelsDir,
    state: StateDir,
    machine_option: MachineOption = None,
    version_option: VersionOption = None,
) -> None:
    """Write a version, its networks and the labels of the machine's alarms to one archive.

    `models import` reads it, also on another computer.
    """
    from datetime import UTC, datetime

    from asd_monitor.cli.known_machine import check_machine
    from asd_monitor.cli.machine_labels import labels_of
    from asd_monitor.journal.journal_file import FILE_NAME
    from asd_monitor.model_store.archive_exchange import export_archive

    *named, name = words
    if len(named) > 2:
        raise UsageError(f"{' '.join(words)}: too many words: write `{_EXPORT}`")
    if named and is_version(name):  # not the folder of earlier versions
        raise UsageError(f"{' '.join(words)}: no file is named: write `{_EXPORT}`")
    file, (machine_word, version_word) = Path(name), (*named, None, None)[:2]
    machine = named_machine(check_machine_id(machine_word), machine_option, _EXPORT)
    version = optional_version(check_version(version_word), version_option, _EXPORT)
    check_machine(models, machine)
    if file.suffix != SUFFIX or file.is_dir():
        _copy_into_folder(file, machine, models, version)
        return
    known = labels_of(state, machine)
    if known.unknown is not None and (state / FILE_NAME).exists():
        typer.echo(f"notice: {known.unknown}", err=True)
    for notice in known.notices:
        typer.echo(f"notice: {notice}", err=True)
    written = export_archive(
        models, machine, version, file, labels=known.said, now=datetime.now(UTC)
    )
    typer.echo(
        f"{file}: {machine} {written.version}, {written.size / 1e6:.1f} MB"
        f"{_with_labels(written.labels)}; read it elsewhere with `asd-monitor models import "
        f"{file.name}`."
    )


def _copy_into_folder(folder: Path, machine: str, models: Path, version: str | None) -> None:
    """Copy a version into another models folder and put it into use there."""
    from asd_monitor.model_store.catalogue import export as copy_into

    name = copy_into(models, machine, version, folder)
    typer.echo(
        "notice: a folder is taken as another models folder, as by earlier versions: name a file "
        "FILE.tar for one archive",
        err=True,
    )
    typer.echo(f"{machine} {name}: copied to {folder / machine / name} and in use there.")


def _with_labels(labels: MachineLabels) -> str:
    from asd_monitor.wording import count

    if not labels:
        return ""
    return (
        f", with {count(len(labels.labels), 'label')} of alarms and "
        f"{count(len(labels.normal_spans), 'span')} marked as normal"
    )


def import_(
    file: Annotated[
        Path,
        typer.Argument(metavar="ARCHIVE", help="The archive.", show_default=False, readable=False),
    ],
    models: ModelsDir,
    state: StateDir,
    *,
    as_json: AsJson = False,
) -> None:
    """Read a version from an archive that `models export` has written.

    Every byte is verified, and the model scores some noise, before anything is added.  It is put
    into use where the machine has no model in use.
    """
    from asd_monitor.cli.json_lines import print_json
    from asd_monitor.model_store.archive_exchange import import_archive
    from asd_monitor.model_store.versions import promote_command
    from asd_monitor.wording import printable, rfc3339

    found = import_archive(models, file)
    machine, version, labels = found.machine, found.version, found.labels
    if as_json:
        print_json(
            {
                "machine": machine,
                "version": version,
                "archived_version": found.archived_version,
                "new": found.is_new,
                "in_use": found.in_use,
                "labels_stored": found.has_labels,
                "labels": [
                    {"alarm_id": each.alarm_id, "label": each.label, "why": each.why}
                    for each in labels.labels
                ],
                "normal_spans": [
                    {"begin": rfc3339(each.begin), "end": rfc3339(each.end), "why": each.why}
                    for each in labels.normal_spans
                ],
            }
        )
        return
    place = f"{models / machine / version}"
    renamed = f", there {found.archived_version}" if version != found.archived_version else ""
    what = "imported" if found.is_new else "is here already"
    with_labels = _with_labels(labels) if found.has_labels else ", with other labels of alarms"
    typer.echo(f"{machine} {version}{renamed}: {what}, {place}{with_labels}.")
    if not found.has_labels:
        typer.echo(
            f"notice: the labels below are those of {file}, and are not stored: delete "
            f"{models / machine / version}/labels.json and import again to exchange them",
            err=True,
        )
    for label in labels.labels:
        why = f": {label.why}" if label.why else ""
        typer.echo(printable(f"  {label.alarm_id}  {label.label} by {label.who}{why}"))
    for span in labels.normal_spans:
        typer.echo(
            printable(
                f"  {rfc3339(span.begin)} to {rfc3339(span.end)}  marked as normal by {span.who}: "
                f"{span.why}"
            )
        )
    if found.in_use:
        print_in_use(machine, version, models, state)
    else:
        typer.echo(
            f"It is not in use: put it into use with `{promote_command(models, machine, version)}`."
        )


def delete(
    models: ModelsDir,
    machine: MachineArgument = None,
    version: VersionArgument = None,
    *,
    machine_option: MachineOption = None,
    version_option: VersionOption = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Also a version that is needed.")
    ] = False,
) -> None:
    """Delete a version, but not the one in use, the one before it, or the trained model of it."""
    from asd_monitor.cli.known_machine import check_machine
    from asd_monitor.model_store.catalogue import version_in_use
    from asd_monitor.model_store.deletion import delete_version
    from asd_monitor.model_store.versions import no_current

    usage = "asd-monitor models delete MACHINE VERSION"
    machine = named_machine(machine, machine_option, usage)
    version = named_version(version, version_option, usage)
    check_machine(models, machine)
    delete_version(models, machine, version, anyway=anyway)
    typer.echo(f"{machine} {version}: deleted.")
    if version_in_use(models, machine) is None:
        typer.echo(f"notice: {no_current(models, machine).reason}", err=True)
