"""A journal whose events a session publishes, without a daemon."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from asd_monitor.backoff import Backoff
from asd_monitor.config.settings import Mqtt
from asd_monitor.daemon.event_delivery import EventDelivery
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.store import Journal
from asd_monitor.publish.broker_session import BrokerSession
from tests.doubles.broker_sessions import wait
from tests.doubles.journalled_machine import NOW, state_transition
from tests.doubles.mosquitto import PATIENCE_S, Subscriber

FAN = "asd/fan01/event"


class Delivery:
    """A journal whose events a session publishes; use it with ``with``."""

    def __init__(self, folder: Path, port: int, **options: Any) -> None:
        self.journal = Journal(folder)
        backoff = Backoff((0.05,))
        self.session = BrokerSession(Mqtt(port=port), "edge", backoff=backoff, **options)
        self.events = EventDelivery(self.journal, self.session)
        self.session.more_events = lambda: self.events.has_more

    def __enter__(self) -> Delivery:
        self.session.start()
        threading.Thread(target=self.events.run, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop as the daemon does."""
        self.session.stop(PATIENCE_S)
        self.events.close()
        self.journal.close()

    def record(self, machine: str = "fan01", *, events: int = 1, why: str = "off") -> list[str]:
        """Write transitions; return the ids of their events."""
        writer = MachineJournal(self.journal, machine)
        transition = state_transition()
        object.__setattr__(transition, "why", why)
        written = [writer.record(transition, NOW, "v1").id for _ in range(events)]
        self.events.wake()
        return written

    def until_published(self) -> None:
        """Wait until no event waits."""
        wait(self.session, lambda s: s.connected and s.pending == 0 and not self.events.has_more)
        assert self.journal.outbox.figures.waiting == 0


def messages(subscriber: Subscriber, topic: str = FAN) -> list[dict[str, Any]]:
    """Return the messages on a topic so far, in order."""
    subscriber.catch_up()
    return [json.loads(payload) for payload in subscriber.payloads(topic)]
