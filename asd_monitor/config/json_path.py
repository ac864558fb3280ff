"""Simple JSON paths: member names and array indices, such as `$.line2.drives[0].run`.

They are a subset of JSONPath (RFC 9535): shorthand member names and indices from 0, each of which
selects at most one value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from asd_monitor.errors import UsageError
from asd_monitor.wording import quoted

MAX_PATH_CHARS = 200
_SEGMENT = re.compile(r"\.([^\W\d]\w*)|\[(0|[1-9]\d{0,5})\]")
_PATH = re.compile(rf"\$(?:{_SEGMENT.pattern})*")


@dataclass(frozen=True, slots=True)
class JsonPath:
    """A path to one value of a JSON document."""

    segments: tuple[str | int, ...]
    text: str

    def __str__(self) -> str:
        return self.text

    def find(self, document: object) -> object:
        """Return the value at the path; raises KeyError where there is none."""
        value = document
        for segment in self.segments:
            children: dict[Any, object] = {}
            if isinstance(segment, str) and isinstance(value, dict):
                children = value
            elif isinstance(segment, int) and isinstance(value, list):
                children = dict(enumerate(value))
            value = children[segment]
        return value


def parse_json_path(text: object) -> JsonPath:
    """Return the path of `$.a.b[0]`.  Raises `UsageError`."""
    if isinstance(text, str) and len(text) <= MAX_PATH_CHARS and _PATH.fullmatch(text):
        segments = [name or int(index) for name, index in _SEGMENT.findall(text)]
        return JsonPath(tuple(segments), text)
    raise UsageError(
        f"{quoted(text)} is not a simple JSON path: write `$` and then names and indices, such as "
        "`$.run` or `$.line2.drives[0].run`"
    )
