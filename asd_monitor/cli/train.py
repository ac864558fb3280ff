"""`asd-monitor train`: recordings of normal sound → a new model version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asd_monitor.cli.options import AsJson, EncoderFiles, Machine, ModelsDir, NoShippedEncoder

if TYPE_CHECKING:
    from asd_monitor.model_training.adaptation_result import Adaptation
    from asd_monitor.model_training.reference import Reference
    from asd_monitor.model_training.training_progress import Progress
    from asd_monitor.model_training.training_run import TrainingResult

NormalPaths = Annotated[
    list[str],
    typer.Option(
        "--normal",
        "-n",
        help="Recordings of normal sound: files, folders, patterns; several after one --normal.",
        show_default=False,
    ),
]
OtherPaths = Annotated[
    list[str] | None,
    typer.Option(
        "--others",
        help="Recordings of other machines to adapt against: a file or a folder is one machine.",
        show_default="made machines",
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help="Take window, hop and budgets of this machine from here."),
]
Channel = Annotated[
    int | None, typer.Option("--channel", min=0, help="Channel to hear, from 0.", show_default="0")
]


def command(
    *,
    machine: Machine,
    normal: NormalPaths,
    models: ModelsDir,
    config: ConfigFile = None,
    channel: Channel = None,
    encoder: EncoderFiles = None,
    no_shipped_encoder: NoShippedEncoder = False,
    adapt: Annotated[
        bool,
        typer.Option("--adapt", help="Adapt the encoder to this machine (torch); a minute or so."),
    ] = False,
    others: OtherPaths = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only tell whether the recordings suffice.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Learn a machine's normal sound: a new version of its model."""
    from datetime import UTC, datetime

    from asd_monitor.cli.machine_settings import settings_of
    from asd_monitor.cli.progress import shown_progress
    from asd_monitor.extras import TORCH_AND_EXPORT, require_extra
    from asd_monitor.encoders.loading import chosen_encoders
    from asd_monitor.errors import UsageError
    from asd_monitor.model_training.recording_paths import expand_paths
    from asd_monitor.model_training.reference import read_reference, require_duration
    from asd_monitor.model_training.training_manifest import save_model
    from asd_monitor.model_training.training_run import train_model
    from asd_monitor.names import check_id

    check_id(machine)
    if others and not adapt:
        raise UsageError("--others are machines to adapt against: give --adapt too")
    if adapt:
        require_extra("--adapt", TORCH_AND_EXPORT, "omit --adapt")
    settings = settings_of(machine, config)
    encoders = chosen_encoders(encoder or (), instead=no_shipped_encoder)
    with shown_progress() as progress:
        reference = read_reference(
            expand_paths(normal),
            window_s=settings.window_s,
            hop_s=settings.hop_s,
            channel=channel,
            encoders=() if check else encoders,
            progress=progress,
        )
        try:
            require_duration(reference)
        except UsageError:
            if check and as_json:
                _show_check(reference, sufficient=False, as_json=True)
            else:
                _tell_notices(reference)
            raise
        if not check:
            adaptation = None
            if adapt:
                reference, adaptation = _adapted(reference, others or [], channel, progress)
            learned = train_model(
                machine, reference, settings.alarm, channel, progress, adaptation=adaptation
            )
            from asd_monitor.reports.notices import training_notices
            from asd_monitor.reports.training_report import report_html

            version = save_model(
                models,
                learned,
                datetime.now(UTC),
                warnings=training_notices(learned),
                render=report_html,
            )
    if check:
        _show_check(reference, sufficient=True, as_json=as_json)
    else:
        _show_learned(learned, version, models / machine / version, as_json=as_json)


def _adapted(
    reference: Reference, others: list[str], channel: int | None, progress: Progress
) -> tuple[Reference, Adaptation]:
    from asd_monitor.encoder_training.adaptation import adapt

    return adapt(reference, others, channel, progress=progress)


def _tell_notices(reference: Reference) -> None:
    for notice in reference.notices:
        typer.echo(f"notice: {notice}", err=True)


def _show_check(reference: Reference, *, sufficient: bool, as_json: bool) -> None:
    from asd_monitor.model_training.reference import MIN_TRAINING_S
    from asd_monitor.wording import count

    if as_json:
        told = {
            "sufficient": sufficient,
            "usable_s": round(reference.usable_s, 3),
            "needed_s": MIN_TRAINING_S,
            "files": len(reference.files),
            "notices": list(reference.notices),
        }
        typer.echo(json.dumps(told, ensure_ascii=False))
        return
    _tell_notices(reference)
    typer.echo(
        f"The recordings suffice: {reference.usable_s:.0f} s of usable sound in "
        f"{count(len(reference.files), 'file')}."
    )


def _show_learned(learned: TrainingResult, version: str, folder: Path, *, as_json: bool) -> None:
    from asd_monitor.reports.notices import adaptation_text, interval_text, training_notices
    from asd_monitor.wording import count

    if as_json:
        from asd_monitor.model_store.bundle import load_bundle

        manifest = load_bundle(folder.parents[1], learned.machine, version).manifest
        told = {
            "machine": learned.machine,
            "version": version,
            "folder": str(folder),
            "report": str(folder / "report.html"),
            "encoders": [encoder.name for encoder in learned.detector.encoders],
            **{
                key: manifest[key]
                for key in ("trained", "training", "thresholds", "held_out", "warnings")
            },
            **{key: manifest[key] for key in ("adaptation",) if key in manifest},
        }
        typer.echo(json.dumps(told, ensure_ascii=False))
        return
    for warning in training_notices(learned):
        typer.echo(f"warning: {warning}", err=True)
    trial = learned.trial
    typer.echo(
        f"{learned.machine} {version}: learned {learned.reference.usable_s:.0f} s of normal sound "
        f"({count(len(learned.reference.files), 'file')})."
    )
    if learned.adaptation is not None and learned.adaptation.kept:
        said = adaptation_text(learned.adaptation)
        typer.echo(f"{said[0].upper()}{said[1:]}.")
    for encoder in learned.detector.encoders:
        typer.echo(f"It listens with the network {encoder.name} too ({encoder.sha256[:12]}…).")
    if trial is not None:
        alarms = count(trial.alarms, "alarm") if trial.alarms else "no alarm"
        typer.echo(
            f"On the {trial.seconds:.0f} s held out: {alarms}; "
            f"{100 * trial.share_above(2.0):.1f} % of the windows score above 2 (1 % expected)."
        )
    if learned.detector.idle_dbfs is not None:
        low, high = learned.detector.idle_dbfs
        typer.echo(f"Off (idle) between {low:.0f} and {high:.0f} dBFS.")
    typer.echo(
        f"Alarm threshold {learned.thresholds.alarm:.2f} for {learned.settings.false_alarms}: "
        f"{interval_text(learned.interval)}."
    )
    typer.echo(f"Report: {folder / 'report.html'}")
