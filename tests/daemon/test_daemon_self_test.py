"""The daily self-test in the daemon: what it finds, publishes and keeps."""

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asd_monitor.daemon import broker_check, machine_self_test
from asd_monitor.daemon.self_test_intervals import SelfTestIntervals
from asd_monitor.publish.messages import BoxAlarm, SelfTest, read
from asd_monitor.self_test.schedule import OVERDUE_S
from tests.doubles.in_process_daemon import INTERVALS, InProcessDaemon
from tests.doubles.level_detector import LevelDetector, StubBundle, make_config
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
    saved = json.loads(path.read_text())
    saved["machines"]["fan"]["times"]["running_s"] = OVERDUE_S
    path.write_text(json.dumps(saved))


def first_levels(daemon: InProcessDaemon) -> dict[str, Any]:
    """Return the saved levels of the first test of the machine; empty before it."""
    saved = json.loads((daemon.folder / "self-test.json").read_text())
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
    assert machine_checks(daemon)  # the results of the earlier run are published


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
