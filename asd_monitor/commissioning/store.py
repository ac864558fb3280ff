"""The live blocks of one machine on disk: ``commissioning/<machine>/blocks.db``.

Each call opens the database and closes it, so that a machine keeps no memory for it between two
writes, and another process can read it.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import structlog

from asd_monitor.commissioning.block_tables import (
    clear,
    delete_blocks,
    delete_damaged_blocks,
    insert_block,
    make_uniform,
    read_blocks,
    read_entries,
    read_layout,
    read_progress,
    stored_bytes,
    write_progress,
)
from asd_monitor.commissioning.blocks import Layout, LiveBlock, Stratum
from asd_monitor.commissioning.database import create_database, open_database, transaction
from asd_monitor.commissioning.redundancy import most_redundant
from asd_monitor.commissioning.schedule import Progress

log = structlog.get_logger()

DATABASE = "blocks.db"
MAX_BLOCK_BYTES = 9_000_000
"""Of all blocks; with the shipped encoder 530 blocks."""


class CommissioningStore:
    """The live blocks of one machine; the calls of one process are not concurrent.

    Every method raises CommissioningStoreError.

    Args:
        folder: The machine's folder; created by the first `begin`.
        max_block_bytes: Limit of the content of all blocks.

    """

    def __init__(self, folder: Path, *, max_block_bytes: int = MAX_BLOCK_BYTES) -> None:
        self.folder = folder
        self._path = folder / DATABASE
        self._max_block_bytes = max_block_bytes

    def progress(self) -> Progress | None:
        """Return how far the commissioning has come; None: nothing is stored."""
        if not self._path.exists():
            return None
        with open_database(self._path) as database:
            return read_progress(database)

    def begin(self, progress: Progress) -> None:
        """Begin the commissioning of a new model; the blocks of an earlier one are deleted."""
        create_database(self._path)
        with open_database(self._path) as database, transaction(database):
            clear(database)
            write_progress(database, progress)

    def write(
        self,
        progress: Progress,
        blocks: Sequence[LiveBlock] = (),
        *,
        key: str = "",
        layout: Layout | None = None,
    ) -> None:
        """Store blocks, and drop the most redundant blocks beyond the limit.

        Where the database was deleted, as the remedy of an error says, a new one begins.

        Args:
            progress: how far the commissioning has come.
            blocks: the blocks that are stored.
            key: the `feature_key` of the blocks; those of another one are dropped.
            layout: the layout of the vectors.

        """
        create_database(self._path)
        with open_database(self._path) as database, transaction(database):
            write_progress(database, progress)
            if blocks and layout is not None:
                make_uniform(database, key, layout)
                for block in blocks:
                    insert_block(database, block)
                delete_damaged_blocks(database)
                self._drop_redundant(database)

    def strata(self) -> Counter[Stratum]:
        """Return how many blocks of each operating condition are stored."""
        if not self._path.exists():
            return Counter()
        with open_database(self._path) as database:
            return Counter(entry.stratum for entry in read_entries(database))

    def layout(self) -> tuple[str, Layout] | None:
        """Return the feature key and the layout of the stored vectors; None: there are none."""
        if not self._path.exists():
            return None
        with open_database(self._path) as database:
            return read_layout(database)

    def times_s(self) -> list[float]:
        """Return the Unix times of the starts of the stored blocks, in s; in any thread."""
        if not self._path.exists():
            return []
        with open_database(self._path) as database:
            return [entry.time_s for entry in read_entries(database)]

    def blocks(self) -> list[LiveBlock]:
        """Return the stored blocks in order of time; a damaged one is left out and logged."""
        if not self._path.exists():
            return []
        with open_database(self._path) as database:
            blocks = read_blocks(database)
        intact = [block for block in blocks if block is not None]
        if len(intact) < len(blocks):
            log.warning(
                "damaged blocks of commissioning are left out",
                file=str(self._path),
                blocks=len(blocks) - len(intact),
            )
        return intact

    def _drop_redundant(self, database: sqlite3.Connection) -> None:
        stored = stored_bytes(database)
        excess = stored - self._max_block_bytes
        if excess > 0:
            entries = read_entries(database)
            each = max(1, stored // len(entries))
            delete_blocks(database, most_redundant(entries, -(-excess // each)))
