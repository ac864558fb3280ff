"""The messages of the plant's controls that say whether machines run.

The session with the broker calls `RunningInputs.receive` in its own thread, which stores the newest
message of each topic and nothing else.  The monitor session of a machine takes it, at most once a
second, when it evaluates sound or publishes the state.  So messages neither wait anywhere nor wake
the evaluation, however many arrive.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from asd_monitor.config.machine_settings import RunningSettings
from asd_monitor.daemon.running_signal import (
    RunningSignal,
    SignalMessage,
    SignalProblem,
    SignalReading,
)
from asd_monitor.daemon.topic_readers import Subscribes
from asd_monitor.publish.inbox import Received
from asd_monitor.publish.messages import RunningStatus

log = structlog.get_logger()

_INTERVAL_S = 1.0
"""Shortest time between two messages of a topic that are looked at."""

_VALID_S = 60.0
"""A signal that was valid this long has no problem any more: the next one is logged again."""


@dataclass(slots=True)
class _Topic:
    """What was received on one topic; written by the session with the broker alone."""

    newest: SignalMessage | None = None
    dropped: int = 0  # messages above the size that is read


class RunningInput:
    """The signal of one machine, as its monitor session reads it.

    Args:
        machine: Id of the machine.
        settings: Topic, path and age of the signal.
        topic: What is received on the topic.
        clock: Returns the time of a monotonic clock, in s.

    """

    def __init__(
        self, machine: str, settings: RunningSettings, topic: _Topic, clock: Callable[[], float]
    ) -> None:
        self.settings = settings
        self.reading = SignalReading(running=True)
        """The signal when it was last sampled."""
        self._topic = topic
        self._clock = clock
        self._signal = RunningSignal(
            settings.json_path, settings.stale_after.seconds, begun_s=clock()
        )
        self._taken: SignalMessage | None = None
        self._taken_s = -math.inf
        self._logged: set[SignalProblem] = set()
        self._valid_since_s: float | None = None
        self._log = log.bind(machine=machine, topic=settings.topic)

    def sample(self) -> SignalReading:
        """Return the signal now, and log a new problem."""
        now_s = self._clock()
        newest = self._topic.newest
        if (
            newest is not self._taken
            and now_s - self._taken_s >= _INTERVAL_S
            and newest is not None
        ):
            self._taken, self._taken_s = newest, now_s
            self._signal.receive(newest)
        self.reading = self._signal.read(now_s)
        self._log_problem(self.reading.problem, now_s)
        return self.reading

    @property
    def reason(self) -> str | None:
        """Why the machine is off, or why it is taken to be running; None: it runs."""
        topic = self.settings.topic
        if not self.reading.running:
            return f"off by the message on {topic}"
        match self.reading.problem:
            case SignalProblem.MISSING:
                return f"taken to be running: no message on {topic}"
            case SignalProblem.STALE:
                age = self.settings.stale_after
                return f"taken to be running: no message on {topic} for more than {age}"
            case SignalProblem.MALFORMED:
                return f"taken to be running: the message on {topic} is malformed"
        return None

    @property
    def status(self) -> RunningStatus:
        """The signal in the status of the box."""
        age_s = self._signal.age_s(self._clock())
        return RunningStatus(
            running=self.reading.running,
            problem=self.reading.problem,
            age_s=age_s,
            malformed=self._signal.malformed,
            dropped=self._topic.dropped,
        )

    def _log_problem(self, problem: SignalProblem | None, now_s: float) -> None:
        """Log each problem once, until the signal has been valid for some time."""
        if problem is not None:
            self._valid_since_s = None
            if problem not in self._logged:
                self._logged.add(problem)
                self._log.warning(
                    "running signal: the machine is taken to be running",
                    reason=self._problem_text(problem),
                    hint=self._remedy(problem),
                )
        elif self._logged:
            if self._valid_since_s is None:
                self._valid_since_s = now_s
            elif now_s - self._valid_since_s >= _VALID_S:
                self._logged.clear()
                self._log.info("running signal: valid again")

    def _problem_text(self, problem: SignalProblem) -> str:
        match problem:
            case SignalProblem.MISSING:
                return "no message has been received"
            case SignalProblem.STALE:
                return f"no message for more than {self.settings.stale_after}"
            case SignalProblem.MALFORMED:
                return f"the newest message has no value: {self._signal.malformed_payload}"

    def _remedy(self, problem: SignalProblem) -> str:
        age, path = self.settings.stale_after, self.settings.json_path
        match problem:
            case SignalProblem.MISSING:
                return (
                    "check the topic, and that the broker lets this client read it; publish with "
                    f"retain, or at least every {age}"
                )
            case SignalProblem.STALE:
                return f"publish at least every {age}, or raise stale_after"
            case SignalProblem.MALFORMED if path is None:
                return "publish true, false, 1, 0, on or off; for JSON set json_path"
            case SignalProblem.MALFORMED:
                return f"publish JSON with true, false, 1 or 0 at {path}, or correct json_path"


class RunningInputs:
    """The signals of all machines of the daemon."""

    def __init__(self, reader: Subscribes, clock: Callable[[], float]) -> None:
        self._reader = reader
        self._clock = clock
        self._inputs: dict[str, RunningInput] = {}
        self._topics: dict[str, _Topic] = {}

    def of(self, machine: str) -> RunningInput | None:
        """Return the signal of a machine; None: it has none."""
        return self._inputs.get(machine)

    def configure(self, machines: Mapping[str, RunningSettings | None]) -> None:
        """Use these settings from now on.

        A signal whose settings have not changed goes on, and so does each topic that is still used.
        """
        configured = {name: each for name, each in machines.items() if each is not None}
        names = {each.topic for each in configured.values()}
        before = self._topics
        self._topics = {name: before.get(name) or _Topic() for name in names}
        inputs = {}
        for machine, settings in configured.items():
            present = self._inputs.get(machine)
            if present is None or present.settings != settings:
                topic = self._topics[settings.topic]
                present = RunningInput(machine, settings, topic, self._clock)
            inputs[machine] = present
        self._inputs = inputs
        if names != before.keys():
            self._reader.subscribe(names, self.receive)

    def receive(self, received: Received) -> None:
        """Store the newest message of a topic; called by the session with the broker."""
        topic = self._topics.get(received.topic)
        if topic is None:
            return
        topic.dropped += received.oversized
        if received.payload is not None:
            topic.newest = SignalMessage(received.payload, received.retained, self._clock())
