"""A model of a machine after a repair: from live sound since a time, and from no other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from asd_monitor.commissioning.blocks import BLOCK_S
from asd_monitor.config.machine_settings import MachineDefaults
from asd_monitor.detector.detector import Detector
from asd_monitor.detector.fit import fit_detector
from asd_monitor.errors import OperationError
from asd_monitor.evidence.alarm_sound import AlarmSound, kept_alarms
from asd_monitor.model_store.bundle import Bundle, load_bundle
from asd_monitor.model_store.manifest import PROFILE, REFERENCE, profile_bytes
from asd_monitor.model_store.marked_sound import MarkedPiece
from asd_monitor.model_store.reference_file import StoredReference
from asd_monitor.model_training.comparison import HeldOutAlarms
from asd_monitor.model_training.comparison_run import Side, compare_models
from asd_monitor.model_training.hand_refit import (
    CANDIDATE,
    MIN_HELD_OUT,
    HandRefit,
    held_out_alarms,
    save_candidate,
    with_version,
)
from asd_monitor.model_training.kept_profile import profile_since
from asd_monitor.model_training.marked_pieces import pieces_of_sound, without_sound_of
from asd_monitor.model_training.refit import extended_baseline, movement
from asd_monitor.model_training.refit_inputs import refit_inputs
from asd_monitor.model_training.training_manifest import threshold_facts
from asd_monitor.model_training.training_progress import Progress, no_progress
from asd_monitor.model_training.valid_alarms import outside_of, valid_alarms
from asd_monitor.records import AlarmLabel
from asd_monitor.self_test.baseline import KEY, manifest_entry
from asd_monitor.wording import count, length, rfc3339

MIN_PIECES = 6
"""Pieces of ten seconds: a minute of sound at least, as for a training."""
MAX_STORED_PIECES = 300
"""Of the reference of the new model, evenly spread: five megabytes with the shipped encoder."""
_MAX_IDLE_SHARE = 0.05
"""Share of the windows at the levels of the idle machine, above which these are not kept."""


def refit_since(
    models: Path,
    state: Path,
    machine: str,
    settings: MachineDefaults,
    now: datetime,
    *,
    since: datetime,
    labels: Sequence[AlarmLabel],
    progress: Progress = no_progress,
) -> HandRefit:
    """Fit a model to what is kept of a machine's sound since a time, and write it as a candidate.

    It has training windows and a profile of its own: where it is put into use, a new commissioning
    begins.

    Args:
        models: the models folder.
        state: the state folder, with live blocks and the sound of alarms.
        machine: id of the machine.
        settings: its configuration.
        now: the time of the refit.
        since: the begin of the sound.
        labels: of the machine's alarms; the sound of those labelled valid is left out.
        progress: called with the share that is done.

    Raises:
        OperationError: there is no model, too little sound, or the folder cannot be written.

    """
    bundle = load_bundle(models, machine)
    packages = kept_alarms(state, machine)
    sounds = packages.sounds
    valid = valid_alarms(labels, sounds, on_delay_s=settings.alarm_criteria.on_delay_s, now=now)
    pieces, left_out = outside_of(valid, _pieces_since(models, state, bundle, since, sounds))
    notes = [] if left_out is None else [f"{left_out} are left out"]
    if len(pieces) < MIN_PIECES:
        without = "" if left_out is None else f"without {left_out}, "
        raise OperationError(
            f"{length(len(pieces) * BLOCK_S)} of sound of {machine} since {rfc3339(since)} is "
            f"kept, {without}and {length(MIN_PIECES * BLOCK_S)} is needed: refit when "
            "it has run for some hours, or record it with `asd-monitor record --machine "
            f"{machine}` and train again"
        )
    progress("fitting", 0.0)
    detector = _fitted(bundle.detector, pieces)
    held_out = _held_out(bundle.detector, pieces, settings)
    days = settings.commissioning.days
    windows = [window for piece in pieces for window in piece.windows]
    kept = profile_since(
        state, machine, since, packages.whole_sounds, detector.rate_hz, valid=valid
    )
    notes += kept.notes
    reason = f"after a repair: {count(len(pieces), 'block')} since {rfc3339(since)}"
    facts: dict[str, Any] = {
        "trained": rfc3339(now),
        "training": {"seconds": len(pieces) * BLOCK_S, "windows": len(windows), "files": []},
        "thresholds": threshold_facts(settings.alarm, detector),
        "warnings": [],
        KEY: manifest_entry(None),
        "moved": movement(bundle.detector, detector, windows),
        "moved_from": bundle.version,
        "commissioning": {
            "days": days,
            "blocks": len(pieces),
            "admitted": len(pieces),
            "since": rfc3339(since),
        },
        "reason": reason,
        "refit_notes": notes,
    }
    comparison = compare_models(
        state,
        machine,
        settings.alarm_criteria,
        Side(bundle.version, bundle.sha256, bundle.detector),
        Side(CANDIDATE, None, detector),
        labels={each.alarm_id: each.label for each in labels},
        held_out=held_out,
        progress=progress,
    )
    files = {REFERENCE: _reference(pieces).content()}
    if kept.profile is not None:
        files[PROFILE] = profile_bytes(kept.profile)
    version = save_candidate(models, bundle, detector, facts, comparison, files=files, kept=())
    return HandRefit(
        version,
        reason,
        facts["moved"],
        len(pieces),
        len(pieces),
        tuple(notes),
        with_version(comparison, version),
    )


def _pieces_since(
    models: Path, state: Path, bundle: Bundle, since: datetime, sounds: Sequence[AlarmSound]
) -> list[MarkedPiece]:
    """Return live blocks and the sound of alarms since a time, in order of time."""
    inputs = refit_inputs(models, state, bundle)
    detector = bundle.detector
    rate_hz, window = detector.rate_hz, detector.front_end.window
    pieces = [
        MarkedPiece("", block.time_s, tuple(block.windows(inputs.layout, rate_hz, window)))
        for block in inputs.blocks
        if block.time_s >= since.timestamp()
    ]
    for sound in sounds:
        if sound.end > since and not sound.gaps:
            own = pieces_of_sound("", sound, detector, since)
            pieces += without_sound_of(own, [piece.time_s for piece in pieces])
    return sorted(pieces, key=lambda piece: piece.time_s)


def _fitted(before: Detector, pieces: Sequence[MarkedPiece]) -> Detector:
    """Return a detector of these pieces, with what does not change by a repair."""
    try:
        fitted = fit_detector(
            [piece.windows for piece in pieces],
            before.front_end,
            before.rate_hz,
            before.encoders,
            begins_s=[piece.time_s - pieces[0].time_s for piece in pieces],
        ).detector
    except ValueError as error:
        raise OperationError(
            f"the refit failed: {error}: the model in use stays, and later there is more sound"
        ) from error
    levels_dbfs = [window.rms_dbfs for piece in pieces for window in piece.windows]
    idle_share = float(np.mean([before.is_idle(level) for level in levels_dbfs]))
    is_kept = fitted.idle_dbfs is None and idle_share <= _MAX_IDLE_SHARE
    return replace(
        fitted,
        idle_dbfs=before.idle_dbfs if is_kept else fitted.idle_dbfs,
        quietest_dbfs=min(before.quietest_dbfs, fitted.quietest_dbfs),
        microphone=extended_baseline(before, [piece.windows for piece in pieces]),
    )


def _held_out(
    before: Detector, pieces: Sequence[MarkedPiece], settings: MachineDefaults
) -> HeldOutAlarms | None:
    """Return the alarms in every fifth piece, by a fit without these; None: there are too few."""
    if len(pieces) < MIN_HELD_OUT:
        return None
    held = pieces[2::5]
    kept = [piece for number, piece in enumerate(pieces) if number % 5 != 2]
    try:
        trial = _fitted(before, kept)
    except OperationError:
        return None
    return held_out_alarms(
        before, trial, settings.alarm_criteria, [piece.windows for piece in held]
    )


def _reference(pieces: Sequence[MarkedPiece]) -> StoredReference:
    number = min(len(pieces), MAX_STORED_PIECES)
    chosen = [pieces[k] for k in np.linspace(0, len(pieces) - 1, number).round().astype(int)]
    return StoredReference.of(
        [piece.windows for piece in chosen],
        [piece.time_s - chosen[0].time_s for piece in chosen],
    )
