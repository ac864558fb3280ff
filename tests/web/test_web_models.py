"""The page of the models: what it lists, and the work that it begins."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from asd_monitor.errors import OperationError
from asd_monitor.web.job import Job, new_job
from asd_monitor.web.job_file import JobFile
from asd_monitor.web.jobs import Jobs
from asd_monitor.web.model_list import ListedModel, ListedVersion
from tests.doubles.page_client import PageClient, page_client
from tests.doubles.waiting import until


@pytest.fixture
def client(tmp_path: Path) -> PageClient:
    home = tmp_path / "models" / "fan01"
    for number, facts in (
        (1, {"trained": "2026-03-01T00:00:00Z", "training": {"seconds": 90.0}}),
        (2, {"candidate": True, "moved": 0.25, "reason": "<refit>"}),
    ):
        folder = home / f"v{number}"
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(json.dumps(facts))
    (home / "v3").mkdir()
    (home / "v3" / "manifest.json").write_text("{")
    (home / "v1" / "report.html").write_text("<!doctype html><style>a {}</style>")
    (home / "current").write_text("v1\n")
    return page_client(tmp_path)


def runs(client: PageClient, script: str) -> None:
    """Let a script take the place of asd-monitor."""
    client.jobs._program = (sys.executable, "-c", script)


async def ended(client: PageClient) -> Job:
    job = client.jobs.newest
    assert job is not None
    await until(lambda: client.jobs.newest is not None and not client.jobs.newest.is_running)
    found = client.jobs.newest
    assert found is not None
    return found


async def test_versions_are_listed_the_newest_first(client: PageClient) -> None:
    body = (await client.get("/models")).body
    assert body.index(">v3") < body.index(">v2") < body.index(">v1")
    assert body.count("in use</span>") == 1
    assert "&lt;refit&gt;" in body
    assert "damaged: " in body
    assert 'action="/models/fan01/v2/promote"' in body
    assert 'action="/models/fan01/v1/promote"' not in body
    assert 'action="/models/fan01/v3/promote"' not in body


@pytest.mark.parametrize(
    ("in_use", "has_earlier"),
    [("v3", True), ("v2", True), ("v1", False), (None, True)],
)
def test_only_a_model_with_an_earlier_version_can_be_rolled_back(
    in_use: str | None, has_earlier: bool
) -> None:
    versions = [
        ListedVersion(each, each == in_use, *(None,) * 4, False, False, None)
        for each in ("v3", "v2", "v1")
    ]
    assert ListedModel("fan01", tuple(versions)).has_earlier is has_earlier


async def test_work_runs_as_a_command_and_its_output_is_shown(client: PageClient) -> None:
    runs(client, "import sys; print('loading …', file=sys.stderr); print(*sys.argv[1:])")
    answer = await client.post("/models/fan01/refit", {"since": "2026-03-02T10:00"})
    assert (answer.status, answer.header("location")) == (303, "/models#job")
    running = await client.get("/models")
    assert running.header("refresh") == "3; url=/models"
    assert "/models/fan01/refit" not in running.body
    job = await ended(client)
    assert job.succeeded
    assert job.output.startswith("models refit fan01 --state ")
    assert "--since 2026-03-02T10:00:00" in job.output
    assert client.reloads == [True]
    shown = await client.get("/models")
    assert "models refit fan01" in shown.body
    assert shown.header("refresh") is None


async def test_a_version_that_warns_is_promoted_only_when_confirmed(client: PageClient) -> None:
    script = (
        "import sys; a = sys.argv\n"
        "if '--anyway' not in a: sys.exit('asd-monitor: not put into use: fewer faults are"
        " detected: or promote it with --anyway')\nprint('fan01 uses v2')"
    )
    runs(client, script)
    await client.post("/models/fan01/v2/promote", {})
    assert not (await ended(client)).succeeded
    assert client.reloads == []
    body = (await client.get("/models")).body
    assert "fewer faults are detected" in body
    assert 'name="anyway"' in body
    await client.post("/models/fan01/v2/promote", {"anyway": "yes"})
    assert (await ended(client)).output == "fan01 uses v2\n"
    assert 'name="anyway"' not in (await client.get("/models")).body


async def test_one_job_runs_at_a_time(client: PageClient) -> None:
    runs(client, "import time; time.sleep(600)")
    await client.post("/models/fan01/rollback", {})
    answer = await client.post("/models/fan01/refit", {})
    assert answer.status == 400
    assert "Other work has not ended (Rollback of fan01): wait for it" in answer.body
    with pytest.raises(OperationError):
        client.jobs.begin(new_job("refit", "fan01", None), [])
    await client.jobs.close()


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/models/pump02/refit", {}),
        ("/models/fan01/v9/promote", {}),
        ("/models/fan01/../promote", {}),
        ("/models/fan01/v2/delete", {}),
        ("/models/fan01/v2/rollback", {}),
        ("/models/fan01/compare", {}),
        ("/models/fan01/refit", {"since": "--promote"}),
    ],
)
async def test_what_cannot_be_asked_begins_nothing(
    client: PageClient, path: str, fields: dict[str, str]
) -> None:
    runs(client, "raise SystemExit('run')")
    assert (await client.post(path, fields)).status == 400
    assert client.jobs.newest is None


async def test_a_damaged_manifest_costs_no_more_than_its_version(
    client: PageClient, tmp_path: Path
) -> None:
    (tmp_path / "models" / "fan01" / "v1" / "manifest.json").write_text("[" * 100_000)
    answer = await client.get("/models")
    assert (answer.status, "damaged: " in answer.body) == (200, True)


async def test_reports_are_served_with_a_policy_of_their_own(client: PageClient) -> None:
    answer = await client.get("/models/fan01/v1/report")
    assert answer.status == 200
    assert "script-src 'none'" in (answer.header("content-security-policy") or "")
    for path in ("/models/fan01/v2/report", "/models/fan01/v9/report", "/models/x/v1/report"):
        assert (await client.get(path)).status == 404


async def test_how_a_job_failed_is_said(tmp_path: Path) -> None:
    for script, text in (
        ("raise SystemExit('asd-monitor: the disk is full')", "The disk is full"),
        (
            "import os; os.kill(os.getpid(), 9)",
            "It was ended by SIGKILL. The computer was short of memory if `journalctl -k` has "
            "`Out of memory`: free some, and begin it again.",
        ),
        ("raise SystemExit(143)", "It was ended by SIGTERM. Begin it again."),
        ("raise SystemExit(3)", "It ended with code 3. It is a defect: please report it."),
        (
            "raise ValueError('no')",
            "It ended with code 1 (ValueError: no). It is a defect: please report it.",
        ),
        (
            "raise MemoryError",
            "It needs more memory than it may use: free some, and begin it again.",
        ),
    ):
        program = (sys.executable, "-c", script)
        jobs = Jobs(JobFile(tmp_path), on_change=lambda: None, program=program)
        jobs.begin(new_job("refit", "fan01", None), [])
        await until(lambda jobs=jobs: not jobs.newest.is_running)  # type: ignore[misc]
        assert jobs.newest is not None
        assert jobs.newest.problem == text
