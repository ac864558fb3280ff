"""The keys `when_quiet` and `running` of a machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.config.json_path import parse_json_path
from asd_monitor.config.loading import as_yaml
from asd_monitor.config.machine_settings import MachineDefaults
from asd_monitor.config.settings import file_schema
from asd_monitor.errors import UsageError
from asd_monitor.records import WhenQuiet
from tests.doubles.config_files import errors, load

HEAD = "version: 1\nbox: b\nmachines:\n  fan01:\n    device: 'hw:1'\n"


def error_of(file: Path, line: str) -> str:
    """Return the one error of a machine with this further line."""
    (found,) = errors(file, f"{HEAD}    {line}\n")
    return found


def test_a_machine_warns_when_quiet_and_has_no_signal_by_default() -> None:
    assert MachineDefaults().when_quiet == "warn"
    assert MachineDefaults().alarm_criteria.when_quiet is WhenQuiet.WARN
    assert MachineDefaults().running is None


def test_both_are_read_and_shown(file: Path) -> None:
    text = (
        f"{HEAD}    when_quiet: alarm\n    running: {{topic: plc/fan 01/läuft, "
        "json_path: '$.a.b[0]', stale_after: 90s}\n"
    )
    config = load(file, text)
    fan = config.machines["fan01"]
    assert fan.alarm_criteria.when_quiet is WhenQuiet.ALARM
    assert fan.running is not None
    assert fan.running.topic == "plc/fan 01/läuft"
    assert fan.running.json_path is not None
    assert fan.running.json_path.segments == ("a", "b", 0)
    assert fan.running.stale_after.seconds == 90.0
    shown = yaml.safe_load(as_yaml(config))["machines"]["fan01"]
    assert shown["when_quiet"] == "alarm"
    assert shown["running"] == {
        "topic": "plc/fan 01/läuft",
        "json_path": "$.a.b[0]",
        "stale_after": "90s",
    }
    assert load(file, as_yaml(config)) == config


def test_machines_inherit_them_and_can_replace_or_remove_them(file: Path) -> None:
    config = load(
        file,
        "version: 1\nbox: b\n"
        "defaults: {when_quiet: idle, running: {topic: plc/line, json_path: $.run}}\n"
        "machines:\n"
        "  a: {device: 'hw:1'}\n"
        "  b: {device: 'hw:2', when_quiet: warn, running: {topic: plc/b}}\n"
        "  c: {device: 'hw:3', running: null}\n",
    )
    a, b, c = config.machines.values()
    assert (a.when_quiet, b.when_quiet, c.when_quiet) == ("idle", "warn", "idle")
    assert a.running is not None
    assert b.running is not None
    assert (a.running.topic, b.running.topic, c.running) == ("plc/line", "plc/b", None)
    assert str(a.running.json_path) == str(b.running.json_path) == "$.run"
    assert str(a.running.stale_after) == "5m"


def test_the_schema_has_both() -> None:
    machine = file_schema()["$defs"]["Machine"]["properties"]
    assert machine["when_quiet"]["enum"] == ["warn", "idle", "alarm"]
    assert machine["when_quiet"]["default"] == "warn"
    running = file_schema()["$defs"]["RunningSettings"]
    assert set(running["properties"]) == {"topic", "json_path", "stale_after"}
    assert running["required"] == ["topic"]
    assert running["properties"]["stale_after"]["default"] == "5m"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("when_quiet: off", "6:17: machines.fan01.when_quiet: off is not "),
        (
            "when_quiet: silent",
            "6:17: machines.fan01.when_quiet: 'silent' is not 'warn', 'idle' or",
        ),
        ("running: plc/fan01", "6:14: machines.fan01.running: 'plc/fan01' instead of keys with"),
        (
            "running: {}",
            "6:14: machines.fan01.running: the key 'topic' is missing: add `topic: plc",
        ),
        ("running: {topic: ''}", "6:22: machines.fan01.running.topic: this is empty"),
        ("running: {topic: 'plc/#'}", "6:22: machines.fan01.running.topic: 'plc/#' cannot be a"),
        ("running: {topic: plc/+/run}", "6:22: machines.fan01.running.topic: 'plc/+/run' cannot"),
        (
            "running: {topic: $share/a/plc/fan01}",
            "6:22: machines.fan01.running.topic: '$share/a/plc/fan01' cannot be a topic",
        ),
        ("running: {topic: a, stale_after: 5}", "6:38: machines.fan01.running.stale_after: 5 is n"),
        ("running: {topic: a, stale_after: 9s}", "6:38: machines.fan01.running.stale_after: 9s is"),
        ("running: {topic: a, stale_after: 367d}", "6:38: machines.fan01.running.stale_after: 367"),
        ("running: {topic: a, path: $.a}", "6:25: machines.fan01.running: unknown key 'path': "),
        (
            "json_path: $.a",
            "6:5: machines.fan01: unknown key 'json_path': it belongs under `machin",
        ),
    ],
)
def test_errors_have_place_and_remedy(file: Path, line: str, found: str) -> None:
    assert error_of(file, line).startswith(found)


@pytest.mark.parametrize(
    "path",
    [
        *("run", "$.", "$..run", "$.*", "$[*]", "$[-1]", "$[0:2]", "$['run']", "$.a b", "$[01]"),
        *("$.1a", "$.run ", "@.run", "$[?(@.a)]", "$" + ".a" * 200, ""),
    ],
)
def test_other_json_paths_are_refused_with_their_place(file: Path, path: str) -> None:
    found = error_of(file, f"running: {{topic: a, json_path: {json.dumps(path)}}}")
    assert found.startswith("6:36: machines.fan01.running.json_path: ")
    assert "is not a simple JSON path: write `$` and then names and indices, such as" in found


def test_an_error_of_the_defaults_is_reported_once(file: Path) -> None:
    text = (
        "version: 1\nbox: b\ndefaults: {running: {topic: 'a/#', unknown: 1}}\n"
        "machines: {a: {device: 'hw:1'}, b: {device: 'hw:2'}}\n"
    )
    topic, unknown = errors(file, text)
    assert topic.startswith("3:29: defaults.running.topic: ")
    assert unknown.startswith("3:36: defaults.running: unknown key 'unknown'")


NAMES = st.from_regex(r"[^\W\d]\w{0,8}", fullmatch=True)


@given(st.lists(NAMES | st.integers(0, 99_999), max_size=8), st.integers())
def test_a_path_finds_what_was_put_there(segments: list[str | int], value: int) -> None:
    document: object = value
    for segment in reversed(segments):
        if isinstance(segment, str):
            document = {segment: document}
        elif segment < 100:
            document = [None] * segment + [document]
        else:
            return
    text = "$" + "".join(f".{s}" if isinstance(s, str) else f"[{s}]" for s in segments)
    assert parse_json_path(text).find(document) == value


@given(st.text(max_size=30))
def test_any_text_is_a_path_or_refused(text: str) -> None:
    try:
        path = parse_json_path(text)
    except UsageError:
        return
    assert str(path) == text
