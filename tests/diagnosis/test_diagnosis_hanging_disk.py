"""A disk that does not answer: doctor says so and ends."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from asd_monitor.diagnosis import disk_reading, support_file
from asd_monitor.diagnosis.disk_reading import answers, read_state_folder
from asd_monitor.diagnosis.examination import Examination
from asd_monitor.diagnosis.findings import Area, Result
from asd_monitor.diagnosis.programs import within
from asd_monitor.diagnosis.subject import ConfigurationRead, Subject


@pytest.fixture
def hang(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """What a hanging call waits for, set at the end of the test."""
    monkeypatch.setattr(disk_reading, "ANSWER_S", 0.1)
    monkeypatch.setattr(support_file, "ANSWER_S", 0.1)
    event = threading.Event()
    yield event
    event.set()


def test_what_reads_the_disk_is_left_out(tmp_path: Path, make_config: Any) -> None:
    def try_device(*_: object) -> Any:
        raise AssertionError("the state folder was used")

    subject = Subject(
        ConfigurationRead(None, make_config(port=1)), tmp_path / "models", tmp_path / "state"
    )
    examination = Examination(
        subject, try_device=try_device, answers=lambda folder: folder.name != "state"
    )
    found = list(examination.run())
    [disk] = [each for each in found if each.area is Area.DISK]
    assert (disk.check, disk.where, disk.result) == (
        "answer",
        str(tmp_path / "state"),
        Result.FAILED,
    )
    assert {each.area for each in found} == {
        Area.CONFIGURATION,
        Area.DISK,
        Area.BROKER,
        Area.SERVICE,
    }


def test_a_folder_answers(tmp_path: Path, hang, monkeypatch: pytest.MonkeyPatch) -> None:
    assert answers(tmp_path)
    assert answers(tmp_path / "none")
    monkeypatch.setattr(os, "listdir", lambda _: hang.wait())
    assert not answers(tmp_path)


def test_a_trial_that_hangs_is_a_reason(
    tmp_path: Path, hang, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_reading, "write_private_file", lambda *_: hang.wait())
    assert read_state_folder(tmp_path).write_error == "no answer within 0.1 s"


def test_a_support_file_without_the_journal(
    tmp_path: Path, hang, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(support_file, "read_journal", lambda _: hang.wait())
    subject = Subject(ConfigurationRead(None, None), tmp_path, tmp_path)
    names = support_file.write_support_file(tmp_path / "s.tar.gz", subject, [], datetime.now(UTC))
    assert "journal.json" in names


def test_what_is_raised_in_time_is_raised() -> None:
    def fail() -> None:
        raise KeyError("no")

    with pytest.raises(KeyError):
        within(10.0, fail, None)
