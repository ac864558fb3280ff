"""Evidence in the whole daemon: counters, labels, a stop, many alarms at once."""

from __future__ import annotations

import threading
from typing import Any

from asd_monitor.daemon import evidence_packages
from asd_monitor.daemon.load_shedding import LoadShedder
from asd_monitor.daemon.runtime_options import ShutdownLimits
from asd_monitor.evidence.package_files import read_package, stored_packages, write_package
from asd_monitor.journal.commands import read_journal
from tests.doubles.in_process_daemon import InProcessDaemon
from tests.doubles.level_detector import StubBundle, make_config
from tests.doubles.waiting import TIMEOUT_S, until

ALARM_LEVEL = 0.6


async def raise_alarm(daemon: InProcessDaemon, machine: str, device: str) -> str:
    """Play the sound of an alarm and what is kept after it; return the id of the alarm."""
    source = daemon.source(device)
    for _ in range(8):
        source.play(5, ALARM_LEVEL)
    await daemon.until_state(machine, "alarm")
    alarm_id: str = daemon.broker.alarm(machine)["id"]
    return alarm_id


async def until_evidence(daemon: InProcessDaemon, machine: str) -> str:
    await until(lambda: daemon.broker.alarm(machine).get("evidence"))
    path: str = daemon.broker.alarm(machine)["evidence"]
    return path


async def test_evidence_is_published_and_counted(daemon, tmp_path):
    daemon.start(make_config(fan={"device": "hw:1"}))
    await daemon.until_state("fan", "normal")
    await raise_alarm(daemon, "fan", "hw:1")
    path = await until_evidence(daemon, "fan")
    package = read_package(tmp_path / path)
    assert package.alarm["box"] == "testbox"
    counters = (await daemon.box_status())["counters"]["evidence"]
    assert (counters["written"], counters["deleted"]) == (1, 0)
    assert counters["bytes"] >= sum(each.stat().st_size for each in (tmp_path / path).iterdir())
    journal = read_journal(tmp_path)
    assert journal is not None
    assert [each.evidence for each in journal.alarms] == [path]


async def test_a_stop_writes_what_there_is(daemon, tmp_path):
    daemon.start(make_config(fan={"device": "hw:1"}))
    await daemon.until_state("fan", "normal")
    source = daemon.source("hw:1")
    for _ in range(3):
        source.play(5, ALARM_LEVEL)
    await daemon.until_state("fan", "alarm")
    daemon.service.stop()
    await daemon.finish()
    (package,) = stored_packages(tmp_path)
    assert read_package(tmp_path / "evidence/fan" / package.alarm_id).read_sound() is not None


async def test_a_stop_does_not_wait_longer_for_evidence_than_its_limit(
    daemon, monkeypatch, tmp_path
):
    gate, entered = threading.Event(), threading.Event()

    def write_late(*arguments: Any) -> int:
        entered.set()
        assert gate.wait(TIMEOUT_S)
        return write_package(*arguments)

    monkeypatch.setattr(evidence_packages, "write_package", write_late)
    limits = ShutdownLimits(step_s=0.2)
    daemon.start(make_config(fan={"device": "hw:1"}), limits=limits)
    await daemon.until_state("fan", "normal")
    await raise_alarm(daemon, "fan", "hw:1")
    await until(entered.is_set)
    daemon.service.stop()
    await daemon.finish()
    gate.set()
    evidence = daemon.service.parts.evidence
    assert evidence.thread.is_finished
    await until(lambda: evidence.counters.written)  # no thread is left for the next test


async def test_alarms_of_all_machines_at_once_lose_no_window(daemon, tmp_path, monkeypatch):
    # what a computer does that is busy with other work is tested elsewhere
    monkeypatch.setattr(LoadShedder, "next_stride", lambda _self, stride, *_, **__: stride)
    machines = [f"m{number:02}" for number in range(64)]
    for machine in machines:
        daemon.models.bundles[machine] = StubBundle(machine=machine)
    config = make_config(**{name: {"device": f"hw:{at}"} for at, name in enumerate(machines)})
    daemon.start(config)
    for machine in machines:
        await daemon.until_state(machine, "normal")
    sessions = daemon.service.parts.registry.active_sessions()
    sources = [daemon.source(f"hw:{number}") for number in range(64)]
    for _ in range(8):
        for source in sources:
            source.play(5, ALARM_LEVEL)
        await until(lambda: all(source.delivered for source in sources))
        await until(lambda: all(not each._capture_loop.is_due for each in sessions))
    for machine in machines:
        await daemon.until_state(machine, "alarm")
    await until(lambda: daemon.service.parts.evidence.counters.written == 64)
    status = await daemon.box_status()
    assert status["dropped"]["windows"] == status["dropped"]["samples"] == 0
    counters = status["counters"]["evidence"]
    assert (counters["dropped"], counters["without_sound"], counters["unwritten"]) == (0, 0, 0)
    for machine in machines:
        assert len({m["seq"] for m in daemon.broker.messages(f"{machine}/score")}) == 81
        await until_evidence(daemon, machine)
    assert len(stored_packages(tmp_path)) == 64
