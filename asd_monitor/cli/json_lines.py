"""JSON on stdout: always valid, whatever names and numbers it contains."""

from __future__ import annotations

import json
import math
import sys
from typing import Any


def json_text(value: object) -> str:
    """Return a value as JSON in one line.

    Numbers that JSON does not know, NaN and infinity, are null.  Bytes of a file name that are
    not UTF-8 are the escapes of lone surrogates, as Python's ``os.fsdecode`` returns them.
    """
    text = json.dumps(_finite(value), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def print_json(value: object) -> None:
    """Print a value as one line of JSON."""
    sys.stdout.write(json_text(value) + "\n")


def _finite(value: Any) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {key: _finite(each) for key, each in value.items()}
        case list() | tuple():
            return [_finite(each) for each in value]
    return value
