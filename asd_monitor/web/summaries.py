"""What the page says of a machine and of the box, as words and values; pure.

Templates and live updates show the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from asd_monitor.publish.messages import Alarm
from asd_monitor.records import MachineState, MicrophoneState
from asd_monitor.web.live_state import LiveMachine, LiveState
from asd_monitor.wording import rfc3339

_WORDS = {
    MachineState.NO_MODEL: "No model",
    MachineState.LEARNING: "Learning",
    MachineState.IDLE: "Idle",
    MachineState.NORMAL: "Normal",
    MachineState.WARNING: "Warning",
    MachineState.ALARM: "Alarm",
    MachineState.UNAVAILABLE: "Unavailable",
    MachineState.STOPPED: "Stopped",
}
_MICROPHONES = {
    MicrophoneState.OK: "ok",
    MicrophoneState.DEGRADED: "degraded",
    MicrophoneState.FAULT: "fault",
    MicrophoneState.NO_DEVICE: "not connected",
}
_NOT_MONITORED = (
    MachineState.NO_MODEL,
    MachineState.LEARNING,
    MachineState.UNAVAILABLE,
    MachineState.STOPPED,
)
_URGENCY = (
    "alarm",
    "warning",
    "unavailable",
    "no_model",
    "stopped",
    "learning",
    "unknown",
    "normal",
    "idle",
)


@dataclass(frozen=True, slots=True)
class AlarmSummary:
    """The newest alarm of a machine, where it needs attention."""

    id: str
    kind: str
    """active, acknowledged, cleared, shelved or out-of-service: the look of the line."""
    words: str
    """The condition in words."""
    reason: str
    raised: str | None
    until: str | None  # end of the shelving


@dataclass(frozen=True, slots=True)
class MachineSummary:
    """One machine at a glance."""

    id: str
    state: str
    word: str
    monitored: bool
    """Whether its sound is evaluated, or the machine is off; else the reason comes first."""
    reason: str | None
    since: str | None
    alarm: AlarmSummary | None
    microphone: str
    microphone_ok: bool
    model: str | None
    provisional: bool
    score: float | None
    alarm_score: float | None
    threshold: float | None
    rms_dbfs: float | None
    last: str | None
    """When its sound was last evaluated."""

    def as_json(self) -> dict[str, Any]:
        """Return it for a live update."""
        return asdict(self)


def machine_summary(machine: LiveMachine) -> MachineSummary:
    """Return what is known of a machine."""
    state, window = machine.state, machine.recent_window
    if state is None or not state.evaluated:
        window = None
    last = machine.last_evaluated
    return MachineSummary(
        id=machine.id,
        state="unknown" if state is None else str(state.state),
        word="Starting" if state is None else _WORDS[state.state],
        monitored=state is None or state.state not in _NOT_MONITORED,
        reason=None if state is None else state.reason,
        since=None if state is None else rfc3339(state.since),
        alarm=None if machine.alarm is None else alarm_summary(machine.alarm),
        microphone="unknown" if state is None else _MICROPHONES[state.microphone],
        microphone_ok=state is not None and state.microphone is MicrophoneState.OK,
        model=None if state is None else state.model,
        provisional=state is not None and state.provisional,
        score=None if window is None else window.score,
        alarm_score=None if window is None else window.alarm_score,
        threshold=None if window is None else window.thresholds.alarm,
        rms_dbfs=None if window is None else window.rms_dbfs,
        last=None if last is None else rfc3339(last),
    )


def alarm_summary(alarm: Alarm) -> AlarmSummary | None:
    """Return the alarm of a machine where it is active, hidden or not acknowledged."""
    if alarm.id is None:
        return None
    if alarm.out_of_service:
        kind, words = "out-of-service", "Out of service"
    elif alarm.shelved_until is not None:
        kind, words = "shelved", "Shelved"
    elif alarm.active and not alarm.acknowledged:
        kind = "active"
        words = "Alarm" if alarm.cleared is None else "Alarm, sound is normal again"
    elif alarm.active:
        kind, words = "acknowledged", "Acknowledged, still active"
    elif not alarm.acknowledged:
        kind, words = "cleared", "Alarm over, not acknowledged"
    else:
        return None
    if alarm.chattering:
        words += ", chattering"
    return AlarmSummary(
        alarm.id,
        kind,
        words,
        alarm.reason or "no reason is known",
        None if alarm.raised is None else rfc3339(alarm.raised),
        None if alarm.shelved_until is None else rfc3339(alarm.shelved_until),
    )


def by_urgency(summaries: Sequence[MachineSummary]) -> list[MachineSummary]:
    """Return machines, those that need attention first."""

    def urgency(each: MachineSummary) -> int:
        if each.alarm is not None and each.alarm.kind in ("active", "cleared"):
            return -1
        return _URGENCY.index(each.state)

    return sorted(summaries, key=urgency)


@dataclass(frozen=True, slots=True)
class Condition:
    """Something of the box itself that needs attention."""

    kind: str
    text: str
    remedy: str | None
    machine: str | None
    since: str


@dataclass(frozen=True, slots=True)
class BoxSummary:
    """The box at a glance."""

    box: str
    version: str
    fresh: bool
    broker: bool | None  # whether it is connected; None: not known
    self_test: str  # passed, failed, not possible, off, not made yet
    self_test_time: str | None
    waiting_events: int
    load: float | None
    conditions: tuple[Condition, ...]
    counts: dict[str, int]  # machines by word of the state
    machines: tuple[str, ...]  # ids
    disk_free: str | None  # in words, for the state folder; None: not known

    def as_json(self) -> dict[str, Any]:
        """Return it for a live update."""
        return asdict(self)


def box_summary(live: LiveState) -> BoxSummary:
    """Return what is known of the box."""
    status, alarm = live.status, live.box_alarm
    word, time = _self_test(live)
    conditions = [] if alarm is None else alarm.conditions
    counts: dict[str, int] = {}
    for machine in live.shown():
        state = machine_summary(machine).word
        counts[state] = counts.get(state, 0) + 1
    return BoxSummary(
        box=live.setup.box,
        version=live.setup.version,
        fresh=live.is_fresh,
        broker=None if live.beat is None else live.beat.broker_connected,
        self_test=word,
        self_test_time=None if time is None else rfc3339(time),
        waiting_events=0 if status is None or status.outbox is None else status.outbox.waiting,
        load=None if status is None or not status.load else status.load[0],
        conditions=tuple(
            Condition(each.kind, each.text, each.remedy, each.machine, rfc3339(each.since))
            for each in conditions
        ),
        counts=counts,
        machines=tuple(live.configured),
        disk_free=None if live.disk_free_gb is None else free_words(live.disk_free_gb),
    )


def free_words(free_gb: float) -> str:
    """Return the free space of a disk: below a gigabyte the megabytes count."""
    return f"{free_gb:.1f} GB free" if free_gb >= 1.0 else f"{free_gb * 1000:.0f} MB free"


def _self_test(live: LiveState) -> tuple[str, datetime | None]:
    """Return the result of the newest self-test in words, and its time."""
    test = live.self_test
    if test is None:
        return "not made yet", None
    if test.mode == "off":
        return "off", None
    results = [each for each in (test.broker, *test.machines.values()) if each is not None]
    if not results:
        return "not made yet", None
    time = max(each.time for each in results)
    if any(each.overdue for each in results):
        return "overdue", time
    words = {each.result for each in results}
    for word in ("failed", "not_possible", "passed"):
        if word in words:
            return word.replace("_", " "), time
    return "not made yet", time
