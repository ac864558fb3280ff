"""Flipped bits and cuts of the stored blocks: what is read is what was written, or is left out."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from asd_monitor.commissioning.blocks import Layout, LiveBlock, Stratum
from asd_monitor.commissioning.schedule import Progress, RefitNote
from asd_monitor.commissioning.store import DATABASE, CommissioningStore
from asd_monitor.commissioning.store_errors import CommissioningStoreError

LAYOUT = Layout([("spectrum", 8)])
BEGUN_S = 1.7e9
PROGRESS = Progress(
    "a" * 64,
    "v1",
    BEGUN_S,
    7200.0,
    1,
    last=RefitNote(BEGUN_S, "v2 in use", "v2", 0.25, in_use=True),
)


def block(number: int) -> LiveBlock:
    rng = np.random.default_rng(number)
    return LiveBlock(
        time_s=BEGUN_S + 3600.0 * number,
        age_s=20.0 * number,
        alarm_active=False,
        level_dbfs=-30.25 - number,
        starts_s=np.arange(5, dtype=np.float32),
        levels_dbfs=np.full(5, -30, np.float32),
        vectors=rng.random((5, LAYOUT.size)).astype(np.float16),
    )


def written_store(folder: Path) -> CommissioningStore:
    store = CommissioningStore(folder)
    store.begin(PROGRESS)
    blocks = [block(number) for number in range(3)]
    store.write(PROGRESS, blocks, key="16 kHz", layout=LAYOUT)
    return store


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The database of `written_store`."""
    store = written_store(tmp_path_factory.mktemp("written") / "fan01")
    return (store.folder / DATABASE).read_bytes()


def read(store: CommissioningStore) -> tuple[object, set[bytes], set[Stratum]]:
    """Return progress, blocks and conditions."""
    blocks = {
        repr((b.time_s, b.age_s, b.alarm_active, b.level_dbfs)).encode() + b.vectors.tobytes()
        for b in store.blocks()
    }
    return store.progress(), blocks, set(store.strata())


def repeatedly(action: Callable[[], object]) -> object:
    """Repeat an action where damage was found in it, after which it must succeed."""
    for _ in range(3):
        try:
            return action()
        except CommissioningStoreError:
            continue
    return action()


def check(folder: Path, damaged: bytes, expected: tuple[object, ...]) -> bool:
    """Check that only what was written is read; return whether all of it is."""
    folder.mkdir(exist_ok=True)
    for left in folder.iterdir():
        left.unlink()
    (folder / DATABASE).write_bytes(damaged)
    store = CommissioningStore(folder)
    found = repeatedly(lambda: read(store))
    assert isinstance(found, tuple)
    progress, *sets = found
    assert progress in (None, expected[0])
    for each, every in zip(sets, expected[1:], strict=True):
        assert isinstance(every, set)
        assert each <= every
    repeatedly(lambda: store.begin(PROGRESS))
    repeatedly(lambda: store.write(PROGRESS, [block(9)], key="16 kHz", layout=LAYOUT))
    assert 180.0 in {each.age_s for each in store.blocks()}
    return found == expected


def test_flipped_bits_do_not_change_what_is_read(content: bytes, tmp_path: Path) -> None:
    folder = tmp_path / "fan01"
    expected = read(written_store(folder))
    assert len(expected[1]) == 3
    rng = random.Random(5)
    positions = set(rng.sample(range(len(content)), 60)) | set(range(110))
    for text in (b"progress{", b"layout[", b"CREATE TABLE blocks"):
        begin = content.index(text)
        positions |= set(range(begin - 20, begin + 60, 4))
    with capture_logs():
        found = [
            check(folder, _flipped(content, position, rng.randrange(8)), expected)
            for position in sorted(positions)
        ]
    assert 0 < sum(found) < len(found)  # some are in unused space


def _flipped(content: bytes, position: int, bit: int) -> bytes:
    damaged = bytearray(content)
    damaged[position] ^= 1 << bit
    return bytes(damaged)


def test_a_cut_database_is_replaced(content: bytes, tmp_path: Path) -> None:
    folder = tmp_path / "fan01"
    expected = read(written_store(folder))
    with capture_logs():
        for end in (0, 1, 99, 100, 4095, 4096, 9000, len(content) - 1):
            assert not check(folder, content[:end], expected)


@pytest.mark.parametrize("column", ["time", "age", "hour", "alarm", "level", "windows"])
def test_a_changed_column_of_a_block_is_noticed(tmp_path: Path, column: str) -> None:
    store = written_store(tmp_path / "fan01")
    with closing(sqlite3.connect(store.folder / DATABASE)) as database:
        database.execute(f"UPDATE blocks SET {column} = 7 WHERE number = 2")  # noqa: S608
        database.commit()
    assert [each.age_s for each in store.blocks()] == [0.0, 40.0]
    assert store.strata().total() == 2
    store.write(PROGRESS, [block(5)], key="16 kHz", layout=LAYOUT)
    with closing(sqlite3.connect(store.folder / DATABASE)) as database:
        assert database.execute("SELECT count(*) FROM blocks").fetchone() == (3,)


def test_a_damaged_progress_is_reported_and_a_new_database_begins(tmp_path: Path) -> None:
    store = written_store(tmp_path / "fan01")
    path = store.folder / DATABASE
    path.write_bytes(path.read_bytes().replace(b'"age_s": 7200.0', b'"age_s": 3200.0'))
    with capture_logs() as logs, pytest.raises(CommissioningStoreError):
        store.progress()
    (entry,) = logs
    assert (entry["log_level"], entry["reason"]) == ("error", "a fact is damaged")
    assert (store.progress(), store.blocks()) == (None, [])
