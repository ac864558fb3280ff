"""The topics of a box, and how the daemon uses each; pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from asd_monitor.config.settings import Config
from asd_monitor.publish.topics import Topics

PROBED_VERB = "ack"


@dataclass(frozen=True, slots=True)
class TopicUse:
    """One topic of the daemon."""

    topic: str
    retained: bool = False
    writes: bool = True
    needs_reading: bool = False  # whether the daemon reads it, too
    is_availability: bool = False  # its payload is a word
    is_command: bool = False  # others write it
    machine: str | None = None  # None: a topic of the box


def topics_of(config: Config) -> Iterator[TopicUse]:
    """Yield the topics that the daemon uses with a configuration."""
    topics = Topics(config.mqtt.prefix, config.box)
    yield TopicUse(topics.self_test_echo, needs_reading=True)
    yield TopicUse(topics.availability, retained=True, is_availability=True)
    for topic in (topics.status, topics.self_test, topics.box_alarm):
        yield TopicUse(topic, retained=True)
    for machine, settings in config.machines.items():
        yield TopicUse(topics.score(machine), machine=machine)
        yield TopicUse(topics.state(machine), retained=True, needs_reading=True, machine=machine)
        yield TopicUse(topics.alarm(machine), retained=True, machine=machine)
        yield TopicUse(topics.event(machine), machine=machine)
        if settings.running is not None:
            yield TopicUse(settings.running.topic, writes=False, needs_reading=True)
        if config.mqtt.commands:
            command = topics.commands(machine).removesuffix("+") + PROBED_VERB
            yield TopicUse(
                command, writes=False, needs_reading=True, is_command=True, machine=machine
            )
            yield TopicUse(topics.response(machine, PROBED_VERB), machine=machine)
