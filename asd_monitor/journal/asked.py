"""Asking a daemon that may run: what becomes of a request that was added to its journal."""

from __future__ import annotations

import time
from pathlib import Path

from asd_monitor.journal.commands import outcome_of
from asd_monitor.journal.requests import Request

ANSWER_S = 5.0
"""How long the next answer of a running daemon is awaited."""
_PAUSE_S = 0.05  # between two looks at the journal


def awaited_outcome(state: Path, request: Request, wait_s: float) -> Request | None:
    """Return a request with its outcome; None where it has none in time.  Raises `JournalError`."""
    deadline_s = time.monotonic() + wait_s
    while True:
        found = outcome_of(state, request.id)
        if found is not None and found.outcome is not None:
            return found
        if time.monotonic() >= deadline_s:
            return None
        time.sleep(_PAUSE_S)  # another process writes it


def waiting_text(request: Request, *, is_running: bool) -> str:
    """Return what becomes of a request without an outcome."""
    what = f"{request.alarm_id or request.machine}: `{request.verb}`"
    if not is_running:
        return (
            f"{what} waits for the daemon of this folder, which does not run: nothing is monitored;"
            " it is applied when the daemon starts"
        )
    return (
        f"{what} is not applied yet: the daemon of this folder runs and has not answered within"
        f" {ANSWER_S:g} s; it applies it as soon as it can. Look at the state and the reason of"
        f" {request.machine}, and in the log: it may be loading a model, or the disk may not answer"
    )
