"""The keys of the messages, from the dataclasses whose fields they are.

The meaning of a key is the text below its field; the unit is in its name.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import textwrap
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Union, get_args, get_origin, get_type_hints

from asd_monitor.daemon.command_parsing import command_keys
from asd_monitor.publish.messages import (
    Alarm,
    BoxAlarm,
    Event,
    Response,
    Score,
    SelfTest,
    State,
    Status,
)
from release.tables import table

PUBLISHED = (Score, State, Alarm, Event, Status, SelfTest, BoxAlarm)

_UNITS = {"_s": "s", "_dbfs": "dBFS", "_ppm": "ppm", "bytes": "bytes", "days": "days"}
_OR_NULL = ", or null"
_PLAIN = {bool: "`true`, `false`", int: "integer", float: "number", str: "text", datetime: "time"}


def message_tables() -> str:
    """Return the tables of all messages but answers, and of the objects in them."""
    found = [_with_parts(each) for each in PUBLISHED]
    parts = dict.fromkeys(part for each in found for part in each[1:])
    sections = [
        *(_section(f"### `{each.SCHEMA}`", each) for each in PUBLISHED),
        *(_section(f"### {_name(each)}", each) for each in parts),
    ]
    return "\n\n".join(sections)


def response_table() -> str:
    """Return the table of the answers to commands."""
    return _table(Response)


def command_table() -> str:
    """Return the table of the keys of commands."""
    return table(("key", "content"), [(f"`{key}`", text) for key, text in command_keys().items()])


def _section(title: str, message: type) -> str:
    text = (inspect.getdoc(message) or "").partition("\n\n")[0]
    return f"{title}\n\n{_on_mqtt(text)}\n\n{_table(message)}"


def _table(message: type) -> str:
    meanings, hints = _meanings(message), get_type_hints(message)
    rows = []
    for field in dataclasses.fields(message):
        if field.name not in meanings:
            raise LookupError(f"{message.__name__}.{field.name} has no text that says what it is")
        key = field.name.rstrip("_")
        unit = next((f", {unit}" for end, unit in _UNITS.items() if key.endswith(end)), "")
        content, null, _ = _content(hints[field.name]).partition(_OR_NULL)
        content += unit + null
        rows.append((f"`{key}`", content, _on_mqtt(meanings[field.name])))
    return table(("key", "content", "meaning"), rows)


def _meanings(message: type) -> dict[str, str]:
    """Return the text below each field of a dataclass."""
    [definition] = ast.parse(textwrap.dedent(inspect.getsource(message))).body
    if not isinstance(definition, ast.ClassDef):
        raise TypeError(f"{message} is no class")
    found = {}
    for field, text in zip(definition.body, definition.body[1:], strict=False):
        match field, text:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(words))),
            ):
                found[name] = " ".join(words.split())
    return found


def _content(hint: Any) -> str:
    """Return what the value of a key is."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in {Union, types.UnionType}:
        parts = [each for each in arguments if each is not types.NoneType]
        shown = " or ".join(_content(each) for each in parts)
        return f"{shown}{_OR_NULL}" if len(parts) < len(arguments) else shown
    if origin is not None and issubclass(origin, Mapping):
        return f"object of {_several(arguments[1])}"
    if origin is not None and issubclass(origin, Sequence):
        return f"list of {_several(arguments[0])}"
    if dataclasses.is_dataclass(hint):
        name = _name(hint)
        return f"[{name}](#{name.replace(' ', '-')})"
    if issubclass(hint, StrEnum):
        return ", ".join(f"`{each}`" for each in hint)
    return _PLAIN[hint]


def _several(hint: Any) -> str:
    """Return what several such values are: `numbers`."""
    null = " or null" if types.NoneType in get_args(hint) else ""
    content = _content(hint).removesuffix(_OR_NULL)
    if content.startswith("object of "):
        return content.replace("object", "objects", 1)
    return f"{content}s{null}" if content in _PLAIN.values() else content


def _with_parts(message: type) -> list[type]:
    """Return a dataclass and those in its fields."""
    return [message, *(part for hint in get_type_hints(message).values() for part in _parts(hint))]


def _parts(hint: Any) -> Iterator[type]:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        yield from _with_parts(hint)
    for argument in get_args(hint):
        yield from _parts(argument)


def _name(message: Any) -> str:
    """Return the name of an object in words: `machine status`."""
    words: Iterable[str] = re.findall(r"[A-Z][a-z]+", message.__name__)
    return " ".join(words).lower()


def _on_mqtt(text: str) -> str:
    """Return a text about values of Python for those of JSON."""
    text = re.sub(r"; see `asd_monitor\.[\w.]+`", "", text)
    return re.sub(r"\bNone\b", "null", text.replace("``", "`"))
