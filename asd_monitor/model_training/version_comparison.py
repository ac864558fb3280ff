"""Two versions of a machine's model compared, whenever they were made."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from asd_monitor.commissioning.blocks import feature_key
from asd_monitor.commissioning.store import CommissioningStore
from asd_monitor.config.machine_settings import MachineDefaults
from asd_monitor.model_store.bundle import Bundle
from asd_monitor.model_training.comparison import Comparison, HeldOutAlarms, comparison_of
from asd_monitor.model_training.comparison_run import Side, compare_models
from asd_monitor.model_training.hand_refit import held_out_alarms, with_version
from asd_monitor.model_training.training_progress import Progress, no_progress


def compare_versions(
    state: Path,
    settings: MachineDefaults,
    before: Bundle,
    after: Bundle,
    *,
    labels: Mapping[str, str],
    progress: Progress = no_progress,
) -> Comparison:
    """Return what the version ``after`` changes, in the place of ``before``.

    Held-out sound is that of the refit where it was compared with this version, else the live
    blocks that are newer than both.

    Args:
        state: the state folder.
        settings: the machine's configuration.
        before: a version.
        after: another one.
        labels: valid or invalid, by the ids of alarms.
        progress: called with the share that is done.

    Raises:
        CommissioningStoreError: live sound cannot be read.

    """
    held_out = _held_out_at_refit(before, after)
    if held_out is None:
        held_out = _newer_than_both(state, settings, before, after)
    return compare_models(
        state,
        before.machine,
        settings.alarm_criteria,
        Side(before.version, before.sha256, before.detector),
        Side(after.version, after.sha256, after.detector),
        labels=labels,
        held_out=held_out,
        progress=progress,
    )


def stored_comparison(bundle: Bundle) -> Comparison | None:
    """Return the comparison that was made at the refit of a version; None: there was none.

    Raises:
        KeyError, TypeError, ValueError: it is malformed.

    """
    document = bundle.manifest.get("comparison")
    if document is None:
        return None
    return with_version(comparison_of(document), bundle.version, bundle.sha256)


def _held_out_at_refit(before: Bundle, after: Bundle) -> HeldOutAlarms | None:
    try:
        found = stored_comparison(after)
    except (KeyError, TypeError, ValueError):  # of another version of asd-monitor
        return None
    return found.held_out if found is not None and found.before.sha256 == before.sha256 else None


def _newer_than_both(
    state: Path, settings: MachineDefaults, before: Bundle, after: Bundle
) -> HeldOutAlarms | None:
    """Return the alarms in blocks that neither was fitted to; None: there are none."""
    store = CommissioningStore(state / "commissioning" / before.machine)
    found = store.layout()
    keys = {feature_key(each.detector) for each in (before, after)}
    trained = [each.manifest.get("trained") for each in (before, after)]
    if found is None or keys != {found[0]} or None in trained:
        return None
    newest_s = max(datetime.fromisoformat(str(each)).timestamp() for each in trained)
    front_end = before.detector.front_end
    pieces = [
        block.windows(found[1], front_end.rate_hz, front_end.window)
        for block in store.blocks()
        if block.time_s > newest_s and not block.alarm_active
    ]
    if not pieces:
        return None
    return held_out_alarms(before.detector, after.detector, settings.alarm_criteria, pieces)
