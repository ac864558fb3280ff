"""The secrets that this computer has for a configuration, to be searched for."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import yaml

from asd_monitor.diagnosis.config_files import secret_settings
from asd_monitor.diagnosis.redaction import SECRET_NAME
from asd_monitor.diagnosis.subject import SERVICE_FILES, Subject
from asd_monitor.limited_reading import read_limited

_SECRET_SUFFIXES = frozenset({".password", ".passwd", ".key", ".token", ".secret", ".p12", ".pfx"})
_MAX_BYTES = 1 << 20
_MIN_PEM_LINE = 16
_USERINFO = re.compile(r"[a-z][a-z0-9+.-]*://([^/\s@\"']+)@", re.IGNORECASE)
_COMMENT = re.compile(r"#(.*)")
_LIKE_A_SECRET = re.compile(r"(?=\S*\d)\S{6,}")  # a word with a digit, of a comment
_SETTING = re.compile(
    r"[\"']?([\w-]+)[\"']?[ \t]*[:=][ \t]*(\"[^\"\n]*\"|'[^'\n]*'|[^\s,{}\[\]#][^,}\]#\n]*)"
)
_USER = re.compile(r"(?:^|_|-)user(?:_?name)?$", re.IGNORECASE)
_NO_SECRETS = frozenset({"null", "none", "true", "false", "yes", "off"})
_LONG_WORD = 6  # characters, of a secret of several words
_MIN_CHARS = 3  # of a value that is a secret by the name of its variable only


@dataclass(frozen=True, slots=True)
class KnownSecrets:
    """What was found."""

    values: frozenset[str]
    unreadable: tuple[Path, ...]
    """Files with secrets that are used, and that this user may not read."""


def find_secrets(subject: Subject, environ: Mapping[str, str]) -> KnownSecrets:
    """Return the secrets in files, credentials, environment and configuration."""
    values: set[str] = set(_of_environment(environ))
    unreadable = []
    for path in sorted(_files(subject, environ)):
        try:
            values.update(_of_file(read_limited(path, _MAX_BYTES)))
        except FileNotFoundError:
            continue
        except (OSError, ValueError):
            unreadable.append(path)
    if subject.config is not None and subject.config.mqtt.username is not None:
        values.add(subject.config.mqtt.username)
    if subject.read.path is not None:
        values.update(_of_configuration(subject.read.path))
    return KnownSecrets(frozenset(each for each in values if each), tuple(unreadable))


def _files(subject: Subject, environ: Mapping[str, str]) -> Iterator[Path]:
    if subject.config is not None:
        named = secret_settings(subject.config).values()
        yield from (path for path, is_secret in named if is_secret)
    folders = {SERVICE_FILES} if subject.unit is not None else set()
    if subject.read.path is not None:
        folders.add(subject.read.path.absolute().parent)
    for folder in folders:
        yield from (each for each in _listed(folder) if each.suffix.lower() in _SECRET_SUFFIXES)
    if credentials := environ.get("CREDENTIALS_DIRECTORY"):
        yield from _listed(Path(credentials))


def _listed(folder: Path) -> list[Path]:
    try:
        return [each for each in folder.iterdir() if not each.is_dir()]
    except OSError:
        return []


def _of_file(content: bytes) -> Iterator[str]:
    """Yield the lines of a file: a password or token, or the body of a key."""
    text = content.decode("utf-8", "surrogateescape")
    is_key = "-----BEGIN" in text
    for line in map(str.strip, text.splitlines()):
        if not line.startswith("-----") and (not is_key or len(line) >= _MIN_PEM_LINE):
            yield line


def _of_environment(environ: Mapping[str, str]) -> Iterator[str]:
    for name, value in environ.items():
        is_path = value.startswith("/") and os.path.exists(value)  # noqa: PTH110 - any text
        if SECRET_NAME.search(name) and not is_path and _may_be_secret(value.strip()):
            yield value.strip()
        yield from _userinfo(value)


def _userinfo(text: str) -> Iterator[str]:
    """Yield users and passwords of addresses, as they are written and as they are meant."""
    for found in _USERINFO.findall(text):
        yield found
        for part in found.split(":", 1):
            if _may_be_secret(part):
                yield part
                yield unquote(part)


def _may_be_secret(value: str) -> bool:
    """Return whether the value of a variable is no switch, which stands in every text."""
    return len(value) >= _MIN_CHARS and value.lower() not in _NO_SECRETS


def _of_configuration(path: Path) -> Iterator[str]:
    """Yield secrets that a person has written into the file, although they do not belong there."""
    try:
        content = read_limited(path, _MAX_BYTES)
    except (OSError, ValueError):
        return
    is_wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = content.decode("utf-16" if is_wide else "utf-8", "replace")
    yield from _userinfo(text)
    yield from _of_yaml(content)
    for comment in _COMMENT.findall(text):
        if SECRET_NAME.search(comment):
            yield from (word.strip(".,;:\"'`()") for word in _LIKE_A_SECRET.findall(comment))
    for name, written in _SETTING.findall(text):
        value = written.strip().strip("\"'")
        if _names_secret(name, value) and _may_be_secret(value):
            yield value


def _names_secret(name: str, value: str) -> bool:
    """Return whether a setting of this name has a secret as its value, not the path of one."""
    if name.endswith("_file") or (name == "key" and value.startswith("/")):
        return False
    return bool(SECRET_NAME.search(name) or _USER.search(name))


def _of_yaml(content: bytes) -> Iterator[str]:
    """Yield the secrets of a document, in whatever way YAML has them written."""
    try:
        root = yaml.compose(content, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):  # only its lines can be searched
        return
    seen: set[tuple[int, bool]] = set()
    left = [] if root is None else [(root, False)]
    while left:
        node, is_secret = left.pop()
        if (id(node), is_secret) in seen:  # an alias
            continue
        seen.add((id(node), is_secret))
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                named = _names_secret(_text_of(key), _text_of(value))
                left.append((value, is_secret or named))
        elif isinstance(node, yaml.SequenceNode):
            left += [(each, is_secret) for each in node.value]
        elif is_secret:
            written = node.value.strip()
            words = (each for each in written.split() if len(each) >= _LONG_WORD)
            parts = {written, *written.splitlines(), *words}
            yield from filter(_may_be_secret, parts)


def _text_of(node: yaml.Node) -> str:
    return node.value if isinstance(node, yaml.ScalarNode) else ""
