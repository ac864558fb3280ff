"""Messages for invalid settings: what is wrong, and the remedy."""

from __future__ import annotations

import difflib
import re
import types
import typing
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from asd_monitor.config.field_types import INVALID_VALUE
from asd_monitor.config.machine_settings import Machine
from asd_monitor.config.section import Section
from asd_monitor.config.settings import Config
from asd_monitor.config.yaml_places import find_place, written_path
from asd_monitor.config.yaml_text import Document, Finding
from asd_monitor.config.yaml_text import Path as KeyPath
from asd_monitor.wording import quoted, shortened

_GROUPS = ("model_type", "dict_type", "mapping_type")
_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "path_type": "the path of a file",
    **dict.fromkeys(_GROUPS, "keys with values"),
}
_LIMITS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
_SECTIONS: tuple[KeyPath, ...] = (
    ("mqtt",),
    ("mqtt", "tls"),
    ("inference",),
    ("defaults",),
    ("machines", "MACHINE"),
)


def dotted(path: KeyPath) -> str:
    """Return a path of keys as text: `machines.fan01.alarm`."""
    parts = (str(part) for part in path)
    return ".".join(part if re.fullmatch(r"[\w-]{1,64}", part) else quoted(part) for part in parts)


def finding_of(document: Document, details: ErrorDetails) -> Finding:
    """Return an error of pydantic with its place in the text."""
    path, kind = details["loc"], details["type"]
    if path and path[-1] == "[key]":
        message = f"{dotted(path[:-2])}: {describe(details)}"
        return Finding(find_place(document, path[:-1], of_key=True), message)
    if kind == "extra_forbidden":
        place, written = find_place(document, path, of_key=True), written_path(document, path)
        section = f"{dotted(written[:-1])}: " if written[:-1] else ""
        return Finding(place, f"{section}unknown key {quoted(str(path[-1]))}: {suggest_key(path)}")
    if kind == "missing":
        section = f"{dotted(path[:-1])}: " if path[:-1] else ""
        message = f"{section}the key {str(path[-1])!r} is missing: add `{example(path)}`"
        return Finding(find_place(document, path[:-1]), message)
    written = written_path(document, path)
    message = f"{dotted(written)}: {describe(details, document.raw.get(written))}"
    return Finding(find_place(document, path), message)


def describe(details: ErrorDetails, raw: str | None = None) -> str:
    """Return what is wrong with a value, and the remedy; ``raw`` is the value as in the text."""
    kind, limits = details["type"], details.get("ctx", {})
    if kind == INVALID_VALUE:
        return str(details["msg"])
    value = details["input"]
    # the text of a value that is not text may have several lines: `!!binary |`
    unquoted = " ".join((raw or _describe_value(value)).split())
    shown = quoted(value) if isinstance(value, str) else shortened(unquoted)
    such_as = f"such as `{example(details['loc'])}`"
    if kind in {"string_type", "path_type"} and raw:
        return f'{shown} is not text to YAML: put it in quotes, "{shown}"'
    expected = limits.get("expected") if kind == "literal_error" else _EXPECTED.get(kind)
    if expected:
        if value is None:
            wrong = "the value is missing"
        elif kind in _GROUPS:
            wrong = f"{shown} instead of {expected}"
        else:
            wrong = f"{shown} is not {expected}"
        return f"{wrong}: write {expected}, {such_as}"
    for limit, words in _LIMITS.items():
        if limit in limits:
            return f"{shown} is out of range: write {words} {limits[limit]:g}, {such_as}"
    if kind in {"too_short", "string_too_short"}:
        return f"this is empty: write a value, {such_as}"
    message = str(details["msg"])
    return f"{shown}: {message[:1].lower()}{message[1:]}: write `{example(details['loc'])}`"


def suggest_key(path: KeyPath) -> str:
    """Return the remedy for an unknown key."""
    key, known = str(path[-1]), _keys_of(path[:-1])
    if "password" in key.lower() and "password_file" in known:
        return "secrets are not kept in this file, write `password_file: /path/to/it`"
    for longer in known:
        if longer.endswith(f"_{key}"):
            return f"did you mean {longer!r}?"
    below = ((*path[:-1], section) for section in known)
    elsewhere = [place for place in (*below, *_SECTIONS) if key in _keys_of(place)]
    if elsewhere:
        return f"it belongs under `{dotted(elsewhere[0])}`"
    close = difflib.get_close_matches(key.lower().replace("-", "_"), known, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"the keys here are {', '.join(known)}"


def example(path: KeyPath) -> str:
    """Return the key with a valid value, in YAML."""
    model, field = _field(path)
    key = str(path[-1]) if path else "version"
    if path[:1] == ("machines",) and len(path) <= 2:
        return f'{key}: {{device: "hw:1"}}' if len(path) == 2 else "machines: {fan01: {…}}"
    if field is None:
        return f"{key}: …"
    if model is not None:
        return f"{key}: {{{example((*path, next(iter(model.model_fields))))}}}"
    value = field.examples[0] if field.examples else field.default
    if value is None:
        return f"{key}: …"
    if not isinstance(value, bool | int | float):
        value = str(value)
    return f"{key}: {yaml.safe_dump(value, default_style=None).splitlines()[0]}"


def _describe_value(value: object) -> str:
    if isinstance(value, dict):
        return "a group of keys"
    if isinstance(value, list):
        return "a list"
    return "nothing" if value is None else str(value)


def _field(path: KeyPath) -> tuple[type[BaseModel] | None, FieldInfo | None]:
    """Return the section at ``path`` (None below it) and the field that ends there."""
    model: type[BaseModel] | None = Config
    field: FieldInfo | None = None
    parts = iter(path)
    for part in parts:
        if model is None or part not in model.model_fields:
            return None, None
        field = model.model_fields[str(part)]
        if part == "machines" and model is Config:
            if next(parts, None) is None:
                return None, field
            model = Machine
        else:
            model = _section_of(field.annotation)
    return model, field


def _section_of(annotation: Any) -> type[BaseModel] | None:
    options = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else ()
    for option in (annotation, *options):
        if isinstance(option, type) and issubclass(option, Section):
            return option
    return None


def _keys_of(path: KeyPath) -> list[str]:
    """Return the keys of a section that have an effect."""
    model, _ = _field(path)
    fields = {} if model is None else model.model_fields
    return [name for name, field in fields.items() if not field.exclude]
