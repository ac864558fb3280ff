"""The commands that are received and not handled yet: bounded in number and rate.

Commands are put in by the thread of the session with the broker, and taken in the event loop.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

import structlog

from asd_monitor.daemon.token_bucket import TokenBucket
from asd_monitor.publish.received_commands import ReceivedCommand
from asd_monitor.wording import printable

log = structlog.get_logger()

BURST = 20
"""Commands of a box at once, after a pause."""
RATE_HZ = 2.0
"""Commands of a box a second, in the long run."""
MAX_WAITING = 100
"""Commands that are not looked at yet; later ones are dropped."""
_CALM_S = 60.0  # without a dropped command: the next one is logged again


@dataclass(frozen=True, slots=True)
class ArrivedCommand:
    """A command that is not handled yet."""

    command: ReceivedCommand
    time: datetime
    time_s: float  # of the monotonic clock


class Reception(Enum):
    """What becomes of a command at its arrival."""

    QUEUED = auto()
    DROPPED = auto()
    """It is above the permitted rate or number, and not answered."""
    CLOSED = auto()
    """The queue is closed: the command is to be refused."""


class CommandQueue:
    """The commands that wait; safe for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bucket = TokenBucket(BURST, RATE_HZ)
        self._waiting: deque[ArrivedCommand] = deque()
        self._is_closed = False
        self._newest_drop_s = -math.inf
        self.received = 0
        """All commands that were put in, the dropped ones included."""
        self.dropped = 0
        """Commands above the permitted rate or number."""

    def __bool__(self) -> bool:
        """Return whether a command waits."""
        return bool(self._waiting)

    def put(self, arrived: ArrivedCommand) -> Reception:
        """Add a command, and return what becomes of it; dropped ones are logged once."""
        is_first_drop = False
        with self._lock:
            self.received += 1
            is_taken = len(self._waiting) < MAX_WAITING and self._bucket.take(arrived.time_s)
            is_closed = self._is_closed
            if is_taken and not is_closed:
                self._waiting.append(arrived)
            elif not is_taken:
                is_first_drop = arrived.time_s - self._newest_drop_s >= _CALM_S
                self._newest_drop_s = arrived.time_s
                self.dropped += 1
        if is_first_drop:
            log.warning(
                "too many commands: those above the permitted rate are dropped and not answered",
                topic=printable(arrived.command.topic[:200]),
                limit_hz=f"{RATE_HZ:g}",
                at_once=BURST,
                hint="wait for the answer to a command before the next; check what publishes them",
            )
        if not is_taken:
            return Reception.DROPPED
        return Reception.CLOSED if is_closed else Reception.QUEUED

    def take(self) -> ArrivedCommand | None:
        """Return the oldest command that waits; None: there is none."""
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def close(self) -> list[ArrivedCommand]:
        """Return the commands that wait; later ones are not queued."""
        with self._lock:
            self._is_closed = True
            waiting = list(self._waiting)
            self._waiting.clear()
        return waiting
