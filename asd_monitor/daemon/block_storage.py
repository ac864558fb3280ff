"""Reading and writing the live blocks of one machine, in the thread that all machines share.

What cannot be read or written is logged, once until a write succeeds, and the monitoring goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from asd_monitor.commissioning.blocks import Layout, LiveBlock, SoundPiece, Stratum
from asd_monitor.commissioning.schedule import Progress
from asd_monitor.commissioning.sound_pieces import delete_sound, stored_sound, write_sound
from asd_monitor.commissioning.store import CommissioningStore
from asd_monitor.commissioning.store_errors import CommissioningStoreError
from asd_monitor.daemon.box_refits import BoxRefits
from asd_monitor.model_store.bundle import Bundle
from asd_monitor.records import Block

log = structlog.get_logger()

RETRY_S = 300.0
"""Pause before what could not be read is read again."""


@dataclass(frozen=True, slots=True)
class StoredCommissioning:
    """What an earlier run has left, or a new beginning."""

    progress: Progress
    strata: Mapping[Stratum, int]
    sound: Sequence[SoundPiece]


class BlockStorage:
    """The live blocks of one machine on disk, as the event loop sees them.

    Args:
        machine: Id of the machine.
        folder: Its folder of live blocks.
        box: Has the thread in which they are read and written, and the counters.
        keeps_sound: Whether sound is kept too.

    """

    def __init__(self, machine: str, folder: Path, box: BoxRefits, *, keeps_sound: bool) -> None:
        self.folder = folder
        self.strata: Mapping[Stratum, int] = {}
        """How many blocks of each operating condition are stored."""
        self.sound: Sequence[SoundPiece] = ()
        """The pieces of sound that are stored."""
        self._store = CommissioningStore(folder)
        self._box = box
        self._thread = box.storing
        self._keeps_sound = keeps_sound
        self._log = log.bind(machine=machine)
        self._loading: asyncio.Future[StoredCommissioning] | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._writing: asyncio.Future[Mapping[Stratum, int]] | None = None
        self._logged_error: str | None = None

    @property
    def block_count(self) -> int:
        """How many blocks are stored."""
        return sum(self.strata.values())

    def load(
        self, bundle: Bundle, now_s: float, take: Callable[[StoredCommissioning], None]
    ) -> None:
        """Read the commissioning of a model, or begin it; ``take`` receives it in the event loop.

        It does not where another call or `cancel_load` comes first.  Where it cannot be read, that
        is tried again every `RETRY_S`.
        """
        self.cancel_load()
        if self._thread.is_finished:
            return
        begin = partial(_begin, self._store, bundle, now_s, keeps_sound=self._keeps_sound)
        self._loading = self._thread.submit(begin)
        retry = partial(self.load, bundle, now_s, take)
        self._loading.add_done_callback(partial(self._take_loaded, take, retry))

    def cancel_load(self) -> None:
        """Drop what is being read."""
        self._loading = None
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def write(
        self,
        progress: Progress,
        blocks: Sequence[LiveBlock],
        *,
        key: str,
        layout: Layout | None,
    ) -> None:
        """Begin to write; arguments as for `CommissioningStore.write`."""
        if self._thread.is_finished:
            return
        write = partial(self._store.write, progress, blocks, key=key, layout=layout)
        self._writing = self._thread.submit(partial(_write, self._store, write))
        self._writing.add_done_callback(self._note_write)

    def delete_unwanted_sound(self) -> None:
        """Begin to delete the sound of an earlier run, where none is kept."""
        if self._keeps_sound or self._thread.is_finished:
            return
        delete = partial(delete_sound, _sound(self._store))
        self._thread.submit(delete).add_done_callback(self._note_deletion)

    def write_sound(self, piece: SoundPiece, sound: Block) -> None:
        """Begin to write the sound of a block."""
        if self._thread.is_finished:
            return
        write = partial(write_sound, _sound(self._store), piece, sound.samples, sound.rate_hz)
        self._thread.submit(write).add_done_callback(self._note_sound)

    async def written(self, limit_s: float | None = None) -> None:
        """Wait until the newest write has ended, for so many s at most."""
        if self._writing is not None:
            await asyncio.wait((self._writing,), timeout=limit_s)

    def _take_loaded(
        self,
        take: Callable[[StoredCommissioning], None],
        retry: Callable[[], None],
        loading: asyncio.Future[StoredCommissioning],
    ) -> None:
        if loading is not self._loading or loading.cancelled():
            return
        self._loading = None
        error = loading.exception()
        if error is not None:
            self._box.count(unread=1)
            self._report(error)
            self._retry = asyncio.get_running_loop().call_later(RETRY_S, retry)
            return
        self._logged_error = None
        stored = loading.result()
        self.strata, self.sound = stored.strata, stored.sound
        take(stored)

    def _note_write(self, writing: asyncio.Future[Mapping[Stratum, int]]) -> None:
        if writing.cancelled():
            return
        error = writing.exception()
        if error is not None:
            self._box.count(unstored_blocks=1)
            self._report(error)
            return
        self._logged_error = None
        self.strata = writing.result()

    def _note_sound(self, writing: asyncio.Future[list[SoundPiece]]) -> None:
        if writing.cancelled():
            return
        error = writing.exception()
        if error is not None:
            self._box.count(unstored_sounds=1)
            self._report(error)
            return
        self.sound = writing.result()

    def _note_deletion(self, deleting: asyncio.Future[None]) -> None:
        if not deleting.cancelled() and (error := deleting.exception()) is not None:
            self._report(error)

    def _report(self, error: BaseException) -> None:
        """Log that live sound cannot be stored; what is no such error is a defect."""
        if not isinstance(error, CommissioningStoreError):
            raise error
        if str(error) != self._logged_error:
            self._logged_error = str(error)
            self._log.error("live sound of commissioning is not stored", reason=str(error))


def _begin(
    store: CommissioningStore, bundle: Bundle, now_s: float, *, keeps_sound: bool
) -> StoredCommissioning:
    """Return what is stored of the commissioning of a model; begin it where there is nothing."""
    progress = store.progress()
    sound = _sound(store)
    if progress is None or progress.model_sha256 != bundle.first.sha256:
        progress = Progress(bundle.first.sha256, bundle.first.version, begun_s=now_s)
        store.begin(progress)
        delete_sound(sound)
    if not keeps_sound:
        delete_sound(sound)
    return StoredCommissioning(progress, dict(store.strata()), stored_sound(sound))


def _write(store: CommissioningStore, write: Callable[[], None]) -> Mapping[Stratum, int]:
    write()
    return dict(store.strata())


def _sound(store: CommissioningStore) -> Path:
    return store.folder / "sound"
