"""What a recording has so far: from the lines of JSON of ``asd-monitor record --json``."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from asd_monitor.wording import count

_NOTICES = 20
_FLOOR_DBFS = -80.0  # the left end of the level


@dataclass(frozen=True, slots=True)
class RecordedSound:
    """What was recorded."""

    recorded_s: float = 0.0
    total_s: float | None = None
    rms_dbfs: float | None = None  # of the last second
    clipped: bool = False  # in the last second
    modes: int = 1  # operating modes found
    pause: bool = False  # whether the machine was off
    notices: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()  # of the files
    shortage: str | None = None  # what it lacks for a training

    def after(self, line: str) -> RecordedSound:
        """Return it after a line; one that cannot be read changes nothing."""
        try:
            return self._after(json.loads(line))
        except (ValueError, TypeError, KeyError, AttributeError):
            return self

    def _after(self, said: dict[str, Any]) -> RecordedSound:
        if "notice" in said:
            return replace(self, notices=(*self.notices, str(said["notice"]))[-_NOTICES:])
        if "files" in said:
            warnings = [str(text) for each in said["files"] for text in each["warnings"]]
            return replace(
                self,
                recorded_s=sum(float(each["seconds"]) for each in said["files"]),
                warnings=tuple(dict.fromkeys(warnings))[:_NOTICES],
                shortage=None if said["shortage"] is None else str(said["shortage"]),
            )
        level = said["rms_dbfs"]
        return replace(
            self,
            recorded_s=float(said["recorded_s"]),
            total_s=float(said["total_s"]),
            rms_dbfs=None if level is None else float(level),
            clipped=bool(said["clipped"]),
            modes=int(said["modes"]),
            pause=bool(said["pause"]),
        )

    @property
    def share(self) -> float:
        """The share that is recorded, 0 … 1."""
        return min(1.0, self.recorded_s / self.total_s) if self.total_s else 0.0

    @property
    def level(self) -> float:
        """The level as a share of the width of its bar, 0 … 1."""
        if self.rms_dbfs is None:
            return 0.0
        return min(1.0, max(0.0, 1 - self.rms_dbfs / _FLOOR_DBFS))

    @property
    def coverage(self) -> str:
        """What is normal of the machine in it, in words."""
        pause = "a pause" if self.pause else "no pause"
        return f"{count(self.modes, 'operating mode')} and {pause} found"

    @property
    def lacks(self) -> str | None:
        """What it lacks."""
        if self.pause:
            return None
        return (
            "If the machine is ever off, switch it off for about a tenth of the time: else every "
            "later pause raises an alarm."
        )
