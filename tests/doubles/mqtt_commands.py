"""Commands over MQTT to a daemon in the process of the test, and their answers."""

from __future__ import annotations

from typing import Any

from asd_monitor.config.settings import Config, Mqtt
from tests.doubles.in_process_daemon import InProcessDaemon
from tests.doubles.level_detector import make_config
from tests.doubles.waiting import until

ALARM_LEVEL = 0.6
Answer = dict[str, Any]


def config_of(*machines: str, commands_on: bool = True) -> Config:
    """Return the configuration of machines, each with its device."""
    devices = {name: {"device": f"hw:{number}"} for number, name in enumerate(machines, start=1)}
    config = make_config(**devices)
    return config.model_copy(update={"mqtt": Mqtt(commands=commands_on)})


async def start(daemon: InProcessDaemon, *machines: str) -> None:
    """Start a daemon, and wait until all machines are in normal condition."""
    daemon.start(config_of(*machines))
    for machine in machines:
        await daemon.until_state(machine, "normal")


async def start_with_alarm(daemon: InProcessDaemon) -> str:
    """Start a daemon with a fan in alarm; return the id of the alarm."""
    await start(daemon, "fan")
    daemon.source("hw:1").play(25, ALARM_LEVEL)
    await daemon.until_state("fan", "alarm")
    id_: str = daemon.broker.alarm("fan")["id"]
    return id_


async def ask(daemon: InProcessDaemon, verb: str, payload: str = "", **received: Any) -> Answer:
    """Send a command to the fan, and return its answer."""
    before = len(daemon.broker.answers)
    daemon.broker.command(f"fan/cmd/{verb}", payload.encode(), **received)
    await until(lambda: len(daemon.broker.answers) > before, verb)
    topic, answer, _ = daemon.broker.answers[before]
    assert topic == f"asd/fan/cmd/{verb}/response"
    assert (answer["schema"], answer["machine"], answer["verb"]) == ("asd.response/1", "fan", verb)
    return answer


async def until_calm(daemon: InProcessDaemon) -> None:
    """Wait until the daemon has applied the requests for which it looks at its start.

    Its answer can come from a look that was under way: the session looks once more then.
    """
    await until(lambda: daemon.service.parts.journal.turns > 1)
    await ask(daemon, "in-service")
    await until(lambda: daemon.service.parts.commands.idle_reason is not None)
    session = daemon.service.parts.registry.machines["fan"].session
    assert session is not None
    loop = session._evaluation_loop
    await until(lambda: not loop.requests._has_requests and not loop._worker.pending)
