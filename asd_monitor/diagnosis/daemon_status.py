"""What the daemon says of itself in its retained messages → findings; pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from asd_monitor.diagnosis.findings import Area, Check, Finding, divided
from asd_monitor.publish.topics import Topics

FRESH = timedelta(seconds=150)
"""The daemon publishes its status every minute."""
_SEE_LOG = "the log of the daemon has more"
_BAD_STATES = frozenset({"unavailable", "no_model", "stopped"})


def document_of(payload: bytes | None) -> dict[str, Any]:
    """Return a message as a document; empty where it is none."""
    try:
        document = json.loads(payload or b"")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def age_of(document: Mapping[str, Any], now: datetime) -> timedelta | None:
    """Return the age of a message by its time; None: it has none."""
    try:
        return now - datetime.fromisoformat(str(document.get("time")))
    except (ValueError, TypeError):
        return None


def check_daemon(
    retained: Mapping[str, bytes], topics: Topics, machines: list[str], now: datetime
) -> Iterator[Finding]:
    """Yield the findings about a running daemon.

    Args:
        retained: retained messages by topic.
        topics: those of the box.
        machines: the configured ones.
        now: a time with time zone.

    """
    status = document_of(retained.get(topics.status))
    check = Check(Area.SERVICE, "status", topics.status)
    age = age_of(status, now)
    if not status or age is None:
        yield check.not_checked(
            "no status of the running daemon can be read",
            "allow this user to read it, or look at the log of the daemon",
        )
    elif age > FRESH:
        yield check.failed(
            f"the newest status is {age.total_seconds():.0f} s old: the daemon does not publish",
            "look at the log of the daemon, and at the clock",
        )
    else:
        version = status.get("version")
        yield check.ok(f"version {version}, {age.total_seconds():.0f} s old")
        if isinstance(reason := status.get("reason"), str):
            yield check.warning(reason, "see the conditions of the box, and the disk")
    yield from _conditions(document_of(retained.get(topics.box_alarm)), topics)
    for machine in machines:
        yield from _machine(machine, document_of(retained.get(topics.state(machine))))


def _conditions(alarm: Mapping[str, Any], topics: Topics) -> Iterator[Finding]:
    conditions = alarm.get("conditions")
    for each in conditions if isinstance(conditions, list) else ():
        if isinstance(each, dict):
            check = Check(Area.SERVICE, "condition", str(each.get("machine") or topics.box))
            remedy = each.get("remedy") or _SEE_LOG
            yield check.failed(str(each.get("text")), str(remedy))


def _machine(machine: str, state: Mapping[str, Any]) -> Iterator[Finding]:
    check = Check(Area.SERVICE, "state", machine)
    name = state.get("state")
    if not isinstance(name, str):
        return
    reason = state.get("reason")
    last = state.get("last_evaluated")
    since = f", last evaluated {last['time']}" if isinstance(last, dict) and "time" in last else ""
    text = f"{name}{since}" + (f": {reason}" if isinstance(reason, str) else "")
    if name in _BAD_STATES or state.get("microphone") in {"fault", "no_device"}:
        what, remedy = divided(str(reason or state.get("microphone")))
        yield check.failed(f"{name}{since}: {what}", remedy or _SEE_LOG)
    elif name == "alarm":
        remedy = "inspect the machine, and acknowledge the alarm: `asd-monitor alarms list`"
        yield check.warning(text, remedy)
    elif state.get("microphone") == "degraded":
        yield check.warning(f"{name}, microphone degraded: {reason}", "look at the microphone")
    else:
        yield check.ok(text)
