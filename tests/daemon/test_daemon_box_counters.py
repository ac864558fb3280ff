"""Everything that the package counts is published in the status of the box."""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from pathlib import Path

from asd_monitor.daemon.box_counters import BoxCounters
from tests.doubles.level_detector import make_config

PACKAGE = Path(__file__).parents[2] / "asd_monitor"
FOLDERS = ("audio", "daemon", "journal", "publish", "commissioning", "self_test", "microphone")
COUNTED = re.compile(
    r"_?(.*_)?(dropped|lost|skipped|refused|retried|restarts|rebuilt|damaged|malformed|oversized"
    r"|superseded|unread|failures|failed|failed_saves|unsaved|steps|waits|late_scores|gaps"
    r"|standstills|deleted|overrun|outages|acknowledgements)(_.*)?"
)
PUBLISHED = {
    ("audio/stream.py", "lost_samples"): "counters.sound.lost_samples",
    ("audio/stream.py", "gaps"): "counters.sound.gaps",
    ("audio/stream.py", "restarts"): "counters.sound.restarts",
    ("audio/capture/sample_clock.py", "lost_samples"): "counters.sound.lost_samples",
    ("audio/capture/sample_clock.py", "gaps"): "counters.sound.gaps",
    ("audio/files/file_source.py", "gaps"): "counters.sound.gaps",
    ("audio/ring_buffer.py", "overrun_samples"): "counters.sound.overrun_samples",
    ("audio/sharing/server.py", "dropped_clients"): "counters.sharing.dropped_clients",
    ("audio/sharing/server.py", "refused_clients"): "counters.sharing.refused_clients",
    ("publish/inbox.py", "dropped_commands"): "counters.broker.dropped_commands",
    ("daemon/alarm_reasons.py", "failures"): "counters.sound.unexplained_alarms",
    ("daemon/capture_loop.py", "dropped_outages"): "counters.sound.dropped_outages",
    ("daemon/clock_check.py", "steps"): "counters.monitoring.clock_steps",
    ("daemon/command_answers.py", "refused"): "counters.commands.refused",
    ("daemon/command_queue.py", "dropped"): "counters.commands.dropped",
    ("daemon/session_requests.py", "unread_requests"): "counters.sound.unread_requests",
    ("daemon/event_delivery.py", "read_failures"): "counters.monitoring.failed_event_reads",
    ("daemon/evidence_history.py", "failed_saves"): "counters.sound.unsaved_evidence",
    ("daemon/initial_training.py", "failures"): "counters.sound.failed_trainings",
    ("daemon/machine_publisher.py", "late_scores"): "counters.monitoring.late_scores",
    ("daemon/machine_registry.py", "_removed_restarts"): "counters.monitoring.restarted_sessions",
    ("daemon/page_feed.py", "_dropped"): "counters.page.dropped",
    ("daemon/recording_throttle.py", "waits"): "counters.monitoring.recording_waits",
    ("daemon/running_input.py", "dropped"): "machines.fan.running.dropped",
    ("daemon/running_signal.py", "malformed"): "machines.fan.running.malformed",
    ("daemon/self_test_state.py", "failed_saves"): "counters.self_test.unsaved",
    ("daemon/session_reporter.py", "skipped_windows"): "counters.sound.skipped_windows",
    ("daemon/session_reporter.py", "dropped_changes"): "counters.sound.dropped_changes",
    ("daemon/stream_clock.py", "steps"): "counters.sound.clock_steps",
    ("daemon/supervision.py", "restarts"): "counters.tasks.heartbeat",
    ("daemon/watchdog.py", "standstills"): "counters.monitoring.standstills",
    ("journal/event_outbox.py", "damaged"): "counters.journal.damaged_events",
    ("journal/database_file.py", "deleted_transitions"): "counters.journal.deleted_transitions",
    ("journal/journal_requests.py", "_malformed"): "counters.journal.malformed_requests",
    ("journal/stored_journal.py", "rebuilt"): "counters.journal.rebuilt",
    ("publish/event_queues.py", "retried"): "outbox.retried",
}
"""Where each attribute that counts is published."""


def counted() -> set[tuple[str, str]]:
    """Return the attributes that count something of this kind, by file."""
    found = set()
    for folder in FOLDERS:
        for path in (PACKAGE / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if not (isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add)):
                    continue
                target = node.target
                if isinstance(target, ast.Attribute) and COUNTED.fullmatch(target.attr):
                    found.add((str(path.relative_to(PACKAGE)), target.attr))
    return found


def counter_classes() -> set[str]:
    """Return the names of all dataclasses of counters."""
    return {
        node.name
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and re.search(r"Count(er)?s$", node.name)
    }


async def test_all_that_is_counted_is_published(daemon) -> None:
    running = {"topic": "plc/fan"}
    daemon.start(make_config(fan={"device": "hw:1", "running": running}))
    await daemon.until_state("fan", "normal")
    status = await daemon.box_status()
    assert counted() == PUBLISHED.keys()
    for where, path in PUBLISHED.items():
        value = status
        for key in path.split("."):
            assert key in value, f"{where} is not published as {path}"
            value = value[key]
        assert isinstance(value, int), path


async def test_every_counter_of_every_component_is_published(daemon) -> None:
    daemon.start(make_config(fan={"device": "hw:1"}))
    await daemon.until_state("fan", "normal")
    published = (await daemon.box_status())["counters"]
    components = {each.name: str(each.type) for each in fields(BoxCounters)}
    classes = {name for name in components.values() if not name.startswith("Mapping")}
    assert counter_classes() - {"BoxCounters"} == classes
    assert published.keys() == components.keys()
    assert set(published["tasks"]) == {
        *("heartbeat", "journal", "watchdog", "ready", "reload", "broker"),
        *("load", "selftest", "selftest-conditions", "checks", "shelves", "commands", "events"),
        "discovery",
        "evidence",
    }


async def test_every_counter_is_documented(daemon) -> None:
    daemon.start(make_config(fan={"device": "hw:1"}))
    await daemon.until_state("fan", "normal")
    published = (await daemon.box_status())["counters"]
    text = (PACKAGE.parent / "deploy" / "README.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*`.*) \|$", text, re.MULTILINE))
    for component, counters in published.items():
        if component != "tasks":
            assert re.findall(r"`(\w+)`", rows[component]) == list(counters), component


async def test_the_counters_are_of_the_parts_that_count(daemon) -> None:
    daemon.start(make_config(fan={"device": "hw:1"}))
    await daemon.until_state("fan", "normal")
    daemon.source("hw:1").stream.lost_samples = 17
    daemon.file = ValueError("malformed")
    daemon.service.request_reload()
    daemon.service.parts.refits.count(unstored_sounds=2)
    counters = (await daemon.box_status())["counters"]
    assert counters["sound"]["lost_samples"] == 17
    assert counters["commissioning"]["unstored_sounds"] == 2
    while not (await daemon.box_status())["counters"]["configuration"]["refused_configurations"]:
        pass
