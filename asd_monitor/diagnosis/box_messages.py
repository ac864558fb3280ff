"""The retained messages of a box, as far as the broker gives them."""

from __future__ import annotations

from typing import Any

from asd_monitor.config.settings import Config
from asd_monitor.diagnosis.daemon_status import document_of
from asd_monitor.diagnosis.probe_client import ProbeClient
from asd_monitor.errors import UsageError
from asd_monitor.publish.topics import Topics

_LIMIT_S = 2.0


def read_box_messages(config: Config) -> dict[str, dict[str, Any]]:
    """Return status, self-test and conditions of the box by topic; nothing is published."""
    topics = Topics(config.mqtt.prefix, config.box)
    wanted = (topics.status, topics.self_test, topics.box_alarm)
    try:
        client = ProbeClient(config.mqtt, config.box)
    except UsageError:  # a finding of the configuration
        return {}
    if client.connect() is not None:
        return {}
    with client:
        client.subscribe(wanted, _LIMIT_S)
        client.wait_for(lambda: all(client.messages(topic) for topic in wanted), _LIMIT_S)
        found = {topic: client.messages(topic)[-1:] for topic in wanted}
    return {topic: document_of(each[0].payload) for topic, each in found.items() if each}
