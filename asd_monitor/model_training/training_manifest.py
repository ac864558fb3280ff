"""A training's result → a version of the machine's model on disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any

from asd_monitor.alarm.budget import alarm_rule
from asd_monitor.alarm.supported_budget import effective_budget
from asd_monitor.config.machine_settings import AlarmSettings
from asd_monitor.detector.detector import Detector
from asd_monitor.model_store.atomic_files import os_errors_reported
from asd_monitor.model_store.bundle import save_bundle
from asd_monitor.model_store.versions import next_version
from asd_monitor.model_training.held_out_trial import HeldOutTrial
from asd_monitor.model_training.reference_selection import stored_reference
from asd_monitor.model_training.sensitivity import Sensitivity
from asd_monitor.model_training.training_run import TrainingResult
from asd_monitor.self_test.added_sound import FAULT_S
from asd_monitor.self_test.baseline import KEY, manifest_entry
from asd_monitor.wording import rfc3339


def check_writable(models: Path, machine: str) -> None:
    """Check before a training that its model can be written; nothing is created.

    Raises:
        OperationError: the models folder cannot be written.

    """
    folder = models / machine
    with _errors_reported(folder):
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
        if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))


def _errors_reported(folder: Path) -> AbstractContextManager[None]:
    return os_errors_reported(
        folder, "the model cannot be written", "choose a folder of your own with --models"
    )


def save_model(
    models: Path,
    result: TrainingResult,
    now: datetime,
    *,
    warnings: Sequence[str],
    render: Callable[[TrainingResult, str, datetime], str],
    commissioning_days: float = 0.0,
) -> str:
    """Write the model with its report, make it the current version and return its name.

    ``warnings`` are the notices and findings as text, for the manifest; ``render`` returns the
    report of a version as HTML.  For ``commissioning_days`` the model is to be extended from live
    sound.

    Raises:
        OperationError: the models folder cannot be written.

    """
    with _errors_reported(models / result.machine):
        version = next_version(models, result.machine)
        documents = {"report.html": render(result, version, now)}
        entries = manifest_entries(result, now, warnings)
        entries |= {"reason": "training", "commissioning": {"days": commissioning_days}}
        return save_bundle(
            models,
            result.machine,
            result.detector,
            entries,
            documents,
            reference=stored_reference(result.reference),
            profile=result.reference.profile,
        )


def manifest_entries(
    result: TrainingResult, now: datetime, warnings: Sequence[str]
) -> dict[str, Any]:
    """Return what the manifest contains beside the detector itself."""
    reference = result.reference
    adaptation = result.adaptation
    return {
        "trained": rfc3339(now),
        "training": {
            "seconds": round(reference.usable_s, 3),
            "windows": len(reference.windows),
            "one_piece_in": reference.excerpt_stride,
            "files": [
                {
                    "name": file.name,
                    "sha256": file.sha256,
                    "seconds": round(file.seconds, 3),
                    "rate_hz": file.rate_hz,
                    "modified": rfc3339(file.modified),
                }
                for file in reference.files
            ],
        },
        "thresholds": threshold_facts(result.settings, result.detector),
        "modes": [
            {"level_dbfs": round(mode.level_dbfs, 2), "share": round(mode.share, 4)}
            for mode in result.modes
        ],
        "sensitivity": _sensitivity(result.sensitivity),
        KEY: manifest_entry(result.sensitivity.levels),
        "held_out": None if result.trial is None else _held_out(result.trial),
        **({} if adaptation is None else {"adaptation": adaptation.to_json()}),
        "warnings": list(warnings),
    }


def threshold_facts(settings: AlarmSettings, detector: Detector) -> dict[str, Any]:
    """Return the entry of the manifest with the budgets of a model and its thresholds."""
    thresholds = alarm_rule(settings.criteria, detector).thresholds
    budget = effective_budget(settings.criteria, detector.hours)
    return {
        "false_alarms": str(settings.false_alarms),
        "alarm": thresholds.alarm,
        "warnings": str(settings.warnings),
        "warning": thresholds.warning,
        "provisional": budget.provisional,
        "effective_false_alarms": budget.false_alarms,
        "effective_warnings": budget.warnings,
        "hours": detector.hours,
        "needed_hours": budget.needed_hours,
    }


def _sensitivity(sensitivity: Sensitivity) -> dict[str, Any]:
    return {
        "within_s": FAULT_S,
        "not_measured": sensitivity.not_measured,
        "faults": [
            {
                "kind": each.kind,
                "severity_db": each.severity_db,
                "detected_after_s": None
                if each.detected_after_s is None
                else round(each.detected_after_s, 3),
            }
            for each in sensitivity.detections
        ],
    }


def _held_out(trial: HeldOutTrial) -> dict[str, Any]:
    return {
        "seconds": round(trial.seconds, 3),
        "parts": [
            {
                "name": part.file.name,
                "from_s": round(part.from_s, 3),
                "to_s": round(part.to_s, 3),
            }
            for part in trial.parts
        ],
        "alarms": trial.alarms,
        "warnings": trial.warnings,
        "usual_evidence": round(trial.usual_evidence, 4),
        "share_above_usual": round(trial.share_above_usual, 4),
    }
