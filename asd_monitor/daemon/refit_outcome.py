"""The outcome of a refit, as a log entry and as a note in the progress of the commissioning."""

from __future__ import annotations

from pathlib import Path

import structlog

from asd_monitor.commissioning.schedule import RefitNote
from asd_monitor.daemon.refit_child import RefitOutcome
from asd_monitor.daemon.reload_command import own_reload_command
from asd_monitor.model_store.versions import promote_command

log = structlog.get_logger()


def log_outcome(outcome: RefitOutcome, machine: str, models: Path) -> None:
    """Log how a refit ended, with the command that puts a candidate into use."""
    facts = {
        "machine": machine,
        "model": outcome.version,
        "reason": outcome.reason,
        "moved": outcome.moved,
    }
    if outcome.failure is not None:
        log.error("refit failed: the model in use stays", machine=machine, reason=outcome.failure)
    elif outcome.in_use:
        log.info(
            "refit: a new version is in use",
            notes=list(outcome.notes),
            deleted=list(outcome.deleted),
            **facts,
        )
    else:
        command = promote_command(models, machine, outcome.version or "VERSION")
        log.warning(
            "refit: the new version is a candidate and not in use",
            notes=list(outcome.notes),
            hint=f"compare the sound with that of the training; to use it: `{command}`, then "
            f"`{own_reload_command()}`",
            **facts,
        )


def note_of(outcome: RefitOutcome, time_s: float) -> RefitNote:
    """Return the note of a refit that ended at a Unix time, in s."""
    if outcome.failure is not None:
        result = f"failed: {outcome.failure}"
    elif outcome.in_use:
        result = f"{outcome.version} in use"
    else:
        result = f"{outcome.version} is a candidate"
    return RefitNote(
        time_s=time_s,
        result=result,
        version=outcome.version,
        moved=outcome.moved,
        in_use=outcome.in_use,
    )
