"""The data set of machines with impacts: its clips and labels."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

RATE_HZ = 16_000
ROOT = Path(__file__).parents[2]
Pools = tuple[Path, Path]
"""Folders of sounds and of noises."""


@pytest.fixture(scope="module")
def pools(tmp_path_factory: pytest.TempPathFactory) -> Pools:
    rng = np.random.default_rng(7)
    sounds, noises = tmp_path_factory.mktemp("sounds"), tmp_path_factory.mktemp("noises")
    t = np.arange(RATE_HZ // 2) / RATE_HZ
    for name, hz in (("thump", 700.0), ("ping", 2100.0), ("thud", 300.0)):
        impact = 0.5 * np.sin(2 * np.pi * hz * t) * np.exp(-t / 0.05)
        soundfile.write(sounds / f"{name}.flac", impact, RATE_HZ)
    hall = 0.01 * rng.standard_normal(20 * RATE_HZ)
    soundfile.write(noises / "hall.flac", hall, RATE_HZ)
    return sounds, noises


def write_tree(pools: Pools, out: Path, *options: object) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "datasets.impact_tree",
        *pools,
        out,
        "--ids",
        2,
        "--train",
        2,
        "--normal",
        1,
    ]
    return subprocess.run(
        [*map(str, command), "--anomaly", "8", *map(str, options)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_each_fault_occurs_and_is_labelled(pools: Pools, tmp_path: Path) -> None:
    done = write_tree(pools, tmp_path / "tree")
    assert done.returncode == 0, done.stderr
    with (tmp_path / "tree" / "labels.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == 2 * (2 + 1 + 8)
    faulty = [row for row in rows if row["fault"]]
    assert {row["fault"] for row in faulty if "id_00" in row["file"]} == {
        "missing", "late", "weak", "dull", "double", "drag", "other", "extra",
    }  # fmt: skip
    assert all("anomaly" in row["file"] for row in faulty)
    assert all(0.1 <= float(row["severity"]) <= 0.6 for row in faulty)
    for row in rows:
        clip, rate_hz = soundfile.read(tmp_path / "tree" / row["file"])
        assert (len(clip), rate_hz) == (10 * RATE_HZ, RATE_HZ)
        assert 0.005 < float(np.sqrt(np.mean(clip**2))) < 0.5


@pytest.mark.slow
def test_the_same_seed_writes_the_same_data_set(pools: Pools, tmp_path: Path) -> None:
    for name, seed in (("one", 3), ("same", 3), ("other", 4)):
        assert write_tree(pools, tmp_path / name, "--seed", seed).returncode == 0
    one, same, other = (
        [path.read_bytes() for path in sorted((tmp_path / name).rglob("*.flac"))]
        for name in ("one", "same", "other")
    )
    assert one == same
    assert not set(one) & set(other)


def test_a_folder_that_is_not_empty_is_refused(pools: Pools, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "notes.txt").write_text("")
    done = write_tree(pools, tmp_path / "tree")
    assert done.returncode == 2
    assert "tree is not empty: name another folder" in done.stderr


def test_missing_long_noises_are_reported(pools: Pools, tmp_path: Path) -> None:
    done = write_tree((pools[0], pools[0]), tmp_path / "tree")
    assert done.returncode == 1
    assert "some of 6 s or more" in done.stderr
