"""YAML → plain values, with the line and column of each.

Every fault of the text is collected, not only the first.  Keys stay text (`on:` is the key
'on'), and a key that stands twice is a fault.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

Path = tuple[str | int, ...]
_MOST_NODES = 100_000
_DEEPEST = 20


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Line and column, from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """What is wrong at a place, and the mend."""

    place: Place
    told: str


@dataclass(slots=True)
class Document:
    """What a text says and where."""

    value: Any = None
    faults: list[Fault] = field(default_factory=list)
    notices: list[Fault] = field(default_factory=list)
    keys: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)
    raw: dict[Path, str] = field(default_factory=dict)  # scalars as written

    def place(self, path: Path, *, of_key: bool = False) -> Place | None:
        """Return where the value (or its key) stands; None where the text has no such path."""
        return (self.keys if of_key else self.values).get(path)


def read_yaml(content: bytes) -> Document:
    """Read one YAML document; `value` is None where it is not YAML at all."""
    document = Document()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = _place_in(content[: error.start].decode("utf-8", errors="replace"))
        document.faults.append(Fault(place, "the text is not UTF-8: save the file as UTF-8"))
        return document
    loader = None
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is not None:
            document.value = _Reader(loader, document, text).read(node, (), 0)
        if document.value is None and not document.faults:
            told = "the file says nothing: begin with `version: 1`"
            document.faults.append(Fault(Place(1, 1), told))
    except yaml.reader.ReaderError as error:
        place = _place_in(text[: error.position])
        told = f"the character {chr(int(error.character))!r} cannot stand in YAML: remove it"
        document.faults.append(Fault(place, told))
    except yaml.MarkedYAMLError as error:
        document.faults.append(_syntax_fault(error))
        document.value = None
    except RecursionError:
        document.faults.append(Fault(Place(1, 1), _TOO_DEEP))
        document.value = None
    finally:
        if loader is not None:
            loader.dispose()
    return document


_TOO_DEEP = "brackets within brackets without end: see `asd-monitor config schema`"


class _Reader:
    """Walks the nodes of one document."""

    def __init__(self, loader: yaml.SafeLoader, document: Document, text: str) -> None:
        self._loader = loader
        self._document = document
        self._text = text
        self._lines = text.splitlines()
        self._nodes = 0

    def read(self, node: yaml.Node, path: Path, depth: int) -> Any:
        self._nodes += 1
        if depth > _DEEPEST or self._nodes > _MOST_NODES:
            raise RecursionError
        place = _place(node.start_mark)
        self._document.values[path] = place
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, i), depth + 1) for i, item in enumerate(node.value)]
        if not isinstance(node, yaml.ScalarNode):
            raise TypeError(f"YAML has no {type(node).__name__}")
        self._document.raw[path] = node.value
        self._notice_comment(node, path)
        try:
            return self._loader.construct_object(node)
        except (yaml.MarkedYAMLError, ValueError, OverflowError) as error:
            told = f"{node.value!r} cannot be read ({_reason(error)}): write it in quotes"
            self._document.faults.append(Fault(place, told))
            return node.value

    def _mapping(self, node: yaml.MappingNode, path: Path, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            place = _place(key_node.start_mark)
            if not isinstance(key_node, yaml.ScalarNode):
                told = "a key must be a word: write `key: value`"
                self._document.faults.append(Fault(place, told))
                continue
            key = key_node.value
            if key in values:
                first = self._document.keys[(*path, key)]
                told = f"{key!r} stands already in line {first.line}: keep one of the two"
                self._document.faults.append(Fault(place, told))
                continue
            if key == "<<":
                told = "'<<' is not merged: put what machines share under `defaults:`"
                self._document.faults.append(Fault(place, told))
                continue
            if node.flow_style and ":" not in self._text[_end(key_node) : _end(value_node)]:
                told = f"{key!r} has no value: write {key}: …, or put a value that holds a comma"
                self._document.faults.append(Fault(place, f"{told} in quotes"))
                continue
            self._document.keys[(*path, key)] = place
            values[key] = self.read(value_node, (*path, key), depth + 1)
        return values

    def _notice_comment(self, node: yaml.ScalarNode, path: Path) -> None:
        """`name:USB Mic #2` loses its channel to the comment sign, silently."""
        end = node.end_mark
        if node.style is None and path[-1:] == ("device",) and end.line < len(self._lines):
            comment = re.match(r"\s+(#\d+)\s*$", self._lines[end.line][end.column :])
            if comment:
                told = f"{comment[1]} after a space is a comment: if it is the channel, use quotes"
                self._document.notices.append(Fault(_place(node.start_mark), told))


def _end(node: yaml.Node) -> int:
    return int(node.end_mark.index)


def _place(mark: yaml.Mark) -> Place:
    return Place(mark.line + 1, mark.column + 1)


def _place_in(before: str) -> Place:
    """Return the place of the character after ``before``."""
    return Place(before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)


def _reason(error: Exception) -> str:
    text = error.problem if isinstance(error, yaml.MarkedYAMLError) else str(error)
    return str(text or type(error).__name__)


def _syntax_fault(error: yaml.MarkedYAMLError) -> Fault:
    mark = error.problem_mark or error.context_mark
    place = _place(mark) if mark else Place(1, 1)
    problem = error.problem or error.context or "this is not YAML"
    remedy = "write `key: value`, each level indented by two spaces"
    if "\\t" in problem or "tab" in problem:
        remedy = "indent with spaces, not with tabs"
    elif "mapping values are not allowed" in problem or "%" in problem or "'@'" in problem:
        remedy = "put a value with such characters in quotes"
    elif "single document" in (error.context or ""):
        remedy = "keep one document in the file"
    elif "alias" in problem:
        remedy = "define it with & before, or write the value out"
    elif "expected ',' or" in problem:
        remedy = "close the bracket, and put commas between the keys"
    return Fault(place, f"not valid YAML, {problem}: {remedy}")
