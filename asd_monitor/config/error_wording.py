"""What is said of a setting that is wrong: the fault and the mend."""

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

from asd_monitor.config.settings import Config, Machine, Section
from asd_monitor.config.yaml_text import Path as KeyPath


def dotted(path: KeyPath) -> str:
    """Return `machines.fan01.alarm`."""
    parts = (str(part) for part in path)
    return ".".join(part if re.fullmatch(r"[\w-]+", part) else repr(part) for part in parts)


def what(details: ErrorDetails, raw: str | None = None) -> str:
    """Say what is wrong with a value, and the mend."""
    kind, limits = details["type"], details.get("ctx", {})
    given = details["input"]
    shown = repr(given) if isinstance(given, str) else raw or _kind_of(given)
    such = f"such as `{example(details['loc'])}`"
    if kind == "told":
        return str(details["msg"])
    wanted = {
        "string_type": "text",
        "int_type": "a whole number",
        "float_type": "a number",
        "finite_number": "a finite number",
        "bool_type": "true or false",
        "path_type": "the path of a file",
        "model_type": "keys with values",
        "dict_type": "keys with values",
        "mapping_type": "keys with values",
        "literal_error": limits.get("expected"),
    }.get(kind)
    if kind in {"string_type", "path_type"} and raw:
        return f'{raw} is not text to YAML: put it in quotes, "{raw}"'
    if wanted:
        return f"{shown} is not {wanted}: write {wanted}, {such}"
    for limit, words in _LIMITS.items():
        if limit in limits:
            return f"{shown} is out of range: write {words} {limits[limit]:g}, {such}"
    if kind in {"too_short", "string_too_short"}:
        return f"this is empty: write something, {such}"
    told = str(details["msg"])
    return f"{shown}: {told[:1].lower()}{told[1:]}: write {such.removeprefix('such as ')}"


_LIMITS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def _kind_of(value: object) -> str:
    if isinstance(value, dict):
        return "a group of keys"
    if isinstance(value, list):
        return "a list"
    return "nothing" if value is None else str(value)


def suggestion(loc: KeyPath) -> str:
    """Say which key was probably meant."""
    key, known = str(loc[-1]), _keys_of(loc[:-1])
    if "password" in key.lower() and "password_file" in known:
        return "secrets are not kept in this file, write `password_file: /path/to/it`"
    below = ((*loc[:-1], section) for section in known)
    elsewhere = [place for place in (*below, *_SECTIONS) if key in _keys_of(place)]
    if elsewhere:
        return f"it belongs under `{dotted(elsewhere[0])}`"
    close = difflib.get_close_matches(key.lower().replace("-", "_"), known, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"the keys here are {', '.join(known)}"


_SECTIONS: tuple[KeyPath, ...] = (
    ("mqtt",),
    ("mqtt", "tls"),
    ("inference",),
    ("defaults",),
    ("machines", "MACHINE"),
)


def _field(loc: KeyPath) -> tuple[type[BaseModel] | None, FieldInfo | None]:
    """Return the section at ``loc`` (None below it) and the field that ends there."""
    model: type[BaseModel] | None = Config
    field: FieldInfo | None = None
    parts = iter(loc)
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


def _keys_of(loc: KeyPath) -> list[str]:
    model, _ = _field(loc)
    return list(model.model_fields) if model is not None else []


def example(loc: KeyPath) -> str:
    """Write the key with a value that it could have."""
    model, field = _field(loc)
    key = str(loc[-1]) if loc else "version"
    if loc[:1] == ("machines",) and len(loc) <= 2:
        return f'{key}: {{device: "hw:1"}}' if len(loc) == 2 else "machines: {fan01: {…}}"
    if field is None or model is not None:
        return f"{key}: {{…: …}}"
    value = field.examples[0] if field.examples else field.default
    if value is None:
        return f"{key}: …"
    if not isinstance(value, bool | int | float):
        value = str(value)
    return f"{key}: {yaml.safe_dump(value, default_style=None).splitlines()[0]}"
