"""The journal of a temporary state folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from asd_monitor.journal.store import Journal
from tests.doubles.journal_outbox import Clock, Disk, record


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path) as opened:
        yield opened


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def faulty(tmp_path: Path, disk: Disk) -> Iterator[Journal]:
    """A journal whose disk became read-only after one event."""
    with Journal(tmp_path, connect=disk.connect) as journal:
        record(journal)
        disk.make_read_only(True)
        yield journal
