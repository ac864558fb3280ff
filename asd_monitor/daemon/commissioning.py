"""Commissioning of one machine: live blocks are sampled and stored, and its model is refitted.

The windows of the machine are sampled in the event loop, without work on the disk.  Every few
minutes they are written in the thread that all machines share for this
(`asd_monitor.daemon.block_storage`), so that a slow disk delays no alarm.  Machines that begin
together write, and keep their first sound, at different times: the load is even, and the sound of
few machines is in memory at once.  A refit runs in a child process, one at a time on a box.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from random import Random

import structlog

from asd_monitor.commissioning.blocks import SoundPiece, feature_key
from asd_monitor.commissioning.sampler import BlockSampler
from asd_monitor.commissioning.schedule import (
    Progress,
    after_refit,
    day_of,
    is_due,
    next_refit_s,
    with_clock_set_back,
)
from asd_monitor.commissioning.sound_schedule import SoundSchedule
from asd_monitor.config.machine_settings import MachineDefaults
from asd_monitor.daemon.block_storage import BlockStorage, StoredCommissioning
from asd_monitor.daemon.box_refits import BoxRefits
from asd_monitor.daemon.machine_publisher import utc
from asd_monitor.daemon.refit_outcome import log_outcome, note_of
from asd_monitor.features.windows import Window
from asd_monitor.model_store.bundle import Bundle
from asd_monitor.monitor import Reading
from asd_monitor.publish.messages import CommissioningStatus
from asd_monitor.records import Block

log = structlog.get_logger()

_WRITE_EVERY_S = 300.0  # of evaluated sound
_MAX_PENDING_BLOCKS = 12
_CHECK_EVERY_S = 10.0  # of evaluated sound, whether a refit is due


class Commissioning:
    """Inactive until `take_model` has found a model that is to be extended.

    Args:
        machine: Id of the machine.
        settings: Its configuration.
        models: The folder of models.
        state: The state folder.
        box: What the machines of the box share.
        now: Returns the time; of a recording, that of its position.
        read_sound: Returns the sound from one sample index to another, if it is still there.
        on_new_model: Called when a refit has put a version into use.
        on_refit_ended: Called when `refitting` has become false.

    """

    def __init__(
        self,
        machine: str,
        settings: MachineDefaults,
        *,
        models: Path,
        state: Path,
        box: BoxRefits,
        now: Callable[[], datetime],
        read_sound: Callable[[int, int], Block | None],
        on_new_model: Callable[[], None],
        on_refit_ended: Callable[[], None],
    ) -> None:
        self.refitting = False
        """Whether a refit runs or waits for its turn."""
        self._machine = machine
        self._settings = settings.commissioning
        self._keeps_sound = settings.evidence.sound == "full"
        self._storage = BlockStorage(
            machine,
            state / "commissioning" / machine,
            box,
            keeps_sound=self._keeps_sound,
        )
        self._models = models
        self._state = state
        self._box = box
        self._now = now
        self._read_sound = read_sound
        self._on_new_model = on_new_model
        self._on_refit_ended = on_refit_ended
        self._log = log.bind(machine=machine)
        self._windows: list[Window] = []
        self._bundle: Bundle | None = None
        self._sampler: BlockSampler | None = None
        self._progress: Progress | None = None
        self._sound: SoundSchedule | None = None  # None: no sound is kept
        self._written_s = self._checked_s = 0.0  # age at the newest write and check
        self._phase = Random(machine).random()  # noqa: S311 - machines of a box take turns
        self._refit_task: asyncio.Task[None] | None = None

    @property
    def tap(self) -> Callable[[Sequence[Window]], object] | None:
        """Receives the windows of the machine while they are scored; None: none are needed."""
        return None if self._sampler is None else self._windows.extend

    @property
    def status(self) -> CommissioningStatus | None:
        """The entry in the status of the box; None: there is no commissioning."""
        progress, days = self._current_progress, self._settings.days
        if progress is None or not progress.stores(days):
            return None
        next_s = next_refit_s(
            progress, days, self._settings.refit_at, self._now().timestamp(), None
        )
        last = progress.last
        return CommissioningStatus(
            day=day_of(progress, days),
            days=days,
            blocks=self._storage.block_count,
            next_refit=None if next_s is None else utc(next_s),
            last_refit=None if last is None else utc(last.time_s),
            result=None if last is None else last.result,
        )

    def take_model(self, bundle: Bundle | None, rate_hz: int) -> None:
        """Go on with the model in use; the state of an earlier run is read in the background."""
        self._end_sampler()
        self._bundle = bundle
        if bundle is None or not (bundle.commissioning_days and self._settings.days):
            self._progress = None
            self._storage.delete_unwanted_sound()
            return
        if self._progress is not None and self._progress.model_sha256 == bundle.first.sha256:
            self._begin_sampler(bundle, rate_hz)
            return
        self._progress = None
        self._storage.load(
            bundle, self._now().timestamp(), partial(self._take_stored, bundle, rate_hz)
        )

    def begin_push(self) -> None:
        """Forget the windows of the push before."""
        self._windows.clear()

    def push(self, readings: Sequence[Reading], time_of: Callable[[int], datetime]) -> None:
        """Sample the windows that the tap has received, with their readings."""
        sampler = self._sampler
        if sampler is None:
            return
        if any(reading.may_be_changed for reading in readings):
            sampler.discard_unconfirmed()  # also where windows have no reading
        if not self._windows:
            return
        scored = {(each.window.start, each.window.end): each for each in readings if each.window}
        windows, self._windows[:] = list(self._windows), []
        evaluated = [scored.pop((each.start, each.end), None) for each in windows]
        if scored:  # the pipeline was replaced
            self._box.count(skipped_windows=len(windows))
            return
        before = sampler.pending
        sampler.push(windows, evaluated, lambda sample: time_of(sample).timestamp())
        if sampler.pending > before:
            self._keep_sound(sampler)
        if (
            sampler.age_s - self._written_s >= _WRITE_EVERY_S
            or sampler.pending >= _MAX_PENDING_BLOCKS
        ):
            self._write()

    def leave_out(self) -> None:
        """Sample nothing: the machine is out of service, and its sound is that of other work."""
        if self._sampler is not None:
            self._sampler.discard_unconfirmed()  # the work may have begun before it was noted
        self._windows.clear()

    def check_refit(self, tasks: asyncio.TaskGroup) -> None:
        """Begin a refit if one is due."""
        sampler = self._sampler
        if sampler is None or self.refitting:
            return
        if abs(sampler.age_s - self._checked_s) < _CHECK_EVERY_S:
            return
        self._checked_s = sampler.age_s
        progress = self._current_progress
        if progress is None:
            return
        now_s = self._now().timestamp()
        self._progress = progress = with_clock_set_back(progress, now_s)
        if is_due(progress, self._settings.days, self._settings.refit_at, now_s):
            self.refitting = True
            self._refit_task = tasks.create_task(self._refit(), name=f"refit {self._machine}")

    def end(self) -> None:
        """End the refit, and write what is pending in the background."""
        if self._refit_task is not None:
            self._refit_task.cancel()
        self._end_sampler()

    async def finish(self, limit_s: float) -> None:
        """Wait until what was pending is on the disk, for so many s at most."""
        await self._storage.written(limit_s)

    @property
    def _current_progress(self) -> Progress | None:
        if self._progress is None or self._sampler is None:
            return self._progress
        return replace(self._progress, age_s=self._sampler.age_s)

    def _take_stored(self, bundle: Bundle, rate_hz: int, stored: StoredCommissioning) -> None:
        self._progress = stored.progress
        if self._keeps_sound:
            self._sound = SoundSchedule(self._phase)
        self._begin_sampler(bundle, rate_hz)
        days = self._settings.days
        if stored.progress.stores(days) and not stored.progress.is_frozen(days):
            self._log.info(
                "commissioning: the model is extended from live sound",
                model=bundle.version,
                day=day_of(stored.progress, self._settings.days),
                days=self._settings.days,
                blocks=self._storage.block_count,
                folder=str(self._storage.folder),
            )

    def _begin_sampler(self, bundle: Bundle, rate_hz: int) -> None:
        progress = self._progress
        if progress is None or not progress.stores(self._settings.days):
            return
        self._checked_s = progress.age_s
        self._written_s = progress.age_s - self._phase * _WRITE_EVERY_S
        self._sampler = BlockSampler(
            bundle.detector,
            rate_hz,
            seed=f"{self._machine} {progress.model_sha256}",
            age_s=progress.age_s,
            kept=self._storage.strata,
        )

    def _end_sampler(self) -> None:
        if self._sampler is not None:
            self._sampler.end()
            self._write()
        self._sampler = None
        self._storage.cancel_load()
        self._windows.clear()

    def _write(self) -> None:
        """Write what is pending, in the background."""
        sampler, bundle, progress = self._sampler, self._bundle, self._current_progress
        if sampler is None or bundle is None or progress is None:
            return
        self._progress, self._written_s = progress, sampler.age_s
        self._storage.write(
            progress,
            sampler.take(),
            key=feature_key(bundle.detector),
            layout=sampler.layout,
        )
        if not progress.stores(self._settings.days):
            self._sampler = None

    def _keep_sound(self, sampler: BlockSampler) -> None:
        """Keep the sound of a block that was just kept, where that is due."""
        block, samples, schedule = sampler.newest, sampler.newest_samples, self._sound
        if schedule is None or block is None or samples is None:
            return
        if not schedule.is_due(block, self._storage.sound):
            return
        sound = self._read_sound(*samples)
        if sound is None or sound.start != samples[0]:
            self._box.count(unstored_sounds=1)
            return
        schedule.note_tried(block)
        self._storage.write_sound(SoundPiece(block.time_s, block.stratum.mode), sound)

    async def _refit(self) -> None:
        """Refit the model when it is this machine's turn, and note the outcome."""
        try:
            async with self._box.turn:
                self._write()
                await self._storage.written()
                begun = self._current_progress
                self._log.info("refit started", blocks=self._storage.block_count)
                outcome = await self._box.refit(self._machine, self._models, self._state)
        finally:
            self.refitting = False
            self._on_refit_ended()
        if begun is None or self._progress is None:
            return
        if begun.model_sha256 != self._progress.model_sha256:  # trained anew meanwhile
            return
        self._box.count(refits=1, failed_refits=int(outcome.failure is not None))
        log_outcome(outcome, self._machine, self._models)
        note = note_of(outcome, self._now().timestamp())
        done = after_refit(begun, self._settings.days, note)
        self._progress = replace(done, age_s=self._progress.age_s)
        self._write()
        if outcome.in_use:
            self._on_new_model()
