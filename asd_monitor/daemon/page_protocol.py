"""What the daemon sends to the process of its page: lines of JSON.

The first line is a `PageSetup`.  Then follow the retained messages of the daemon
(`asd_monitor.publish.messages`), and these, which are on no topic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import ClassVar

import pydantic

from asd_monitor.publish.json_payload import Payload
from asd_monitor.publish.messages import Alarm, BoxAlarm, SelfTest, State, Status
from asd_monitor.records import MachineState, Thresholds

BANDS = 64
"""Mel bands of a live spectrogram."""
LOWEST_DBFS, STEP_DB = -110.0, 0.5
"""Level of the value 0 of a live spectrogram, and of each step above it."""


@dataclass(frozen=True, slots=True)
class PageSetup(Payload):
    """What the page is started with."""

    SCHEMA: ClassVar[str] = "asd.page-setup/1"

    listen: str
    token_file: str | None
    state: str  # the folder
    models: str
    config: str | None  # the file; None: the daemon was started without one
    box: str
    version: str


@dataclass(frozen=True, slots=True)
class Beat(Payload):
    """The daemon runs; sent every second."""

    SCHEMA: ClassVar[str] = "asd.page-beat/1"

    time: datetime
    broker_connected: bool
    machines: Sequence[str]  # ids, in the order of the configuration
    dropped: int  # lines of this protocol, since the start of the daemon


@dataclass(frozen=True, slots=True)
class LiveWindow(Payload):
    """The scores of one window."""

    SCHEMA: ClassVar[str] = "asd.page-window/1"

    machine: str
    time: datetime  # of the window's end
    score: float | None
    alarm_score: float | None
    scales: Mapping[str, float]  # alarm score by time scale, in s
    thresholds: Thresholds  # on the scale of the alarm scores
    state: MachineState
    rms_dbfs: float | None


@dataclass(frozen=True, slots=True)
class LiveSound(Payload):
    """A block of sound: its level and its spectrogram."""

    SCHEMA: ClassVar[str] = "asd.page-sound/1"

    machine: str
    time: datetime  # of the block's end
    rms_dbfs: float | None
    column_s: float  # of sound that a column stands for
    highest_hz: float  # upper end of the highest band
    columns: str  # base64 of one byte for each band of each column, the lowest band first


PageLine = PageSetup | Beat | LiveWindow | LiveSound | State | Alarm | Status | SelfTest | BoxAlarm
_KINDS: dict[str, type[PageLine]] = {
    kind.SCHEMA: kind
    for kind in (
        *(PageSetup, Beat, LiveWindow, LiveSound),
        *(State, Alarm, Status, SelfTest, BoxAlarm),
    )
}


class _Schema(pydantic.BaseModel):
    schema_: str | None = pydantic.Field(default=None, alias="schema")


def read_line(line: bytes) -> PageLine | None:
    """Return what a line says; None for a kind that is not known here.

    Raises ValueError for a malformed line.
    """
    schema = _Schema.model_validate_json(line).schema_
    if schema is None or schema not in _KINDS:  # such as the discovery of Home Assistant
        return None
    return _reader(schema).validate_json(line)


@cache
def _reader(schema: str) -> pydantic.TypeAdapter[PageLine]:
    return pydantic.TypeAdapter(_KINDS[schema])
