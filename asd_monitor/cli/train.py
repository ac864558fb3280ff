"""`asd-monitor train`: recordings of normal sound → a new version of a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asd_monitor.cli.json_lines import print_json
from asd_monitor.cli.options import (
    AsJson,
    Channel,
    EncoderFiles,
    Machine,
    ModelsDir,
    NoShippedEncoder,
    StateDir,
    config_option,
)
from asd_monitor.cli.reload_hint import running_reload_command

if TYPE_CHECKING:
    from asd_monitor.config.machine_settings import MachineDefaults
    from asd_monitor.model_training.adaptation_result import Adaptation
    from asd_monitor.model_training.reference import Reference
    from asd_monitor.model_training.training_progress import Progress
    from asd_monitor.model_training.training_run import TrainingResult

NormalPaths = Annotated[
    list[str],
    typer.Option(
        "--normal",
        "-n",
        metavar="PATH…",
        help="Recordings of normal sound: one or several files, folders, patterns.",
        show_default=False,
    ),
]
OtherPaths = Annotated[
    list[str] | None,
    typer.Option(
        "--others",
        metavar="PATH…",
        help="Recordings of other machines for --adapt; one file or folder per machine.",
        show_default="synthetic machines",
    ),
]
ConfigFile = Annotated[
    Path | None,
    config_option("Configuration file with window, hop and budgets of this machine."),
]


def command(
    *,
    machine: Machine,
    normal: NormalPaths,
    models: ModelsDir,
    state: StateDir,
    config: ConfigFile = None,
    channel: Channel = None,
    encoder: EncoderFiles = None,
    no_shipped_encoder: NoShippedEncoder = False,
    adapt: Annotated[
        bool,
        typer.Option(
            "--adapt", help="Adapt the encoder to this machine (extra train); about a minute."
        ),
    ] = False,
    others: OtherPaths = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only check whether the recordings suffice.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train a model of a machine's normal sound: a new version, which is put into use.

    Record the machine in every operating condition, and off if it is ever off: without pauses in
    the recordings, switching it off raises an alarm.
    """
    from dataclasses import replace

    from asd_monitor.cli.machine_settings import machine_settings
    from asd_monitor.cli.progress import shown_progress
    from asd_monitor.encoders.encoder_loading import select_encoders, shipped_encoder
    from asd_monitor.errors import UsageError
    from asd_monitor.extras import TORCH_AND_EXPORT, require_extra
    from asd_monitor.model_training.recording_paths import expand_and_search
    from asd_monitor.model_training.reference import read_reference, require_duration
    from asd_monitor.model_training.training_manifest import check_writable

    if others and not adapt:
        raise UsageError("--others without --adapt has no effect: add --adapt, or omit --others")
    if adapt:
        require_extra("--adapt", TORCH_AND_EXPORT, "omit --adapt")
    settings = machine_settings(machine, config)
    if not check:
        check_writable(models, machine)
    shipped = None if no_shipped_encoder else shipped_encoder()
    encoders = select_encoders(shipped, encoder or ())
    found = expand_and_search(normal)
    with shown_progress() as progress:
        reference = read_reference(
            found.paths,
            window_s=settings.window_s,
            hop_s=settings.hop_s,
            channel=channel,
            encoders=() if check else encoders,
            progress=progress,
        )
        reference = replace(reference, notices=(*found.notices, *reference.notices))
        try:
            require_duration(reference)
        except UsageError:
            if check and as_json:
                _print_check(reference, sufficient=False, as_json=True)
            else:
                _print_notices(reference)
            raise
        if not check:
            adaptation = None
            if adapt:
                reference, adaptation = _adapted(reference, others or [], channel, progress)
            trained, version = train_version(
                machine,
                reference,
                settings,
                models,
                channel=channel,
                progress=progress,
                adaptation=adaptation,
            )
    if check:
        _print_check(reference, sufficient=True, as_json=as_json)
    else:
        _print_result(trained, version, models / machine / version, as_json=as_json)
        if (command := running_reload_command(models, state)) is not None:
            typer.echo(f"The running daemon loads it at `{command}`.", err=True)


def train_version(
    machine: str,
    reference: Reference,
    settings: MachineDefaults,
    models: Path,
    *,
    channel: int | None,
    progress: Progress,
    adaptation: Adaptation | None = None,
) -> tuple[TrainingResult, str]:
    """Train a new version and put it into use; return the result and the version.

    Raises:
        UsageError, OperationError: as `train_model` and `save_model`.

    """
    from datetime import UTC, datetime

    from asd_monitor.model_training.training_manifest import save_model
    from asd_monitor.model_training.training_run import train_model
    from asd_monitor.reports.notices import training_notices
    from asd_monitor.reports.training_report import report_html

    days = settings.commissioning.days
    trained = train_model(
        machine,
        reference,
        settings.alarm,
        channel,
        progress,
        adaptation=adaptation,
        commissioning_days=days,
    )
    version = save_model(
        models,
        trained,
        datetime.now(UTC),
        warnings=training_notices(trained),
        render=report_html,
        commissioning_days=days,
    )
    return trained, version


def _adapted(
    reference: Reference, others: list[str], channel: int | None, progress: Progress
) -> tuple[Reference, Adaptation]:
    from asd_monitor.encoder_training.adaptation import adapt

    return adapt(reference, others, channel, progress=progress)


def _print_notices(reference: Reference) -> None:
    for notice in reference.notices:
        typer.echo(f"notice: {notice}", err=True)


def _warnings(reference: Reference) -> list[str]:
    """Return the findings of a training that the recordings alone show."""
    from asd_monitor.model_training.findings import assess_reference
    from asd_monitor.reports.notices import finding_text

    return [finding_text(finding) for finding in assess_reference(reference)]


def _print_check(reference: Reference, *, sufficient: bool, as_json: bool) -> None:
    from asd_monitor.config.field_types import MIN_TRAINING_S
    from asd_monitor.wording import count, short_duration

    warnings = _warnings(reference)
    if as_json:
        document = {
            "sufficient": sufficient,
            "usable_s": round(reference.usable_s, 3),
            "needed_s": MIN_TRAINING_S,
            "files": len(reference.files),
            "notices": list(reference.notices),
            "warnings": warnings,
        }
        print_json(document)
        return
    _print_notices(reference)
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)
    but = f", with {count(len(warnings), 'warning')}" if warnings else ""
    typer.echo(
        f"The recordings suffice{but}: {short_duration(reference.usable_s)} of usable sound in "
        f"{count(len(reference.files), 'file')}."
    )


def _print_result(trained: TrainingResult, version: str, folder: Path, *, as_json: bool) -> None:
    from asd_monitor.reports.notices import (
        adaptation_text,
        detection_text,
        modes_text,
        training_notices,
    )
    from asd_monitor.wording import count, printable

    if as_json:
        from asd_monitor.model_store.bundle import load_bundle

        manifest = load_bundle(folder.parents[1], trained.machine, version).manifest
        document = {
            "machine": trained.machine,
            "version": version,
            "folder": str(folder),
            "report": str(folder / "report.html"),
            "encoders": [encoder.name for encoder in trained.detector.encoders],
            **{
                key: manifest[key]
                for key in (
                    "trained",
                    "training",
                    "thresholds",
                    "modes",
                    "held_out",
                    "sensitivity",
                    "warnings",
                )
            },
            **{key: manifest[key] for key in ("adaptation",) if key in manifest},
        }
        print_json(document)
        return
    for warning in training_notices(trained):
        typer.echo(f"warning: {warning}", err=True)
    trial = trained.trial
    typer.echo(
        f"{trained.machine} {version}: trained on {trained.reference.usable_s:.0f} s of normal "
        f"sound ({count(len(trained.reference.files), 'file')})."
    )
    if trained.adaptation is not None and trained.adaptation.kept:
        text = adaptation_text(trained.adaptation)
        typer.echo(f"{text[0].upper()}{text[1:]}.")
    for encoder in trained.detector.encoders:
        typer.echo(f"Uses the network {encoder.name} (SHA-256 {encoder.sha256[:12]}…).")
    if trial is not None:
        alarms = count(trial.alarms, "alarm") if trial.alarms else "no alarm"
        typer.echo(
            f"Held-out {trial.seconds:.0f} s: {alarms}; "
            f"{100 * trial.share_above_usual:.1f} % of the windows have higher evidence than "
            "usual (1 % expected)."
        )
    if trained.detector.idle_dbfs is not None:
        low, high = trained.detector.idle_dbfs
        typer.echo(f"Idle (machine off) between {low:.0f} and {high:.0f} dBFS.")
    if len(trained.modes) > 1:
        text = modes_text(trained.modes)
        typer.echo(f"{text[0].upper()}{text[1:]}.")
    budget = trained.budget
    kept = f"{trained.settings.false_alarms}"
    if budget.provisional:
        kept = f"{budget.false_alarms}, provisional (configured: {kept})"
    typer.echo(f"Alarm threshold {trained.thresholds.alarm:.2f} for {kept}.")
    if trained.sensitivity.not_measured is not None:
        typer.echo(f"Sensitivity not measured: {trained.sensitivity.not_measured}.")
    else:
        typer.echo("Would be detected, after:")
        for detection in trained.sensitivity.detections:
            typer.echo(f"  {detection_text(detection)}")
    typer.echo(f"Report: {printable(folder / 'report.html')}")
