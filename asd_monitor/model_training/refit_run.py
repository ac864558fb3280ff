"""One refit of a machine's model: bundle and stored live blocks → a new version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from asd_monitor.commissioning.schedule import day_of
from asd_monitor.config.machine_settings import MachineDefaults
from asd_monitor.errors import OperationError
from asd_monitor.model_store.atomic_files import os_errors_reported
from asd_monitor.model_store.bundle import Bundle, load_bundle, save_refit
from asd_monitor.model_store.marked_sound import load_marked
from asd_monitor.model_store.promoted import promoted_manifests
from asd_monitor.model_store.superseded import delete_superseded
from asd_monitor.model_store.versions import BundleError, version_number, versions
from asd_monitor.model_training.refit import refit
from asd_monitor.model_training.refit_inputs import refit_facts, refit_inputs
from asd_monitor.model_training.valid_alarms import nothing_left, outside_of, valid_alarms_of
from asd_monitor.records import AlarmLabel
from asd_monitor.wording import DAY_S, count

MIN_HOURS_SHARE = 0.5
"""Least number of hours that a refit is from, in terms of those of the version in use."""


@dataclass(frozen=True, slots=True)
class RefitOutcome:
    """A refit and the version that it gave."""

    machine: str
    version: str
    in_use: bool
    reason: str
    moved: float
    blocks: int
    admitted: int
    notes: tuple[str, ...]
    deleted: tuple[str, ...] = ()
    """Older refits that it has superseded."""


def refit_machine(
    models: Path,
    state: Path,
    machine: str,
    settings: MachineDefaults,
    now: datetime,
    *,
    labels: Sequence[AlarmLabel] = (),
    notices: Sequence[str] = (),
) -> RefitOutcome:
    """Refit the model in use to the stored live blocks for the daemon, and put it into use.

    Sound that a person has marked as normal is learned where the version in use was extended with
    it: that version was put into use by a person.  Sound in the time of alarms that are labelled
    valid is not learned, although known sound returns after a repair.

    It is kept as a candidate where it moved too far, where it is from far fewer hours than the
    version in use, whose live sound was lost, where a person has returned to an older
    version, or where another version was put into use meanwhile.  Where it is in use, older refits
    of the daemon are deleted (`asd_monitor.model_store.superseded`).

    Args:
        models: the models folder.
        state: the state folder, with the live blocks.
        machine: id of the machine.
        settings: its configuration.
        now: the time of the refit.
        labels: of the machine's alarms.
        notices: what else is to be noted of the refit.

    Raises:
        OperationError: there is no model, no live block, or the folder cannot be written.

    """
    bundle = load_bundle(models, machine)
    inputs = refit_inputs(models, state, bundle)
    progress, days = inputs.progress, settings.commissioning.days
    if inputs.missing is not None or progress is None:
        raise OperationError(inputs.missing or "the commissioning has not begun")
    age_s = progress.age_s
    valid = valid_alarms_of(
        state, machine, labels, on_delay_s=settings.alarm_criteria.on_delay_s, now=now
    )
    blocks, left_out = outside_of(valid, inputs.blocks)
    if not blocks:
        raise OperationError(nothing_left(machine, left_out))
    marked, left_out_marked = outside_of(valid, load_marked(models, bundle))
    result = refit(
        inputs.first,
        blocks,
        inputs.layout,
        learned_until_s=days * DAY_S,
        over=age_s >= days * DAY_S,
        marked=marked,
    )
    day = f"day {day_of(progress, days)} of {days:g}"
    reason = f"commissioning: {day}, {count(result.blocks, 'block')}"
    returned = _newer_in_use_before(models, bundle)
    notes = [*notices, *result.notes]
    if left_out is not None:
        notes.append(f"live sound: {left_out} are left out")
    if left_out_marked is not None:
        notes.append(f"marked sound: {left_out_marked} are left out")
    if returned is not None:
        notes.append(f"a person has returned from {returned} to {bundle.version}")
    hours, hours_in_use = result.detector.hours, bundle.detector.hours
    has_fewer_hours = hours < MIN_HOURS_SHARE * hours_in_use
    if has_fewer_hours:
        notes.append(
            f"it is from {count(hours, 'hour')} of sound and {bundle.version} from {hours_in_use}, "
            "of which not all is stored any more"
        )
    is_candidate = result.candidate or returned is not None or has_fewer_hours
    facts = refit_facts(bundle, result, settings, now, age_s=age_s, automatic=True)
    facts |= {"reason": reason, "refit_notes": notes}
    with os_errors_reported(
        models / machine,
        "the model cannot be written",
        f"make {models / machine} writable for the user that runs this",
    ):
        version, in_use = save_refit(
            models,
            bundle,
            result.detector,
            facts,
            candidate=is_candidate,
        )
    if not in_use and not is_candidate:
        notes.append(f"another version than {bundle.version} has been put into use meanwhile")
    deleted: list[str] = []
    if in_use:
        try:
            deleted = delete_superseded(models, bundle, version)
        except OSError as error:  # the refit is in use in spite of it
            notes.append(f"{error.filename}: older versions cannot be deleted ({error.strerror})")
        except BundleError as error:
            notes.append(f"older versions are not deleted: {error}")
    return RefitOutcome(
        machine=machine,
        version=version,
        in_use=in_use,
        reason=reason,
        moved=result.moved,
        blocks=result.blocks,
        admitted=result.admitted,
        notes=tuple(notes),
        deleted=tuple(deleted),
    )


def _newer_in_use_before(models: Path, bundle: Bundle) -> str | None:
    """Return a newer refit of the same model that has been in use: a person has left it."""
    own = version_number(bundle.version)
    for version in reversed(versions(models, bundle.machine)):
        if version_number(version) <= own:
            return None
        try:
            newer = load_bundle(models, bundle.machine, version)
        except BundleError:
            continue
        if newer.first == bundle.first and _was_in_use(models, newer):
            return version
    return None


def _was_in_use(models: Path, bundle: Bundle) -> bool:
    if not bundle.manifest.get("candidate"):
        return True
    return bundle.sha256 in promoted_manifests(models, bundle.machine)
