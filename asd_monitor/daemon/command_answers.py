"""The answers to commands: published, logged and counted."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from asd_monitor.daemon.broker_interface import Broker
from asd_monitor.daemon.command_address import Address
from asd_monitor.journal.requests import Request
from asd_monitor.publish.messages import Response
from asd_monitor.wording import printable

log = structlog.get_logger()

GIVEN_UP = (
    "it is given up and not applied, since the disk of the journal does not answer, or another"
    " process holds the file: check both, and repeat the command"
)
LEFT = "it waits: the daemon is being stopped, and its next run applies what the journal has"
STOPPED = "it is not applied: the daemon is being stopped; repeat the command when it runs again"


@dataclass(slots=True)
class AwaitedCommand:
    """A command whose outcome is awaited."""

    machine: str
    verb: str
    address: Address
    asked_s: float
    alarm_id: str | None = None
    request_id: str | None = None
    unwritten: Request | None = None  # the disk does not answer, or another process holds the file
    is_reported: bool = False  # that it waits


def reason_of_waiting(awaited: AwaitedCommand) -> str:
    """Return the answer to a command that has no outcome yet: what it waits for."""
    if awaited.request_id is None:
        return "it waits: the reload has not ended yet; another answer follows with its outcome"
    if awaited.unwritten is not None:
        return (
            "it waits, and another answer follows with its outcome: the disk of the journal does"
            " not answer, or another process holds the file: check both"
        )
    return (
        "it waits: it is applied when the session of the machine and the disk of the journal"
        " answer; another answer follows with its outcome"
    )


class CommandAnswers:
    """Publishes answers; safe for several threads.

    Args:
        broker: The session with the broker.

    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._lock = threading.Lock()  # of the counters
        self.refused = 0
        """Commands that were not carried out."""
        self.unanswered = 0
        """Commands whose topic has no answer, or whose outcome has come too late."""

    def publish(self, awaited: AwaitedCommand, outcome: str, *, accepted: bool | None) -> None:
        """Publish an answer; ``accepted`` is None where the outcome is not known yet."""
        outcome = printable(outcome)
        response = Response(
            machine=awaited.machine,
            verb=awaited.verb,
            time=datetime.now(UTC),
            accepted=accepted,
            outcome=outcome,
            alarm=awaited.alarm_id,
            request=awaited.request_id,
        )
        if accepted is False:
            self.count(refused=1)
        log.info(
            "a command is answered",
            machine=awaited.machine,
            verb=awaited.verb,
            accepted=accepted,
            outcome=outcome,
        )
        address = awaited.address
        self._broker.answer(address.topic, response.payload(), address.correlation)

    def count(self, *, refused: int = 0, unanswered: int = 0) -> None:
        """Add to the counters."""
        with self._lock:
            self.refused += refused
            self.unanswered += unanswered
