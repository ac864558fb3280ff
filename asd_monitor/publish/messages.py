"""The payloads published by MQTT: one frozen dataclass for each kind.

A payload is one JSON object (`asd_monitor.publish.json_payload`).  ``schema`` is its kind and
version: adding keys is compatible, removing or changing a key raises the version.

The payload of the availability is the plain text ``online`` or ``offline``.
"""

from __future__ import annotations

import json
from functools import cache

import pydantic

from asd_monitor.publish.box_messages import (
    AlarmStatus,
    BoxAlarm,
    BoxCondition,
    CheckResult,
    CommissioningStatus,
    MachineStatus,
    OutboxStatus,
    RunningStatus,
    ScoreLevel,
    Scoring,
    SelfTest,
    SelfTestResult,
    Status,
)
from asd_monitor.publish.json_payload import DECIMALS
from asd_monitor.publish.machine_messages import (
    Alarm,
    Event,
    LastEvaluated,
    Response,
    Score,
    State,
    no_alarm,
)

__all__ = [
    "DECIMALS",
    "OFFLINE",
    "ONLINE",
    "Alarm",
    "AlarmStatus",
    "BoxAlarm",
    "BoxCondition",
    "CheckResult",
    "CommissioningStatus",
    "Event",
    "LastEvaluated",
    "MachineStatus",
    "Message",
    "OutboxStatus",
    "Response",
    "RunningStatus",
    "Score",
    "ScoreLevel",
    "Scoring",
    "SelfTest",
    "SelfTestResult",
    "State",
    "Status",
    "no_alarm",
    "read",
]

ONLINE = b"online"
OFFLINE = b"offline"

Message = Score | State | Alarm | Event | Response | Status | SelfTest | BoxAlarm

_KINDS: dict[str, type[Message]] = {
    kind.SCHEMA: kind for kind in (Score, State, Alarm, Event, Response, Status, SelfTest, BoxAlarm)
}


def read(payload: bytes) -> Message:
    """Return the message of a payload; unknown keys are ignored.

    Raises ValueError for a payload that is none of these messages.
    """
    document = json.loads(payload)
    schema = document.get("schema") if isinstance(document, dict) else None
    if not isinstance(schema, str) or schema not in _KINDS:
        raise ValueError(f"not a message of asd-monitor: schema {schema!r}")
    return _reader(schema).validate_json(payload)


@cache
def _reader(schema: str) -> pydantic.TypeAdapter[Message]:
    return pydantic.TypeAdapter(_KINDS[schema])
