"""Waits until a service evaluates the first window of a machine, and says why it does not.

The connection to the broker is made before the service is started, so that what is retained from
an earlier run is known as such.  Where the broker cannot be read, the status line that the daemon
gives systemd has the state: unlike the journal, it is of the running daemon only.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from paho.mqtt.client import MQTTv5, MQTTv311

from asd_monitor.cli.setup_dialogue import Dialogue
from asd_monitor.config.settings import Config
from asd_monitor.diagnosis.daemon_status import document_of
from asd_monitor.diagnosis.probe_client import ProbeClient
from asd_monitor.diagnosis.programs import output_of
from asd_monitor.diagnosis.service_reading import properties_of
from asd_monitor.errors import UsageError
from asd_monitor.guided_setup.first_window import (
    Received,
    Sighting,
    seen_in_messages,
    seen_in_status,
)
from asd_monitor.publish.broker_diagnostics import EndCause, is_failure
from asd_monitor.publish.topics import Topics

LIMIT_S = 60.0
"""Of the wait for the first window."""
SETTLED_S = 20.0
"""A reason that stands for so long will not go away."""
_WITHOUT_SCORE_S = 3.0  # a state that stands for so long suffices where no score is published
_TURN_S = 1.0
_ANSWER_S = 4.0
_ENDED = frozenset({"failed", "inactive"})


@dataclass(frozen=True, slots=True)
class Awaited:
    """The machine that is awaited."""

    machine: str
    service: str
    model: str | None  # version that is to be in use; None: any


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the wait has ended."""

    sighting: Sighting | None  # None: nothing was seen
    is_running: bool = True  # the service
    is_interrupted: bool = False

    @property
    def is_failure(self) -> bool:
        """Whether the machine is not monitored; unknown where the wait was interrupted."""
        is_monitored = self.sighting is not None and self.sighting.is_monitored
        return not is_monitored and not self.is_interrupted


@contextmanager
def broker_read(config: Config, machine: str) -> Iterator[ProbeClient | None]:
    """Yield a client that reads the state and the scores of a machine; None: they cannot be."""
    client = _connected(config)
    if client is None:
        yield None
        return
    topics = Topics(config.mqtt.prefix, config.box)
    with client:
        codes = client.subscribe([topics.state(machine), topics.score(machine)], _ANSWER_S)
        is_read = all(code is not None and not is_failure(code) for code in codes.values())
        yield client if is_read else None


def _connected(config: Config) -> ProbeClient | None:
    for version in (MQTTv5, MQTTv311):
        try:
            client = ProbeClient(
                config.mqtt,
                config.box,
                version=version,
                client_id=f"asd-{config.box}-setup-{secrets.token_hex(2)}",
            )
        except UsageError:  # said where the broker was tried
            return None
        end = client.connect()
        if end is None:
            return client
        if end.cause not in {EndCause.UNSUPPORTED_VERSION, EndCause.NO_ANSWER}:
            return None
    return None


class FirstWindow:
    """The wait for the first window of a machine.

    Args:
        awaited: the machine.
        config: the configuration of its service.
        client: reads its messages; None: the broker cannot be read.

    """

    def __init__(self, awaited: Awaited, config: Config, client: ProbeClient | None) -> None:
        self._awaited = awaited
        self._box = config.box
        self._topics = Topics(config.mqtt.prefix, config.box)
        self._client = client
        self._ended: str | None = None  # how the service has ended

    def wait(self, dialogue: Dialogue) -> Outcome:
        """Wait, `LIMIT_S` at most; Ctrl-C ends it."""
        sighting: Sighting | None = None
        begun_s = since_s = time.monotonic()
        awaited = f"waiting for sound of {self._awaited.machine}, {LIMIT_S:.0f} s at most"
        try:
            with dialogue.waiting(f"{awaited} (Ctrl-C: do not wait)") as show:
                while self._ended is None:
                    found, now_s = self._look(), time.monotonic()
                    if found != sighting:
                        sighting, since_s = found, now_s
                        if sighting is not None and not sighting.is_monitored:
                            show(sighting.text)
                    if now_s - begun_s >= LIMIT_S or _is_final(sighting, now_s - since_s):
                        break
                    self._pause()
        except KeyboardInterrupt:
            return Outcome(sighting, is_interrupted=True)
        if self._ended is not None:
            why = Sighting(is_monitored=False, text=self._ended)
            return Outcome(why, is_running=False)
        return Outcome(sighting)

    def _look(self) -> Sighting | None:
        machine = self._awaited.machine
        status = self._status()
        if self._client is not None and self._client.end is None:
            received = self._received(self._client)
            seen = seen_in_messages(
                received, box=self._box, machine=machine, model=self._awaited.model
            )
            if seen is not None:
                return seen
        return seen_in_status(status, machine)

    def _received(self, client: ProbeClient) -> Received:
        machine = self._awaited.machine
        states = client.messages(self._topics.state(machine))
        before = [each for each in states if each.retained]
        return Received(
            states=[document_of(each.payload) for each in states if not each.retained],
            scores=[
                document_of(each.payload)
                for each in client.messages(self._topics.score(machine))
                if not each.retained
            ],
            before=document_of(before[-1].payload) if before else None,
        )

    def _status(self) -> str:
        """Return the status line of the service; note how it has ended."""
        shown = output_of(
            ["systemctl", "show", self._awaited.service, "--property=ActiveState,Result,StatusText"]
        )
        properties = properties_of(shown or "")
        if properties.get("ActiveState") in _ENDED:
            self._ended = properties.get("Result") or "it has ended"
        return properties.get("StatusText", "")

    def _pause(self) -> None:
        """Wait for a message, or for the time to ask systemd again."""
        client = self._client
        if client is None or client.end is not None:
            time.sleep(_TURN_S)  # systemd tells of no change of a status line
            return
        topics = [f(self._awaited.machine) for f in (self._topics.state, self._topics.score)]

        def number() -> int:
            return sum(len(client.messages(topic)) for topic in topics)

        before = number()
        client.wait_for(lambda: number() > before, _TURN_S)


def _is_final(sighting: Sighting | None, stood_s: float) -> bool:
    if sighting is None:
        return False
    if not sighting.is_monitored:
        return stood_s >= SETTLED_S
    return sighting.has_score or stood_s >= _WITHOUT_SCORE_S


def outcome_text(outcome: Outcome, awaited: Awaited, privilege: str) -> str:
    """Return the line with which `setup` ends; ``privilege`` is that of the commands in it."""
    machine, sighting = awaited.machine, outcome.sighting
    log = f"look at `{privilege}journalctl -u {awaited.service}`"
    if sighting is not None and sighting.is_monitored:
        return f"{machine} is monitored: {sighting.text}"
    if outcome.is_interrupted:
        return f"it was not awaited whether {machine} is monitored: {log}"
    why = f"no state was seen within {LIMIT_S:.0f} s" if sighting is None else sighting.text
    if not outcome.is_running:
        return f"the service does not run ({why}), and {machine} is not monitored: {log}"
    return f"the service runs but {machine} is not monitored: {why}; {log}"
