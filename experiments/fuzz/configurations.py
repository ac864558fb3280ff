"""Damaged configurations, read as `run` and `config check` read them.

A case is the example of ``deploy/`` with a few changes to its text or to its values: odd escapes,
tags, numbers, dates and keys, repeated and moved lines, deep nesting, aliases that expand, and more
machines and keys than a box has.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.cli.configuration import read_for_run
from asd_monitor.config.loading import ConfigError, as_yaml, read_config

_EXAMPLE = Path(__file__).parents[2] / "deploy" / "example.yaml"
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # ten times as fast where it is built
_MAX_LINE_CHARS = 2000
_MAX_PRINTED_MACHINES = 100  # printing takes longer than reading, which is what is limited

_TOKENS = (
    *('"\\UFFFFFFFF"', '"\\U00110000"', '"\\uD800"', '"\\0"', "\0", "\ufeff", "\x85", "\u2028"),
    *("\t", "---\n", "...\n", "%YAML 9.9\n", "%TAG ! x\n", "%YAML " + "9" * 5000 + ".1\n"),
    *("&a ", "*a", "<<: *a", "? ", ": ", "- ", "[", "]", "{", "}", "|\n", ">-\n", "#", "!", "!!"),
    *("!!binary ", "!!set ", "!!omap ", "!!int ", "!!float ", "!!timestamp ", "!!null ", "!foo "),
    *("!!python/object/apply:os.system ", "!<tag:yaml.org,2002:str> ", "'", '"', "`", "@", "%"),
    *("0x" + "f" * 5000, "9" * 100_000, "1" + ":59" * 3000, "1e400", "-.inf", ".nan", "0o17"),
    *("2026-13-45", "2026-11-28T25:61:61Z", "0001-01-01T00:00:00+99:99", "~", "=", "yes", "1_0"),
)
_SCALARS: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63), 10**400, 0.0, -0.0, 1e308),
    *(5e-324, float("nan"), float("inf"), "", " ", "x" * 5000, "\0", "\x1b[31m", "[bold]x[/]"),
    *("ä", "😀", "../..", "/", "/dev/null", "hw:1", "hw:1 ", "file:/", "default#0", "pulse:\x07"),
    *("1 per month", "1 per 0 months", "9" * 15 + " per minute", "30m", "1e9d", "2 GB", "a" * 300),
    *(b"\xff\x00", [], {}, [[]], {"a": {"a": {}}}, {1: 2}, {None: None}, {True: False}, ["x"] * 50),
)


class DamagedConfigurations:
    """Configurations, with everything that the command line does with them before it starts."""

    name = "configurations"

    def prepare(self) -> None:
        """Read the example."""
        self._text = _EXAMPLE.read_text("utf-8")
        self._value = yaml.safe_load(self._text)

    def write_case(self, rng: np.random.Generator, folder: Path) -> str:
        """Write one damaged configuration."""
        names = []
        text = self._text
        if rng.random() < 0.5:
            value = copy.deepcopy(self._value)
            for _ in range(rng.integers(1, 4)):
                change = _CHANGES[rng.integers(len(_CHANGES))]
                change(rng, value)
                names.append(change.__name__)
            text = yaml.dump(value, Dumper=_Dumper, allow_unicode=True, sort_keys=False)
        content = text.encode("utf-8", "surrogatepass")
        for _ in range(rng.integers(0 if names else 1, 4)):
            damage = _DAMAGES[rng.integers(len(_DAMAGES))]
            content = damage(rng, content)
            names.append(damage.__name__)
        (folder / "edge.yaml").write_bytes(content)
        return ", ".join(name.strip("_").replace("_", " ") for name in names)

    def run_case(self, folder: Path) -> str:
        """Read it; check the form of the errors, or print it and read it again."""
        file = folder / "edge.yaml"
        try:
            read = read_for_run(file)
        except ConfigError as error:
            for problem in error.problems:
                _check_line(file, problem)
            return "refused"
        for notice in read.notices:
            _check_line(file, notice)
        for machine in read.config.machines.values():
            parse_device(machine.device_text)
        if len(read.config.machines) <= _MAX_PRINTED_MACHINES:
            (folder / "shown.yaml").write_text(as_yaml(read.config), "utf-8")
            shown = read_config(folder / "shown.yaml", parse_device).config
            if shown.as_written() != read.config.as_written():
                raise AssertionError("the printed configuration is another one")
        return "read"


def _check_line(file: Path, line: str) -> None:
    # a file that is too large has an error without a place
    place = re.match(r"(?P<place>:[1-9]\d*:[1-9]\d*)?: \S", line.removeprefix(str(file)))
    if not place or len(line) > _MAX_LINE_CHARS or re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", line):
        raise AssertionError(f"not an error with its place in one line: {line[:200]!r}")


# changes of values


def _groups(value: Any, found: list[dict[Any, Any]] | None = None) -> list[dict[Any, Any]]:
    """Return all groups of keys in the value."""
    found = [] if found is None else found
    if isinstance(value, dict) and not any(each is value for each in found):
        found.append(value)
        for each in value.values():
            _groups(each, found)
    return found


def _some_group(rng: np.random.Generator, value: Any) -> dict[Any, Any]:
    groups = _groups(value)
    return groups[rng.integers(len(groups))]


def _some_key(rng: np.random.Generator, group: dict[Any, Any]) -> Any:
    keys = list(group) or [""]
    return keys[rng.integers(len(keys))]


def _other_scalar(rng: np.random.Generator, value: Any) -> None:
    group = _some_group(rng, value)
    group[_some_key(rng, group)] = copy.deepcopy(_SCALARS[rng.integers(len(_SCALARS))])


def _key_removed(rng: np.random.Generator, value: Any) -> None:
    group = _some_group(rng, value)
    group.pop(_some_key(rng, group), None)


def _key_renamed(rng: np.random.Generator, value: Any) -> None:
    group = _some_group(rng, value)
    key = _SCALARS[rng.integers(len(_SCALARS))]
    if not isinstance(key, list | dict):
        group[key] = group.pop(_some_key(rng, group), None)


def _group_moved(rng: np.random.Generator, value: Any) -> None:
    one, other = _some_group(rng, value), _some_group(rng, value)
    key = _some_key(rng, one)
    other[key] = dict(one[key]) if isinstance(one.get(key), dict) else one.get(key)


def _group_shared(rng: np.random.Generator, value: Any) -> None:
    """Use one group twice, which is written with an alias."""
    one, other = _some_group(rng, value), _some_group(rng, value)
    other[_some_key(rng, other)] = one


def _many_machines(rng: np.random.Generator, value: Any) -> None:
    number = int(rng.choice([10] * 20 + [100] * 10 + [999, 1001, 3000]))
    value["machines"] = {f"m{n}": {"device": f"hw:{n}"} for n in range(number)}


def _many_keys(rng: np.random.Generator, value: Any) -> None:
    number = int(rng.choice([10] * 20 + [100] * 10 + [1000, 8000]))
    _some_group(rng, value).update({f"k{n}": n for n in range(number)})


def _nested(rng: np.random.Generator, value: Any) -> None:
    group = _some_group(rng, value)
    inner: Any = 1
    for level in range(int(rng.choice([5, 30, 60]))):
        inner = {"a": inner} if level % 2 else [inner]
    group[_some_key(rng, group)] = inner


# damages of the text


def _place(rng: np.random.Generator, data: bytes) -> int:
    return int(rng.integers(len(data) + 1))


def _flipped_bits(rng: np.random.Generator, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.integers(1, 8)):
        if changed:
            changed[rng.integers(len(changed))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _cut(rng: np.random.Generator, data: bytes) -> bytes:
    return data[: _place(rng, data)]


def _removed_piece(rng: np.random.Generator, data: bytes) -> bytes:
    place = _place(rng, data)
    return data[:place] + data[place + int(rng.integers(1, 50)) :]


def _odd_token(rng: np.random.Generator, data: bytes) -> bytes:
    token = _TOKENS[rng.integers(len(_TOKENS))].encode("utf-8", "surrogatepass")
    place = _place(rng, data)
    return data[:place] + token + data[place:]


def _odd_value(rng: np.random.Generator, data: bytes) -> bytes:
    """Put a token behind a colon, in the place of a value."""
    colons = [match.end() for match in re.finditer(rb": +", data)]
    token = _TOKENS[rng.integers(len(_TOKENS))].encode("utf-8", "surrogatepass")
    if not colons:
        return data + token
    place = colons[rng.integers(len(colons))]
    return data[:place] + token + b"\n" + data[place:].partition(b"\n")[2]


def _lines_moved(rng: np.random.Generator, data: bytes) -> bytes:
    lines = data.split(b"\n")
    first, last = sorted(int(rng.integers(len(lines) + 1)) for _ in range(2))
    place = int(rng.integers(len(lines) + 1))
    return b"\n".join([*lines[:place], *lines[first:last], *lines[place:]])


def _other_indentation(rng: np.random.Generator, data: bytes) -> bytes:
    lines = data.split(b"\n")
    number = int(rng.integers(len(lines)))
    lines[number] = b" " * int(rng.integers(9)) + lines[number].lstrip()
    return b"\n".join(lines)


def _long_line(rng: np.random.Generator, data: bytes) -> bytes:
    piece = [b"x", b"[", b"{a: ", b"- ", b"? ", b"'", b"#", b"\\", b"&a ", b"!a "]
    place = _place(rng, data)
    size = int(rng.choice([2000] * 20 + [20_000] * 4 + [450_000]))
    return data[:place] + (piece[rng.integers(len(piece))] * size)[:size] + data[place:]


def _expanding_aliases(rng: np.random.Generator, data: bytes) -> bytes:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, int(rng.integers(2, 12)))
    ]
    return data + b"\n" + "\n".join(lines).encode()


def _other_encoding(rng: np.random.Generator, data: bytes) -> bytes:
    encoding = ["utf-16", "utf-16-le", "utf-32", "latin-1", "utf-8-sig", "cp1252"][rng.integers(6)]
    return data.decode("utf-8", "replace").encode(encoding, "replace")


def _random_bytes(rng: np.random.Generator, data: bytes) -> bytes:
    place = _place(rng, data)
    return data[:place] + rng.bytes(int(rng.integers(1, 100))) + data[place:]


_Change = Callable[[np.random.Generator, Any], None]
_CHANGES: tuple[_Change, ...] = (
    *(_other_scalar, _other_scalar, _other_scalar, _key_removed, _key_renamed, _group_moved),
    *(_group_shared, _many_machines, _many_keys, _nested),
)
_Damage = Callable[[np.random.Generator, bytes], bytes]
_DAMAGES: tuple[_Damage, ...] = (
    *(_odd_token, _odd_token, _odd_value, _odd_value, _flipped_bits, _cut, _removed_piece),
    *(_lines_moved, _other_indentation, _long_line, _expanding_aliases, _other_encoding),
    *(_random_bytes,),
)
