"""Messages for the problems of a card: the key, the problem and the remedy, in one line."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from pydantic import BaseModel
from pydantic_core import ErrorDetails

CARD_PROBLEM = "card_problem"
"""Type of the errors that the card's own validators raise; their message is complete."""

_TAGS = {"log_mel", "waveform"}
_TYPES = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number, with a point, such as 1.0e-10",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "model_type": "keys with values",
    "model_attributes_type": "keys with values",
}
_OTHERS = {
    "too_long": "this list has more items than any network needs: write fewer",
    "string_too_long": "this text is too long: write a shorter one",
    "too_short": "this is empty: write something",
    "string_too_short": "this is empty: write something",
    "union_tag_invalid": "the kind of input is unknown: write kind: log_mel or kind: waveform",
    "union_tag_not_found": "the kind of input is missing: write kind: log_mel or kind: waveform",
}
_LIMITS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def describe_problem(
    details: ErrorDetails, parts: Mapping[str, type[BaseModel]], whole: type[BaseModel]
) -> str:
    """Return ``key: problem: remedy`` of an error of pydantic.

    ``parts`` are the models by the key, or the kind of input, that they stand under; ``whole`` is
    the model of the card.  They give the keys that an unknown one is compared with.
    """
    loc = [part for n, part in enumerate(details["loc"]) if n != 1 or part not in _TAGS]
    key = ".".join(str(part) for part in loc)
    if details["type"] == "extra_forbidden":
        model = next(
            (parts[str(part)] for part in reversed(details["loc"][:-1]) if str(part) in parts),
            whole,
        )
        text = f"unknown key: {_suggestion(str(details['loc'][-1]), model)}"
    else:
        text = _text(details)
    return f"{key}: {text}" if key else text


def _text(details: ErrorDetails) -> str:
    kind, context, value = details["type"], details.get("ctx", {}), details["input"]
    shown = _shown(value)
    if kind == CARD_PROBLEM:
        return str(details["msg"])
    if kind == "missing":
        return f"the key is missing: add `{details['loc'][-1]}: …`"
    if kind == "literal_error":
        return f"{shown} is unknown: write {context['expected']}"
    if kind in _TYPES:
        return f"{shown} is not {_TYPES[kind].split(',')[0]}: write {_TYPES[kind]}"
    if limits := _LIMITS.keys() & context.keys():
        limit = min(limits)
        return f"{shown} is out of range: write {_LIMITS[limit]} {context[limit]:g}"
    return _OTHERS.get(kind, f"{details['msg']}: see docs/encoders.md")


def _shown(value: object) -> str:
    """Return a value as text of limited length."""
    if isinstance(value, int) and value.bit_length() > 200:
        return "this number"  # Python refuses to write thousands of digits
    if not isinstance(value, str | int | float | None):
        return "this"
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}…"


def _suggestion(key: str, model: type[BaseModel]) -> str:
    keys = [field.alias or name for name, field in model.model_fields.items()]
    close = difflib.get_close_matches(key, keys, n=1)
    return f"did you mean {close[0]!r}?" if close else f"the keys here are {', '.join(keys)}"
