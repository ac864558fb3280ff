"""The whole daemon in one process: its machines, its status and its end."""

import asyncio
import re
import signal
import threading
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import structlog

from asd_monitor.daemon.journal_access import open_journal
from asd_monitor.daemon.runtime_options import RuntimeOptions
from asd_monitor.daemon.service import Service
from asd_monitor.errors import OperationError, UsageError
from asd_monitor.journal.alarm_records import Event
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.store import Journal
from tests.doubles.in_process_daemon import InProcessDaemon
from tests.doubles.journalled_machine import acknowledgement
from tests.doubles.level_detector import make_config
from tests.doubles.scripted_source import RATE_HZ, ScriptedSource
from tests.doubles.waiting import TIMEOUT_S, until

FAN_AND_PUMP = {"fan": {"device": "hw:1"}, "pump": {"device": "hw:2"}}


@pytest.mark.parametrize(
    ("numbers", "interrupted"),
    [
        ([signal.SIGTERM], False),
        ([signal.SIGINT], True),
        ([signal.SIGINT, signal.SIGINT, signal.SIGTERM], True),
        ([signal.SIGTERM, signal.SIGINT], False),
    ],
)
async def test_signal_stops_cleanly_and_ctrl_c_is_distinguished(daemon, numbers, interrupted):
    daemon.start(make_config(**FAN_AND_PUMP))
    await daemon.until_state("fan", "normal")
    await daemon.until_state("pump", "normal")
    assert (daemon.folder / "sound.sock").exists()
    for number in numbers:
        signal.raise_signal(number)
        await asyncio.sleep(0)
    await daemon.finish()
    assert daemon.service.interrupted is interrupted
    assert daemon.broker.state("fan")["state"] == "stopped"
    assert daemon.broker.state("pump")["state"] == "stopped"
    assert daemon.broker.state("pump")["reason"] == "the daemon was stopped"
    assert daemon.broker.stopped
    assert all(source.closed for sources in daemon.sources.values() for source in sources)
    assert not (daemon.folder / "sound.sock").exists()
    daemon.start(make_config(**FAN_AND_PUMP))  # the state folder is free again
    await daemon.until_state("fan", "normal")


async def test_every_task_has_a_name(daemon):
    daemon.start(make_config(**FAN_AND_PUMP))
    await daemon.until_state("pump", "normal")
    names = {task.get_name() for task in asyncio.all_tasks() - {asyncio.current_task()}}
    assert {"monitor fan", "capture fan", "evaluate fan", "monitor pump", "watchdog"} <= names
    assert [name for name in names if re.fullmatch(r"Task-\d+", name)] == []
    daemon.service.stop()
    await daemon.finish()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_new_status_is_published_after_each_connect(daemon):
    daemon.start(make_config(fan={"device": "hw:1"}))
    await daemon.until_state("fan", "normal")
    await until(lambda: daemon.broker.messages("box/testbox/status"))
    for _ in range(2):
        before = daemon.broker.messages("box/testbox/status")
        status = await daemon.box_status()
        assert status["uptime_s"] >= before[-1]["uptime_s"]
    daemon.service.stop()
    await daemon.finish()
    await asyncio.to_thread(daemon.on_connect)  # after the end it has no effect


def has_sources(daemon: InProcessDaemon, device: str, number: int) -> bool:
    return len(daemon.sources[device]) == number


async def test_defect_in_one_machine_does_not_affect_the_other(daemon):
    with structlog.testing.capture_logs() as logs:
        daemon.start(make_config(**FAN_AND_PUMP))
        await daemon.until_state("fan", "normal")
        await daemon.until_state("pump", "normal")
        for attempt in range(1, 4):
            daemon.source("hw:1").fail(RuntimeError("a defect"))
            await until(partial(has_sources, daemon, "hw:1", attempt + 1))
            await daemon.until_state("fan", "normal")
        daemon.source("hw:2").play(5)
        await until(lambda: len(daemon.broker.messages("pump/score")) > 5)
    assert len(daemon.sources["hw:2"]) == 1
    states = [m for m in daemon.broker.messages("fan/state") if "defect" in (m["reason"] or "")]
    assert states
    assert (states[0]["microphone"], states[0]["evaluated"]) == ("fault", False)
    defects = [entry for entry in logs if "defect" in entry["event"]]
    assert [entry["machine"] for entry in defects] == ["fan"]  # logged once


async def test_daemon_runs_on_without_a_model_or_a_device(daemon):
    del daemon.models.bundles["fan"]
    daemon.start(make_config(**FAN_AND_PUMP))
    await daemon.until_state("fan", "no_model")
    daemon.source("hw:1").interrupt("hw:1: unplugged")
    await daemon.until_state("fan", "unavailable", "no_device")
    await daemon.until_state("pump", "normal")


async def restart_fan(daemon: InProcessDaemon, how: str) -> ScriptedSource:
    """Replace the session of the fan in one of the ways; return the source of the new one."""
    sessions = len(daemon.sources["hw:1"])
    if how == "broken":
        daemon.source("hw:1").fail(RuntimeError("a defect"))
    else:
        daemon.file = make_config(fan={"device": "hw:1", "score_every_s": 1 + sessions})
        daemon.service.request_reload()
    await until(partial(has_sources, daemon, "hw:1", sessions + 1))
    return daemon.source("hw:1")


def fan_scores(daemon: InProcessDaemon) -> list[dict[str, Any]]:
    return daemon.broker.messages("fan/score")


def has_first_score(daemon: InProcessDaemon, after_seq: int) -> bool:
    """Return whether the first window of a later stream has been published."""
    return any(m["seq"] > after_seq and m["sample"] < 2 * RATE_HZ for m in fan_scores(daemon))


@pytest.mark.parametrize("how", ["broken", "reconfigured"])
async def test_scores_resume_with_the_first_window_after_a_restart(daemon, how):
    daemon.start(make_config(fan={"device": "hw:1", "score_every_s": 1}))
    await until(lambda: fan_scores(daemon))
    daemon.source("hw:1").play(20)
    await until(lambda: fan_scores(daemon)[-1]["sample"] > 20 * RATE_HZ)
    for _ in range(2):
        seq = fan_scores(daemon)[-1]["seq"]
        await restart_fan(daemon, how)
        await until(partial(has_first_score, daemon, seq), "the score of the first window")
    numbers = [m["seq"] for m in fan_scores(daemon)]
    assert numbers == sorted(set(numbers))


async def test_counters_survive_restarts_of_a_session(daemon):
    daemon.start(make_config(fan={"device": "hw:1"}))
    await daemon.until_state("fan", "normal")

    async def published() -> tuple[dict[str, Any], dict[str, Any]]:
        status = await daemon.box_status()
        machine = status["machines"].get("fan", {})
        counts = {key: machine.get(key) for key in ("lost_samples", "gaps", "restarts")}
        restarted = {key: status["restarted"][key] for key in ("microphones", "sessions")}
        return counts, restarted | {"samples": status["dropped"]["samples"]}

    def count(source: ScriptedSource, lost: int) -> None:
        stream = source.stream
        stream.lost_samples, stream.gaps, stream.restarts = lost, 2, 1

    count(daemon.source("hw:1"), 1000)
    for how, lost, failures in (("broken", 100, 1), ("reconfigured", 10, 1), ("broken", 1, 2)):
        counts, totals = await published()
        source = await restart_fan(daemon, how)
        restarts = len(daemon.sources["hw:1"]) - 1
        assert (await published())[0] == counts
        count(source, lost)
        new_counts, new_totals = await published()
        assert new_counts == {
            "lost_samples": counts["lost_samples"] + lost,
            "gaps": 2 * (restarts + 1),
            "restarts": restarts + 1,
        }
        assert new_totals == {
            "microphones": restarts + 1,
            "sessions": failures,
            "samples": totals["samples"] + lost,
        }
    await daemon.until_state("fan", "normal")
    before = len(fan_scores(daemon))
    daemon.source("hw:1").play(5)
    await until(lambda: len(fan_scores(daemon)) > before)
    assert fan_scores(daemon)[-1]["lost_samples"] == 1111

    daemon.file = make_config(pump={"device": "hw:2"})
    daemon.service.request_reload()
    await daemon.until_state("pump", "normal")
    assert (await published())[1] == {"microphones": 4, "sessions": 2, "samples": 1111}
    daemon.file = make_config(fan={"device": "hw:1"}, pump={"device": "hw:2"})
    daemon.service.request_reload()
    await daemon.until_state("fan", "normal")
    assert (await published())[0] == {"lost_samples": 1111, "gaps": 8, "restarts": 4}


async def test_alarm_being_written_during_a_reload_is_taken_up(daemon, monkeypatch):
    entered, gate = threading.Event(), threading.Event()
    record = MachineJournal.record

    def slow_record(journal: MachineJournal, *arguments: Any, **cause: Any) -> Event:
        entered.set()
        assert gate.wait(TIMEOUT_S)
        return record(journal, *arguments, **cause)

    monkeypatch.setattr(MachineJournal, "record", slow_record)
    daemon.start(make_config(fan={"device": "hw:1"}))
    await daemon.until_state("fan", "normal")
    daemon.source("hw:1").play(20, 0.6)
    await until(entered.is_set)
    (before,) = (task for task in asyncio.all_tasks() if task.get_name() == "monitor fan")
    daemon.file = make_config(fan={"device": "hw:1", "score_every_s": 1})
    daemon.service.request_reload()
    await until(before.cancelling)
    for _ in range(100):  # a session that did not wait for the journal would begin here
        await asyncio.sleep(0)
    gate.set()
    await until(lambda: len(daemon.sources["hw:1"]) == 2)
    await daemon.until_state("fan", "alarm")
    daemon.source("hw:1").play(15, 0.6)
    await until(lambda: [m for m in fan_scores(daemon) if m["sample"] > 15 * RATE_HZ])
    with Journal(daemon.folder) as journal:
        (alarm,) = journal.alarms("fan")
        raised = [e for e in journal.events(alarm.id) if e.before == "normal"]
    assert len(raised) == 1
    assert daemon.broker.alarm("fan")["id"] == alarm.id


async def test_acknowledgement_by_another_process_is_applied(daemon):
    daemon.start(make_config(fan={"device": "hw:1"}))
    await daemon.until_state("fan", "normal")
    daemon.source("hw:1").play(20, 0.6)
    await daemon.until_state("fan", "alarm")
    with Journal(daemon.folder) as other:
        (record,) = other.alarms("fan")
        other.requests.add(acknowledgement(record.id, "ann", "seen", datetime.now(UTC)))
    await until(lambda: daemon.broker.alarm("fan")["acknowledged"])


async def test_daemon_ends_when_every_recording_has_ended(daemon):
    daemon.start(make_config(fan={"device": "file:/a.wav"}, pump={"device": "file:/b.wav"}))
    await until(lambda: len(daemon.sources) == 2)
    for device in ("file:/a.wav", "file:/b.wav"):
        daemon.source(device).open().play(5)
    daemon.source("file:/a.wav").finish()
    await daemon.until_state("fan", "stopped")
    assert daemon.task is not None
    assert not daemon.task.done()
    daemon.source("file:/b.wav").finish()
    await daemon.finish()
    assert daemon.broker.stopped


async def test_daemon_with_a_microphone_outlives_its_recordings(daemon):
    daemon.start(make_config(fan={"device": "file:/a.wav"}, pump={"device": "hw:2"}))
    await until(lambda: len(daemon.sources) == 2)
    daemon.source("file:/a.wav").open().play(5)
    daemon.source("file:/a.wav").finish()
    await daemon.until_state("fan", "stopped")
    daemon.source("hw:2").play(5)
    await until(lambda: len(daemon.broker.messages("pump/score")) > 5)
    assert daemon.task is not None
    assert not daemon.task.done()


async def test_unreadable_recording_fails_the_run(daemon):
    daemon.start(make_config(fan={"device": "file:/a.wav"}))
    await until(lambda: daemon.sources)
    daemon.source("file:/a.wav").fail(UsageError("/a.wav: empty"))
    with pytest.raises(UsageError, match=r"/a\.wav: empty"):
        await daemon.finish()


async def test_second_daemon_on_a_state_folder_is_refused(daemon, tmp_path):
    daemon.start(make_config(fan={"device": "hw:1"}))
    await daemon.until_state("fan", "normal")
    with pytest.raises(OperationError, match=f"{tmp_path}: another daemon"):
        Service(make_config(fan={"device": "hw:1"}), RuntimeOptions(tmp_path, tmp_path))


def test_damaged_journal_is_kept_and_a_new_one_begun(tmp_path: Path):
    (tmp_path / "alarms.db").write_bytes(b"no database" * 100)
    open_journal(tmp_path).close()
    assert (tmp_path / "alarms.db.damaged-1").read_bytes() == b"no database" * 100
    open_journal(tmp_path).close()
    assert not (tmp_path / "alarms.db.damaged-2").exists()


async def test_status_of_the_box_has_machines_load_and_counters(daemon):
    daemon.start(make_config(**FAN_AND_PUMP))
    await until(lambda: "asd/box/testbox/status" in daemon.broker.retained)
    status = daemon.broker.retained["asd/box/testbox/status"]
    assert set(status["machines"]) == {"fan", "pump"}
    assert {"messages", "samples", "journal"} <= set(status["dropped"])
    assert len(status["load"]) == 3


def is_scored_to(daemon: InProcessDaemon, machine: str, sample: int) -> bool:
    return any(m["sample"] > sample for m in daemon.broker.messages(f"{machine}/score"))


async def test_windows_are_skipped_with_more_machines_than_the_capacity(daemon):
    daemon.start(make_config(**FAN_AND_PUMP), estimate_capacity=lambda _: 1)
    await until(lambda: "asd/box/testbox/status" in daemon.broker.retained)
    async with asyncio.timeout(TIMEOUT_S):
        while (await daemon.box_status())["scoring"]["stride"] < 2:
            continue
    for device in ("hw:1", "hw:2"):
        daemon.source(device).play(1)  # the state follows the sound
    await until(lambda: "skipped" in str(daemon.broker.state("fan").get("reason")))
    status = daemon.broker.retained["asd/box/testbox/status"]
    assert (status["scoring"]["capacity"], status["scoring"]["stride"]) == (1, 2)
    assert daemon.broker.state("fan")["evaluated"]
    for device in ("hw:1", "hw:2"):
        daemon.source(device).play(9)
    for machine in ("fan", "pump"):
        await until(partial(is_scored_to, daemon, machine, 12 * RATE_HZ))
    status = await daemon.box_status()
    assert all(each["skipped_windows"] > 0 for each in status["machines"].values())
