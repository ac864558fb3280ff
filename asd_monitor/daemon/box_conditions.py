"""The conditions of the box itself that need attention, as one retained message.

Each part of the daemon that observes conditions replaces its own with `update`.  The message is
published when they change, and has the time since which each one lasts, over all runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import structlog

from asd_monitor.daemon.broker_interface import Broker
from asd_monitor.publish.messages import BoxAlarm, BoxCondition

log = structlog.get_logger()

_MAX_LISTED = 200  # conditions in a message, of at most a megabyte
_MAX_TEXT = 500  # characters
_EARLIER_VALID = timedelta(minutes=10)  # a condition of an earlier run is observed again by then


class ConditionKind(StrEnum):
    """What the condition is; a value on MQTT."""

    SELF_TEST_FAILED = "self_test_failed"
    SELF_TEST_OVERDUE = "self_test_overdue"
    BROKER_REFUSES = "broker_refuses"
    DISK = "disk"
    CLOCK = "clock"
    TASK_FAILING = "task_failing"
    STANDSTILL = "standstill"


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that holds now."""

    kind: ConditionKind
    text: str  # one sentence
    remedy: str | None
    machine: str | None = None  # None: of the whole box
    check: str | None = None  # of the self-test, or what was found, where a kind has several

    @property
    def key(self) -> str:
        """What tells one condition from another, whatever its text says."""
        return "/".join((self.kind, self.machine or "", self.check or ""))


class BoxConditions:
    """The conditions that hold, and their message.

    Args:
        broker: Publishes the message.
        now: Returns the wall-clock time.

    """

    def __init__(self, broker: Broker, now: Callable[[], datetime]) -> None:
        self.since: Mapping[str, datetime] = {}
        """When each condition began, by its key."""
        self._broker = broker
        self._now = now
        self._conditions: dict[str, tuple[Condition, ...]] = {}  # by the part that observes them
        self._published: list[BoxCondition] | None = None
        self._earlier: dict[str, datetime] = {}  # when those of an earlier run began
        self._restored: datetime | None = None

    @property
    def lasting_since(self) -> Mapping[str, datetime]:
        """When each condition began, also those of an earlier run that may be observed again."""
        return {**self._earlier, **self.since}

    def restore(self, since: Mapping[str, datetime]) -> None:
        """Take up when the conditions of an earlier run began.

        Before, a message without conditions is not published: it would end those of that run.
        """
        self._restored = self._now()
        self._earlier = dict(since)
        self.since = {key: self._earlier.pop(key, begun) for key, begun in self.since.items()}

    def update(self, part: str, conditions: Iterable[Condition]) -> bool:
        """Replace the conditions that a part observes; return whether that has changed any."""
        self._conditions[part] = tuple(conditions)
        holding = [each for own in self._conditions.values() for each in own]
        now = self._now()
        if self._restored is not None and now - self._restored > _EARLIER_VALID:
            self._earlier.clear()
        since = {}
        for each in holding:
            if (begun := self.since.get(each.key)) is None:
                begun = self._earlier.pop(each.key, now)
                log.error(each.text, machine=each.machine, hint=each.remedy)
            since[each.key] = begun
        self.since = since
        listed = [
            BoxCondition(
                kind=each.kind,
                machine=each.machine,
                check=each.check,
                since=self.since[each.key],
                text=each.text[:_MAX_TEXT],
                remedy=each.remedy,
            )
            for each in holding
        ]
        listed.sort(key=lambda each: each.since)
        has_changed = listed != self._published and (bool(listed) or self._restored is not None)
        if has_changed:
            self._published = listed
            topics = self._broker.topics
            message = BoxAlarm(
                topics.box,
                now,
                active=bool(listed),
                count=len(listed),
                conditions=listed[:_MAX_LISTED],
            )
            self._broker.publish(topics.box_alarm, message.payload(), qos=1, retain=True)
        return has_changed
