"""The evidence packages of the box: one thread writes them, and deletes the oldest.

The event loop hands over what was captured and goes on.  In the thread pictures and page are made,
and written to ``evidence/<machine>/<alarm id>/`` in the state folder
(`asd_monitor.evidence.package_files`).  `asd_monitor.daemon.evidence_storage` deletes the oldest.
The sound that waits is bounded: of more, the first alarms keep theirs, since a cascade is explained
by its beginning; the later ones are written without.

No fault of the disk ends the monitoring, or the next package: what could not be written is counted
and logged.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import structlog

from asd_monitor.config.settings import Config
from asd_monitor.daemon.evidence_storage import EvidenceLimits, EvidenceStorage, PackageChange
from asd_monitor.daemon.normal_sound import NormalSounds
from asd_monitor.evidence.building import CapturedAlarm, alarm_picture, content_of
from asd_monitor.evidence.contents import AlarmFacts, PackageContent
from asd_monitor.evidence.package_files import write_package
from asd_monitor.evidence.package_names import relative_path
from asd_monitor.evidence.retention import (
    DAY_S,
    Bounds,
)
from asd_monitor.journal.store import Journal
from asd_monitor.model_store.bundle import Bundle
from asd_monitor.worker_thread import WorkerThread

log = structlog.get_logger()

DEFECTS = (ArithmeticError, LookupError, TypeError, ValueError, MemoryError, RuntimeError)
"""What a defect raises, or a lack of memory; it costs the evidence of one alarm at most."""


_WRITING_S = 0.5
"""How long the writing of a package takes at most, pictures included."""


def evidence_bounds(config: Config, machine: str) -> Bounds:
    """Return how much evidence of a machine is kept, configured now or before."""
    settings = config.machines.get(machine, config.defaults).evidence
    return Bounds(settings.max_bytes, settings.max_age_days * DAY_S)


@dataclass(frozen=True, slots=True)
class EvidenceCounters:
    """Packages since the start of the daemon."""

    written: int = 0
    bytes: int = 0
    """Of those that are stored now."""
    without_sound: int = 0
    """Written without the sound, since too much was waiting."""
    without_pictures: int = 0
    """Written without pictures: by a defect, which is reported, or at a stop."""
    defects: int = 0
    """Not captured or not written, by a defect; reported."""
    dropped: int = 0
    """Not written, since too many were waiting."""
    unwritten: int = 0
    """Not written, since the disk did not take them."""
    deleted: int = 0
    """Deleted by age, size, or for free space."""
    undeleted: int = 0
    """Attempts to delete one that failed."""
    late: int = 0
    """Not complete within the limit of a stop."""
    unfinished: int = 0
    """Left by an interrupted writing, and removed."""


class EvidencePackages:
    """Writes and deletes the packages of all machines.

    Args:
        box: Id of the box.
        state: The state folder.
        models: The folder of models.
        journal: Knows which alarms are active and labelled.
        bounds: Returns how much evidence of a machine is kept.
        on_change: Called in the event loop for each package that was written or deleted.
        limits: Bounds of what waits and of the disk.
        wall_s: Reads the wall clock, in s.
        steady_s: Reads a clock that is never set, in s.

    """

    def __init__(
        self,
        box: str,
        state: Path,
        models: Path,
        *,
        journal: Journal,
        bounds: Callable[[str], Bounds],
        on_change: Callable[[PackageChange], None],
        limits: EvidenceLimits | None = None,
        wall_s: Callable[[], float] = time.time,
        steady_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.box = box
        self.thread = WorkerThread("evidence")
        """Writes the packages."""
        self.turns = 0
        """How many checks were made."""
        self._state = state
        self._on_change = on_change
        self._limits = limits or EvidenceLimits()
        self._steady_s = steady_s
        self._storage = EvidenceStorage(
            state,
            journal=journal,
            bounds=bounds,
            limits=self._limits,
            wall_s=wall_s,
            steady_s=steady_s,
        )
        self._normal = NormalSounds(models, state)
        self._waiting_bytes = 0
        self._waiting: dict[str, AlarmFacts] = {}  # by the id of the alarm
        self._ends_s: float | None = None  # when a stop has to be complete
        self._counts: Counter[str] = Counter()  # each key is counted in one thread

    @property
    def counters(self) -> EvidenceCounters:
        """What was written, dropped and deleted so far."""
        return EvidenceCounters(
            **self._counts, **self._storage.counts, bytes=self._storage.size_bytes
        )

    async def run(self) -> None:
        """Remove what was left, and check age, size and free space, until cancelled."""
        self._note(await self.thread.run(self._storage.begin))
        while True:
            self.turns += 1
            await asyncio.sleep(self._limits.check_s)
            self._note(await self.thread.run(self._storage.check))

    def has_room(self, sound_bytes: int) -> bool:
        """Return whether so much more sound may wait."""
        return self._waiting_bytes + sound_bytes <= self._limits.waiting_bytes

    def submit(self, captured: CapturedAlarm, bundle: Bundle | None) -> None:
        """Write the package of an alarm; returns at once."""
        if self.thread.is_finished or len(self._waiting) >= self._limits.waiting_packages:
            self._counts["dropped"] += 1
            log.error(
                "the evidence of an alarm is not written: too many are waiting",
                machine=captured.facts.machine,
                alarm=captured.facts.id,
            )
            return
        sound_bytes = 0 if captured.sound is None else captured.sound.samples.nbytes
        if captured.sound is None:
            self._counts["without_sound"] += 1
        self._waiting[captured.facts.id] = captured.facts
        self._waiting_bytes += sound_bytes
        writing = self.thread.submit(partial(self._write, captured, bundle))
        writing.add_done_callback(partial(self._note_written, captured.facts, sound_bytes))

    def note_defect(self, machine: str, error: BaseException, alarm_id: str | None = None) -> None:
        """Count and log a defect that costs the evidence of an alarm."""
        self._counts["defects"] += 1
        log.error(
            "the evidence of an alarm is lost by a defect",
            machine=machine,
            alarm=alarm_id,
            hint="please report it with the log",
            exc_info=error,
        )

    async def close(self, limit_s: float) -> None:
        """Write what waits, within the limit, without pictures where time is short.

        May be called in any state and more than once.
        """
        self._ends_s = self._steady_s() + limit_s
        if await self.thread.finish(limit_s):
            return
        for facts in self._waiting.values():
            self._counts["late"] += 1
            log.error(
                "the evidence of an alarm is not complete at the stop",
                machine=facts.machine,
                alarm=facts.id,
                limit_s=limit_s,
            )
        self._waiting.clear()

    def _note_written(
        self, facts: AlarmFacts, sound_bytes: int, writing: asyncio.Future[list[PackageChange]]
    ) -> None:
        self._waiting.pop(facts.id, None)
        self._waiting_bytes -= sound_bytes
        if writing.cancelled():
            return
        if (error := writing.exception()) is not None:
            self.note_defect(facts.machine, error, facts.id)
            return
        self._note(writing.result())

    def _note(self, changes: list[PackageChange]) -> None:
        for change in changes:
            self._on_change(change)

    # The rest is called in the thread.

    def _write(self, captured: CapturedAlarm, bundle: Bundle | None) -> list[PackageChange]:
        facts, changes = captured.facts, self._storage.retain()
        try:
            self._storage.check_space()
            size = self._write_package(captured, bundle)
        except OSError as error:
            self._counts["unwritten"] += 1
            self._report(error, captured)
            return changes
        self._counts["written"] += 1
        self._storage.add(facts.machine, facts.id, size)
        path = relative_path(facts.machine, facts.id)
        log.info("evidence of an alarm written", machine=facts.machine, evidence=path, bytes=size)
        return [*changes, PackageChange(facts.machine, facts.id, path), *self._storage.retain()]

    def _write_package(self, captured: CapturedAlarm, bundle: Bundle | None) -> int:
        # Jinja2 takes 5 MB, which a box without an alarm does not need
        from jinja2 import TemplateError  # noqa: PLC0415

        from asd_monitor.reports.alarm_image import alarm_image  # noqa: PLC0415
        from asd_monitor.reports.evidence_page import evidence_page  # noqa: PLC0415

        if self._is_time_short:
            self._counts["without_pictures"] += 1
            note = "The pictures were not made: the daemon was stopped."
            content = _without_pictures(captured, note)
            return write_package(self._state, content, evidence_page(content))
        try:
            picture = alarm_picture(captured)
            normal = None if picture is None else self._normal.beside(captured, picture, bundle)
            earlier = self._normal.earlier(captured)
            content = content_of(captured, picture, normal=normal, earlier=earlier)
            page, image = evidence_page(content), alarm_image(content)
        except (
            *DEFECTS,
            TemplateError,
        ):  # the sound of an alarm is kept whatever is wrong with its pictures
            self._counts["without_pictures"] += 1
            log.exception(
                "the pictures of an alarm's evidence could not be made",
                machine=captured.facts.machine,
                hint="please report it with the log",
            )
            note = "The pictures could not be made; the log of the daemon says why."
            content = _without_pictures(captured, note)
            page, image = evidence_page(content), None
        return write_package(self._state, content, page, image)

    @property
    def _is_time_short(self) -> bool:
        """Whether a stop leaves too little time for the pictures of all that wait."""
        ends_s = self._ends_s
        if ends_s is None:
            return False
        return ends_s - self._steady_s() < _WRITING_S * len(self._waiting)

    def _report(self, error: OSError, captured: CapturedAlarm) -> None:
        """Log which evidence is not written, and why."""
        log.error(
            "the evidence of an alarm cannot be written",
            machine=captured.facts.machine,
            alarm=captured.facts.id,
            reason=error.strerror or str(error),
            hint="free some space, or make the state folder writable",
        )


def _without_pictures(captured: CapturedAlarm, note: str) -> PackageContent:
    """Return the content of a package with sound and numbers only, and a note why."""
    return content_of(replace(captured, profile=None, notes=(*captured.notes, note)), None)
