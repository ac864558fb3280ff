"""Commands by the clients of mosquitto, through a real broker, to the whole daemon."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from asd_monitor.config.settings import Mqtt
from asd_monitor.daemon.command_parsing import VERBS
from asd_monitor.daemon.command_queue import BURST
from asd_monitor.journal.commands import read_journal
from asd_monitor.publish.broker_session import BrokerSession
from benchmarks.mosquitto import find_program
from tests.doubles.in_process_daemon import InProcessDaemon
from tests.doubles.level_detector import StubBundle, StubModels, make_config
from tests.doubles.mosquitto import PATIENCE_S, Mosquitto, Subscriber
from tests.doubles.waiting import until

ALARM_LEVEL = 0.6
V5 = ("-V", "mqttv5")


def program(name: str) -> str:
    found = find_program(name)
    if found is None:
        pytest.skip(f"{name} is not installed (apt install mosquitto-clients)")
    return found


async def output_of(name: str, port: int, *arguments: object) -> str:
    """Return what a client of mosquitto prints until it ends."""
    process = await asyncio.create_subprocess_exec(
        *(program(name), "-h", "127.0.0.1", "-p", str(port), *map(str, arguments)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode == 0, printed
    return printed.decode()


class Plant:
    """A daemon with a fan, a broker, and who uses them."""

    def __init__(self, daemon: InProcessDaemon, broker: Mosquitto, observer: Subscriber) -> None:
        self.daemon = daemon
        self.broker = broker
        self.observer = observer

    @property
    def port(self) -> int:
        return self.broker.port

    def messages(self, topic: str) -> list[dict[str, Any]]:
        return [json.loads(each) for each in self.observer.payloads(f"asd/{topic}")]

    def newest(self, topic: str) -> dict[str, Any]:
        return (self.messages(topic) or [{}])[-1]

    async def until_state(self, state: str) -> None:
        await until(lambda: self.newest("fan/state").get("state") == state, state)

    async def alarm(self) -> str:
        """Raise an alarm, and return its id."""
        self.daemon.source("hw:1").play(25, ALARM_LEVEL)
        await self.until_state("alarm")
        await until(lambda: self.newest("fan/alarm").get("active"))
        id_: str = self.newest("fan/alarm")["id"]
        return id_

    async def publish(self, verb: str, *arguments: object) -> None:
        await output_of("mosquitto_pub", self.port, "-t", f"asd/fan/cmd/{verb}", *arguments)

    async def ask(self, verb: str, *arguments: object, topic: str | None = None) -> dict[str, Any]:
        """Publish a command by mosquitto_pub; return the next answer on its topic."""
        topic = topic or f"fan/cmd/{verb}/response"
        before = len(self.messages(topic))
        await self.publish(verb, *arguments)
        await until(lambda: len(self.messages(topic)) > before, topic)
        return self.messages(topic)[before]

    async def request(self, verb: str, payload: str, *arguments: object) -> dict[str, Any]:
        """Ask by mosquitto_rr on a response topic of its own; return the answer."""
        printed = await output_of(
            *("mosquitto_rr", self.port, "-t", f"asd/fan/cmd/{verb}", "-e", "hmi/answer"),
            *("-m", payload, "-q", 1, "-W", 20, *arguments),
        )
        answer: dict[str, Any] = json.loads(printed)
        return answer


@pytest.fixture
async def plant(daemon: InProcessDaemon, mosquitto: Mosquitto) -> AsyncIterator[Plant]:
    """Return a daemon that carries out commands, with its machine in normal condition."""
    program("mosquitto_rr")
    with Subscriber(mosquitto.port, "asd/#") as observer:
        found = Plant(daemon, mosquitto, observer)
        start(daemon, mosquitto.port, "fan")
        await found.until_state("normal")
        await asyncio.to_thread(mosquitto.wait_for_log, "Sending SUBACK to asd-testbox")
        yield found


def start(daemon: InProcessDaemon, port: int, machine: str, *, box: str = "testbox") -> None:
    config = make_config(**{machine: {"device": "hw:1"}}).model_copy(
        update={"mqtt": Mqtt(port=port, commands=True), "box": box}
    )
    daemon.start(config, connect=BrokerSession)


async def test_each_verb_by_mosquitto_pub(plant: Plant) -> None:
    alarm = await plant.alarm()
    payloads = {
        "label": ("-m", json.dumps({"id": alarm, "label": "invalid", "who": "ann"})),
        "mark-normal": ("-m", json.dumps({"id": alarm, "why": "new filter", "who": "bob"})),
        "shelve": ("-m", json.dumps({"id": alarm, "for": "2h", "why": "known", "who": "ann"})),
        "unshelve": ("-m", alarm),
        "ack": ("-m", alarm),
        "out-of-service": ("-m", json.dumps({"why": "new belt", "who": "ann"})),
        "in-service": ("-n",),
        "reload": ("-n",),
    }
    assert payloads.keys() == set(VERBS)
    for verb, payload in payloads.items():
        answer = await plant.ask(verb, "-q", 1, *payload)
        assert answer["accepted"] is True, answer
        keys = {"schema", "machine", "verb", "time", "accepted", "outcome", "alarm", "request"}
        assert answer.keys() == keys
        assert (answer["machine"], answer["verb"]) == ("fan", verb)
    content = read_journal(plant.daemon.folder)
    assert content is not None
    record = content.alarm(alarm)
    assert (record.label, record.labelled_by) == ("invalid", "bob")  # by the mark
    (span,) = content.normal_spans
    assert (span.alarm_id, span.who, span.why) == (alarm, "bob", "new filter")
    path = [m["to"] for m in plant.messages("fan/event") if m["alarm_id"] == alarm]
    assert path[:3] == ["unacknowledged", "marked_normal", "shelved"]
    assert path[3:5] == ["acknowledged", "out_of_service"]
    answers = [m for m in plant.observer.messages if m.topic.endswith("/response")]
    assert {(m.qos, m.retain) for m in answers} == {(1, False)}


async def test_each_verb_by_mosquitto_rr_with_a_response_topic(plant: Plant) -> None:
    alarm = await plant.alarm()
    for verb, payload in (
        ("ack", alarm),
        ("out-of-service", '{"why": "new belt"}'),
        ("in-service", ""),
        ("reload", '{"who": "ann"}'),
    ):
        arguments = ("-D", "publish", "correlation-data", "7")
        answer = await plant.request(verb, payload, *arguments)
        assert (answer["verb"], answer["accepted"]) == (verb, True), answer
        assert plant.observer.payloads(f"asd/fan/cmd/{verb}/response") == []


async def test_a_client_of_mqtt_311_asks_on_the_default_topic(plant: Plant) -> None:
    topic = "asd/fan/cmd/in-service/response"
    printed = await output_of(
        *("mosquitto_rr", plant.port, "-V", "mqttv311", "-t", "asd/fan/cmd/in-service"),
        *("-e", topic, "-n", "-W", 20),
    )
    assert json.loads(printed)["outcome"] == "fan is in service"


async def test_the_correlation_data_are_repeated(plant: Plant) -> None:
    waiting = asyncio.create_task(
        output_of(
            *("mosquitto_sub", plant.port, *V5, "-t", "hmi/#", "-C", 1, "-q", 1),
            *("-F", "%t %q %r %D", "-W", 20),
        )
    )
    while not waiting.done():  # until it has subscribed
        await plant.publish(
            *("in-service", *V5, "-n", "-D", "publish", "response-topic", "hmi/7"),
            *("-D", "publish", "correlation-data", "a;b ü"),
        )
        await asyncio.wait((waiting,), timeout=0.5)
    assert (await waiting).split(maxsplit=3) == ["hmi/7", "1", "0", "a;b ü\n"]


@pytest.mark.parametrize(
    ("arguments", "outcome"),
    [
        (("-m", "the pump"), "id: 'the pump' is not the id of an alarm"),
        (("-n",), "the key 'id' is missing"),
        (("-m", "{"), "the payload is not valid JSON"),
        (("-m", '{"idd": "x"}'), "unknown key 'idd': did you mean 'id'?"),
        (("-m", "fan-20260101T000000Z"), "fan has no alarm fan-20260101T000000Z"),
        (("-m", "pump-20260101T000000Z"), "fan has no alarm pump-20260101T000000Z"),
        (("-m", "x" * 5000), "the payload is too long: write at most 4096 bytes"),
        (("-m", "x" * 60_000), "the payload is too long: write at most 4096 bytes"),
        (("-m", "fan", "-r"), "it was published with retain"),
        (
            (*V5, "-m", "x", "-D", "publish", "response-topic", "asd/fan/state"),
            "the response topic",
        ),
        ((*V5, "-m", "x", "-D", "publish", "response-topic", "$SYS/x"), "the response topic"),
        ((*V5, "-m", "x", "-D", "publish", "correlation-data", "x" * 257), "the correlation data"),
    ],
)
async def test_each_refusal_is_answered_on_the_default_topic(
    plant: Plant, arguments: tuple[str, ...], outcome: str
) -> None:
    answer = await plant.ask("ack", "-q", 1, *arguments)
    assert answer["accepted"] is False, answer
    assert answer["outcome"].startswith(outcome)
    assert (answer["alarm"] is None) == ("has no alarm" not in outcome)


async def test_an_unknown_verb_is_answered_with_the_verbs(plant: Plant) -> None:
    answer = await plant.ask("acknowledge", "-n")
    assert answer["accepted"] is False
    assert answer["outcome"].endswith(f"the commands are {', '.join(VERBS)}")


async def test_a_closed_alarm_and_an_earlier_one_are_refused(plant: Plant) -> None:
    alarm = await plant.alarm()
    assert (await plant.ask("ack", "-m", alarm))["accepted"]
    plant.daemon.source("hw:1").play(25, 0.05)
    await plant.until_state("normal")
    answer = await plant.ask("shelve", "-m", json.dumps({"id": alarm, "for": "2h"}))
    assert answer["accepted"] is False
    assert f"{alarm} is not changed" in answer["outcome"]
    answer = await plant.ask("ack", "-m", alarm)
    assert "already acknowledged" in answer["outcome"]


async def test_a_retained_command_is_answered_again_at_each_connect_until_it_is_deleted(
    plant: Plant,
) -> None:
    topic = "fan/cmd/in-service/response"
    assert (await plant.ask("in-service", "-r", "-m", "{}"))["accepted"] is False
    plant.daemon.service.parts.commands.read([])
    await asyncio.to_thread(plant.broker.wait_for_log, "Sending UNSUBACK to asd-testbox")
    plant.daemon.service.parts.commands.read(["fan"])
    await until(lambda: len(plant.messages(topic)) == 2)
    assert "published with retain" in plant.newest(topic)["outcome"]
    await plant.publish("in-service", "-r", "-n")
    assert (await plant.ask("in-service", "-n"))["accepted"]
    assert len(plant.messages(topic)) == 3


async def test_the_answer_comes_once_where_several_boxes_share_the_prefix(
    plant: Plant, tmp_path: Path
) -> None:
    other = InProcessDaemon(tmp_path / "other", StubModels(pump=StubBundle(machine="pump")))
    (tmp_path / "other").mkdir()
    start(other, plant.port, "pump", box="otherbox")
    try:
        await until(lambda: plant.newest("pump/state").get("state") == "normal")
        await asyncio.to_thread(plant.broker.wait_for_log, "Sending SUBACK to asd-otherbox")
        assert (await plant.ask("in-service", "-n"))["accepted"]
        await output_of("mosquitto_pub", plant.port, "-t", "asd/pump/cmd/in-service", "-n")
        await until(lambda: plant.messages("pump/cmd/in-service/response"))
        await output_of("mosquitto_pub", plant.port, "-t", "asd/mill/cmd/in-service", "-n")
        await asyncio.to_thread(plant.observer.catch_up, "asd/test")
        answers = [m.topic for m in plant.observer.messages if m.topic.endswith("/response")]
        assert sorted(answers) == [
            "asd/fan/cmd/in-service/response",
            "asd/pump/cmd/in-service/response",
        ]
    finally:
        other.service.stop()
        await other.finish()


async def test_a_flood_is_bounded_and_the_next_command_is_answered(plant: Plant) -> None:
    lines = plant.daemon.folder / "lines"
    lines.write_text("x\n" * 3000)
    with lines.open() as stdin:
        process = await asyncio.create_subprocess_exec(
            *(program("mosquitto_pub"), "-p", str(plant.port), "-l", "-q", "1"),
            *("-t", "asd/fan/cmd/ack"),
            stdin=stdin,
        )
        await asyncio.wait_for(process.wait(), PATIENCE_S)
    counters: Callable[[], Any] = lambda: plant.daemon.service.parts.commands.counters  # noqa: E731
    await until(lambda: counters().dropped > 0)
    answered: list[dict[str, Any]] = []
    while not answered:  # as soon as a token is there, and the pause of the topic is over
        await plant.publish("in-service", "-n")
        await asyncio.sleep(0.5)  # a command is permitted so often
        answered = plant.messages("fan/cmd/in-service/response")
    assert answered[0]["accepted"]
    assert len(plant.messages("fan/cmd/ack/response")) < BURST * 3
    assert plant.daemon.service.parts.broker.counters.connects == 1
