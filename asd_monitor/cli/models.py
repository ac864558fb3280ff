"""`asd-monitor models`: versions of the machines' models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asd_monitor.cli.command_group import CommandGroup
from asd_monitor.cli.model_archives import add_archive_commands
from asd_monitor.cli.model_comparison import compare
from asd_monitor.cli.model_refit import refit
from asd_monitor.cli.named_model import (
    MachineArgument,
    MachineOption,
    OnlyMachineArgument,
    VersionArgument,
    VersionOption,
    named_machine,
    named_version,
    optional_machine,
    optional_version,
)
from asd_monitor.cli.options import (
    AsJson,
    ModelsDir,
    OnlyMachine,
    StateDir,
    default_models_dir,
)
from asd_monitor.cli.reload_hint import print_in_use

if TYPE_CHECKING:
    from asd_monitor.detector.detector import Detector
    from asd_monitor.model_store.bundle import Bundle

app = CommandGroup("models", "List, extend, compare and choose versions of models.")


@app.command("list", short_help="List and verify the versions of models.")
def list_versions(
    models: ModelsDir,
    machine: OnlyMachineArgument = None,
    *,
    machine_option: OnlyMachine = None,
    as_json: AsJson = False,
) -> None:
    """List and verify the versions of models; exit code 1 when one is damaged."""
    from asd_monitor.cli.json_lines import print_json
    from asd_monitor.cli.known_machine import check_machine
    from asd_monitor.model_store import catalogue

    machine = optional_machine(machine, machine_option, "asd-monitor models list [MACHINE]")
    if machine is not None:
        check_machine(models, machine)
    # the default folder need not exist before the first training; a folder that is named must
    exists = models != default_models_dir() or models.exists()
    found = (
        [entry.to_json() for entry in catalogue.list_versions(models, machine)] if exists else []
    )
    if as_json:
        print_json(found)
    elif found:
        _show_versions(found)
    damaged = [row for row in found if row["problem"] is not None]
    for row in damaged:
        typer.echo(f"asd-monitor: {row['machine']} {row['version']}: {row['problem']}", err=True)
    if damaged:
        raise typer.Exit(1)
    if not found and not as_json:
        of = f" of {machine}" if machine else ""
        there = "" if models == default_models_dir() else f" --models {models}"
        typer.echo(f"{models}: no model{of}: train one with `asd-monitor train{there}`", err=True)


def _show_versions(found: list[dict[str, Any]]) -> None:
    from rich.table import Table

    from asd_monitor.cli.console import result_console
    from asd_monitor.wording import count, printable

    table = Table(
        "machine", "version", "in use", "trained (UTC)", "training data", "reason", "moved", "state"
    )
    for row in found:
        table.add_row(
            row["machine"],
            row["version"],
            "yes" if row["current"] else "",
            printable((row["trained"] or "?")[:16].replace("T", " ")),
            "?"
            if row["seconds"] is None
            else f"{row['seconds']:.0f} s, {count(row['files'], 'file')}",
            printable(row["reason"] or "?"),
            "" if row["moved"] is None else f"{row['moved']:.2f}",
            _version_state(row),
        )
    result_console().print(table)


def _version_state(row: dict[str, Any]) -> str:
    if row["problem"] is not None:
        return "damaged"
    return "candidate" if row["candidate"] and not row["current"] else "ok"


@app.command()
def show(
    models: ModelsDir,
    machine: MachineArgument = None,
    version: VersionArgument = None,
    *,
    machine_option: MachineOption = None,
    version_option: VersionOption = None,
    as_json: AsJson = False,
) -> None:
    """Show a version: its views, training data and thresholds."""
    from asd_monitor.cli.json_lines import print_json
    from asd_monitor.cli.known_machine import check_machine
    from asd_monitor.model_store.bundle import load_bundle
    from asd_monitor.model_store.catalogue import version_in_use
    from asd_monitor.wording import printable

    usage = "asd-monitor models show MACHINE [VERSION]"
    machine = named_machine(machine, machine_option, usage)
    version = optional_version(version, version_option, usage)
    check_machine(models, machine)
    bundle = load_bundle(models, machine, version)
    manifest = bundle.manifest
    if as_json:
        print_json(manifest)
        return
    in_use = bundle.version == version_in_use(models, machine)
    report = models / machine / bundle.version / "report.html"
    for name, text in [
        ("machine", machine),
        ("version", bundle.version),
        *_detector_facts(bundle.detector),
        *_manifest_facts(bundle, in_use=in_use),
        *([("report", str(report))] if report.exists() else []),
    ]:
        typer.echo(f"{name:<12}{printable(text)}")


def _detector_facts(detector: Detector) -> list[tuple[str, str]]:
    facts = [
        (
            "front end",
            f"{detector.rate_hz} Hz, windows of {detector.window_s:.3f} s every "
            f"{detector.hop_s:.3f} s",
        ),
        ("views", ", ".join(view.kind.name for view in detector.views)),
    ]
    facts += [
        ("network", f"{encoder.name}  {encoder.card.licence}  sha256 {encoder.sha256[:12]}…")
        for encoder in detector.encoders
    ]
    if detector.idle_dbfs is not None:
        low, high = detector.idle_dbfs
        facts.append(("idle", f"{low:.0f} to {high:.0f} dBFS"))
    facts.append(("quiet", f"below {detector.quiet_limit_dbfs:.0f} dBFS (`when_quiet`)"))
    facts.append(("microphone", _microphone_fact(detector)))
    return facts


def _microphone_fact(detector: Detector) -> str:
    if detector.microphone is None:
        return "not judged by its spectrum: train again for that"
    from asd_monitor.microphone.spectral_change import SpectralComparison
    from asd_monitor.reports.notices import cover_text
    from asd_monitor.wording import count

    comparison = SpectralComparison(detector.microphone)
    modes = count(len(detector.microphone.typical), "operating mode")
    fact = f"judged by the spectra of {modes}"
    cut_off_hz = comparison.cut_off_hz
    if cut_off_hz is not None:
        fact += f", up to {cut_off_hz / 1000:.1f} kHz"
    return fact if comparison.recognises_covers else f"{fact}; {cover_text(cut_off_hz)}"


def _manifest_facts(bundle: Bundle, *, in_use: bool) -> list[tuple[str, str]]:
    from asd_monitor.alarm.supported_budget import PROVISIONAL

    manifest = bundle.manifest
    facts = [
        ("trained", manifest.get("trained") or "?"),
        ("by", f"asd-monitor {manifest.get('package', '?')}"),
        ("reason", manifest.get("reason") or "?"),
    ]
    if (moved := manifest.get("moved")) is not None:
        candidate = ", a candidate" if manifest["candidate"] else ""
        if candidate:
            decision = "put into use by a person" if in_use else "a person decides on its use"
            candidate = f"{candidate}: {decision}"
        moved_from = manifest.get("moved_from") or "the first model"
        facts.append(("moved", f"{moved:.2f} from {moved_from}{candidate}"))
    if training := manifest.get("training"):
        files = [
            f"{file['name']}  {file['seconds']:.0f} s  {file['modified'][:16]}  "
            f"sha256 {file['sha256'][:12]}…"
            for file in training["files"]
        ]
        total = f"{training['seconds']:.0f} s, {training['windows']} windows"
        facts += _rows("data", [total, *files])
    if thresholds := manifest.get("thresholds"):
        facts += _threshold_facts(thresholds, bundle)
    notices = manifest.get("warnings") or []
    # the budget is stated above, as it is now
    return facts + _rows("notices", [each for each in notices if not each.startswith(PROVISIONAL)])


def _threshold_facts(thresholds: Mapping[str, Any], bundle: Bundle) -> list[tuple[str, str]]:
    """Return the thresholds with the budgets that they are for, and the configured budget."""
    from asd_monitor.alarm.supported_budget import effective_budget, provisional_text
    from asd_monitor.config.quantities import parse_budget
    from asd_monitor.records import AlarmCriteria
    from asd_monitor.wording import count

    hours = bundle.detector.hours
    false_alarms, warnings = thresholds["false_alarms"], thresholds["warnings"]
    criteria = AlarmCriteria(
        parse_budget(false_alarms).per_second, parse_budget(warnings).per_second
    )
    budget = effective_budget(criteria, hours)
    state = f"{false_alarms}, supported by training sound from {count(hours, 'different hour')}"
    if budget.provisional:
        commissioning = bundle.commissioning(bundle.commissioning_days)
        state = provisional_text(budget, false_alarms, commissioning)
        false_alarms, warnings = budget.false_alarms, budget.warnings
    return [
        *_rows(
            "thresholds",
            [
                f"alarm {thresholds['alarm']:.2f} ({false_alarms})",
                f"warning {thresholds['warning']:.2f} ({warnings})",
            ],
        ),
        ("budget", state),
    ]


def _rows(name: str, texts: list[str]) -> list[tuple[str, str]]:
    return [("" if number else name, text) for number, text in enumerate(texts)]


@app.command()
def promote(
    models: ModelsDir,
    state: StateDir,
    machine: MachineArgument = None,
    version: VersionArgument = None,
    *,
    machine_option: MachineOption = None,
    version_option: VersionOption = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Also a candidate whose comparison warns.")
    ] = False,
) -> None:
    """Put a version into use."""
    from asd_monitor.cli.known_machine import check_machine
    from asd_monitor.cli.model_comparison import check_promotion
    from asd_monitor.model_store.catalogue import promote as make_current
    from asd_monitor.model_store.catalogue import version_in_use

    usage = "asd-monitor models promote MACHINE VERSION"
    machine = named_machine(machine, machine_option, usage)
    version = named_version(version, version_option, usage)
    check_machine(models, machine)
    if not anyway and version != version_in_use(models, machine):
        check_promotion(models, state, machine, version)
    make_current(models, machine, version)
    print_in_use(machine, version, models, state)


@app.command()
def rollback(
    models: ModelsDir,
    state: StateDir,
    machine: MachineArgument = None,
    *,
    machine_option: MachineOption = None,
) -> None:
    """Put the version before the present one into use."""
    from asd_monitor.cli.known_machine import check_machine
    from asd_monitor.model_store.catalogue import rollback as go_back

    machine = named_machine(machine, machine_option, "asd-monitor models rollback MACHINE")
    check_machine(models, machine)
    bundle = go_back(models, machine)
    print_in_use(machine, bundle.version, models, state)


app.command("refit", short_help="Extend the model in use from live and marked sound.")(refit)
app.command("compare", short_help="Compare two versions on the machine's kept sound.")(compare)
add_archive_commands(app)
