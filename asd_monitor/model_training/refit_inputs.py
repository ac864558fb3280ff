"""What a refit of a machine's model begins with, and what its manifest contains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from asd_monitor.alarm.supported_budget import PROVISIONAL
from asd_monitor.commissioning.blocks import Layout, LiveBlock, feature_key
from asd_monitor.commissioning.schedule import Progress
from asd_monitor.commissioning.store import CommissioningStore
from asd_monitor.config.machine_settings import MachineDefaults
from asd_monitor.model_store.bundle import Bundle, load_bundle, load_reference
from asd_monitor.model_store.versions import (
    BundleError,
    promote_command,
    train_remedy,
    versions,
)
from asd_monitor.model_training.refit import FirstModelReference, RefitResult
from asd_monitor.model_training.training_manifest import threshold_facts
from asd_monitor.self_test.baseline import KEY, levels_at_training, manifest_entry
from asd_monitor.wording import rfc3339


@dataclass(frozen=True, slots=True, eq=False)
class RefitInputs:
    """The model that was trained, and the live sound that it can be extended with."""

    first: FirstModelReference
    sound_since: datetime | None
    """From when on sound is of the machine as that model knows it; None: not known."""
    progress: Progress | None  # of its commissioning; None: it has not begun
    blocks: Sequence[LiveBlock]
    layout: Layout
    missing: str | None
    """Why there are no blocks, with the remedy; None: there are some."""


def refit_inputs(models: Path, state: Path, bundle: Bundle) -> RefitInputs:
    """Return what the refit of a version begins with.

    Raises:
        OperationError: the trained model or its training windows are missing, or live sound cannot
            be read.

    """
    first = _first_model(models, bundle)
    approved = bundle.detector if bundle.manifest.get("marked") else None
    reference = FirstModelReference(first.detector, load_reference(models, bundle), approved)
    commissioning = first.manifest.get("commissioning") or {}
    begins = commissioning.get("since") or first.manifest.get("trained")
    store = CommissioningStore(state / "commissioning" / bundle.machine)
    progress, found, blocks = store.progress(), store.layout(), store.blocks()
    missing = None
    if progress is None or progress.model_sha256 != bundle.first.sha256:
        progress, missing = None, _no_live_sound(bundle, store.folder)
    elif found is None or not blocks:
        missing = (
            f"{store.folder} holds no live sound of {bundle.machine} running, since it has been "
            "off: refit again when it has run for an hour"
        )
    elif found[0] != feature_key(first.detector):
        missing = (
            f"{store.folder} holds live sound of another front end or other networks than those of "
            f"{bundle.machine} {bundle.version}: it is replaced while the machine is monitored"
        )
    usable = missing is None and found is not None
    return RefitInputs(
        reference,
        _time_of(begins),
        progress,
        blocks if usable else (),
        found[1] if usable and found is not None else Layout(()),
        missing,
    )


def _time_of(text: str | None) -> datetime | None:
    try:
        time = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return None if time.tzinfo is None else time


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


def refit_facts(
    bundle: Bundle,
    result: RefitResult,
    settings: MachineDefaults,
    now: datetime,
    *,
    age_s: float,
    automatic: bool,
) -> dict[str, Any]:
    """Return what the manifest contains beside the detector, its reason and its notes.

    Args:
        bundle: the version in use.
        result: the refit.
        settings: the machine's configuration.
        now: the time of the refit.
        age_s: evaluated sound of the commissioning before it, in s.
        automatic: whether the daemon refits by itself, and no person.

    """
    first, days = bundle.first, settings.commissioning.days
    keys = ("training", "warnings", "marked")
    kept = {key: bundle.manifest[key] for key in keys if key in bundle.manifest}
    if "warnings" in kept:  # what the training sound alone supports is no longer true
        kept["warnings"] = [each for each in kept["warnings"] if not each.startswith(PROVISIONAL)]
    return {
        **kept,
        "trained": rfc3339(now),
        "thresholds": threshold_facts(settings.alarm, result.detector),
        KEY: manifest_entry(levels_at_training(bundle.manifest)),
        "moved": result.moved,
        **({"moved_from": bundle.version} if bundle.manifest.get("marked") else {}),
        "commissioning": {
            "days": days,
            "age_s": age_s,
            "first": {"version": first.version, "sha256": first.sha256},
            "blocks": result.blocks,
            "admitted": result.admitted,
            "automatic": automatic,
        },
    }
