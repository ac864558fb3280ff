"""One refit of a machine's model: bundle and stored live blocks → a new version."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from asd_monitor.alarm.supported_budget import PROVISIONAL
from asd_monitor.commissioning.blocks import feature_key
from asd_monitor.commissioning.schedule import day_of
from asd_monitor.commissioning.store import CommissioningStore
from asd_monitor.config.settings import MachineDefaults
from asd_monitor.errors import OperationError
from asd_monitor.model_store.atomic_files import os_errors_reported
from asd_monitor.model_store.bundle import Bundle, load_bundle, load_reference, save_refit
from asd_monitor.model_store.promoted import promoted_manifests
from asd_monitor.model_store.superseded import delete_superseded
from asd_monitor.model_store.versions import (
    BundleError,
    promote_command,
    train_remedy,
    version_number,
    versions,
)
from asd_monitor.model_training.refit import FirstModelReference, RefitResult, refit
from asd_monitor.model_training.training_manifest import threshold_facts
from asd_monitor.self_test.baseline import KEY, levels_at_training, manifest_entry
from asd_monitor.wording import DAY_S, count, rfc3339

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
    automatic: bool,
) -> RefitOutcome:
    """Refit the model in use to the stored live blocks, and put the result into use.

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
        automatic: whether the daemon refits by itself, and no person.

    Raises:
        OperationError: there is no model, no live block, or the folder cannot be written.

    """
    bundle = load_bundle(models, machine)
    first = _first_model(models, bundle)
    reference = load_reference(models, bundle)
    store = CommissioningStore(state / "commissioning" / machine)
    progress, days = store.progress(), settings.commissioning.days
    found = store.layout()
    blocks = store.blocks()
    if progress is None or progress.model_sha256 != bundle.first.sha256:
        raise OperationError(_no_live_sound(bundle, store.folder))
    if found is None or not blocks:
        raise OperationError(
            f"{store.folder} holds no live sound of {machine} running, since it has been off: "
            "refit again when it has run for an hour"
        )
    key, layout = found
    if key != feature_key(first.detector):
        raise OperationError(
            f"{store.folder} holds live sound of another front end or other networks than those of "
            f"{machine} {bundle.version}: it is replaced while the machine is monitored"
        )
    result = refit(
        FirstModelReference(first.detector, reference),
        blocks,
        layout,
        learned_until_s=days * DAY_S,
        over=progress.age_s >= days * DAY_S,
    )
    reason = (
        f"commissioning: day {day_of(progress, days)} of {days:g}, {count(result.blocks, 'block')}"
    )
    returned = _newer_in_use_before(models, bundle)
    notes = list(result.notes)
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
    facts = _facts(bundle, result, settings, now, progress.age_s, automatic=automatic)
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


def _no_live_sound(bundle: Bundle, folder: Path) -> str:
    """Return that there is no live sound of a model, with the remedy."""
    machine, version = bundle.machine, bundle.version
    remedy = "monitor the machine for an hour with `commissioning: {days: 7}`"
    if not bundle.commissioning_days:
        remedy = (
            "train again with `commissioning: {days: 7}`, which this version was not, and monitor "
            "the machine for an hour"
        )
    return f"{folder} holds no live sound that {machine} {version} could be extended from: {remedy}"


def _first_model(models: Path, bundle: Bundle) -> Bundle:
    """Return the trained model that a version is a refit of."""
    machine, first = bundle.machine, bundle.first
    if first.sha256 == bundle.sha256:
        return bundle
    if first.version not in versions(models, machine):
        raise BundleError(
            f"{models / machine}: {bundle.version} is a refit of {first.version}, which is not "
            f"here: copy it with `asd-monitor models export {models} --machine {machine} --version "
            f"{first.version}` from where it was trained and return to {bundle.version} with "
            f"`{promote_command(models, machine, bundle.version)}`, or "
            f"{train_remedy(models, machine)}"
        )
    found = load_bundle(models, machine, first.version)
    if found.sha256 != first.sha256:
        raise BundleError(
            f"{models / machine}: {bundle.version} is a refit of another {first.version} than the "
            f"one that is here: {train_remedy(models, machine)}"
        )
    return found


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


def _facts(
    bundle: Bundle,
    result: RefitResult,
    settings: MachineDefaults,
    now: datetime,
    age_s: float,
    *,
    automatic: bool,
) -> dict[str, Any]:
    """Return what the manifest contains beside the detector, its reason and its notes."""
    first, days = bundle.first, settings.commissioning.days
    kept = {key: bundle.manifest[key] for key in ("training", "warnings") if key in bundle.manifest}
    if "warnings" in kept:  # what the training sound alone supports is no longer true
        kept["warnings"] = [each for each in kept["warnings"] if not each.startswith(PROVISIONAL)]
    return {
        **kept,
        "trained": rfc3339(now),
        "thresholds": threshold_facts(settings.alarm, result.detector),
        KEY: manifest_entry(levels_at_training(bundle.manifest)),
        "moved": result.moved,
        "commissioning": {
            "days": days,
            "age_s": age_s,
            "first": {"version": first.version, "sha256": first.sha256},
            "blocks": result.blocks,
            "admitted": result.admitted,
            "automatic": automatic,
        },
    }
