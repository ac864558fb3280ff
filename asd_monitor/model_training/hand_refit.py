"""A refit that a person asks for: a candidate, compared with the model in use."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from asd_monitor.alarm.budget import alarm_rule
from asd_monitor.commissioning.schedule import day_of
from asd_monitor.config.machine_settings import MachineDefaults
from asd_monitor.detector.detector import Detector
from asd_monitor.errors import OperationError
from asd_monitor.evidence.alarm_sound import AlarmSound, kept_alarms
from asd_monitor.features.windows import Window
from asd_monitor.model_store.atomic_files import os_errors_reported
from asd_monitor.model_store.bundle import Bundle, load_bundle, save_refit
from asd_monitor.model_store.manifest import MARKED, PROFILE, REFERENCE
from asd_monitor.model_store.marked_sound import (
    MarkedPiece,
    load_marked,
    marked_content,
    standing_spans,
)
from asd_monitor.model_training.comparison import Comparison, HeldOutAlarms
from asd_monitor.model_training.comparison_run import Side, compare_models
from asd_monitor.model_training.marked_pieces import marked_pieces
from asd_monitor.model_training.model_replay import alarms_in_blocks
from asd_monitor.model_training.refit import RefitResult, refit
from asd_monitor.model_training.refit_inputs import RefitInputs, refit_facts, refit_inputs
from asd_monitor.model_training.training_progress import Progress, no_progress
from asd_monitor.model_training.valid_alarms import (
    ValidAlarm,
    nothing_left,
    outside_of,
    valid_alarms,
)
from asd_monitor.records import AlarmCriteria, AlarmLabel, NormalSpan, WithdrawnMark
from asd_monitor.self_test.baseline import KEY, manifest_entry
from asd_monitor.wording import DAY_S, count

CANDIDATE = "candidate"
"""The name of the new model in a comparison that is made before its version is written."""
MIN_HELD_OUT = 10
"""Blocks of which a part is held out."""


@dataclass(frozen=True, slots=True)
class HandRefit:
    """The candidate and what it changes."""

    version: str
    reason: str
    moved: float
    blocks: int  # that were at hand
    admitted: int  # that it was fitted to
    notes: tuple[str, ...]
    comparison: Comparison


def refit_by_hand(
    models: Path,
    state: Path,
    machine: str,
    settings: MachineDefaults,
    now: datetime,
    *,
    spans: Sequence[NormalSpan],
    withdrawn: Sequence[WithdrawnMark],
    labels: Sequence[AlarmLabel],
    progress: Progress = no_progress,
) -> HandRefit:
    """Extend the model in use with live and marked sound, and write it as a candidate.

    Args:
        models: the models folder.
        state: the state folder, with live blocks and the sound of alarms.
        machine: id of the machine.
        settings: its configuration.
        now: the time of the refit.
        spans: the sound that people have marked as normal, by the journal.
        withdrawn: the marks that they have withdrawn.
        labels: of the machine's alarms; the sound of those labelled valid is left out.
        progress: called with the share that is done.

    Raises:
        OperationError: there is no model or no sound, or the folder cannot be written.

    """
    bundle = load_bundle(models, machine)
    inputs = refit_inputs(models, state, bundle)
    known = load_marked(models, bundle)
    spans, of_version = standing_spans(bundle, spans, withdrawn)
    kept = kept_alarms(state, machine).sounds
    valid = valid_alarms(labels, kept, on_delay_s=settings.alarm_criteria.on_delay_s, now=now)
    blocks, left_out = outside_of(valid, inputs.blocks)
    inputs = replace(inputs, blocks=blocks)
    marked, notes = _marked(bundle, inputs, spans, known, kept=kept, valid=valid)
    if not blocks and not marked:
        raise OperationError(inputs.missing or nothing_left(machine, left_out))
    if of_version:
        notes.append(
            f"{count(len(of_version), 'mark')} that {bundle.version} was extended with "
            f"{_is_or_are(of_version)} not in the journal, and kept: to leave them out, promote a "
            "version before them and refit again"
        )
    if left_out is not None:
        notes.append(f"live sound: {left_out} are left out")
    progress("fitting", 0.0)
    fit = _Fit(inputs, settings.commissioning.days)
    result = fit.refit(marked)
    held_out = fit.held_out(result, marked, bundle.detector, settings.alarm_criteria)
    notes += result.notes
    reason = f"by hand: {count(result.blocks, 'block')}, {len(marked)} of them marked as normal"
    if inputs.progress is not None:
        reason = f"{reason}, day {day_of(inputs.progress, fit.days)} of {fit.days:g}"
    entries, files = _stored(spans, marked)
    facts = refit_facts(bundle, result, settings, now, age_s=fit.age_s(bundle), automatic=False)
    facts |= {"reason": reason, "refit_notes": notes, "marked": entries}
    comparison = compare_models(
        state,
        machine,
        settings.alarm_criteria,
        Side(bundle.version, bundle.sha256, bundle.detector),
        Side(CANDIDATE, None, result.detector),
        labels={each.alarm_id: each.label for each in labels},
        held_out=held_out,
        progress=progress,
    )
    version = save_candidate(
        models,
        bundle,
        result.detector,
        facts,
        comparison,
        files=files,
        kept=(REFERENCE, PROFILE),
    )
    return HandRefit(
        version,
        reason,
        result.moved,
        result.blocks,
        result.admitted,
        tuple(notes),
        with_version(comparison, version),
    )


def save_candidate(
    models: Path,
    bundle: Bundle,
    detector: Detector,
    facts: Mapping[str, Any],
    comparison: Comparison,
    *,
    files: Mapping[str, bytes],
    kept: Sequence[str],
) -> str:
    """Write a candidate with its comparison; return its version.

    Raises:
        OperationError: the folder cannot be written.

    """
    levels = comparison.levels
    own = {KEY: manifest_entry(levels.after)} if levels is not None else {}
    home = models / bundle.machine
    with os_errors_reported(
        home, "the model cannot be written", f"make {home} writable for the user that runs this"
    ):
        version, _ = save_refit(
            models,
            bundle,
            detector,
            {**facts, **own, "comparison": comparison.to_json()},
            candidate=True,
            files=files,
            kept=kept,
        )
    return version


def with_version(comparison: Comparison, version: str, sha256: str | None = None) -> Comparison:
    """Return a comparison with the version that was written after it."""
    return replace(comparison, after=replace(comparison.after, version=version, sha256=sha256))


def _marked(
    bundle: Bundle,
    inputs: RefitInputs,
    spans: Sequence[NormalSpan],
    known: Sequence[MarkedPiece],
    *,
    kept: Sequence[AlarmSound],
    valid: Sequence[ValidAlarm],
) -> tuple[list[MarkedPiece], list[str]]:
    """Return the marked sound that is kept, and what of it is not used."""
    sounds = [each for each in kept if not each.gaps]
    pieces: list[MarkedPiece] = []
    notes = []
    for span in spans:
        what = f"the sound marked by {span.who} ({span.alarm_id or span.begin.isoformat()})"
        if inputs.sound_since is not None and span.time < inputs.sound_since:
            notes.append(f"{what} is left out: it was marked before the model was trained")
            continue
        found = marked_pieces(
            span,
            inputs.first.detector,
            inputs.blocks,
            inputs.layout,
            sounds,
            earlier=[piece for piece in known if piece.span_id == span.id],
        )
        own, left_out = outside_of(valid, found)
        if left_out is not None:
            notes.append(f"{what}: {left_out} are left out")
        elif not own:
            notes.append(f"{what} is left out: nothing of it is kept")
        pieces += own
    withdrawn = {piece.span_id for piece in known} - {span.id for span in spans}
    if withdrawn:
        notes.append(
            f"{count(len(withdrawn), 'mark')} that {bundle.version} was extended with "
            f"{_is_or_are(withdrawn)} withdrawn, and left out"
        )
    return pieces, notes


def _is_or_are(things: Collection[object]) -> str:
    return "is" if len(things) == 1 else "are"


def _stored(
    spans: Sequence[NormalSpan], marked: Sequence[MarkedPiece]
) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    if not marked:
        return [], {}
    entries, content = marked_content(spans, marked)
    return entries, {MARKED: content}


@dataclass(frozen=True, slots=True)
class _Fit:
    """Fits to the same live sound, with and without a part."""

    inputs: RefitInputs
    days: float

    def age_s(self, bundle: Bundle) -> float:
        """Return the evaluated sound of the commissioning, in s."""
        if self.inputs.progress is not None:
            return self.inputs.progress.age_s
        return bundle.commissioning(self.days).age_s

    def refit(
        self, marked: Sequence[MarkedPiece], without_s: frozenset[float] = frozenset()
    ) -> RefitResult:
        """Return the refit, without the sound of these times."""
        inputs = self.inputs
        age_s = 0.0 if inputs.progress is None else inputs.progress.age_s
        return refit(
            inputs.first,
            [block for block in inputs.blocks if block.time_s not in without_s],
            inputs.layout,
            learned_until_s=self.days * DAY_S,
            over=age_s >= self.days * DAY_S,
            marked=[piece for piece in marked if piece.time_s not in without_s],
        )

    def held_out(
        self,
        result: RefitResult,
        marked: Sequence[MarkedPiece],
        in_use: Detector,
        criteria: AlarmCriteria,
    ) -> HeldOutAlarms | None:
        """Return the alarms in every fifth block, by a refit without these; None: too few."""
        held = result.learned[2::5]
        if len(result.learned) < MIN_HELD_OUT:
            return None
        try:
            trial = self.refit(marked, frozenset(piece.time_s for piece in held))
        except OperationError:
            return None
        return held_out_alarms(in_use, trial.detector, criteria, [piece.windows for piece in held])


def held_out_alarms(
    before: Detector,
    after: Detector,
    criteria: AlarmCriteria,
    pieces: Sequence[Sequence[Window]],
) -> HeldOutAlarms:
    """Return the alarms of two models in pieces of ten seconds that were held out."""
    counts = [
        alarms_in_blocks(detector, alarm_rule(criteria, detector), pieces)
        for detector in (before, after)
    ]
    return HeldOutAlarms(len(pieces), *counts)
