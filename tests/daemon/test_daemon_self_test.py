"""The daily self-test in the daemon: what it finds, publishes and keeps."""

import asyncio
import json
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asd_monitor.daemon import broker_check, machine_self_test, self_test
from asd_monitor.daemon.machine_registry import MachineRegistry
from asd_monitor.daemon.machine_self_test import checks_of_machine
from asd_monitor.daemon.self_test_intervals import SelfTestIntervals
from asd_monitor.daemon.self_test_state import FirstLevels
from asd_monitor.daemon.self_test_subject import SelfTestSubject
from asd_monitor.journal.requests import Request, Verb
from asd_monitor.publish.messages import BoxAlarm, SelfTest, read
from asd_monitor.records import Samples
from asd_monitor.sealed_json import parsed_json, seal_of, sealed_json
from asd_monitor.self_test.checks import Check, Result
from asd_monitor.self_test.schedule import OVERDUE_S
from tests.daemon.test_daemon_microphone import covered, judging, noise
from tests.doubles.in_process_daemon import INTERVALS, InProcessDaemon
from tests.doubles.level_detector import LevelDetector, StubBundle, make_config
from tests.doubles.scripted_source import RATE_HZ
from tests.doubles.waiting import until

TOPIC, ALARM, ECHO = (
    "asd/box/testbox/selftest",
    "asd/box/testbox/alarm",
    "box/testbox/selftest/echo",
)
AT_ONCE = replace(INTERVALS, self_test=SelfTestIntervals(0.0, 0.02, 0.2))
NEVER = replace(INTERVALS, self_test=SelfTestIntervals(3600.0, 0.02, 3600.0))


@pytest.fixture
def fast_echo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for the message from the broker a quarter of a second only."""
    monkeypatch.setattr(broker_check.BrokerCheck.__init__, "__kwdefaults__", {"limit_s": 0.25})


def start(daemon: InProcessDaemon, *, intervals: Any = AT_ONCE, selftest: str = "daily") -> None:
    config = make_config(fan={"device": "hw:1"})
    daemon.start(config.model_copy(update={"selftest": selftest}), intervals=intervals)


def machine_checks(daemon: InProcessDaemon) -> dict[str, Any]:
    """Return the newest results of the machine by check; empty before the first."""
    found = daemon.broker.retained.get(TOPIC, {}).get("machines", {}).get("fan", {})
    return dict(found.get("checks", {}))


def broker_checks(daemon: InProcessDaemon) -> dict[str, Any]:
    found = daemon.broker.retained.get(TOPIC, {}).get("broker") or {}
    return dict(found.get("checks", {}))


def conditions(daemon: InProcessDaemon) -> dict[tuple[str, str | None, str | None], dict[str, Any]]:
    """Return the conditions of the box by kind, machine and check."""
    listed = daemon.broker.retained.get(ALARM, {}).get("conditions", [])
    return {(each["kind"], each["machine"], each["check"]): each for each in listed}


def make_overdue(path: Path) -> None:
    """Write that the daemon has run for 25 h since the last complete test of the machine."""
    saved = parsed_json(path.read_bytes())
    del saved["sha256"]
    saved["machines"]["fan"]["times"]["running_s"] = OVERDUE_S
    path.write_bytes(sealed_json(saved)[0])


def saved_of(daemon: InProcessDaemon) -> dict[str, Any]:
    """Return what is saved; empty before."""
    file = daemon.folder / "self-test.json"
    if not file.exists():
        return {}
    content = file.read_bytes()
    assert seal_of(content) is not None
    return parsed_json(content)


def subject(daemon: InProcessDaemon) -> SelfTestSubject:
    session = daemon.service.parts.registry.machines["fan"].active_session
    assert session is not None
    return session.self_test_subject


async def until_observed(daemon: InProcessDaemon, times: int = 3) -> None:
    observed = daemon.service.parts.self_test.observations
    await until(lambda: daemon.service.parts.self_test.observations >= observed + times)


async def play_observed(daemon: InProcessDaemon, sound: Samples) -> None:
    """Play a sound in pieces of 5 s; each is evaluated, and observed, before the next one."""
    capture = subject(daemon).capture
    for begin in range(0, len(sound), 5 * RATE_HZ):
        daemon.source("hw:1").play_samples(sound[begin : begin + 5 * RATE_HZ])
        await until(lambda: not capture.is_due)
        await until_observed(daemon)


def almost_overdue(daemon: InProcessDaemon) -> None:
    """Let the test of the machine be overdue within a moment in which the time counts."""
    records = daemon.service.parts.self_test._records
    records._by_name["fan"] = replace(
        records["fan"], times=replace(records["fan"].times, running_s=OVERDUE_S - 0.01)
    )


def first_levels(daemon: InProcessDaemon) -> dict[str, Any]:
    """Return the saved levels of the first test of the machine; empty before it."""
    saved = saved_of(daemon)
    return dict((saved["machines"].get("fan", {}).get("first") or {}).get("levels_db", {}))


async def test_a_broker_that_returns_the_message_passes(daemon):
    start(daemon)
    await until(lambda: broker_checks(daemon))
    checks = broker_checks(daemon)
    assert checks["round_trip"]["result"] == "passed"
    assert checks["round_trip"]["numbers"]["round_trip_s"] < 10
    assert checks["publishing"]["result"] == "passed"
    assert daemon.broker.messages(ECHO)
    assert daemon.broker.topics_read == frozenset()  # the subscription is over
    assert conditions(daemon) == {}
    for topic, kind in ((TOPIC, SelfTest), (ALARM, BoxAlarm)):
        assert isinstance(read(json.dumps(daemon.broker.retained[topic]).encode()), kind)


async def test_a_broker_that_delivers_nothing_is_a_condition_until_it_does(daemon, fast_echo):
    daemon.broker.refused[f"asd/{ECHO}"] = "an access rule"
    start(daemon)
    failed = ("self_test_failed", None, "round_trip")
    await until(lambda: failed in conditions(daemon))
    since = conditions(daemon)[failed]["since"]
    assert "has not returned" in conditions(daemon)[failed]["text"]
    assert ECHO in conditions(daemon)[failed]["remedy"]
    assert ("broker_refuses", None, None) in conditions(daemon)
    await until(lambda: len(daemon.broker.messages("box/testbox/selftest")) > 4)
    assert conditions(daemon)[failed]["since"] == since
    daemon.broker.refused.clear()
    await until(lambda: conditions(daemon) == {})
    assert daemon.broker.retained[ALARM]["active"] is False
    assert broker_checks(daemon)["round_trip"]["result"] == "passed"


async def test_refused_events_are_a_condition_at_once(daemon):
    start(daemon, intervals=NEVER)
    await until(lambda: ALARM in daemon.broker.retained)
    daemon.broker.refused["asd/fan/event"] = "Not authorized"
    await until(lambda: conditions(daemon))
    (condition,) = conditions(daemon).values()
    assert condition["kind"] == "broker_refuses"
    assert "asd/fan/event (Not authorized)" in condition["text"]


async def test_refusals_of_a_machine_that_is_removed_are_no_condition(daemon):
    machines = {"fan": {"device": "hw:1"}, "pump": {"device": "hw:2"}}
    daemon.start(make_config(**machines), intervals=NEVER)
    daemon.broker.refused["asd/pump/state"] = "Not authorized"
    await until(lambda: conditions(daemon))
    daemon.file = make_config(fan=machines["fan"])
    daemon.service.request_reload()
    await until(lambda: daemon.broker.retained[ALARM]["active"] is False)
    daemon.file = make_config(**machines)
    daemon.service.request_reload()
    await until(lambda: conditions(daemon))


async def test_without_a_connection_the_broker_is_not_tested(daemon):
    daemon.broker.connected = False
    start(daemon)
    await until(lambda: broker_checks(daemon))
    assert broker_checks(daemon)["round_trip"]["result"] == "not_possible"
    assert conditions(daemon) == {}


async def test_too_little_sound_and_no_model_are_no_failure(daemon):
    start(daemon)
    await until(lambda: "too little sound" in str(machine_checks(daemon)))
    assert machine_checks(daemon)["scoring"]["result"] == "passed"
    del daemon.models.bundles["fan"]
    daemon.service.stop()
    await daemon.finish()
    start(daemon)
    await until(lambda: "no model of fan" in str(machine_checks(daemon)))
    assert {each["result"] for each in machine_checks(daemon).values()} == {"not_possible"}
    assert conditions(daemon) == {}


async def test_a_machine_that_is_off_is_tested_later_on_the_same_day(daemon, monkeypatch):
    monkeypatch.setattr(machine_self_test, "PAUSE_FACTOR", 0.0)
    start(daemon)
    await daemon.until_state("fan", "normal")
    source = daemon.source("hw:1")
    source.play(10, level=1e-5)
    await daemon.until_state("fan", "idle")
    await until(lambda: "the machine is off" in str(machine_checks(daemon)))
    source.play(30)
    await daemon.until_state("fan", "normal")
    await until(lambda: machine_checks(daemon)["sensitivity"]["result"] == "passed")
    numbers = machine_checks(daemon)["sensitivity"]["numbers"]
    assert numbers["impacts_db"] is not None
    assert numbers["impacts_training_db"] is None  # the model states none: the first test does
    assert daemon.broker.retained[TOPIC]["machines"]["fan"]["completed"] is not None
    assert daemon.broker.transitions("fan")[-1][1] == "normal"  # no alarm of its own
    await until(lambda: first_levels(daemon))
    assert first_levels(daemon)["impacts"] == numbers["impacts_db"]


async def test_the_model_of_another_machine_is_found(daemon):
    daemon.models.bundles["fan"] = StubBundle(machine="pump")
    start(daemon)
    failed = ("self_test_failed", "fan", "model")
    await until(lambda: failed in conditions(daemon))
    assert "one of pump" in conditions(daemon)[failed]["text"]


async def test_scoring_that_has_stopped_is_found(daemon):
    gate = threading.Event()
    daemon.models.bundles["fan"] = StubBundle(detector=LevelDetector(gate=gate))
    start(daemon, intervals=replace(INTERVALS, self_test=SelfTestIntervals(0.0, 0.02, 1.0)))
    await until(lambda: "too little sound" in str(machine_checks(daemon)))
    daemon.source("hw:1").play(40)
    failed = ("self_test_failed", "fan", "scoring")
    await until(lambda: failed in conditions(daemon))
    assert "no window" in conditions(daemon)[failed]["text"]
    await until(lambda: machine_checks(daemon)["scoring"]["result"] == "failed")
    assert machine_checks(daemon)["sensitivity"]["reason"] == "no window is scored"
    gate.set()
    daemon.source("hw:1").play(3)
    await until(lambda: machine_checks(daemon)["scoring"]["result"] == "passed")


async def test_an_overdue_test_is_a_condition_also_after_a_restart(daemon):
    start(daemon)
    await until(lambda: machine_checks(daemon))
    daemon.service.stop()
    await daemon.finish()
    make_overdue(daemon.folder / "self-test.json")
    daemon.broker.retained.clear()
    start(daemon, intervals=NEVER)
    overdue = ("self_test_overdue", "fan", None)
    await until(lambda: overdue in conditions(daemon))
    assert "too little sound" in conditions(daemon)[overdue]["text"]
    assert "check cable" in conditions(daemon)[overdue]["remedy"]
    assert machine_checks(daemon)  # the results of the earlier run are published


async def test_a_stall_is_a_condition_also_while_another_test_lasts(daemon, monkeypatch):
    made = asyncio.Event()

    async def last(_: broker_check.BrokerCheck) -> dict[str, Check]:
        await made.wait()
        return {"round_trip": Check(Result.PASSED)}

    monkeypatch.setattr(broker_check.BrokerCheck, "run", last)
    gate = threading.Event()
    daemon.models.bundles["fan"] = StubBundle(detector=LevelDetector(gate=gate))
    config = replace(INTERVALS, self_test=SelfTestIntervals(0.0, 0.02, 60.0))
    start(daemon, intervals=config)
    await until(lambda: daemon.service.parts.self_test._testing == "")
    await until(daemon.models.bundles["fan"].detector.entered.is_set)
    await until_observed(daemon)
    daemon.source("hw:1").play(40)
    failed = ("self_test_failed", "fan", "scoring")
    await until(lambda: failed in conditions(daemon))
    assert daemon.service.parts.self_test._testing == ""
    gate.set()
    daemon.source("hw:1").play(3)
    await until(lambda: failed not in conditions(daemon))
    made.set()
    await until(lambda: broker_checks(daemon))


async def test_a_covered_microphone_fails_and_scoring_does_not(daemon):
    daemon.models.bundles["fan"] = StubBundle(detector=judging())
    start(daemon)
    await daemon.until_state("fan", "normal")
    await play_observed(daemon, noise(20.0))
    await play_observed(daemon, covered(noise(25.0, seed=1)))
    await daemon.until_state("fan", "unavailable", "fault")
    failed = ("self_test_failed", "fan", "microphone")
    await until(lambda: failed in conditions(daemon))
    await play_observed(daemon, covered(noise(45.0, seed=2)))
    # the band that the reason names may change with further sound, until both are of the newest
    await until(lambda: daemon.broker.state("fan")["reason"] in conditions(daemon)[failed]["text"])
    assert [key for key in conditions(daemon) if key != failed] == []
    await until(lambda: "scoring" in machine_checks(daemon))
    results = {name: each["result"] for name, each in machine_checks(daemon).items()}
    assert results == dict.fromkeys(results, "not_possible") | {"microphone": "failed"}


async def test_a_dead_channel_fails_with_its_reason(daemon):
    start(daemon)
    await daemon.until_state("fan", "normal")
    await play_observed(daemon, np.zeros(15 * RATE_HZ, np.float32))
    await daemon.until_state("fan", "unavailable", "fault")
    failed = ("self_test_failed", "fan", "microphone")
    await until(lambda: failed in conditions(daemon))
    assert "constant value" in conditions(daemon)[failed]["text"]


async def test_a_machine_out_of_service_is_not_tested_and_its_scores_do_not_count(daemon):
    start(daemon, intervals=NEVER)
    await daemon.until_state("fan", "normal")
    journal = daemon.service.parts.journal
    asked = Request(Verb.OUT_OF_SERVICE, "fan", "ann", datetime.now(UTC), why="new belt")
    journal.journal.requests.add(asked)
    journal.check_requests()
    await until(lambda: daemon.broker.alarm("fan")["out_of_service"])
    machine = subject(daemon)
    seconds, windows = machine.recent_scores.seconds, machine.scored_windows
    daemon.source("hw:1").play(25, level=0.9)
    await until(lambda: machine.scored_windows > windows + 40)
    assert machine.recent_scores.seconds == seconds
    scoring = daemon.service.parts.scoring
    found = await checks_of_machine(machine, scoring, stalled_s=0.0, first=None)
    assert {check.result for check in found.checks.values()} == {"not_possible"}
    assert "out of service since" in (found.checks["model"].reason or "")


@pytest.mark.parametrize(("state", "level"), [("idle", 1e-5), ("alarm", 0.9)])
async def test_time_in_which_a_machine_is_off_or_in_alarm_is_not_overdue(daemon, state, level):
    start(daemon, intervals=NEVER)
    await daemon.until_state("fan", "normal")
    daemon.source("hw:1").play(25, level=level)
    await daemon.until_state("fan", state)
    await until_observed(daemon)
    almost_overdue(daemon)
    await until_observed(daemon, 10)
    assert conditions(daemon) == {}
    if state == "idle":
        daemon.source("hw:1").play(25)
        await daemon.until_state("fan", "normal")
        await until(lambda: ("self_test_overdue", "fan", None) in conditions(daemon))


async def test_a_test_that_fails_leaves_the_others_and_what_is_overdue(daemon, monkeypatch):
    start(daemon, intervals=NEVER)
    await until(lambda: saved_of(daemon))
    daemon.service.stop()
    await daemon.finish()
    make_overdue(daemon.folder / "self-test.json")

    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(self_test, "checks_of_machine", fail)
    start(daemon, intervals=replace(AT_ONCE, restart_delays_s=(3600.0,)))
    await until(lambda: ("self_test_overdue", "fan", None) in conditions(daemon))
    await until(lambda: daemon.service.parts.tasks.restarts["selftest"])
    observed = daemon.service.parts.self_test._records["fan"].times.running_s
    await until_observed(daemon)
    assert daemon.service.parts.self_test._records["fan"].times.running_s > observed


async def test_the_running_time_is_saved_soon_after_the_start(daemon):
    start(daemon, intervals=NEVER)
    await daemon.until_state("fan", "normal")
    await until(lambda: saved_of(daemon).get("machines", {}).get("fan"))
    first_s = saved_of(daemon)["machines"]["fan"]["times"]["running_s"]
    times_s = lambda: saved_of(daemon)["machines"]["fan"]["times"]["running_s"]  # noqa: E731
    await until(lambda: times_s() > 2 * first_s and times_s() > 0.1)


async def test_results_outlive_a_reload_that_changes_the_machine(daemon, monkeypatch):
    remove = MachineRegistry.remove

    async def remove_slowly(registry: MachineRegistry, machine: str, reason: str) -> None:
        await remove(registry, machine, reason)
        await until_observed(daemon)

    monkeypatch.setattr(MachineRegistry, "remove", remove_slowly)
    start(daemon, intervals=NEVER)
    await daemon.until_state("fan", "normal")
    tests = daemon.service.parts.self_test
    failed = {"sensitivity": Check(Result.FAILED, "insensitive", "look at the machine")}
    tests._note("fan", failed)
    first = FirstLevels("v1", {"tone": 3.0})
    tests._records.set_first("fan", first)
    daemon.file = make_config(fan={"device": "hw:1", "alarm": {"on_delay_s": 2}})
    daemon.service.request_reload()
    await until(lambda: tests._registry.machines.get("fan") is None)
    await daemon.until_state("fan", "normal")
    await until_observed(daemon)
    assert ("self_test_failed", "fan", "sensitivity") in conditions(daemon)
    assert tests._records["fan"].first == first
    monkeypatch.setattr(MachineRegistry, "remove", remove)
    daemon.file = make_config(pump={"device": "hw:2"})
    daemon.service.request_reload()
    await until(lambda: daemon.broker.retained[TOPIC]["machines"] == {})
    assert conditions(daemon) == {}


async def test_damaged_results_are_begun_anew(daemon):
    (daemon.folder / "self-test.json").write_text('{"format": 1, "machines": {"fan": 3}}')
    start(daemon)
    await until(lambda: broker_checks(daemon))


async def test_switched_off_by_a_reload(daemon):
    start(daemon, intervals=replace(INTERVALS, self_test=SelfTestIntervals(3600.0, 0.02, 1.0)))
    await until(lambda: TOPIC in daemon.broker.retained)
    assert daemon.broker.retained[TOPIC]["mode"] == "daily"
    daemon.file = make_config(fan={"device": "hw:1"}).model_copy(update={"selftest": "off"})
    daemon.service.request_reload()
    await until(lambda: daemon.broker.retained[TOPIC]["mode"] == "off")
    assert not daemon.broker.messages(ECHO)
