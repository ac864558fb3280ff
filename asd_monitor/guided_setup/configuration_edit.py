"""A machine is added to the text of a configuration file; all else in it stays as it is.

The place is found in the tree of PyYAML, and the result is read again: the edit is taken only where
its values are those of before and the machine.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from asd_monitor.config.yaml_text import read_yaml
from asd_monitor.errors import UsageError
from asd_monitor.wording import quoted

DEFAULT_BUDGET = "1 per month"
_HEAD = """\
# Written by `asd-monitor setup`.  `asd-monitor config schema` has every setting.
"""


class MachineExistsError(UsageError):
    """The configuration has a machine of this id, with another device."""


@dataclass(frozen=True, slots=True)
class MachineEntry:
    """One machine as the file has it."""

    machine: str
    device: str  # with its channel
    false_alarms: str = DEFAULT_BUDGET

    @property
    def value(self) -> dict[str, Any]:
        """The settings as values; the default budget is not written."""
        if self.false_alarms == DEFAULT_BUDGET:
            return {"device": self.device}
        return {"device": self.device, "alarm": {"false_alarms": self.false_alarms}}

    def lines(self, indent: str) -> list[str]:
        """Return the entry in block style."""
        lines = [f"{indent}{_text(self.machine)}:", f"{indent}  device: {_text(self.device)}"]
        if self.false_alarms != DEFAULT_BUDGET:
            lines.append(f"{indent}  alarm: {{false_alarms: {_text(self.false_alarms)}}}")
        return lines

    def flow(self) -> str:
        """Return the entry in flow style."""
        return f"{_text(self.machine)}: {_flow(self.value)}"


@dataclass(frozen=True, slots=True)
class BrokerEntry:
    """The broker as a new file has it."""

    host: str = "localhost"
    port: int = 1883
    username: str | None = None
    password_file: str | None = None

    @property
    def value(self) -> dict[str, Any]:
        """The settings as values, without those that are not set."""
        every = {
            "host": self.host,
            "port": self.port,
            "username": self.username,
            "password_file": self.password_file,
        }
        return {key: value for key, value in every.items() if value is not None}


def new_configuration(broker: BrokerEntry, entry: MachineEntry) -> str:
    """Return the text of a new file with one machine."""
    lines = ["version: 1", f"mqtt: {_flow(broker.value)}", "machines:", *entry.lines("  ")]
    return _HEAD + "\n".join(lines) + "\n"


def add_machine(text: str, entry: MachineEntry) -> str:
    """Return the text with a machine more, or unchanged where it has it with this device.

    Raises:
        MachineExistsError: it has the machine with another device.
        UsageError: the text is malformed, or is written in a way in which it cannot be edited.

    """
    document = read_yaml(text.encode())
    if document.errors or not isinstance(document.value, dict):
        raise UsageError("it is malformed: `asd-monitor config check` says where")
    before = document.value
    machines = before.get("machines")
    if isinstance(machines, dict) and entry.machine in machines:
        found = machines[entry.machine]
        if isinstance(found, dict) and device_of(found) == entry.device:
            return text
        line = document.keys[("machines", entry.machine)].line
        raise MachineExistsError(
            f"line {line}: it has a machine {entry.machine} already, with the device "
            f"{quoted(device_of(found) if isinstance(found, dict) else found)}: change it there, "
            "or choose another id"
        )
    wanted = {**before, "machines": {**(machines or {}), entry.machine: entry.value}}
    for candidate in _candidates(text, entry):
        read = read_yaml(candidate.encode())
        if not read.errors and read.value == wanted:
            return candidate
    lines = "\n".join(entry.lines("  "))
    raise UsageError(f"it cannot be edited automatically: add under `machines:`\n{lines}")


def device_of(settings: dict[str, Any]) -> str | None:
    """Return the device of a machine with its channel: ``hw:1#2``."""
    device, channel = settings.get("device"), settings.get("channel")
    return f"{device}#{channel}" if isinstance(channel, int) else device


def _candidates(text: str, entry: MachineEntry) -> Iterator[str]:
    """Yield edited texts; the first whose values are right is taken."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    newline = "\r\n" if "\r\n" in text else "\n"
    machines = _value_of(root, "machines")
    if machines is None:
        head = text if text.endswith("\n") else text + newline
        yield head + newline.join(["machines:", *entry.lines("  "), ""])
    elif isinstance(machines, yaml.MappingNode) and machines.flow_style:
        at = machines.end_mark.index - 1
        for separator in (", ", " ", ""):
            yield f"{text[:at].rstrip(' ')}{separator}{entry.flow()}{text[at:]}"
    elif isinstance(machines, yaml.MappingNode):
        indent = " " * machines.value[0][0].start_mark.column
        yield _insert(text, _end_of_content(machines), entry.lines(indent), newline)
        first = text.rfind("\n", 0, machines.value[0][0].start_mark.index)  # before an alias
        yield _insert(text, first, entry.lines(indent), newline)
    else:  # `machines:` without a value
        yield _insert(text, machines.end_mark.index, entry.lines("  "), newline)


def _insert(text: str, after: int, lines: list[str], newline: str) -> str:
    """Insert lines after the line that contains the index ``after``."""
    end = text.find("\n", after - 1 if text[after - 1 : after] == "\n" else after)
    inserted = newline.join([*lines, ""])
    if end < 0:
        return text + newline + inserted
    return text[: end + 1] + inserted + text[end + 1 :]


def _value_of(root: yaml.Node | None, key: str) -> yaml.Node | None:
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    return next((value for name, value in pairs if name.value == key), None)


def _end_of_content(node: yaml.Node) -> int:
    """Return where the last value ends; a block ends only where the next token begins."""
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    return int(node.end_mark.index)


def _flow(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(each)}" for key, each in value.items()) + "}"
    return _text(value) if isinstance(value, str) else json.dumps(value)


def _text(value: str) -> str:
    """Return text as a YAML scalar, quoted unless it is plainly a word."""
    plain = value.replace("_", "").replace("-", "").replace(" ", "")
    is_word = plain.isascii() and plain.isalnum() and yaml.safe_load(value) == value
    return value if is_word else json.dumps(value, ensure_ascii=False)
