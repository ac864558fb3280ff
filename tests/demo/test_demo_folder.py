from pathlib import Path

import pytest

from asd_monitor.demo.folder import NAME, fresh_folder
from asd_monitor.errors import OperationError, UsageError


def test_each_demonstration_gets_a_folder_of_its_own(tmp_path: Path) -> None:
    first, second = fresh_folder(None, tmp_path), fresh_folder(None, tmp_path)
    assert first == tmp_path / NAME
    assert second == tmp_path / f"{NAME}-2"


def test_a_folder_that_is_wanted_is_made_or_may_be_empty(tmp_path: Path) -> None:
    wanted = tmp_path / "some" / "where"
    assert fresh_folder(wanted, tmp_path) == wanted
    assert fresh_folder(wanted, tmp_path) == wanted


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    with pytest.raises(UsageError, match="--output"):
        fresh_folder(tmp_path, tmp_path)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OperationError, match="--output"):
        fresh_folder(tmp_path / "file" / "folder", tmp_path)
