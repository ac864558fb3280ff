"""What the pages, health and metrics show of the feed."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from asd_monitor.daemon.evidence_packages import EvidenceCounters
from asd_monitor.daemon.page_protocol import Beat, LiveSound
from asd_monitor.publish.messages import BoxAlarm, Status, no_alarm
from asd_monitor.records import MachineState, MicrophoneState
from asd_monitor.web import feed_reader
from asd_monitor.web.event_stream import MAX_STREAMS, EventStreams, Subscription
from asd_monitor.web.sparkline import sparkline
from tests.doubles.page_client import PageClient, first_events, page_client, state_of, window_of

NOW = datetime(2026, 3, 2, 10, 15, tzinfo=UTC)
SOUND = LiveSound("fan01", NOW, rms_dbfs=-30.0, column_s=0.1, highest_hz=8000.0, columns="")


def status_of(counters: dict[str, dict[str, int]]) -> Status:
    none: dict[str, int] = {}
    return Status(
        *("edge-07", NOW, "1.2.3", 5.0, {}, [0.5, 0.25, 0.125]),
        dropped=none,
        restarted=none,
        counters=counters,
    )


def _stream_of(client: PageClient, machine: str | None) -> AsyncIterator[bytes]:
    """Return what an open page is sent; None: that of all machines."""
    streams = client.streams
    begin = streams._begin_all if machine is None else streams._begin_one
    return streams._events(Subscription(machine), begin)


@pytest.fixture
def client(tmp_path: Path) -> PageClient:
    return page_client(tmp_path, machines=("fan01", "pump02"))


async def test_machines_that_need_attention_come_first(client: PageClient) -> None:
    client.live.take(state_of("fan01"))
    client.live.take(state_of("pump02", MachineState.WARNING, reason="<b>loud</b>"))
    body = (await client.get("/")).body
    assert body.index("/machines/pump02") < body.index("/machines/fan01")
    assert "&lt;b&gt;loud&lt;/b&gt;" in body
    assert "<span>1 normal</span>" in body


async def test_a_machine_that_is_not_configured_has_no_page(client: PageClient) -> None:
    assert (await client.get("/machines/fan01")).status == 200
    for machine in ("fan02", "..", "%3Cscript%3E"):
        assert (await client.get(f"/machines/{machine}")).status == 404


async def test_a_removed_machine_is_shown_no_more(client: PageClient) -> None:
    client.live.take(state_of("pump02"))
    client.live.take(Beat(NOW, broker_connected=True, machines=["fan01"], dropped=0))
    assert "pump02" not in (await client.get("/")).body


async def test_health_follows_the_feed(client: PageClient) -> None:
    assert (await client.get("/healthz")).status == 200
    client.now_s = 30.0
    assert (await client.get("/healthz")).status == 503
    assert "The daemon sends nothing" in (await client.get("/")).body
    assert "asd_daemon_up 0.0" in (await client.get("/metrics")).body


async def test_ready_needs_every_machine_and_the_broker(client: PageClient) -> None:
    for machine in ("fan01", "pump02"):
        client.live.take(state_of(machine))
        client.live.take(window_of(machine))
    assert (await client.get("/readyz")).status == 200
    client.live.take(
        state_of(
            "pump02",
            MachineState.UNAVAILABLE,
            evaluated=False,
            microphone=MicrophoneState.NO_DEVICE,
            reason="unplugged",
        )
    )
    machines = ("fan01", "pump02")
    client.live.take(Beat(NOW, broker_connected=False, machines=machines, dropped=0))
    answer = await client.get("/readyz")
    assert answer.status == 503
    assert answer.body == "the broker is not connected\npump02: unavailable (unplugged)\n"


async def test_ready_needs_recent_windows(client: PageClient) -> None:
    for machine in ("fan01", "pump02"):
        client.live.take(state_of(machine))
        client.live.take(window_of(machine, time=datetime.now(UTC) - timedelta(seconds=60)))
    assert "fan01: no sound was evaluated for 30 s" in (await client.get("/readyz")).body


async def test_scores_of_a_machine_without_windows_are_not_shown_as_those_of_now(
    client: PageClient,
) -> None:
    subscription = Subscription(None)
    client.streams._open.add(subscription)
    for machine in ("fan01", "pump02"):
        client.live.take(state_of(machine))
        client.live.take(window_of(machine, 4.2, time=datetime.now(UTC) + timedelta(hours=1)))
    stream = aiter(subscription)
    assert (await client.get("/readyz")).status == 200
    client.now_s = 40.0  # the wall clock was set back an hour meanwhile
    client.live.take(window_of("pump02", 1.1))
    client.live.take(Beat(NOW, broker_connected=True, machines=("fan01", "pump02"), dropped=0))
    assert (await client.get("/readyz")).body == "fan01: no sound was evaluated for 30 s\n"
    metrics = (await client.get("/metrics")).body
    assert 'asd_machine_alarm_score{machine="pump02"} 1.1' in metrics
    assert 'asd_machine_alarm_score{machine="fan01"}' not in metrics
    assert "4.2" not in (await client.get("/")).body
    sent = b""
    while b"event: beat" not in sent:
        sent = await anext(stream)
        if b"event: machines" in sent:
            last = json.loads(sent.partition(b"data: ")[2])
    shown = {each["id"]: each["alarm_score"] for each in last}
    assert shown == {"fan01": None, "pump02": 1.1}


async def test_metrics_can_be_parsed(client: PageClient) -> None:
    client.live.take(state_of("fan01", MachineState.ALARM))
    client.live.take(window_of("fan01", 6.5))
    client.live.take(no_alarm("fan01", "v1"))
    answer = await client.get("/metrics")
    assert (answer.header("content-type") or "").startswith("text/plain")
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.body)
        for sample in family.samples
    }
    assert samples["asd_machine_state", "alarm", "fan01"] == 1
    assert samples["asd_machine_state", "fan01", "normal"] == 0
    assert samples["asd_machine_alarm_score", "fan01"] == 6.5
    assert samples["asd_broker_connected",] == 1


async def test_a_counter_never_falls_and_a_size_is_a_gauge(client: PageClient) -> None:
    evidence = dataclasses.asdict(EvidenceCounters(written=3, bytes=5))
    client.live.take(status_of(counters={"evidence": evidence}))
    body = (await client.get("/metrics")).body
    assert 'asd_count_total{component="evidence",counter="written"} 3.0' in body
    assert 'counter="bytes"' not in body
    assert "# TYPE asd_evidence_bytes gauge\nasd_evidence_bytes 5.0" in body


async def test_a_hidden_alarm_is_known_by_the_metrics(client: PageClient) -> None:
    alarm = replace(no_alarm("fan01", "v1"), id="fan01-20260302T101500Z", active=True)
    for each, hidden in (
        (alarm, 0),
        (replace(alarm, shelved_until=NOW), 1),
        (replace(alarm, out_of_service=True), 1),
    ):
        client.live.take(each)
        body = (await client.get("/metrics")).body
        assert 'asd_machine_alarm_active{machine="fan01"} 1.0' in body
        assert f'asd_machine_alarm_hidden{{machine="fan01"}} {hidden}.0' in body


async def test_metrics_of_a_daemon_that_sends_nothing_are_none(client: PageClient) -> None:
    client.live.take(state_of("fan01"))
    client.live.take(status_of(counters={"evidence": {"written": 3}}))
    client.live.take(BoxAlarm("edge-07", NOW, active=False, count=0, conditions=[]))
    fresh = (await client.get("/metrics")).body
    client.now_s = 30.0
    stale = (await client.get("/metrics")).body
    names = {line.split("{")[0].split()[0] for line in stale.splitlines() if line[0] != "#"}
    assert "asd_count_total" in fresh
    of_the_page = {name for name in names if name.startswith("asd_page_")}
    assert names - of_the_page == {"asd_build_info", "asd_daemon_up", "asd_broker_connected"}
    assert "asd_page_streams" in of_the_page


async def test_the_alerts_of_the_documentation_name_metrics_that_there_are(
    client: PageClient,
) -> None:
    client.live.take(state_of("fan01"))
    client.live.take(no_alarm("fan01", "v1"))
    client.live.take(BoxAlarm("edge-07", NOW, active=False, count=0, conditions=[]))
    body = (await client.get("/metrics")).body
    names = {line.split()[2] for line in body.splitlines() if line.startswith("# TYPE")}
    text = (Path(__file__).parents[2] / "deploy/README.md").read_text()
    [rules] = re.findall(r"```yaml\n(groups:\n.*?)```", text, re.DOTALL)
    used = set(re.findall(r"asd_\w+", rules))
    assert len(used) == 6
    assert used <= names


async def test_what_a_page_is_sent_first_has_its_age(client: PageClient) -> None:
    client.live.take(window_of("fan01", 1.5))
    client.live.take(SOUND)
    client.now_s = 3.0
    client.live.take(SOUND)
    client.now_s = 3600.0  # the microphone was unplugged an hour ago
    events = await first_events(_stream_of(client, "fan01"), 3)
    (ages,) = [json.loads(each.partition(b"data: ")[2]) for each in events if b"ages" in each]
    assert ages == {"window_s": 3600.0, "sound_s": 3597.0}


async def test_sound_of_a_machine_that_nobody_looks_at_is_not_kept(
    client: PageClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_reader, "MAX_WATCHED", 1)
    beat = Beat(NOW, broker_connected=True, machines=("fan01", "pump02"), dropped=0)
    for machine in beat.machines:
        client.live.take(replace(SOUND, machine=machine))
    client.live.take(beat)
    assert client.live.machine("fan01").sounds
    assert not client.live.machine("pump02").sounds


async def test_an_open_page_learns_of_new_machines_and_periods(client: PageClient) -> None:
    stream = _stream_of(client, None)
    begin = await first_events(stream, 4)
    client.live.take(window_of("fan01", 4.0, time=NOW))
    beat = Beat(NOW, broker_connected=True, machines=("fan01", "new"), dropped=0)
    for each in (beat, replace(beat, time=NOW + timedelta(seconds=1))):
        client.live.take(each)
    sent = begin + await first_events(stream, 5)
    boxes = [json.loads(each.partition(b"data: ")[2]) for each in sent if b"event: box" in each]
    assert [each["machines"] for each in boxes] == [["fan01", "pump02"], ["fan01", "new"]]
    sparks = [json.loads(each.partition(b"data: ")[2]) for each in sent if b"sparks" in each]
    assert [each["fan01"]["words"] for each in sparks] == [
        "no scores yet",
        "highest alarm score 4.0, an alarm begins at 5.4",
    ]


async def test_a_stream_begins_with_what_is_known(client: PageClient) -> None:
    client.live.take(state_of("fan01"))
    client.live.take(window_of("fan01", 1.5))
    subscription = Subscription("fan01")
    stream = aiter(subscription)
    assert (await anext(stream)).startswith(b"retry:")
    subscription.put("machines", [1])
    event, data = (await anext(stream)).decode().strip().split("\n")
    assert event == "event: machines"
    assert json.loads(data.removeprefix("data: ")) == [1]


async def test_an_alarm_is_passed_on_at_once(client: PageClient) -> None:
    subscription = Subscription(None)
    client.streams._open.add(subscription)
    stream = aiter(subscription)
    await anext(stream)
    client.live.take(state_of("fan01", MachineState.ALARM))
    assert b'"state":"alarm"' in await anext(stream)


async def test_a_slow_reader_is_dropped_and_the_others_go_on(client: PageClient) -> None:
    slow, quick = Subscription("fan01"), Subscription("fan01")
    for each in (slow, quick):
        client.streams._open.add(each)
    reading = aiter(quick)
    await anext(reading)
    for _ in range(1000):
        client.live.take(window_of("fan01"))
        await anext(reading)
    events = [event async for event in slow]
    assert len(events) == 1
    client.live.take(window_of("fan01"))
    assert await anext(reading)


async def test_the_number_of_streams_is_bounded(client: PageClient) -> None:
    client.streams._open.update(Subscription(None) for _ in range(MAX_STREAMS))
    answer = await client.get("/stream")
    assert (answer.status, answer.header("retry-after")) == (503, "5")
    assert "asd_page_streams_refused_total 1.0" in (await client.get("/metrics")).body


async def test_closing_ends_every_stream(client: PageClient) -> None:
    streams: EventStreams = client.streams
    subscription = Subscription(None)
    streams._open.add(subscription)
    streams.close()
    assert len([event async for event in subscription]) <= 1
    assert (await client.get("/stream")).status == 503


def test_a_sparkline_has_gaps_and_words() -> None:
    chart = sparkline([1.0, 2.0, None, 3.0], 5.0)
    assert chart.path.count("M") == 2
    assert chart.words == "highest alarm score 3.0, an alarm begins at 5.0"
    assert sparkline([None, None], None).words == "no scores yet"
