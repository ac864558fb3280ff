"""Marks of normal sound, as the daemon applies the requests for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from asd_monitor.alarm.state import SoundMark, Transition, TransitionKind
from asd_monitor.commissioning.kept_sound import KeptSound
from asd_monitor.commissioning.store_errors import CommissioningStoreError
from asd_monitor.evidence.alarm_sound import AlarmSound
from asd_monitor.journal.alarm_changes import with_label
from asd_monitor.journal.alarm_entries import AlarmEntry, Entry
from asd_monitor.journal.alarm_records import AlarmRecord, Event
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.mark_decisions import decide_on_mark
from asd_monitor.journal.normal_spans import NormalSpanEntry, WithdrawnSpanEntry
from asd_monitor.journal.requests import OutcomeEntry, Request

KeptOfMachine = Callable[[Path, str, datetime, datetime], KeptSound]
"""(state folder, machine, begin, end) → what is kept: see `kept_sound`."""
SoundOfAlarm = Callable[[Path, str, str], AlarmSound | None]
"""(state folder, machine, id of an alarm) → its sound: see `sound_of_alarm`."""


def apply_mark(
    journal: MachineJournal,
    request: Request,
    record: AlarmRecord | None,
    kept: KeptOfMachine,
    sound_of: SoundOfAlarm,
    *,
    at: datetime,
    on_delay_s: float,
) -> tuple[list[Event], list[Entry]]:
    """Return the event of a request, where it changes something, and what is to be written.

    An alarm that is marked is labelled invalid.  The outcome of the request is among what is
    written.

    Args:
        journal: The journal of the machine.
        request: The request.
        record: Its alarm; None where it names none, or there is none.
        kept: Returns what is kept of the machine's sound.
        sound_of: Returns the kept sound of an alarm.
        at: The time of the newest sound.
        on_delay_s: On-delay of the machine's alarms.

    Raises:
        JournalError: the journal cannot be read.

    """

    def kept_between(begin: datetime, end: datetime) -> KeptSound | None:
        try:
            return kept(journal.journal.path.parent, journal.machine, begin, end)
        except CommissioningStoreError:  # the answer says so; the refit reports the reason
            return None

    spans = journal.journal.normal_spans(journal.machine)
    state = journal.journal.path.parent
    own = None if record is None else sound_of(state, journal.machine, record.id)
    decision = decide_on_mark(
        request,
        record,
        spans,
        kept_between,
        now=at,
        on_delay_s=on_delay_s,
        sound=None if own is None else (own.begin, own.end),
    )
    events: list[Event] = []
    entries: list[Entry] = [WithdrawnSpanEntry(each.id) for each in decision.withdrawn]
    if decision.marked is not None:
        entries.append(NormalSpanEntry(decision.marked))
    if decision.marked is not None and record is not None:
        labelled = with_label(record, "invalid", who=request.who, why=request.why)
        journal.replace_newest(labelled)
        entries.append(AlarmEntry(labelled))
    if entries:
        event = _event_of(journal, request, at, withdrawn=bool(decision.withdrawn))
        events.append(event)
        entries.append(journal.entry_of(event))
    return events, [*entries, OutcomeEntry(request.id, decision.outcome, decision.accepted)]


def _event_of(journal: MachineJournal, request: Request, at: datetime, *, withdrawn: bool) -> Event:
    before, after = SoundMark.NONE, SoundMark.NORMAL
    if withdrawn:
        before, after = after, before
    why = request.why or ""
    change = Transition(0, TransitionKind.MARK, before, after, why, request.who)
    event, _ = journal.entries_of(change, at, None)
    return replace(event, alarm_id=request.alarm_id)
