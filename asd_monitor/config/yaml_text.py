"""YAML text as plain values, with line and column of each.

All errors of the text are collected, not only the first.  Keys are text (`on:` is the key 'on'),
and a repeated key is an error.  Whatever the text is, reading it ends with values or with errors:
depth, number and length of its values are limited before they are converted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from asd_monitor.wording import quoted, shortened

Path = tuple[str | int, ...]
_MAX_NODES = 20_000  # read in 2 s; 1000 machines with 20 settings each
_MAX_DEPTH = 20
_MAX_VALUE_CHARS = 4096
_MAX_REASON_CHARS = 120  # of PyYAML's reason, which contains what the file has there
_MAX_INTEGER = 2**63 - 1
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_GROUP_TAGS = {"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}
_TOO_DEEP = "nested too deeply, or too many values: see `asd-monitor config schema`"

# PyYAML raises these too, for escapes, directives and values outside the range of Python's types.
_PARSER_ERRORS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


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
    unreadable: set[Path] = field(default_factory=set)  # values whose error is reported already

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
    try:
        _read_document(text, document)
    except _ReadingError as error:
        document.errors.append(error.finding)
        document.value = None
    return document


def _read_document(text: str, document: Document) -> None:
    """Set value and places of the document.  Raises `_ReadingError` for text that is not YAML."""
    try:
        loader = _BoundedLoader(text)
    except yaml.reader.ReaderError as error:
        place = _place_in(text[: error.position])
        message = f"the character {chr(int(error.character))!r} is not allowed in YAML: remove it"
        raise _ReadingError(Finding(place, message)) from error
    try:
        node = _compose(loader, text)
        if node is not None:
            document.value = _Reader(loader, document, text).read(node, (), 0)
    finally:
        loader.dispose()
    if document.value is None and not document.errors:
        message = "the file is empty: begin with `version: 1`"
        document.errors.append(Finding(Place(1, 1), message))


def _compose(loader: _BoundedLoader, text: str) -> yaml.Node | None:
    try:
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        raise _ReadingError(_syntax_error(error)) from error
    except _PARSER_ERRORS as error:
        raise _ReadingError(_scanner_error(loader, text, error)) from error


def _scanner_error(loader: _BoundedLoader, text: str, error: Exception) -> Finding:
    mark = loader.get_mark()
    # PyYAML stops after `\\U` of an escape that is beyond the last character of Unicode
    if text[mark.index - 2 : mark.index] == "\\U":
        escape = text[mark.index - 2 : mark.index + 8]
        message = f"{escape} is not a character: write at most \\U0010FFFF"
        return Finding(Place(mark.line + 1, mark.column - 1), message)
    message = f"not valid YAML ({_reason(error)}): correct or remove what is written here"
    return Finding(_place(mark), message)


class _ReadingError(Exception):
    """The text cannot be read further."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


class _BoundedLoader(yaml.SafeLoader):
    """Composes nodes of limited depth and number, without a deep recursion."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Return the next node.  Raises `_ReadingError` beyond the limits."""
        self._depth += 1
        self._nodes += 1
        # a key counts beside its value
        if self._depth > _MAX_DEPTH or self._nodes > 2 * _MAX_NODES:
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise _ReadingError(Finding(_place(event.start_mark), _TOO_DEEP))
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


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
        place = _place(node.start_mark)
        if depth > _MAX_DEPTH or self._nodes > _MAX_NODES:  # by aliases
            raise _ReadingError(Finding(place, _TOO_DEEP))
        self._document.values[path] = place
        if not isinstance(node, yaml.ScalarNode) and node.tag not in _GROUP_TAGS:
            return self._refuse(path, place, f"the tag {quoted(node.tag)} is not known: remove it")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, i), depth + 1) for i, item in enumerate(node.value)]
        if not isinstance(node, yaml.ScalarNode):
            raise TypeError(f"not a node of YAML: {type(node).__name__}")
        return self._scalar(node, path, place)

    def _scalar(self, node: yaml.ScalarNode, path: Path, place: Place) -> Any:
        self._document.raw[path] = node.value
        self._notice_comment(node, path)
        if wrong := _text_error(node.value):
            return self._refuse(path, place, wrong)
        try:
            value = self._loader.construct_object(node)
        except (yaml.MarkedYAMLError, *_PARSER_ERRORS) as failure:
            reason = _reason(failure)
            message = f"{quoted(node.value)} cannot be read ({reason}): write it in quotes"
            return self._refuse(path, place, message)
        if isinstance(value, int) and abs(value) > _MAX_INTEGER:
            message = f"{quoted(node.value)} is too large a number: write a smaller one"
            return self._refuse(path, place, message)
        return value

    def _refuse(self, path: Path, place: Place, message: str) -> None:
        """Report an error at a value, which is then taken for empty and not checked further."""
        self._document.errors.append(Finding(place, message))
        self._document.unreadable.add(path)

    def _mapping(self, node: yaml.MappingNode, path: Path, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            place = _place(key_node.start_mark)
            if not isinstance(key_node, yaml.ScalarNode):
                message = "a key must be plain text: write `key: value`"
                self._document.errors.append(Finding(place, message))
                continue
            key = key_node.value
            if wrong := _text_error(key):
                self._document.errors.append(Finding(place, wrong))
                continue
            if key in values:
                first = self._document.keys[(*path, key)]
                message = (
                    f"{quoted(key)} is already set in line {first.line}: remove one of the two"
                )
                self._document.errors.append(Finding(place, message))
                continue
            if key == "<<":
                message = "'<<' is not supported: put shared settings under `defaults:`"
                self._document.errors.append(Finding(place, message))
                continue
            if node.flow_style and ":" not in self._text[_end(key_node) : _end(value_node)]:
                message = (
                    f"{quoted(key)} has no value: write a colon and the value after it, or put a "
                    "value with a comma in quotes"
                )
                self._document.errors.append(Finding(place, message))
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


def _text_error(text: str) -> str | None:
    """Return why a value or a key cannot be used as text, with the remedy."""
    if len(text) > _MAX_VALUE_CHARS:
        return (
            f"{quoted(text)} has {len(text)} characters: write at most {_MAX_VALUE_CHARS}, or "
            "close the quotes"
        )
    if found := _UNPRINTABLE.search(text):
        character = found[0].encode("unicode_escape").decode()
        return f"{quoted(text)} contains {character}, which is not a printable character: remove it"
    return None


def _end(node: yaml.Node) -> int:
    return int(node.end_mark.index)


def _place(mark: yaml.Mark) -> Place:
    return Place(mark.line + 1, mark.column + 1)


def _place_in(before: str) -> Place:
    """Return the place of the character after ``before``."""
    return Place(before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)


def _reason(error: Exception) -> str:
    text = error.problem if isinstance(error, yaml.MarkedYAMLError) else str(error)
    return shortened(str(text or type(error).__name__), _MAX_REASON_CHARS)


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
    return Finding(place, f"not valid YAML, {shortened(problem, _MAX_REASON_CHARS)}: {remedy}")
