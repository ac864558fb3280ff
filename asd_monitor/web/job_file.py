"""The newest job in the state folder: one that ended with the page is reported by the next."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pydantic

from asd_monitor.limited_reading import read_limited
from asd_monitor.private_files import write_private_file
from asd_monitor.web.job import Job

NAME = "page-work.json"
_MAX_BYTES = 1 << 20
_JOB = pydantic.TypeAdapter(Job)


class JobFile:
    """The file; where it cannot be written, nothing is kept.

    Args:
        state: The state folder.

    """

    def __init__(self, state: Path) -> None:
        self.was_cut_off = False
        """Whether the job that was read had not ended."""
        self._path = state / NAME

    def write(self, job: Job) -> None:
        """Replace it."""
        partial = self._path.with_suffix(".part")
        with contextlib.suppress(OSError):  # such as a full disk: the page shows it all the same
            write_private_file(partial, _JOB.dump_json(job))
            partial.replace(self._path)

    def read(self) -> Job | None:
        """Return the newest job of earlier pages; one that had not ended has ended with its page.

        None: there is none, or it cannot be read.
        """
        try:
            job = _JOB.validate_json(read_limited(self._path, _MAX_BYTES))
        except (OSError, ValueError):
            return None
        self.was_cut_off = job.is_running
        if not job.is_running:
            return job
        return replace(job, ended=datetime.now(UTC), problem=job.ended_with_page())
