"""`asd-monitor models`: the versions of the machines' models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from asd_monitor.cli.options import AsJson, Machine, ModelsDir, default_models_dir

app = typer.Typer(help="Versions of the trained models.", no_args_is_help=True)

OneOf = Annotated[
    str, typer.Option("--version", help="The version, such as v2.", show_default=False)
]
Version = Annotated[
    str | None,
    typer.Option("--version", help="The version, such as v2.", show_default="the current one"),
]


@app.command("list", short_help="List the versions and check each.")
def list_versions(
    models: ModelsDir,
    machine: Annotated[
        str | None, typer.Option("--machine", "-m", help="Only this one.", show_default="all")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List the versions and check each; the exit code is 1 when one is damaged."""
    from asd_monitor.model_store.catalogue import entries
    from asd_monitor.names import check_id

    if machine is not None:
        check_id(machine)
    # before the first training nobody has made the default folder; another was named wrongly
    begun = models != default_models_dir() or models.exists()
    found = [entry.to_json() for entry in entries(models, machine)] if begun else []
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
    elif found:
        _show_versions(found)
    damaged = [row for row in found if row["problem"] is not None]
    for row in damaged:
        typer.echo(f"asd-monitor: {row['machine']} {row['version']}: {row['problem']}", err=True)
    if damaged:
        raise typer.Exit(1)
    if not found and not as_json:
        of = f"of {machine} " if machine else ""
        typer.echo(f"No model {of}in {models}: `asd-monitor train` makes one.", err=True)


def _show_versions(found: list[dict[str, Any]]) -> None:
    from rich.table import Table

    from asd_monitor.cli.console import result_console
    from asd_monitor.wording import count

    table = Table("machine", "version", "in use", "trained (UTC)", "learned", "state")
    for row in found:
        table.add_row(
            row["machine"],
            row["version"],
            "yes" if row["current"] else "",
            (row["trained"] or "?")[:16].replace("T", " "),
            "?"
            if row["seconds"] is None
            else f"{row['seconds']:.0f} s, {count(row['files'], 'file')}",
            "ok" if row["problem"] is None else "damaged",
        )
    result_console().print(table)


@app.command()
def show(
    machine: Machine, models: ModelsDir, version: Version = None, *, as_json: AsJson = False
) -> None:
    """Tell what a version is and what it was trained on."""
    from asd_monitor.model_store.bundle import load_bundle
    from asd_monitor.names import check_id

    check_id(machine)
    check_version(version)
    bundle = load_bundle(models, machine, version)
    manifest = bundle.manifest
    if as_json:
        typer.echo(json.dumps(manifest, ensure_ascii=False))
        return
    folder = models / machine / bundle.version
    detector = bundle.detector
    lines = [
        ("machine", machine),
        ("version", bundle.version),
        ("trained", manifest.get("trained", "?")),
        ("by", f"asd-monitor {manifest.get('package', '?')}"),
        ("listens at", f"{detector.rate_hz} Hz, windows of {detector.window_s:.3f} s every "
                       f"{detector.hop_s:.3f} s"),
        ("views", ", ".join(view.kind.name for view in detector.views)),
    ]  # fmt: skip
    lines += [
        ("network", f"{encoder.name}  {encoder.card.licence}  sha256 {encoder.sha256[:12]}…")
        for encoder in detector.encoders
    ]
    if detector.idle_dbfs is not None:
        lines.append(("off", f"{detector.idle_dbfs[0]:.0f} to {detector.idle_dbfs[1]:.0f} dBFS"))
    if "training" in manifest:
        training = manifest["training"]
        lines.append(("learned", f"{training['seconds']:.0f} s, {training['windows']} windows"))
        lines += [
            ("", f"{file['name']}  {file['seconds']:.0f} s  {file['modified'][:16]}  "
                 f"sha256 {file['sha256'][:12]}…")
            for file in training["files"]
        ]  # fmt: skip
    if "thresholds" in manifest:
        thresholds = manifest["thresholds"]
        lines += [
            ("alarm", f"at {thresholds['alarm']:.2f} ({thresholds['false_alarms']})"),
            ("warning", f"at {thresholds['warning']:.2f} ({thresholds['warnings']})"),
        ]
    lines += [("warning" if not n else "", text) for n, text in enumerate(manifest["warnings"])] \
        if manifest.get("warnings") else []  # fmt: skip
    if (folder / "report.html").exists():
        lines.append(("report", str(folder / "report.html")))
    for name, text in lines:
        typer.echo(f"{name:<11}{text}")


@app.command()
def promote(machine: Machine, version: OneOf, models: ModelsDir) -> None:
    """Make a version the one in use."""
    from asd_monitor.model_store.catalogue import promote as make_current
    from asd_monitor.names import check_id

    check_id(machine)
    check_version(version)
    make_current(models, machine, version)
    typer.echo(f"{machine} uses {version}; a running daemon takes it up at SIGHUP.")


@app.command()
def rollback(machine: Machine, models: ModelsDir) -> None:
    """Go back to the version before the one in use."""
    from asd_monitor.model_store.catalogue import rollback as go_back
    from asd_monitor.names import check_id

    bundle = go_back(models, check_id(machine))
    typer.echo(f"{machine} uses {bundle.version}; a running daemon takes it up at SIGHUP.")


@app.command(short_help="Copy a version into another models folder, in use there.")
def export(
    folder: Annotated[Path, typer.Argument(help="Another models folder.", show_default=False)],
    machine: Machine,
    models: ModelsDir,
    version: Version = None,
) -> None:
    """Copy a version into another models folder and make it the one in use there."""
    from asd_monitor.model_store.catalogue import export as copy_into
    from asd_monitor.names import check_id

    check_id(machine)
    check_version(version)
    name = copy_into(models, machine, version, folder)
    typer.echo(f"{machine} {name} is in {folder / machine / name} and in use there.")


def check_version(version: str | None) -> None:
    """Refuse what names no version.  Raises UsageError."""
    from asd_monitor.errors import UsageError

    if version is not None and not (version.startswith("v") and version[1:].isdecimal()):
        raise UsageError(f"{version!r} is not a version: they are called v1, v2, …")
