"""`asd-monitor alarms` with ten thousand alarms."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from asd_monitor.alarm.state import AlarmCondition
from asd_monitor.cli.alarms import app
from asd_monitor.journal import commands
from asd_monitor.journal.alarm_entries import AlarmEntry
from asd_monitor.journal.alarm_records import AlarmRecord
from asd_monitor.journal.commands import read_journal
from asd_monitor.journal.connections import connect_to, transaction
from asd_monitor.journal.content import JournalContent
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.machine_requests import MachineRequests
from asd_monitor.journal.store import Journal
from tests.doubles.journalled_machine import NOW

ALARMS = 10_000
CPU_S = 3.0
"""On a busy computer; 0.3 s to 0.7 s on a free one."""
MEASURED = """
import resource, runpy, sys
try:
    runpy.run_module("asd_monitor", run_name="__main__")
finally:
    used = resource.getrusage(resource.RUSAGE_SELF)
    loaded = {"asyncio", "numpy", "rich", "soundfile", "structlog"} & set(sys.modules)
    print(f"{used.ru_utime + used.ru_stime} {sorted(loaded)}", file=sys.stderr)
"""


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the state folder of a machine that has had so many alarms."""
    folder = tmp_path_factory.mktemp("many")
    with Journal(folder) as journal:
        MachineJournal(journal, "fan01")
    with closing(connect_to(folder / FILE_NAME, busy_s=1.0)) as database, transaction(database):
        for number in range(ALARMS):
            raised = NOW + timedelta(minutes=number)
            id_ = f"fan01-{raised:%Y%m%dT%H%M%SZ}"
            record = AlarmRecord(
                id_, "fan01", "alarm", AlarmCondition.NORMAL, raised, raised, raised, "ann", "belt",
                7.0, "v1", reason="louder at 1 kHz", views={"level": 3.0}, scale_peaks={10.0: 7.0},
            )  # fmt: skip
            AlarmEntry(record).write(database)
    return folder


def printed(state: Path, *arguments: str) -> str:
    """Return what a command prints, which takes little time and loads nothing large."""
    ended = subprocess.run(
        [sys.executable, "-c", MEASURED, "alarms", *arguments, "--state", str(state)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    used_s, loaded = ended.stderr.splitlines()[-1].split(maxsplit=1)
    assert float(used_s) < CPU_S
    assert loaded == "[]"
    return ended.stdout


def test_ten_thousand_alarms_are_listed_at_once(state: Path) -> None:
    assert len(json.loads(printed(state, "list", "--all", "--json"))) == ALARMS
    assert len(printed(state, "list", "--all").splitlines()) == ALARMS + 1


def test_one_of_ten_thousand_alarms_is_shown_and_their_figures_at_once(state: Path) -> None:
    (first,) = json.loads(printed(state, "list", "--all", "--limit", "1", "--json"))
    assert first["id"] in printed(state, "show", first["id"])
    assert "alarms a day" in printed(state, "stats")


RETURNED = 201


def test_all_alarms_of_a_machine_are_acknowledged_in_few_transactions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Journal(tmp_path) as journal:
        MachineJournal(journal, "fan01")
        alarms = []
        for number in range(RETURNED):
            raised = NOW + timedelta(minutes=number)
            id_ = f"fan01-{raised:%Y%m%dT%H%M%SZ}"
            record = AlarmRecord(
                id_, "fan01", "alarm", AlarmCondition.RETURNED, raised, raised, None, None, None,
                7.0, "v1",
            )  # fmt: skip
            alarms.append(AlarmEntry(record))
        journal.write(alarms)
    reads: list[Path] = []

    def read(state: Path) -> JournalContent | None:
        reads.append(state)
        return read_journal(state)

    monkeypatch.setattr(commands, "read_journal", read)
    answered = CliRunner().invoke(
        app, ["ack", "--machine", "fan01", "--who", "ann", "--state", str(tmp_path)]
    )
    assert answered.exit_code == 0, answered.exception
    assert answered.stdout.count("`ack` waits for the daemon") == RETURNED
    assert len(reads) == 1 + 3  # portions of a hundred
    with Journal(tmp_path) as journal:
        fan = MachineJournal(journal, "fan01")
        MachineRequests(fan).apply(None, NOW + timedelta(days=1), None)
        assert {(alarm.closed, alarm.who) for alarm in journal.alarms()} == {(True, "ann")}
