"""The store of live blocks: bounded, private, safe against a kill and against damage."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from asd_monitor.commissioning.blocks import (
    Layout,
    LiveBlock,
    SoundMode,
    SoundPiece,
    Stratum,
)
from asd_monitor.commissioning.sampler import MAX_BLOCKS_PER_HOUR
from asd_monitor.commissioning.schedule import Progress, RefitNote
from asd_monitor.commissioning.sound_pieces import (
    MAX_SOUND_BYTES,
    delete_sound,
    stored_sound,
    write_sound,
)
from asd_monitor.commissioning.store import DATABASE, CommissioningStore
from asd_monitor.commissioning.store_errors import CommissioningStoreError
from tests.doubles.command_line import without_privileges

LAYOUT = Layout([("spectrum", 128), ("tone", 299)])
BEGUN_S = 1.7e9
PROGRESS = Progress("a" * 64, "v1", BEGUN_S)


def block(time_s: float, level_dbfs: float = -30.0, size: int = LAYOUT.size) -> LiveBlock:
    rng = np.random.default_rng(int(time_s))
    return LiveBlock(
        time_s=BEGUN_S + time_s,
        age_s=time_s,
        alarm_active=False,
        level_dbfs=level_dbfs,
        starts_s=np.arange(5, dtype=np.float32) * 2,
        levels_dbfs=level_dbfs + rng.random(5, np.float32),
        vectors=rng.random((5, size)).astype(np.float16),
    )


def piece(time_s: float, band: int = -10, *, alarm_active: bool = False) -> SoundPiece:
    return SoundPiece(BEGUN_S + time_s, SoundMode(band, alarm_active))


@pytest.fixture
def store(tmp_path: Path) -> CommissioningStore:
    store = CommissioningStore(tmp_path / "fan01")
    store.begin(PROGRESS)
    return store


def test_what_was_written_is_read_again(store: CommissioningStore) -> None:
    note = RefitNote(BEGUN_S + 3600, "v2 in use", "v2", moved=0.25, in_use=True)
    progress = Progress("a" * 64, "v1", BEGUN_S, 7200.0, refits=1, day_done=False, last=note)
    written = [block(20.0), block(40.0, -12.0)]
    store.write(progress, written, key="16 kHz", layout=LAYOUT)
    again = CommissioningStore(store.folder)
    assert again.progress() == progress
    assert again.layout() == ("16 kHz", LAYOUT)
    for before, after in zip(written, again.blocks(), strict=True):
        assert (after.time_s, after.age_s, after.stratum) == (
            before.time_s,
            before.age_s,
            before.stratum,
        )
        assert after.level_dbfs == before.level_dbfs
        for name in ("starts_s", "levels_dbfs", "vectors"):
            assert np.array_equal(getattr(after, name), getattr(before, name)), name
    assert again.strata() == {b.stratum: 1 for b in written}


def test_files_are_private(store: CommissioningStore) -> None:
    store.write(PROGRESS, [block(0)], key="k", layout=LAYOUT)
    write_sound(store.folder / "sound", piece(0), np.zeros(1600, np.float32), 16_000)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in store.folder.rglob("*.*")}
    assert modes == {0o600}
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700


def test_the_most_redundant_blocks_are_dropped_beyond_the_limit(tmp_path: Path) -> None:
    size = 1635  # of the shipped encoder and the window statistics
    layout = Layout([("all", size)])
    limited = CommissioningStore(tmp_path / "fan01", max_block_bytes=1_000_000)
    limited.begin(PROGRESS)
    for first in range(0, 200, 10):  # a busy hour, and one block of each later one
        blocks = [block(20.0 * number, -30.0, size) for number in range(first, first + 10)]
        limited.write(PROGRESS, blocks, key="k", layout=layout)
    rare = [block(3600.0 * hour, -30.0, size) for hour in range(2, 12)]
    limited.write(PROGRESS, rare, key="k", layout=layout)
    kept = limited.blocks()
    assert 50 <= len(kept) <= 65
    assert {each.time_s for each in rare} <= {each.time_s for each in kept}
    assert (limited.folder / DATABASE).stat().st_size < 1_400_000


def test_a_month_of_blocks_takes_no_more_than_the_limit(tmp_path: Path) -> None:
    size = 1635
    layout = Layout([("all", size)])
    month = CommissioningStore(tmp_path / "fan01")
    month.begin(PROGRESS)
    for day in range(37):
        start = day * 86_400.0
        blocks = [block(start + 2400.0 * n, -30.0 - n % 5, size) for n in range(36)]
        month.write(PROGRESS, blocks, key="k", layout=layout)
    folder_bytes = sum(path.stat().st_size for path in month.folder.rglob("*"))
    assert folder_bytes + MAX_SOUND_BYTES < 16e6
    assert 400 <= len(month.blocks()) <= 600


def test_blocks_of_other_features_are_replaced(store: CommissioningStore) -> None:
    store.write(PROGRESS, [block(0)], key="k", layout=LAYOUT)
    other = Layout([("spectrum", 128)])
    store.write(PROGRESS, [block(20, size=128)], key="k", layout=other)
    assert [each.age_s for each in store.blocks()] == [20.0]
    store.write(PROGRESS, [block(40, size=128)], key="l", layout=other)
    assert [each.age_s for each in store.blocks()] == [40.0]


def test_a_new_model_begins_with_an_empty_store(store: CommissioningStore) -> None:
    store.write(PROGRESS, [block(0)], key="k", layout=LAYOUT)
    other = Progress("b" * 64, "v7", BEGUN_S)
    store.begin(other)
    assert (store.progress(), store.blocks()) == (other, [])


def test_a_damaged_block_is_left_out(store: CommissioningStore) -> None:
    store.write(PROGRESS, [block(0), block(20)], key="k", layout=LAYOUT)
    database = sqlite3.connect(store.folder / DATABASE)
    (content,) = database.execute("SELECT content FROM blocks WHERE number = 1").fetchone()
    changed = content[:100] + bytes([content[100] ^ 1]) + content[101:]
    database.execute("UPDATE blocks SET content = ? WHERE number = 1", (changed,))
    database.commit()
    database.close()
    assert [each.age_s for each in store.blocks()] == [20.0]


def _all(content: bytearray) -> None:
    content[:] = b"x" * len(content)


def _header(content: bytearray) -> None:
    content[44:48] = b"\x7f\xff\xff\xff"  # the schema format: "unsupported file format"


@pytest.mark.parametrize("damage", [_all, _header])
def test_a_damaged_database_is_deleted_and_a_new_one_begins(
    store: CommissioningStore, damage: Callable[[bytearray], None]
) -> None:
    store.write(PROGRESS, [block(0)], key="k", layout=LAYOUT)
    content = bytearray((store.folder / DATABASE).read_bytes())
    damage(content)
    (store.folder / DATABASE).write_bytes(content)
    assert store.progress() is None
    assert store.blocks() == []
    store.begin(PROGRESS)
    store.write(PROGRESS, [block(20)], key="k", layout=LAYOUT)
    assert [each.age_s for each in store.blocks()] == [20.0]
    assert [path.name for path in store.folder.iterdir()] == [DATABASE]


def test_damage_that_is_found_in_a_page_is_reported_and_a_new_database_begins(
    store: CommissioningStore,
) -> None:
    store.write(PROGRESS, [block(20.0 * n) for n in range(9)], key="k", layout=LAYOUT)
    content = bytearray((store.folder / DATABASE).read_bytes())
    content[4096:] = b"x" * (len(content) - 4096)
    (store.folder / DATABASE).write_bytes(content)
    with pytest.raises(CommissioningStoreError):
        store.progress()
    assert (store.progress(), store.blocks()) == (None, [])
    assert [path.name for path in store.folder.iterdir()] == [DATABASE]


def test_a_database_of_an_earlier_format_is_replaced(store: CommissioningStore) -> None:
    path = store.folder / DATABASE
    path.unlink()
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(
            "CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT);"
            "CREATE TABLE blocks (number INTEGER PRIMARY KEY, fused BLOB);"
            "CREATE TABLE summaries (number INTEGER PRIMARY KEY, content BLOB);"
            "PRAGMA user_version = 1;"
        )
    database.close()
    assert store.progress() is None
    store.write(PROGRESS, [block(20)], key="k", layout=LAYOUT)
    assert (store.progress(), len(store.blocks())) == (PROGRESS, 1)


def test_a_folder_without_permission_is_reported_with_the_remedy(open_folder: Path) -> None:
    closed = open_folder / "closed"
    closed.mkdir(0o500)
    with without_privileges(), pytest.raises(CommissioningStoreError, match="--state"):
        CommissioningStore(closed / "fan01").begin(PROGRESS)


_WRITER = """
import sys
from pathlib import Path
from tests.commissioning.test_commissioning_store import *
store = CommissioningStore(Path(sys.argv[1]))
for number in range(int(sys.argv[2]), 10**9):
    progress = Progress("a" * 64, "v1", BEGUN_S, float(number))
    blocks = [block(20.0 * number + 5 * each) for each in range(3)]
    store.write(progress, blocks, key="k", layout=LAYOUT)
    print(number, flush=True)
"""


def test_a_killed_writer_leaves_a_complete_store(store: CommissioningStore) -> None:
    """What was reported as written is there, and each write is there as a whole."""
    first = 0
    for kill_s in (0.0, 0.013, 0.031):
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(store.folder), str(first)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert writer.stdout is not None
        for _ in range(8):
            reported = int(writer.stdout.readline())
        time.sleep(kill_s)  # into the middle of a write
        os.kill(writer.pid, signal.SIGKILL)
        reported = max([reported, *map(int, writer.stdout.read().split())])
        writer.wait()
        writer.stdout.close()
        progress = store.progress()
        assert progress is not None
        assert progress.age_s >= reported
        newest = [b for b in store.blocks() if b.age_s >= 20.0 * progress.age_s]
        assert len(newest) == 3
        with closing(sqlite3.connect(store.folder / DATABASE)) as database, database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        database.close()
        first = int(progress.age_s) + 1


def test_a_database_that_is_deleted_as_the_remedy_says_begins_anew(
    store: CommissioningStore,
) -> None:
    (store.folder / DATABASE).unlink()
    store.write(PROGRESS, [block(20)], key="k", layout=LAYOUT)
    assert (store.progress(), len(store.blocks())) == (PROGRESS, 1)


def test_sound_beyond_the_limit_is_deleted_and_the_rest_is_spread_over_the_day(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "sound"
    noise = np.random.default_rng(0).uniform(-1, 1, 480_000).astype(np.float32)
    for hour in range(24):
        reported = write_sound(folder, piece(3600 * hour), noise, 48_000)
    left = stored_sound(folder)
    assert left == reported
    hours = [(each.time_s - BEGUN_S) / 3600 for each in left]
    assert 1 < len(left) < 6
    assert sum(path.stat().st_size for path in folder.iterdir()) <= MAX_SOUND_BYTES
    assert hours[0] == 0
    assert max(np.diff([*hours, 24])) <= 12
    delete_sound(folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("alarm_active", [False, True])
@pytest.mark.parametrize("band", [-34, -1, 0, 2])
def test_the_time_and_the_operating_mode_of_sound_are_in_its_name(
    tmp_path: Path, band: int, *, alarm_active: bool
) -> None:
    written = piece(20.0, band, alarm_active=alarm_active)
    assert write_sound(tmp_path, written, np.zeros(1600, np.float32), 16_000) == [written]
    assert stored_sound(tmp_path) == [written]


def test_files_that_are_no_pieces_are_left_alone(tmp_path: Path) -> None:
    names = ["notes.flac", "20231399T000000Z_-30dBFS.flac", "20231114T221320Z_-30dBFS.txt"]
    for name in names:
        (tmp_path / name).touch()
    assert stored_sound(tmp_path) == []
    delete_sound(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_strata_count_conditions(store: CommissioningStore) -> None:
    store.write(PROGRESS, [block(0), block(20), block(40, -3.0)], key="k", layout=LAYOUT)
    quiet = Stratum.of(BEGUN_S, -30.0, alarm_active=False)
    assert store.strata()[quiet] == 2
    assert store.strata().total() == 3


@pytest.mark.parametrize("days_before", [0, 20])
def test_an_hour_writes_no_more_than_its_limit(tmp_path: Path, days_before: int) -> None:
    """Also where each new block replaces one: as many blocks as the sampler keeps at most."""
    size = 1635
    layout = Layout([("all", size)])
    store = CommissioningStore(tmp_path / "fan01")
    store.begin(PROGRESS)
    for day in range(days_before):
        blocks = [block(3600.0 * (30 * day + n), -30.0, size) for n in range(30)]
        store.write(PROGRESS, blocks, key="k", layout=layout)
    before = _written_bytes()
    for part in range(12):
        start = 3600.0 * 30 * days_before + 300 * part
        blocks = [block(start + 20 * n, -30.0, size) for n in range(MAX_BLOCKS_PER_HOUR // 12)]
        store.write(PROGRESS, blocks, key="k", layout=layout)
    noise = np.random.default_rng(0).uniform(-1, 1, 160_000).astype(np.float32)
    write_sound(store.folder / "sound", piece(0), noise, 16_000)
    assert _written_bytes() - before < 5e6


def _written_bytes() -> int:
    """Return the bytes that this process has passed to write calls."""
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["wchar"])
