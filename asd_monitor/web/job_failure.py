"""Why a piece of work failed, and the remedy: one sentence for the page; pure."""

from __future__ import annotations

import signal

from asd_monitor.web.job import KEEPS_SOUND, Job
from asd_monitor.wording import printable, shortened

_MAX_CHARS = 500
_PREFIX = "asd-monitor: "


def failure(job: Job, errors: str, code: int) -> str:
    """Return why a command failed, by what it has printed and its exit code."""
    if code == -signal.SIGKILL:
        return (
            "It was ended by SIGKILL. The computer was short of memory if `journalctl -k` has "
            f"`Out of memory`: {_less_memory(job)}."
        )
    if code < 0:
        return f"It was ended by {signal.Signals(-code).name}. Begin it again."
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    last = shortened(printable(lines[-1]), _MAX_CHARS) if lines else ""
    if "MemoryError" in last:
        return f"It needs more memory than it may use: {_less_memory(job)}."
    text = last.removeprefix(_PREFIX)
    if last.startswith(_PREFIX):
        return f"{text[:1].upper()}{text[1:]}"
    what = f" ({text})" if text else ""
    return f"It ended with code {code}{what}. It is a defect: please report it."


def lateness(job: Job, limit_s: float) -> str:
    """Return that a command has not ended in time."""
    within = f"within {limit_s / 60:g} minutes"
    if job.verb == KEEPS_SOUND:
        return (
            f"It has not recorded that much sound {within}: what was recorded is kept; look at the"
            " microphone of the machine."
        )
    return f"It did not end {within}: the computer is too busy. {_less_work(job)}."


def _less_memory(job: Job) -> str:
    if job.verb == "train":
        return "choose fewer recordings"
    return "free some, and begin it again"


def _less_work(job: Job) -> str:
    if job.verb == "train":
        return "Choose fewer recordings"
    return "Begin it again when there is less to do"
