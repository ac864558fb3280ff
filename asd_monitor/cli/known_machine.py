"""Machines that have a model: a mistyped id is refused, and `run` warns of it."""

from __future__ import annotations

from pathlib import Path

import structlog

from asd_monitor.model_store.versions import machines_with_models, versions
from asd_monitor.names import similar_machine, unknown_machine


def check_machine(models: Path, machine: str) -> None:
    """Check that a machine without a model is not another one mistyped.

    Raises:
        UsageError: it has no model, and one of a similar name has.

    """
    known = _other_machines(models, machine)
    if similar_machine(machine, known):
        raise unknown_machine(machine, known, models)


def log_notices(models: Path, state: Path, machine: str, *, learn: bool) -> None:
    """Log what the user of `run --machine M [--learn TIME]` may not expect of the models."""
    log = structlog.get_logger().bind(machine=machine, models=str(models))
    if learn and _has_model(models, machine):
        log.warning(
            "--learn has no effect, since the machine has a model",
            hint="after a change of the machine, train a new version with `asd-monitor train`, or "
            f"move {models / machine} and {state / 'learning' / machine} away to learn again",
        )
    elif not learn and (similar := similar_machine(machine, _other_machines(models, machine))):
        log.warning(
            "this machine has no model, and one of a similar name has",
            similar=similar,
            hint=f"was `--machine {similar}` meant?",
        )


def _other_machines(models: Path, machine: str) -> list[str]:
    """Return the machines that have a model; none where this machine has one."""
    try:
        return [] if versions(models, machine) else machines_with_models(models)
    except OSError:  # reported where the model is loaded
        return []


def _has_model(models: Path, machine: str) -> bool:
    try:
        return bool(versions(models, machine))
    except OSError:
        return False
