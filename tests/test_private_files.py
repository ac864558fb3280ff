"""Folders for their owner only."""

import os
from pathlib import Path

from asd_monitor.private_files import create_private_folder


def modes(root: Path, folder: Path) -> dict[str, int]:
    """Return the mode of a folder and of those above it, below `root`."""
    made = [each for each in (folder, *folder.parents) if each.is_relative_to(root)]
    return {each.name: each.stat().st_mode & 0o777 for each in made if each != root}


def test_a_folder_and_those_above_it_are_for_their_owner(tmp_path: Path) -> None:
    folder = tmp_path / "state/asd-monitor/recordings"
    create_private_folder(folder)
    assert set(modes(tmp_path, folder).values()) == {0o700}


def test_the_user_of_each_service_can_pass_the_folder_of_all(tmp_path: Path) -> None:
    (tmp_path / "var/lib").mkdir(parents=True)
    folder = tmp_path / "var/lib/asd-monitor/hall/recordings"
    before = os.umask(0o077)
    try:
        create_private_folder(folder)
    finally:
        os.umask(before)
    found = modes(tmp_path, folder)
    assert found["asd-monitor"] == 0o755
    assert found["hall"] == found["recordings"] == 0o700
