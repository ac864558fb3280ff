from pathlib import Path

import pytest

from asd_monitor.demo.files import NAME, new_folder
from asd_monitor.errors import OperationError, UsageError


def test_each_demonstration_gets_a_new_folder(tmp_path: Path) -> None:
    first, second = new_folder(None, tmp_path), new_folder(None, tmp_path)
    assert first == tmp_path / NAME
    assert second == tmp_path / f"{NAME}-2"


def test_a_chosen_folder_is_created_or_may_be_empty(tmp_path: Path) -> None:
    chosen = tmp_path / "some" / "where"
    assert new_folder(chosen, tmp_path) == chosen
    assert new_folder(chosen, tmp_path) == chosen


def test_a_folder_with_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="--output"):
        new_folder(tmp_path, tmp_path)


def test_a_folder_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OperationError, match="--output"):
        new_folder(tmp_path / "file" / "folder", tmp_path)
