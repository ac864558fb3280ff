"""One piece of work that a person asks for on the page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from asd_monitor.errors import UsageError
from asd_monitor.web.recording_progress import RecordedSound

KEEPS_SOUND = "record"
"""The verb of a recording."""
CHANGES_MODELS = ("train", "refit", "promote", "rollback")
"""Verbs after which the models are read again."""
_STOPPABLE = (KEEPS_SOUND, "train")
_PERCENT = re.compile(r"(\d{1,3}) %$")
_VERSION = re.compile(r"^\S+ (v\d+): ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work."""

    title: str
    verb: str
    machine: str
    version: str | None
    begun: datetime
    step: str = "starting"
    ended: datetime | None = None
    succeeded: bool = False
    output: str = ""
    """What the command has printed."""
    warnings: tuple[str, ...] = ()
    """What it has found, one sentence each."""
    problem: str | None = None
    """Why it failed, with the remedy."""
    anyway: bool = False
    """Whether it was asked for although the comparison warns."""
    sound: RecordedSound | None = None
    """What was recorded so far."""
    is_stopping: bool = False
    """Whether a person has stopped it."""
    is_closed: bool = False
    """Whether the page has ended it, as it ended itself."""

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.ended is None

    @property
    def can_stop(self) -> bool:
        """Whether a person can stop it."""
        return self.verb in _STOPPABLE

    @property
    def is_of_recordings(self) -> bool:
        """Whether it is shown on the page of the recordings."""
        return self.verb in _STOPPABLE

    @property
    def share(self) -> float | None:
        """The share of a training that is done, 0 … 1; None: it is not known."""
        found = _PERCENT.search(self.step) if self.verb == "train" else None
        return None if found is None else int(found[1]) / 100

    @property
    def wants_confirmation(self) -> bool:
        """Whether it was refused unless a person confirms it."""
        return self.problem is not None and "--anyway" in self.problem and not self.anyway

    @property
    def trained(self) -> str | None:
        """The version that a training has made."""
        found = _VERSION.search(self.output) if self.verb == "train" and self.succeeded else None
        return None if found is None else found[1]

    @property
    def sentences(self) -> list[tuple[str, bool]]:
        """What a training has printed, line by line; True: it belongs to the line above."""
        lines = [line for line in self.output.splitlines() if line.strip()]
        return [
            (line.strip(), line.startswith(" "))
            for line in lines
            if not line.startswith("Report: ")
        ]

    def ended_with_page(self) -> str:
        """Return why it has failed, where the page has ended with it."""
        if self.verb == KEEPS_SOUND:
            return "The page or the service was stopped: what was recorded until then is kept."
        return "The page or the service was stopped, and the work with it: begin it again."


def new_job(verb: str, machine: str, version: str | None, *, anyway: bool = False) -> Job:
    """Return a job that has not begun.  Raises `UsageError` for what cannot be asked."""
    titles = {
        "refit": f"Refit of {machine}",
        "rollback": f"Rollback of {machine}",
        "promote": f"Putting {machine} {version} into use",
        "compare": f"Comparison of {machine} {version}",
        KEEPS_SOUND: f"Recording of {machine}",
        "train": f"Training of {machine}",
    }
    if verb not in titles or (version is None) != (verb not in ("promote", "compare")):
        raise UsageError("this cannot be asked here")
    return Job(titles[verb], verb, machine, version, datetime.now(UTC), anyway=anyway)
