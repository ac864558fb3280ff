"""The signal that says whether a machine runs: messages and time → running or not; pure.

The newest message counts.  A machine runs unless a valid message of at most the configured age
says that it does not: where the message is missing, malformed or too old, it is taken to be
running, since an alarm that is suppressed by mistake is the worse error.

The age of a message begins when it is received, since a message has no time of its own.  This holds
for a retained message too, which may have been published long before.  The broker delivers it again
after each connect; if it equals the newest message, it is no sign of life and does not renew it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

from asd_monitor.config.json_path import JsonPath
from asd_monitor.publish.inbox import MAX_PAYLOAD_BYTES
from asd_monitor.wording import shortened

MISSING_AFTER_S = 30.0
"""Time after which it is reported that no message has been received yet; less where messages are
stale earlier."""

_VALUES = {"true": True, "1": True, "on": True, "false": False, "0": False, "off": False}
_SHOWN_CHARS = 40


class SignalProblem(StrEnum):
    """Why the machine is taken to be running without a valid message that says so."""

    MISSING = "missing"  # none has been received
    MALFORMED = "malformed"  # the newest one has no value
    STALE = "stale"  # the newest one is too old


@dataclass(frozen=True, slots=True)
class SignalMessage:
    """A message on the topic of a signal."""

    payload: bytes
    retained: bool  # delivered because of a subscription: its age is not known
    received_s: float  # time of a monotonic clock


@dataclass(frozen=True, slots=True)
class SignalReading:
    """The signal at one time."""

    running: bool
    problem: SignalProblem | None = None


class RunningSignal:
    """The signal of one machine; times are of one monotonic clock, in s."""

    def __init__(self, json_path: JsonPath | None, stale_after_s: float, begun_s: float) -> None:
        """Begin without a message, at the time ``begun_s``."""
        self.malformed = 0
        """Messages without a value."""
        self._json_path = json_path
        self._stale_after_s = stale_after_s
        self._begun_s = begun_s
        self._newest: SignalMessage | None = None
        self._value: bool | None = None  # of the newest message

    @property
    def malformed_payload(self) -> str | None:
        """The newest message as text, shortened, where it is malformed."""
        if self._newest is None or self._value is not None:
            return None
        return shortened(repr(self._newest.payload[:_SHOWN_CHARS])[2:-1])

    def age_s(self, now_s: float) -> float | None:
        """Return the age of the newest message; None: there is none."""
        return None if self._newest is None else now_s - self._newest.received_s

    def receive(self, message: SignalMessage) -> None:
        """Process a message, the newest one."""
        newest = self._newest
        if message.retained and newest is not None and message.payload == newest.payload:
            return
        self._newest = message
        self._value = read_value(message.payload, self._json_path)
        self.malformed += self._value is None

    def read(self, now_s: float) -> SignalReading:
        """Return the signal now."""
        if self._newest is None:
            is_missing = now_s - self._begun_s >= min(MISSING_AFTER_S, self._stale_after_s)
            problem = SignalProblem.MISSING if is_missing else None
            return SignalReading(running=True, problem=problem)
        if now_s - self._newest.received_s > self._stale_after_s:
            return SignalReading(running=True, problem=SignalProblem.STALE)
        if self._value is None:
            return SignalReading(running=True, problem=SignalProblem.MALFORMED)
        return SignalReading(running=self._value)


def read_value(payload: bytes, json_path: JsonPath | None) -> bool | None:
    """Return the value of a message; None: it is malformed.

    Args:
        payload: The message: the value, or a JSON document with it.
        json_path: Where the value is in the document; None: the message is the value.

    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        return None
    value: object
    try:
        value = payload.decode()
        if json_path is not None:
            value = json_path.find(json.loads(payload))
    except (ValueError, KeyError, RecursionError):  # of decoding, of JSON, of the path
        return None
    if isinstance(value, str):
        return _VALUES.get(value.strip().lower())
    if isinstance(value, int | float):  # a truth value is an int
        return bool(value) if value in (0, 1) else None
    return None
