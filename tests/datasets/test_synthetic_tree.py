"""The command that writes a data set of synthetic machines."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SMALL = ("--families", "fan", "--machines", 1, "--train", 2, "--target", 1)
TEST_CLIPS = ("--normal", 1, "--anomaly", 2, "--clip-s", 1)


def write_tree(out: Path, *options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "datasets.synthetic_tree", out, *SMALL, *TEST_CLIPS, *options]
    return subprocess.run(
        list(map(str, command)), cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(("layout", "domains"), [("2020", 1), ("2025", 2)])
def test_clips_and_labels_are_written_in_the_layout(
    tmp_path: Path, layout: str, domains: int
) -> None:
    out = tmp_path / "tree"
    done = write_tree(out, "--layout", layout)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{out}: 5 clips\n"
    with (out / "labels.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == 2 + 1 + 2
    assert all((out / row["file"]).exists() for row in rows)
    assert [bool(row["fault"]) for row in rows] == ["anomaly" in row["file"] for row in rows]
    assert len({row.get("domain", "") for row in rows}) == domains
    assert (out / "fan" / "attributes_00.csv").exists() == (layout == "2025")


def test_a_folder_without_noise_recordings_is_refused(tmp_path: Path) -> None:
    done = write_tree(tmp_path / "tree", "--noise", tmp_path)
    assert done.returncode == 2
    assert "has no FLAC, WAV or OGG" in done.stderr
