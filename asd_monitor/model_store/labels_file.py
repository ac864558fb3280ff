"""What people have said of a machine's alarms, beside a version: ``labels.json``.

It is written by an export and read where the version is imported.  It is no part of the model: its
own hash is its last line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from asd_monitor.names import ID_PATTERN
from asd_monitor.records import AlarmLabel, NormalSpan
from asd_monitor.sealed_json import sealed_document, sealed_json
from asd_monitor.wording import rfc3339

LABELS = "labels.json"
MAX_LABELS_BYTES = 16 * 2**20
FORMAT = 1

_MAX_ENTRIES = 100_000


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore")


_Id = Annotated[str, StringConstraints(max_length=200)]
_Machine = Annotated[str, StringConstraints(pattern=f"^{ID_PATTERN}$")]
_Text = Annotated[str, StringConstraints(max_length=10_000)]


class _Label(_Part):
    alarm_id: _Id
    raised: AwareDatetime
    label: Literal["valid", "invalid"]
    why: _Text | None
    who: _Text
    cleared: AwareDatetime | None = None


class _Span(_Part):
    id: _Id
    machine: _Machine
    begin: AwareDatetime
    end: AwareDatetime
    who: _Text
    why: _Text
    time: AwareDatetime
    alarm_id: _Id | None = None


class _Document(_Part):
    format: Literal[1]
    machine: _Machine
    labels: Annotated[list[_Label], Field(max_length=_MAX_ENTRIES)]
    normal_spans: Annotated[list[_Span], Field(max_length=_MAX_ENTRIES)]


@dataclass(frozen=True, slots=True)
class MachineLabels:
    """The labels of a machine's alarms, and its sound that was marked as normal."""

    machine: str
    labels: tuple[AlarmLabel, ...] = ()
    normal_spans: tuple[NormalSpan, ...] = ()

    def __bool__(self) -> bool:
        """Return whether there is a label or a span."""
        return bool(self.labels or self.normal_spans)

    def content(self) -> bytes:
        """Return the content of the file."""
        document = {
            "format": FORMAT,
            "machine": self.machine,
            "labels": _plain(self.labels),
            "normal_spans": _plain(self.normal_spans),
        }
        return sealed_json(document)[0]

    @staticmethod
    def from_content(content: bytes) -> MachineLabels:
        """Return the labels in the content of a file.

        Raises ValueError where it is malformed, or was changed after it was written.
        """
        try:
            document = sealed_document(content, _Document)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{LABELS} {error}") from error
        return MachineLabels(
            document.machine,
            tuple(AlarmLabel(**each.model_dump()) for each in document.labels),
            tuple(NormalSpan(**each.model_dump()) for each in document.normal_spans),
        )


def _plain(entries: Sequence[AlarmLabel | NormalSpan]) -> list[dict[str, Any]]:
    return [
        {
            key: rfc3339(value) if isinstance(value, datetime) else value
            for key, value in asdict(entry).items()
        }
        for entry in entries
    ]
