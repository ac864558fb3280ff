"""The page of the recordings: what it keeps, begins, stops and refuses."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from asd_monitor.errors import OperationError, UsageError
from asd_monitor.web import jobs, recordings
from asd_monitor.web.job import Job, new_job
from asd_monitor.web.job_file import JobFile
from asd_monitor.web.recording_progress import RecordedSound
from asd_monitor.web.recordings import Recordings
from tests.doubles.page_client import PageClient, page_client
from tests.doubles.waiting import until

FIRST, SECOND = "20260301T100000Z", "20260302T100000Z"
LINE = {
    "recorded_s": 90.0,
    "total_s": 600.0,
    "rms_dbfs": -40.0,
    "peak_dbfs": -20.0,
    "clipped": True,
    "modes": 2,
    "pause": False,
}
FILES = {
    "files": [{"path": "a.flac", "seconds": 95.5, "rms_dbfs": -40.0, "warnings": ["it clips"]}],
    "shortage": "record more",
}
RECORDS = f"""
import json, signal, sys, time
if sys.argv[1] == 'train':
    print('fitting … 40 %', file=sys.stderr, flush=True)
    time.sleep(600)
def stop(*_):
    print({json.dumps(FILES)!r}, flush=True)
    sys.exit(143)
signal.signal(signal.SIGTERM, stop)
print({json.dumps(LINE)!r}, flush=True)
time.sleep(600)
"""


def keep(state: Path, name: str, seconds: float = 60.0, *, complete: bool = True) -> Path:
    """Write a recording as `record` does, without sound."""
    folder = state / "recordings" / "fan01" / name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"fan01-{name}.flac"
    path.write_bytes(b"sound")
    sidecar = {
        "seconds": seconds,
        "levels": {"rms_dbfs": -40.0},
        "warnings": ["it is <quiet>"],
        "complete": complete,
    }
    path.with_suffix(".json").write_text(json.dumps(sidecar))
    return folder


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[PageClient]:
    made = page_client(tmp_path)
    runs(made, RECORDS)
    yield made
    await made.jobs.close()


def runs(client: PageClient, script: str) -> None:
    """Let a script take the place of asd-monitor."""
    client.jobs._program = (sys.executable, "-c", script)


def newest(client: PageClient) -> Job:
    assert client.jobs.newest is not None
    return client.jobs.newest


async def recording(client: PageClient) -> None:
    """Begin a recording, and wait for its first sound."""
    assert (await client.post("/recordings/fan01/record", {"minutes": "10"})).status == 303
    await until(lambda: newest(client).sound is not None)


async def test_a_recording_shows_its_progress_and_keeps_what_it_has_when_it_is_stopped(
    client: PageClient, tmp_path: Path
) -> None:
    await recording(client)
    body = (await client.get("/recordings")).body
    assert "1.5 minutes of 10 minutes recorded" in body
    assert "2 operating modes and no pause found" in body
    assert "switch it off for about a tenth" in body
    assert "−40 dBFS, clipping" in body
    assert '<noscript><meta http-equiv="refresh"' in body
    assert 'action="/recordings/fan01/record"' not in body
    work = json.loads((await client.get("/recordings/work")).body)
    assert work["sound"]["share"] == 0.15
    assert work["sound"]["level"] == 0.5
    assert (await client.post("/recordings/stop", {})).status == 303
    await until(lambda: not newest(client).is_running)
    body = (await client.get("/recordings")).body
    assert "<b>Stopped.</b> 1.6 minutes recorded and kept." in body
    assert "For a training, record more." in body
    assert "<li>It clips</li>" in body
    assert "http-equiv" not in body
    assert client.reloads == []  # it changes no model
    assert json.loads((await client.get("/recordings/work")).body) == {"running": False}
    assert (await client.post("/recordings/stop", {})).status == 400


async def test_one_job_runs_at_a_time_on_all_pages(client: PageClient, tmp_path: Path) -> None:
    keep(tmp_path, FIRST)
    await recording(client)
    text = "Other work has not ended (Recording of fan01): wait for it, or stop it"
    for path, fields in (
        ("/recordings/fan01/record", {"minutes": "10"}),
        ("/recordings/fan01/train", {f"use:{FIRST}": "yes"}),
        ("/models/fan01/refit", {}),
    ):
        answer = await client.post(path, fields)
        assert answer.status == 400
        assert text in answer.body
    answer = await client.post(f"/recordings/fan01/{FIRST}/delete", {})
    assert "It may be in use (Recording of fan01)" in answer.body
    models = await client.get("/models")
    assert 'href="/recordings#work">Recording of fan01' in models.body
    assert models.header("refresh") is None


async def test_a_killed_recording_is_reported_with_what_it_kept(client: PageClient) -> None:
    await recording(client)
    process = client.jobs._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    await until(lambda: not newest(client).is_running)
    body = (await client.get("/recordings")).body
    assert "<b>Ended.</b> It was ended by SIGKILL." in body


async def test_the_end_of_the_page_keeps_the_recording_and_the_next_page_says_so(
    client: PageClient, tmp_path: Path
) -> None:
    await recording(client)
    assert JobFile(tmp_path).read() is not None  # also where the page is killed
    killed = page_client(tmp_path)
    assert "service was stopped: what was recorded" in str(newest(killed).problem)
    await client.jobs.close()
    assert newest(client).sound == RecordedSound().after(json.dumps(LINE)).after(json.dumps(FILES))
    body = (await page_client(tmp_path).get("/recordings")).body
    assert "<b>Ended.</b> The page or the service was stopped: what was recorded" in body


async def test_a_training_of_chosen_recordings_is_put_into_use(
    client: PageClient, tmp_path: Path
) -> None:
    first = keep(tmp_path, FIRST)
    keep(tmp_path, SECOND)
    runs(
        client,
        "import sys; print('warning: no pause', file=sys.stderr);"
        "print(f'notice: {sys.argv[5]}/a.flac: short', file=sys.stderr);"
        "print('fan01 v3: trained', *sys.argv[1:]); print('Would be detected, after:');"
        "print('  a tone: 10 s'); print('Report: /x/report.html')",
    )
    assert (await client.post("/recordings/fan01/train", {f"use:{FIRST}": "yes"})).status == 303
    await until(lambda: not newest(client).is_running)
    job = newest(client)
    models = tmp_path / "models"
    assert job.output.startswith(
        f"fan01 v3: trained train --machine fan01 --normal {first} --models {models}\n"
    )
    assert client.reloads == [True]
    body = (await client.get("/recordings")).body
    assert "fan01 v3 is trained and put into use" in body
    assert 'href="/models/fan01/v3/report"' in body
    assert "<li>No pause</li>" in body
    assert f"<li>{FIRST}/a.flac: short</li>" in body
    assert '<p class="part">a tone: 10 s</p>' in body
    assert "/x/report.html" not in body


async def test_a_training_is_stopped(client: PageClient, tmp_path: Path) -> None:
    keep(tmp_path, FIRST)
    await client.post("/recordings/fan01/train", {f"use:{FIRST}": "yes"})
    await until(lambda: newest(client).step == "fitting … 40 %")
    assert 'value="0.40" aria-label="Training"' in (await client.get("/recordings")).body
    shown = json.loads((await client.get("/recordings/work")).body)
    assert (shown["progress"], shown["share"]) == ("Fitting … 40 %", 0.4)
    await client.post("/recordings/stop", {})
    await until(lambda: not newest(client).is_running)
    assert "No model was made" in (await client.get("/recordings")).body
    assert client.reloads == []


async def test_a_training_that_is_stopped_too_late_is_in_use(
    client: PageClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(tmp_path, FIRST)
    lines: list[str] = []
    monkeypatch.setattr(client.jobs, "_note_output", lambda _job, line: lines.append(line))
    runs(client, "import time; print('fan01 v3: trained on 60 s.'); time.sleep(600)")
    await client.post("/recordings/fan01/train", {f"use:{FIRST}": "yes"})
    await until(lambda: bool(lines))
    await client.post("/recordings/stop", {})
    await until(lambda: not newest(client).is_running)
    assert "fan01 v3 is trained and put into use" in (await client.get("/recordings")).body
    assert client.reloads == [True]


async def test_what_a_command_has_started_does_not_hold_its_place(
    client: PageClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_STOP_S", 0.1)
    monkeypatch.setattr(jobs, "_END_S", 0.1)
    keep(tmp_path, FIRST)
    pid = tmp_path / "pid"
    runs(
        client,
        "import pathlib, subprocess\n"
        "print('fan01 v3: trained on 60 s.', flush=True)\n"
        f"pathlib.Path('{pid}.part').write_text(str(subprocess.Popen(['sleep', '60']).pid))\n"
        f"pathlib.Path('{pid}.part').rename('{pid}')",
    )
    await client.post("/recordings/fan01/train", {f"use:{FIRST}": "yes"})
    await until(pid.exists)
    try:
        await client.post("/recordings/stop", {})
        await until(lambda: not newest(client).is_running)
        gc.collect()  # which complains of pipes that are still open
    finally:
        os.kill(int(pid.read_text()), signal.SIGKILL)
    assert newest(client).trained == "v3"


async def test_work_that_takes_too_long_is_ended_and_said(client: PageClient) -> None:
    runs(client, "import time; time.sleep(600)")
    client.jobs.begin(new_job("train", "fan01", None), [], limit_s=0.1)
    await until(lambda: not newest(client).is_running)
    assert "the computer is too busy. Choose fewer recordings." in str(newest(client).problem)


async def test_a_training_that_was_cut_off_may_have_changed_the_model(tmp_path: Path) -> None:
    JobFile(tmp_path).write(new_job("train", "fan01", None))
    for reloads in ([True], []):
        client = page_client(tmp_path)
        client.jobs.take_up()
        assert client.reloads == reloads
        assert "begin it again" in str(newest(client).problem)


async def test_two_persons_who_press_at_once_begin_one_recording(
    client: PageClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Path] = []
    begin = Recordings.begin

    def noted(*arguments: Any) -> Path:  # a second one would remove the folder, which is empty
        begun.append(begin(*arguments))
        return begun[-1]

    monkeypatch.setattr(Recordings, "begin", noted)
    pressed = [client.post("/recordings/fan01/record", {"minutes": "10"}) for _ in range(4)]
    statuses = [answer.status for answer in await asyncio.gather(*pressed)]
    assert sorted(statuses) == [303, 400, 400, 400]
    assert len(begun) == 1


async def test_work_on_models_is_not_stopped_here(client: PageClient) -> None:
    runs(client, "import time; time.sleep(600)")
    await client.post("/models/fan01/refit", {})
    answer = await client.post("/recordings/stop", {})
    assert "Refit of fan01 cannot be stopped: wait for it" in answer.body


@pytest.mark.parametrize(
    ("path", "fields", "text"),
    [
        ("/recordings/pump02/record", {"minutes": "10"}, "no machine pump02"),
        ("/recordings/fan01/record", {"minutes": "0"}, "1 to 240 minutes"),
        ("/recordings/fan01/record", {"minutes": "nan"}, "1 to 240 minutes"),
        ("/recordings/fan01/record", {"minutes": "241"}, "1 to 240 minutes"),
        ("/recordings/fan01/record", {"minutes": "ten"}, "such as 20"),
        ("/recordings/fan01/train", {}, "Choose the recordings"),
        ("/recordings/fan01/train", {"use:../../models": "yes"}, "no recording ../../models"),
        ("/recordings/fan01/..%2Fx/delete", {}, "no recording"),
        ("/recordings/fan01/20260309T100000Z/delete", {}, "was deleted already"),
    ],
)
async def test_what_cannot_be_asked_begins_nothing(
    client: PageClient, path: str, fields: dict[str, str], text: str
) -> None:
    answer = await client.post(path, fields)
    assert answer.status == 400
    assert text in answer.body
    assert client.jobs.newest is None


async def test_a_form_of_another_page_is_refused(client: PageClient) -> None:
    answer = await client.post("/recordings/fan01/record", {"minutes": "10", "form_key": "x"})
    assert answer.status == 403
    assert client.jobs.newest is None


async def test_recordings_are_listed_and_deleted(client: PageClient, tmp_path: Path) -> None:
    keep(tmp_path, FIRST, complete=False)
    damaged = keep(tmp_path, SECOND)
    next(damaged.glob("*.json")).write_text("{")
    (tmp_path / "recordings" / "fan01" / "20260303T100000Z").mkdir()
    body = (await client.get("/recordings")).body
    assert body.index(SECOND) < body.index(FIRST)
    assert "20260303" not in body
    assert "<span>ended early, kept until then</span>" in body
    assert "It is &lt;quiet&gt;" in body
    assert "Its description is missing or damaged" in body
    assert (await client.post(f"/recordings/fan01/{SECOND}/delete", {})).status == 303
    assert not damaged.exists()
    assert SECOND not in (await client.get("/recordings")).body


@pytest.mark.parametrize("seconds", ["1e400", "NaN", "-5"])
@pytest.mark.parametrize("rms_dbfs", ["1e9", "NaN", "-30"])
async def test_a_damaged_description_costs_no_more_than_itself(
    client: PageClient, tmp_path: Path, seconds: str, rms_dbfs: str
) -> None:
    levels = f'{{"rms_dbfs": {rms_dbfs}}}'
    damaged = f'{{"seconds": {seconds}, "levels": {levels}, "warnings": [], "complete": true}}'
    next(keep(tmp_path, FIRST).glob("*.json")).write_text(damaged)
    next(keep(tmp_path, SECOND).glob("*.json")).write_text("[" * 20_000)
    body = (await client.get("/recordings")).body
    assert body.count("Its description is missing or damaged") == 2


def test_what_is_kept_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Recordings(tmp_path)
    now = datetime(2026, 3, 5, tzinfo=UTC)
    empty = tmp_path / "recordings" / "fan01" / "20260304T100000Z"
    empty.mkdir(parents=True)
    folder = kept.begin("fan01", 10, ["fan01"], now)
    assert folder.stat().st_mode & 0o077 == 0
    assert not empty.exists()  # nothing was recorded there
    monkeypatch.setattr(recordings, "_FREE_BYTES", 1 << 60)
    with pytest.raises(OperationError, match="GB free"):
        kept.begin("fan01", 10, ["fan01"], now)
    monkeypatch.undo()
    monkeypatch.setattr(recordings, "MAX_BYTES", 1000)
    with pytest.raises(UsageError, match="delete some"):
        kept.begin("fan01", 10, ["fan01"], now)
    monkeypatch.undo()
    for day in range(recordings.MAX_RECORDINGS):
        keep(tmp_path, f"202601{day + 1:02}T100000Z", 3600.0)
    with pytest.raises(UsageError, match="has 20 recordings"):
        kept.begin("fan01", 10, ["fan01"], now)
    names = [each.name for each in kept.of_machine("fan01")]
    with pytest.raises(UsageError, match="choose 8 h at most"):
        kept.chosen("fan01", names)
    assert len(kept.chosen("fan01", names[:8])) == 8


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "recordings").write_text("")
    with pytest.raises(OperationError, match="cannot be written"):
        Recordings(tmp_path).begin("fan01", 10, ["fan01"], datetime.now(UTC))


@pytest.mark.parametrize("line", ["{", "[]", "1", "null", '{"files": 3}', '{"recorded_s": "x"}'])
def test_lines_that_cannot_be_read_change_nothing(line: str) -> None:
    sound = RecordedSound(recorded_s=3.0)
    assert sound.after(line) == sound


def test_a_job_file_that_is_damaged_is_left_out(tmp_path: Path) -> None:
    file = JobFile(tmp_path)
    assert file.read() is None
    job = new_job("train", "fan01", None)
    file.write(job)
    assert "begin it again" in str(getattr(file.read(), "problem", None))
    (tmp_path / "page-work.json").write_text("{")
    assert file.read() is None
