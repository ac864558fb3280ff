"""Compares the events of a journal, the ground truth, with those that a broker acknowledged."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from experiments.chaos.journal_reading import ACTIVE, JournalContent, JournalEvent

_SHOWN = 5


@dataclass(slots=True)
class EventAudit:
    """The events of all reads of one journal, and what is wrong with them."""

    events: dict[str, JournalEvent] = field(default_factory=dict)
    acknowledged_alarms: set[str] = field(default_factory=set)
    """Alarms of which `asd-monitor alarms ack` has reported success."""
    set_aside: set[str] = field(default_factory=set)
    """Events that a broker did not accept at some time: they may arrive later, out of order."""
    problems: list[str] = field(default_factory=list)
    _newest: JournalContent = field(default_factory=JournalContent)

    @property
    def newest(self) -> JournalContent:
        """The last content read."""
        return self._newest

    def read(self, content: JournalContent) -> None:
        """Note the content of the journal at a moment at which no daemon writes it."""
        found = {event.id for event in content.events}
        missing = [id_ for id_ in self.events if id_ not in found]
        if missing:
            self.problems.append(f"{len(missing)} events left the journal: {missing[:_SHOWN]}")
        self.events.update((event.id, event) for event in content.events)
        self.set_aside |= content.set_aside
        self._newest = content

    def missing(self, messages: Iterable[Mapping[str, Any]]) -> list[JournalEvent]:
        """Return the events of the journal that are not among the acknowledged messages.

        Those that the journal reports as set aside are not missing.
        """
        acknowledged = {message["id"] for message in messages} | self._newest.set_aside
        return [event for id_, event in self.events.items() if id_ not in acknowledged]

    def other_ids(self, messages: Sequence[Mapping[str, Any]]) -> int:
        """Return how many transitions, or alarms, are under more than one id."""
        ids: dict[tuple[Any, ...], set[str]] = defaultdict(set)
        for message in messages:
            if message.get("seq") is None:
                key = tuple(message[key] for key in ("machine", "time", "from", "to", "alarm_id"))
                ids[key].add(message["id"])
            else:
                ids[message["machine"], message["seq"]].add(message["id"])
        twice = sum(len(each) - 1 for each in ids.values())
        return twice + repeated_transitions(messages) + len(self._alarms_twice())

    def _alarms_twice(self) -> list[str]:
        """Return the alarms that were raised while another of the machine was active."""
        newest: dict[str, tuple[str, str]] = {}  # alarm and condition, by machine
        twice = []
        for event in self.events.values():
            if event.alarm_id is None:
                continue
            id_, condition = newest.get(event.machine, (event.alarm_id, "normal"))
            if event.alarm_id > id_ and condition in ACTIVE:
                twice.append(event.alarm_id)
            if event.alarm_id >= id_:
                newest[event.machine] = event.alarm_id, event.after
        return twice

    def check(self, messages: Sequence[Mapping[str, Any]]) -> list[str]:
        """Return what must not happen: order, numbers, acknowledgements, unknown events."""
        problems = list(self.problems)
        unknown = [message["id"] for message in messages if message["id"] not in self.events]
        if unknown:
            shown = unknown[:_SHOWN]
            problems.append(f"{len(unknown)} events published that are in no journal: {shown}")
        if twice := self._alarms_twice():
            problems.append(f"alarms under two ids: {twice[:_SHOWN]}")
        problems += [
            f"the acknowledgement of {alarm.id} is lost"
            for alarm in self._newest.alarms
            if alarm.id in self.acknowledged_alarms and not alarm.acknowledged
        ]
        return problems + _order_problems(messages, self.set_aside)


def equal_ids(messages: Iterable[Mapping[str, Any]]) -> int:
    """Return how many messages repeat an id."""
    return sum(number - 1 for number in Counter(message["id"] for message in messages).values())


def _order_problems(messages: Sequence[Mapping[str, Any]], set_aside: Collection[str]) -> list[str]:
    """Return where first deliveries are not in the order of their numbers.

    What is lost is counted elsewhere; what was set aside has no place in the order.
    """
    problems = []
    newest: dict[str, int] = defaultdict(int)
    seen: set[str] = set()
    for message in messages:
        seq, machine = message.get("seq"), message["machine"]
        if message["id"] in seen or message["id"] in set_aside or seq is None:
            continue
        seen.add(message["id"])
        if seq <= newest[machine]:
            problems.append(f"{machine}: seq {seq} follows {newest[machine]}")
        newest[machine] = seq
    return problems[:_SHOWN]


def repeated_transitions(messages: Sequence[Mapping[str, Any]]) -> int:
    """Return how many events with a number enter a condition that was not left since.

    Times do not tell: after a restart of a recording they stand still at the newest one.  Nothing
    is known beyond a missing number, as of an event that was published without one.  A state is not
    continued after a kill, which may come between an alarm and the state that follows it: of
    states, only two equal events in succession are repeated.
    """
    numbered = {message["id"]: message for message in messages if message.get("seq") is not None}
    entered: dict[tuple[str, str], str] = {}  # alarm and condition after → condition before
    repeated = 0
    newest: tuple[str, int] | None = None
    state: tuple[str, str] | None = None  # of the newest event, if it is one of a state
    for message in sorted(numbered.values(), key=lambda each: (each["machine"], each["seq"])):
        machine, seq, alarm_id = message["machine"], message["seq"], message["alarm_id"]
        before, after = message["from"], message["to"]
        if newest is None or machine != newest[0] or seq > newest[1] + 1:
            entered, state = {}, None
        newest = machine, seq
        if alarm_id is None:
            repeated += state == (before, after)
            state = before, after
        else:
            state = None
            entered.pop((alarm_id, before), None)
            repeated += entered.get((alarm_id, after)) == before
            entered[alarm_id, after] = before
    return repeated
