"""A refit in a process of its own: `asd-monitor models refit`, started by the daemon."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from asd_monitor.daemon.training_child import run_child

_LIMIT_S = 900.0
_DATA_BYTES = 300 << 20
"""Limit of the private memory of a refit."""


@dataclass(frozen=True, slots=True)
class RefitOutcome:
    """How a refit ended."""

    failure: str | None
    """Why it failed; None: there is a new version."""
    version: str | None = None
    in_use: bool = False
    moved: float | None = None
    reason: str = ""
    notes: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    """Older refits that were deleted."""


async def refit(
    machine: str,
    models: Path,
    state: Path,
    *,
    config: Path | None = None,
    program: tuple[str, ...] = (sys.executable, "-m", "asd_monitor"),
) -> RefitOutcome:
    """Refit a model in a child process; a cancellation ends the process.

    Args:
        machine: Id of the machine.
        models: Where the models are.
        state: The state folder, with the live blocks.
        config: The configuration with the machine's budgets and commissioning.
        program: The command line of asd-monitor.

    """
    options = ["--machine", machine, "--models", str(models), "--state", str(state)]
    options += ["--automatic", "--json"]
    options += ["--config", str(config)] if config else []
    ended = await run_child(
        program,
        ["models", "refit", *options],
        "the refit",
        limit_s=_LIMIT_S,
        data_bytes=_DATA_BYTES,
    )
    if ended.failure is not None:
        return RefitOutcome(ended.failure)
    try:
        found = json.loads(ended.output)
        return RefitOutcome(
            None,
            version=str(found["version"]),
            in_use=bool(found["in_use"]),
            moved=float(found["moved"]),
            reason=str(found["reason"]),
            notes=tuple(map(str, found["notes"])),
            deleted=tuple(map(str, found["deleted"])),
        )
    except (ValueError, KeyError, TypeError) as error:
        return RefitOutcome(f"the refit gave no result ({type(error).__name__}: {error})")
