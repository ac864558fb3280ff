"""Malformed commands through a real broker, each of which is looked at: no bound drops them."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from asd_monitor.daemon import command_queue
from asd_monitor.daemon.token_bucket import TokenBucket
from asd_monitor.journal.journal_file import FILE_NAME
from asd_monitor.publish import inbox, subscriptions
from experiments.chaos.commands import CommandClient, malformed
from tests.daemon.test_daemon_command_clients import Plant, start
from tests.doubles.in_process_daemon import InProcessDaemon
from tests.doubles.mosquitto import Mosquitto, Subscriber
from tests.doubles.waiting import until

FEW, MANY = 2000, 8000
_PORTION = 500
_UNLIMITED = 1e12
_KEPT_BYTES = 4000  # of memory, of each command


@pytest.fixture
def quiet() -> Iterator[None]:
    """Log warnings only: there is an entry for each command."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    yield
    structlog.reset_defaults()


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    "times", [FEW, pytest.param(MANY, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
async def test_every_malformed_command_is_answered_or_counted(
    daemon: InProcessDaemon, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    monkeypatch.setattr(subscriptions, "BURST", _UNLIMITED)
    monkeypatch.setattr(subscriptions, "RATE_HZ", _UNLIMITED)
    monkeypatch.setattr(command_queue, "MAX_WAITING", times)
    monkeypatch.setattr(inbox, "MAX_COMMANDS", times)
    with Subscriber(mosquitto.port, "asd/fan/state") as observer:
        plant = Plant(daemon, mosquitto, observer)
        start(daemon, mosquitto.port, "fan")
        await plant.until_state("normal")
        await asyncio.to_thread(mosquitto.wait_for_log, "Sending SUBACK to asd-testbox")
        part = daemon.service.parts.commands
        part._queue._bucket = TokenBucket(times + 100, 1.0)
        chance, published, before_mb = random.Random(2026), 0, 0.0
        with CommandClient().connected(plant.port) as client:
            while published < times:
                for _ in range(_PORTION):
                    client.publish(malformed(chance, "fan"))
                    await asyncio.sleep(0)
                await asyncio.to_thread(client.finish)
                published += _PORTION
                await until_received(daemon, published)
                before_mb = before_mb or resident_mb()
        assert resident_mb() - before_mb < 10 + times * _KEPT_BYTES / 1e6
        answer = await plant.request("in-service", "")
        assert answer["accepted"]
    assert part.counters.received == published + 1
    assert part.counters.dropped == 0
    counters = daemon.service.parts.broker.counters
    assert (counters.connects, counters.defects, counters.dropped_commands) == (1, 0, 0)
    assert daemon.service.parts.tasks.restarts["commands"] == 0
    assert (daemon.folder / FILE_NAME).stat().st_size < times * 1000


async def until_received(daemon: InProcessDaemon, number: int) -> None:
    part = daemon.service.parts.commands
    await until(lambda: part.counters.received >= number and part.idle_reason is not None)
