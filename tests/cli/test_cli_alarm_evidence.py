"""`alarms show` with the evidence of an alarm."""

from __future__ import annotations

import json
import re
import webbrowser
from pathlib import Path

import pytest

from asd_monitor.errors import OperationError
from asd_monitor.evidence.building import content_of
from asd_monitor.evidence.package_files import write_package
from tests.doubles.alarm_commands import FAN, PUMP, run, write_alarms
from tests.doubles.captured_alarm import captured_alarm


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder in which an alarm of fan01 and one of pump02 are active."""
    write_alarms(tmp_path)
    return tmp_path


@pytest.fixture
def evidence(state: Path) -> Path:
    """Write the evidence of an alarm; return its folder."""
    content = content_of(captured_alarm(alarm_id=FAN, machine="fan01"), None)
    write_package(state, content, "<!doctype html>")
    return state / "evidence" / "fan01" / FAN


def test_an_alarm_is_shown_with_its_evidence(state: Path, evidence: Path) -> None:
    shown = run(state, "show", FAN).stdout
    assert re.search(rf"evidence +{re.escape(str(evidence))} \([0-9.]+ MB\)", shown)
    document = json.loads(run(state, "show", FAN, "--json").stdout)
    assert document["evidence"] == f"evidence/fan01/{FAN}"
    assert document["evidence_bytes"] > 10_000
    assert "evidence" not in run(state, "show", PUMP).stdout
    assert json.loads(run(state, "show", PUMP, "--json").stdout)["evidence"] is None


def test_evidence_is_opened_in_the_browser(
    state: Path, evidence: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setenv("DISPLAY", ":0")

    def open_page(uri: str) -> bool:
        opened.append(uri)
        return True

    monkeypatch.setattr(webbrowser, "open", open_page)
    result = run(state, "show", FAN, "--open")
    assert (result.exit_code, opened) == (0, [(evidence / "index.html").as_uri()])


@pytest.mark.parametrize("display", [None, ":0"])
def test_where_no_browser_can_be_opened_the_path_is_printed(
    state: Path, evidence: Path, monkeypatch: pytest.MonkeyPatch, display: str | None
) -> None:
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    if display is not None:
        monkeypatch.setenv("DISPLAY", display)
    monkeypatch.setattr(webbrowser, "open", lambda _: False)
    result = run(state, "show", FAN, "--open")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == str(evidence / "index.html")
    assert "copy the folder" in result.stderr


def test_evidence_that_is_not_there_cannot_be_opened(state: Path) -> None:
    result = run(state, "show", FAN, "--open")
    assert isinstance(result.exception, OperationError)
    assert "has no evidence" in str(result.exception)
