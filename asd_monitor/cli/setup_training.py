"""Trains the first model of a machine for `setup`, and says in short what it can do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from asd_monitor.cli.setup_dialogue import Dialogue
from asd_monitor.config.machine_settings import MachineDefaults
from asd_monitor.wording import count, printable

if TYPE_CHECKING:
    from asd_monitor.model_training.training_run import TrainingResult


def train(
    machine: str,
    paths: Sequence[Path],
    settings: MachineDefaults,
    models: Path,
    *,
    channel: int | None,
    dialogue: Dialogue,
) -> str:
    """Train and report; return the version.

    Raises:
        UsageError, OperationError: as `asd-monitor train`.

    """
    from asd_monitor.cli.progress import shown_progress
    from asd_monitor.cli.train import train_version
    from asd_monitor.encoders.encoder_loading import select_encoders, shipped_encoder
    from asd_monitor.model_training.recording_paths import expand_and_search
    from asd_monitor.model_training.reference import read_reference, require_duration
    from asd_monitor.model_training.training_manifest import check_writable
    from asd_monitor.model_training.training_progress import of_whole, training_steps

    check_writable(models, machine)
    found = expand_and_search(paths)
    with shown_progress() as show:
        progress = of_whole(show, training_steps(adapt=False))
        reference = read_reference(
            found.paths,
            window_s=settings.window_s,
            hop_s=settings.hop_s,
            channel=channel,
            encoders=select_encoders(shipped_encoder(), ()),
            progress=progress,
        )
        reference = replace(reference, notices=(*found.notices, *reference.notices))
        require_duration(reference)
        result, version = train_version(
            machine, reference, settings, models, channel=channel, progress=progress
        )
    dialogue.success(
        f"{machine} {version}: trained on {reference.usable_s / 60:.1f} minutes of sound"
    )
    _report(result, dialogue)
    dialogue.say(f"Report: {printable(models / machine / version / 'report.html')}")
    return version


def _report(result: TrainingResult, dialogue: Dialogue) -> None:
    from asd_monitor.model_training.findings import ProvisionalBudget
    from asd_monitor.reports.notices import (
        detection_text,
        finding_text,
        modes_text,
        undetected_text,
    )

    for notice in result.reference.notices:
        dialogue.warn(notice)
    for finding in result.findings:
        if not isinstance(finding, ProvisionalBudget):
            dialogue.warn(finding_text(finding))
    dialogue.say(f"It knows {modes_text(result.modes)}.")
    budget, configured = result.budget, result.settings.false_alarms
    if budget.provisional:
        dialogue.say(
            f"False alarms: at most {budget.false_alarms} for now.  {configured} needs sound of "
            f"{count(budget.needed_hours, 'different hour')} of the running machine: leave it "
            "monitored, the model learns on by itself for the first days."
        )
    else:
        dialogue.say(f"False alarms: at most {configured}.")
    if result.sensitivity.not_measured is not None:
        dialogue.say(f"Sensitivity was not measured: {result.sensitivity.not_measured}.")
        return
    dialogue.say("In this sound it would detect, after:")
    for detection in result.sensitivity.detections:
        dialogue.say(f"  {detection_text(detection)}")
    if (undetected := undetected_text(result.sensitivity.detections)) is not None:
        dialogue.warn(undetected)
