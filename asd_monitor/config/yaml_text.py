"""YAML text as plain values, with line and column of each.

All errors of the text are collected, not only the first.  Keys are text (`on:` is the key 'on'),
and a repeated key is an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

Path = tuple[str | int, ...]
_MAX_NODES = 100_000
_MAX_DEPTH = 20


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Line and column, from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """An error or a notice, with the remedy."""

    place: Place
    message: str


@dataclass(slots=True)
class Document:
    """The values of a text, their places and what is wrong with it."""

    value: Any = None
    errors: list[Finding] = field(default_factory=list)
    notices: list[Finding] = field(default_factory=list)
    keys: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)
    raw: dict[Path, str] = field(default_factory=dict)  # scalars as in the text

    def place(self, path: Path, *, of_key: bool = False) -> Place | None:
        """Return the place of the value, or of its key; None where the text has no such path."""
        return (self.keys if of_key else self.values).get(path)


def read_yaml(content: bytes) -> Document:
    """Read one YAML document; `value` is None for text that is not YAML."""
    document = Document()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = _place_in(content[: error.start].decode("utf-8", errors="replace"))
        document.errors.append(Finding(place, "the text is not UTF-8: save the file as UTF-8"))
        return document
    loader = None
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is not None:
            document.value = _Reader(loader, document, text).read(node, (), 0)
        if document.value is None and not document.errors:
            message = "the file is empty: begin with `version: 1`"
            document.errors.append(Finding(Place(1, 1), message))
    except yaml.reader.ReaderError as error:
        place = _place_in(text[: error.position])
        message = f"the character {chr(int(error.character))!r} is not allowed in YAML: remove it"
        document.errors.append(Finding(place, message))
    except yaml.MarkedYAMLError as error:
        document.errors.append(_syntax_error(error))
        document.value = None
    except RecursionError:
        document.errors.append(Finding(Place(1, 1), _TOO_DEEP))
        document.value = None
    finally:
        if loader is not None:
            loader.dispose()
    return document


_TOO_DEEP = "nested too deeply, or too many values: see `asd-monitor config schema`"


class _Reader:
    """Converts the nodes of one document."""

    def __init__(self, loader: yaml.SafeLoader, document: Document, text: str) -> None:
        self._loader = loader
        self._document = document
        self._text = text
        self._lines = text.splitlines()
        self._nodes = 0

    def read(self, node: yaml.Node, path: Path, depth: int) -> Any:
        self._nodes += 1
        if depth > _MAX_DEPTH or self._nodes > _MAX_NODES:
            raise RecursionError
        place = _place(node.start_mark)
        self._document.values[path] = place
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, i), depth + 1) for i, item in enumerate(node.value)]
        if not isinstance(node, yaml.ScalarNode):
            raise TypeError(f"not a node of YAML: {type(node).__name__}")
        self._document.raw[path] = node.value
        self._notice_comment(node, path)
        try:
            return self._loader.construct_object(node)
        except (yaml.MarkedYAMLError, ValueError, OverflowError) as error:
            message = f"{node.value!r} cannot be read ({_reason(error)}): write it in quotes"
            self._document.errors.append(Finding(place, message))
            return node.value

    def _mapping(self, node: yaml.MappingNode, path: Path, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            place = _place(key_node.start_mark)
            if not isinstance(key_node, yaml.ScalarNode):
                message = "a key must be plain text: write `key: value`"
                self._document.errors.append(Finding(place, message))
                continue
            key = key_node.value
            if key in values:
                first = self._document.keys[(*path, key)]
                message = f"{key!r} is already set in line {first.line}: remove one of the two"
                self._document.errors.append(Finding(place, message))
                continue
            if key == "<<":
                message = "'<<' is not supported: put shared settings under `defaults:`"
                self._document.errors.append(Finding(place, message))
                continue
            if node.flow_style and ":" not in self._text[_end(key_node) : _end(value_node)]:
                message = f"{key!r} has no value: write {key}: …, or put a value with a comma"
                self._document.errors.append(Finding(place, f"{message} in quotes"))
                continue
            self._document.keys[(*path, key)] = place
            values[key] = self.read(value_node, (*path, key), depth + 1)
        return values

    def _notice_comment(self, node: yaml.ScalarNode, path: Path) -> None:
        """Notice a device such as `name:USB Mic #2`, whose channel is a comment to YAML."""
        end = node.end_mark
        if node.style is None and path[-1:] == ("device",) and end.line < len(self._lines):
            comment = re.match(r"\s+(#\d+)\s*$", self._lines[end.line][end.column :])
            if comment:
                message = (
                    f"{comment[1]} after a space is a comment: if it is the channel, use quotes"
                )
                self._document.notices.append(Finding(_place(node.start_mark), message))


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


def _syntax_error(error: yaml.MarkedYAMLError) -> Finding:
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
    return Finding(place, f"not valid YAML, {problem}: {remedy}")
