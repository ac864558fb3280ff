"""The pages of alarms: what they show, what their forms do, and their evidence."""

from __future__ import annotations

import base64
import hashlib
import html
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from asd_monitor.alarm.state import Alarm, AlarmCondition, Transition, TransitionKind
from asd_monitor.errors import UsageError
from asd_monitor.evidence.package_paths import package_folder
from asd_monitor.journal.commands import read_journal
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.store import Journal
from asd_monitor.web import alarm_pages, disk_access, journal_view
from asd_monitor.web.requests import asked_request
from tests.doubles.alarm_commands import FAN, PUMP, AnsweringDaemon, write_alarms
from tests.doubles.page_client import PageClient, page_client

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
CHATTER = (
    AlarmCondition.NORMAL,
    AlarmCondition.UNACKNOWLEDGED,
    AlarmCondition.RETURNED,
)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    write_alarms(tmp_path)
    return tmp_path


@pytest.fixture
def client(state: Path) -> PageClient:
    return page_client(state, machines=("fan01", "pump02"))


@pytest.fixture
def answering(state: Path) -> Iterator[None]:
    with AnsweringDaemon(state):
        yield


async def act(client: PageClient, verb: str, alarm: str = FAN, **fields: str) -> str:
    """Send a form as a browser does; return the text of the outcome."""
    answer = await client.post(f"/alarms/{alarm}/{verb}", {"who": "ann", **fields})
    assert answer.status == 303, answer.body
    shown = await client.get((answer.header("location") or "").partition("#")[0])
    found = re.search(r'id="outcome".*?</div>', shown.body, re.DOTALL)
    assert found is not None
    return html.unescape(re.sub(r"<[^>]*>|\s+", " ", found[0]))


async def test_the_list_shows_every_alarm_or_those_of_a_machine(client: PageClient) -> None:
    body = (await client.get("/alarms")).body
    assert f"/alarms/{FAN}" in body
    assert f"/alarms/{PUMP}" in body
    assert "alarm score at least 6.71 for 3 s" in body or "no reason is known" in body
    body = (await client.get("/alarms?machine=fan01")).body
    assert f"/alarms/{FAN}" in body
    assert f"/alarms/{PUMP}" not in body


async def test_a_machine_that_does_not_exist_hides_no_alarm(client: PageClient) -> None:
    assert f"/alarms/{FAN}" in (await client.get("/alarms?machine=fan9")).body


async def test_an_active_alarm_is_listed_however_many_are_newer(
    client: PageClient, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarm_pages, "MAX_LISTED", 3)
    begin = datetime(2026, 11, 24, tzinfo=UTC)
    with Journal(state) as journal:
        machine = MachineJournal(journal, "pump09")
        for number in range(5):  # each is over, and nobody has seen it
            for condition, before in zip(CHATTER[1:], CHATTER, strict=False):
                alarm = Alarm(1 + number, condition, 8.25, 10.0)
                change = Transition(100, TransitionKind.ALARM, before, condition, "", alarm=alarm)
                machine.record(change, begin + timedelta(hours=number), "v1")
    body = (await client.get("/alarms")).body
    opened, closed = body.split('id="closed"')
    assert f"/alarms/{FAN}" in opened
    assert opened.count('href="/alarms/pump09-') == 3
    assert "Not listed: 2 earlier alarms, over and not acknowledged" in body
    assert "No alarm was closed yet" in closed


async def test_a_disk_that_hangs_is_said_and_the_first_page_goes_on(
    client: PageClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()
    monkeypatch.setattr(disk_access, "ANSWER_S", 0.1)
    monkeypatch.setattr(journal_view, "read_journal", lambda _: answers.wait())
    for _ in range(5):
        for path in ("/alarms", "/machines/fan01"):
            answer = await client.get(path)
            assert (answer.status, "disk has not answered" in answer.body) == (503, True)
    assert (await client.get("/")).status == 200
    answers.set()


async def test_without_a_journal_there_are_no_alarms(tmp_path: Path) -> None:
    client = page_client(tmp_path)
    assert "No alarm is active" in (await client.get("/alarms")).body
    assert (await client.get(f"/alarms/{FAN}")).status == 404


@pytest.mark.usefixtures("answering")
async def test_an_alarm_is_acknowledged_with_name_and_reason(
    client: PageClient, state: Path
) -> None:
    assert "Done. " in await act(client, "ack", why="belt replaced")
    content = read_journal(state)
    assert content is not None
    record = content.alarm(FAN)
    assert (record.who, record.why) == ("ann", "belt replaced")
    assert "Acknowledged, still active" in (await client.get(f"/alarms/{FAN}")).body


@pytest.mark.usefixtures("answering")
async def test_an_alarm_is_shelved_and_unshelved(client: PageClient, state: Path) -> None:
    assert "Done. " in await act(client, "shelve", hours="1", why="grinding")
    content = read_journal(state)
    assert content is not None
    until = content.alarm(FAN).shelved_until
    assert until is not None
    assert timedelta(minutes=55) < until - datetime.now(UTC) <= timedelta(hours=1)
    assert "Refused. " in await act(client, "ack")
    assert "Done. " in await act(client, "unshelve")


@pytest.mark.parametrize(("hidden", "other"), [(FAN, PUMP), (PUMP, FAN)])
@pytest.mark.usefixtures("answering")
async def test_an_alarm_that_is_hidden_is_listed_last(
    client: PageClient, hidden: str, other: str
) -> None:
    await act(client, "shelve", hidden, hours="1", why="grinding")
    listed = (await client.get("/alarms")).body
    assert listed.index(f"/alarms/{other}") < listed.index(f"/alarms/{hidden}")


@pytest.mark.usefixtures("answering")
async def test_an_alarm_is_labelled(client: PageClient) -> None:
    assert "labelled valid by ann" in await act(client, "label", label="valid", why="fault")
    assert "labelled invalid by ann" in await act(client, "label", label="invalid")


@pytest.mark.usefixtures("answering")
async def test_a_machine_is_taken_out_of_service_and_returned(client: PageClient) -> None:
    for verb, text in (("out-of-service", "Return to service"), ("in-service", "Take out of")):
        answer = await client.post(f"/machines/fan01/{verb}", {"who": "ann", "why": "bearing"})
        assert answer.status == 303
        body = (await client.get((answer.header("location") or "").partition("#")[0])).body
        assert "<b>Done.</b>" in body
        assert text in body


async def test_without_a_daemon_the_request_waits(client: PageClient) -> None:
    assert "Waiting. " in await act(client, "ack")


async def test_the_name_is_kept_for_the_next_form(client: PageClient) -> None:
    answer = await client.post(f"/alarms/{FAN}/ack", {"who": 'Ann "Ö" <b>'})
    client.headers["cookie"] = (answer.header("set-cookie") or "").partition(";")[0]
    body = (await client.get(f"/alarms/{FAN}")).body
    assert 'value="Ann &#34;Ö&#34; &lt;b&gt;"' in body


@pytest.mark.parametrize(
    ("verb", "fields", "text"),
    [
        ("ack", {"who": ""}, "Write your name"),
        ("shelve", {"hours": "1"}, "Say why the alarm is shelved"),
        ("shelve", {"hours": "999", "why": "x"}, "Choose until when"),
        ("shelve", {"hours": "until", "until": "soon", "why": "x"}, "Write a time"),
        ("shelve", {"hours": "until", "until": "2020-01-01T00:00", "why": "x"}, "is over"),
        ("shelve", {"hours": "until", "until": "2999-01-01T00:00", "why": "x"}, "7 days"),
        ("label", {"label": "maybe"}, "Choose valid or invalid"),
        ("mark-normal", {}, "Say why this sound is normal"),
        ("in-service", {}, "cannot be asked here"),
        ("delete", {}, "cannot be asked here"),
        ("ack", {"why": "x" * 6000}, "characters"),
    ],
)
async def test_what_is_wrong_with_a_form_is_shown_and_nothing_is_asked(
    client: PageClient, state: Path, verb: str, fields: dict[str, str], text: str
) -> None:
    answer = await client.post(f"/alarms/{FAN}/{verb}", {"who": "ann", **fields})
    assert answer.status == 400
    assert text in html.unescape(answer.body)
    content = read_journal(state)
    assert content is not None
    assert not content.alarm(FAN).acknowledged


async def test_a_form_without_the_key_does_nothing(client: PageClient) -> None:
    answer = await client.post(f"/alarms/{FAN}/ack", {"who": "ann", "form_key": "x"})
    assert answer.status == 403
    assert "load the page again" in answer.body


def test_a_time_is_that_of_the_browser() -> None:
    fields = {"who": "ann", "why": "x", "hours": "until", "until": "2026-03-02T12:30"}
    asked = asked_request("shelve", "fan01", FAN, fields | {"utc_offset_min": "60"}, NOW)
    assert asked.arguments == {"until": "2026-03-02T11:30:00.000Z"}
    with pytest.raises(UsageError):
        asked_request("shelve", "fan01", FAN, fields | {"utc_offset_min": "9" * 40}, NOW)


async def test_evidence_has_a_policy_of_its_own(client: PageClient, state: Path) -> None:
    folder = package_folder(state, "fan01", FAN)
    folder.mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><script>let a;</script>")
    (folder / "alarm.json").write_text("{}")
    (folder / "sound.flac").write_bytes(b"fLaC" + bytes(96))
    assert "<iframe" in (await client.get(f"/alarms/{FAN}")).body
    answer = await client.get(f"/alarms/{FAN}/evidence/index.html")
    policy = answer.header("content-security-policy") or ""
    digest = base64.b64encode(hashlib.sha256(b"let a;").digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy
    assert "sandbox" in policy
    assert "connect-src" not in policy
    part = await client.get(f"/alarms/{FAN}/evidence/sound.flac", range="bytes=0-3")
    assert (part.status, part.body) == (206, "fLaC")


@pytest.mark.parametrize(
    "path",
    [
        f"/alarms/{FAN}/evidence/alarm.json",
        f"/alarms/{FAN}/evidence/../index.html",
        f"/alarms/{FAN}/evidence/..",
        "/alarms/../evidence/index.html",
        "/alarms/.../evidence/index.html",
        "/alarms/unknown/evidence/sound.flac",
        f"/alarms/{PUMP}/evidence/sound.flac",
    ],
)
async def test_no_other_file_can_be_read(client: PageClient, path: str) -> None:
    assert (await client.get(path)).status == 404


async def test_sound_that_is_a_link_is_not_served(client: PageClient, state: Path) -> None:
    folder = package_folder(state, "fan01", FAN)
    folder.mkdir(parents=True)
    (folder / "sound.flac").symlink_to("/etc/passwd")
    assert (await client.get(f"/alarms/{FAN}/evidence/sound.flac")).status == 404
