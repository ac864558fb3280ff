"""Machines that are off by a message, and sound far quieter than ever in training."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, MutableMapping
from datetime import UTC, datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from asd_monitor.config.machine_settings import RunningSettings
from asd_monitor.daemon import running_input
from asd_monitor.daemon.running_input import RunningInput, RunningInputs
from asd_monitor.publish.inbox import Received
from tests.doubles.in_process_daemon import InProcessDaemon
from tests.doubles.journalled_machine import acknowledgement
from tests.doubles.level_detector import LevelDetector, StubBundle, make_config
from tests.doubles.memory_broker import MemoryBroker
from tests.doubles.monitored_machine import MonitoredMachine
from tests.doubles.waiting import until

TOPIC = "plc/fan"
RUNNING = {"topic": TOPIC, "stale_after": "5m"}
NORMAL_LEVEL, ALARM_LEVEL, QUIET_LEVEL = 0.05, 0.6, 0.002

Make = Callable[..., MonitoredMachine]


@pytest.fixture
def logs() -> Iterator[list[MutableMapping[str, Any]]]:
    with capture_logs() as captured:
        yield captured


class Clock:
    """A monotonic clock that the test sets."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Plant:
    """The inputs of machines with a broker in memory and a clock of the test."""

    def __init__(self, **machines: RunningSettings | None) -> None:
        self.broker = MemoryBroker()
        self.clock = Clock()
        self.inputs = RunningInputs(self.broker, self.clock)
        self.inputs.configure(machines)

    def of(self, machine: str) -> RunningInput:
        found = self.inputs.of(machine)
        assert found is not None
        return found


def settings(**keys: object) -> RunningSettings:
    return RunningSettings.model_validate({"topic": TOPIC, **keys})


def test_the_topics_of_all_machines_are_read_each_once() -> None:
    plant = Plant(a=settings(), b=settings(), c=settings(topic="plc/c"), d=None)
    assert plant.broker.topics_read == {TOPIC, "plc/c"}
    assert plant.inputs.of("d") is None
    plant.broker.receive(TOPIC, b"off")
    assert not plant.of("a").sample().running
    assert not plant.of("b").sample().running
    assert plant.of("c").sample().running
    assert plant.of("a").reason == f"off by the message on {TOPIC}"


def test_another_configuration_keeps_what_is_known_of_a_topic() -> None:
    plant = Plant(a=settings(), b=settings(topic="plc/b"))
    plant.broker.receive(TOPIC, b"off")
    assert not plant.of("a").sample().running
    before = plant.of("a")
    plant.inputs.configure({"a": settings()})
    assert plant.of("a") is before
    assert plant.broker.topics_read == {TOPIC}
    plant.inputs.configure({"a": settings(stale_after="1h")})
    plant.clock.now_s += 1800
    assert not plant.of("a").sample().running
    plant.inputs.configure({"a": None})
    assert plant.broker.topics_read == frozenset()
    plant.inputs.receive(Received("plc/never", b"1", retained=False))


def test_messages_are_looked_at_once_a_second() -> None:
    plant = Plant(a=settings())
    readings = []
    for number in range(1000):
        plant.broker.receive(TOPIC, [b"off", b"on", b"?"][number % 3])
        plant.clock.now_s += 0.01
        readings.append(plant.of("a").sample())
    changes = sum(one != other for one, other in itertools.pairwise(readings))
    assert changes <= 10
    assert plant.of("a").status.malformed <= 5
    plant.clock.now_s += 1.0
    assert plant.of("a").sample().running == (999 % 3 != 0)  # the last one counts


@pytest.mark.parametrize(
    ("payload", "wait_s", "reason", "hint"),
    [
        (None, 40.0, f"no message on {TOPIC}", "check the topic, and that the broker lets"),
        (
            b"run",
            0.0,
            f"the message on {TOPIC} is malformed",
            "publish true, false, 1, 0, on or off",
        ),
        (b"off", 301.0, f"no message on {TOPIC} for more than 5m", "publish at least every 5m, or"),
    ],
)
def test_a_problem_is_logged_once_with_its_remedy_and_is_in_reason_and_status(
    logs: list[Any], payload: bytes | None, wait_s: float, reason: str, hint: str
) -> None:
    plant = Plant(a=settings())
    if payload is not None:
        plant.broker.receive(TOPIC, payload)
    subject = plant.of("a")
    subject.sample()
    plant.clock.now_s += wait_s
    for _ in range(5):
        assert subject.sample().running
    (warning,) = logs
    assert (warning["log_level"], warning["machine"], warning["topic"]) == ("warning", "a", TOPIC)
    assert warning["hint"].startswith(hint)
    assert subject.reason == f"taken to be running: {reason}"
    assert subject.status.problem == subject.reading.problem is not None

    for _ in range(10):  # valid and invalid in turn
        plant.broker.receive(TOPIC, b"on")
        plant.clock.now_s += 1.0
        assert subject.sample().problem is None
        plant.clock.now_s += 301.0 if payload == b"off" else 1.0
        if payload == b"run":
            plant.broker.receive(TOPIC, payload)
        subject.sample()
    assert len([entry for entry in logs if entry["log_level"] == "warning"]) == 1


def test_a_problem_is_logged_again_after_a_valid_minute(logs: list[Any]) -> None:
    plant = Plant(a=settings(json_path="$.run"))
    subject = plant.of("a")
    for payload in (b"run", b'{"run": 1}', b"{}"):
        plant.broker.receive(TOPIC, payload)
        for _ in range(70):
            subject.sample()
            plant.clock.now_s += 1.0
    assert [entry["log_level"] for entry in logs] == ["warning", "info", "warning"]
    assert "publish JSON with true, false, 1 or 0 at $.run" in logs[0]["hint"]
    assert logs[0]["reason"] == "the newest message has no value: run"


def test_a_message_that_is_too_large_is_counted_and_does_not_count() -> None:
    plant = Plant(a=settings())
    plant.broker.receive(TOPIC, b"off")
    plant.inputs.receive(Received(TOPIC, None, retained=False, oversized=2))
    assert not plant.of("a").sample().running
    assert plant.of("a").status.dropped == 2


@pytest.fixture
def signalled(make: Make, monkeypatch: pytest.MonkeyPatch) -> Callable[..., SignalledMachine]:
    monkeypatch.setattr(running_input, "_INTERVAL_S", 0.0)

    def make_machine(**keys: object) -> SignalledMachine:
        return SignalledMachine(make(running=RUNNING, **keys))

    return make_machine


class SignalledMachine:
    """A monitored machine with a running signal."""

    def __init__(self, machine: MonitoredMachine) -> None:
        self.machine = machine
        self.broker = machine.broker
        self.clock = Clock()
        inputs = RunningInputs(machine.broker, self.clock)
        inputs.configure({"fan": machine.settings.running})
        machine.running_input = inputs.of
        machine.start()
        machine.source.open()

    async def play(self, seconds: int, level: float = NORMAL_LEVEL) -> None:
        await self.machine.play(seconds, level)

    async def until_suppressed(self, suppressed: bool) -> dict[str, Any]:
        """Wait for a state message with this; return it."""
        state = self.machine
        await until(lambda: state.state.get("state") == "idle" and not state.state["evaluated"]
                    if suppressed else state.state.get("evaluated"))  # fmt: skip
        await until(lambda: self.broker.alarm("fan")["suppressed"] == suppressed)
        return self.machine.state


async def test_a_machine_that_is_off_is_idle_and_not_evaluated(signalled) -> None:
    machine = signalled()
    await machine.play(10)
    assert machine.machine.state["state"] == "normal"
    assert machine.broker.alarm("fan")["suppressed"] is False
    machine.broker.receive(TOPIC, b"false")
    await machine.play(5)
    state = await machine.until_suppressed(True)
    assert state["reason"] == f"off by the message on {TOPIC}"
    assert state["score"] is state["alarm_score"] is None
    assert state["last_evaluated"]["state"] == "normal"
    scores = len(machine.broker.messages("fan/score"))

    await machine.play(60, ALARM_LEVEL)  # someone hammers on the machine
    assert len(machine.broker.messages("fan/score")) == scores
    assert machine.broker.alarm("fan")["active"] is False
    machine.broker.receive(TOPIC, b"true")
    await machine.play(20)
    state = await machine.until_suppressed(False)
    assert (state["state"], state["reason"]) == ("normal", None)
    assert machine.broker.transitions("fan") == [("normal", "idle"), ("idle", "normal")]
    whys = [m["why"] for m in machine.broker.messages("fan/event")]
    assert whys == [f"off by the message on {TOPIC}", f"running by the message on {TOPIC}"]


async def test_an_alarm_neither_clears_nor_rises_while_the_machine_is_off(signalled) -> None:
    machine = signalled(alarm={"off_delay_s": 2, "latch": False})
    await machine.play(15, ALARM_LEVEL)
    assert machine.machine.state["state"] == "alarm"
    machine.broker.receive(TOPIC, b"0")
    await machine.play(60)
    await machine.until_suppressed(True)
    alarm = machine.broker.alarm("fan")
    assert (alarm["active"], alarm["suppressed"]) == (True, True)
    machine.machine.journal.requests.add(
        acknowledgement(alarm["id"], "ann", "seen", datetime.now(UTC))
    )
    machine.machine.session.check_requests()
    await until(lambda: machine.broker.alarm("fan")["acknowledged"])
    alarm = machine.broker.alarm("fan")
    assert (alarm["active"], alarm["suppressed"]) == (True, True)
    assert machine.machine.state["state"] == "idle"

    machine.broker.receive(TOPIC, b"1")
    await machine.play(20)
    await until(lambda: not machine.broker.alarm("fan")["active"])
    assert machine.broker.alarm("fan")["suppressed"] is False


async def test_a_fault_in_short_runs_between_pauses_raises_an_alarm(signalled) -> None:
    """Pauses by the signal neither alarm nor reset."""
    machine = signalled()
    for _ in range(6):
        machine.broker.receive(TOPIC, b"on")
        await machine.play(5, ALARM_LEVEL)
        machine.broker.receive(TOPIC, b"off")
        await machine.play(20, ALARM_LEVEL)
    machine.broker.receive(TOPIC, b"on")
    await machine.play(5, ALARM_LEVEL)
    assert machine.machine.state["state"] == "alarm"


async def test_an_alarm_clears_in_short_runs_between_pauses(signalled) -> None:
    machine = signalled(alarm={"off_delay_s": 2, "latch": False})
    await machine.play(15, ALARM_LEVEL)
    for _ in range(8):
        machine.broker.receive(TOPIC, b"off")
        await machine.play(20)
        machine.broker.receive(TOPIC, b"on")
        await machine.play(5)
    assert machine.broker.alarm("fan")["active"] is False


async def test_a_stale_message_ends_the_suppression(signalled) -> None:
    machine = signalled()
    machine.broker.receive(TOPIC, b"off", retained=True)
    await machine.play(5)
    await machine.until_suppressed(True)
    machine.clock.now_s += 301
    await machine.play(20, ALARM_LEVEL)
    state = await machine.machine.until_state("alarm")
    assert state["reason"] == f"taken to be running: no message on {TOPIC} for more than 5m"
    assert machine.machine.session.status.running.problem == "stale"
    assert machine.broker.alarm("fan")["suppressed"] is False


async def test_a_dead_channel_is_detected_while_the_machine_is_off(signalled) -> None:
    machine = signalled()
    await machine.play(10)
    machine.broker.receive(TOPIC, b"off")
    await machine.play(5)
    await machine.until_suppressed(True)
    machine.machine.source.play_constant(20)
    state = await machine.machine.until_state("unavailable", "fault")
    assert state["evaluated"] is False
    await machine.play(5)
    await machine.until_suppressed(True)


async def test_training_sound_is_that_of_the_running_machine(signalled) -> None:
    machine = signalled(learn="60s")
    machine.machine.models.bundles.clear()
    machine.broker.receive(TOPIC, b"off")
    await machine.play(80)
    state = machine.machine.state
    assert state["state"] == "learning"
    assert state["reason"] == f"recorded 0 of 60 s; off by the message on {TOPIC}"
    assert machine.machine.trained == []
    machine.broker.receive(TOPIC, b"on")
    await machine.play(70)
    await until(lambda: machine.machine.trained)


async def test_a_message_is_applied_in_the_daemon_and_survives_a_reload(
    daemon: InProcessDaemon,
) -> None:
    daemon.start(make_config(fan={"device": "hw:1", "running": RUNNING}, pump={"device": "hw:2"}))
    await daemon.until_state("fan", "normal")
    await daemon.until_state("pump", "normal")
    daemon.broker.receive(TOPIC, b"off", retained=True)
    daemon.source("hw:1").play(5)
    await daemon.until_state("fan", "idle")
    status = await daemon.box_status()
    assert status["machines"]["pump"]["running"] is None
    running = status["machines"]["fan"]["running"]
    assert (running["running"], running["problem"], running["dropped"]) == (False, None, 0)

    daemon.file = make_config(
        fan={"device": "hw:1", "running": RUNNING, "when_quiet": "idle"},
        pump={"device": "hw:2", "running": {"topic": "plc/pump"}},
    )
    daemon.service.request_reload()
    await until(lambda: daemon.broker.topics_read == {TOPIC, "plc/pump"})
    await until(lambda: len(daemon.sources["hw:1"]) == 2)
    await daemon.until_state("fan", "idle")  # the message was not received again
    assert daemon.broker.alarm("fan")["suppressed"] is True
    daemon.broker.receive("plc/pump", b"off")
    daemon.source("hw:2").play(5)
    await daemon.until_state("pump", "idle")


class QuietMachine:
    """A machine whose quietest training window had −30 dBFS, and that is idle below −60 dBFS."""

    def __init__(self, machine: MonitoredMachine) -> None:
        detector = LevelDetector(quietest_dbfs=-30.0)
        machine.models.bundles["fan"] = StubBundle(detector=detector)
        machine.start()
        machine.source.open()
        self.machine = machine


@pytest.mark.parametrize(
    ("when_quiet", "state", "reason"),
    [
        ("warn", "warning", "far quieter than ever in training: check whether the machine runs"),
        ("idle", "idle", "far quieter than ever in training: taken to be off"),
        ("alarm", "alarm", "far quieter than ever in training, and the machine has to run"),
    ],
)
async def test_sound_far_quieter_than_ever_in_training(
    make: Make, when_quiet: str, state: str, reason: str
) -> None:
    machine = QuietMachine(make(when_quiet=when_quiet, alarm={"latch": False})).machine
    await machine.play(15, NORMAL_LEVEL)
    assert machine.state["state"] == "normal"
    await machine.play(15, QUIET_LEVEL)
    message = await machine.until_state(state)
    assert (message["evaluated"], message["reason"]) == (True, reason)
    alarm = machine.broker.alarm("fan")
    assert alarm["active"] == (when_quiet == "alarm")
    if when_quiet == "alarm":
        assert alarm["reason"] == (
            "the sound is far quieter than ever in training, and the machine has to run"
        )
    await machine.play(30, NORMAL_LEVEL)
    message = await machine.until_state("normal")
    assert message["reason"] is None


async def test_the_idle_region_is_idle_whatever_silence_means(make: Make) -> None:
    machine = QuietMachine(make(when_quiet="alarm")).machine
    await machine.play(15, NORMAL_LEVEL)
    await machine.play(15, 0.0001)
    assert machine.state["state"] == "idle"
    assert machine.state["reason"] is None
