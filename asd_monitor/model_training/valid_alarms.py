"""The times of alarms that are labelled valid: no model learns their sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol, TypeVar

from asd_monitor.commissioning.blocks import BLOCK_S
from asd_monitor.evidence.alarm_sound import AlarmSound, kept_alarms
from asd_monitor.model_training.comparison import VALID
from asd_monitor.records import AlarmLabel
from asd_monitor.wording import count


class _Timed(Protocol):
    @property
    def time_s(self) -> float: ...


_Piece = TypeVar("_Piece", bound=_Timed)


@dataclass(frozen=True, slots=True)
class ValidAlarm:
    """A time of the sound of an alarm that is labelled valid."""

    alarm_id: str
    begin_s: float  # Unix time
    end_s: float


def valid_alarms(
    labels: Sequence[AlarmLabel],
    sounds: Sequence[AlarmSound],
    *,
    on_delay_s: float,
    now: datetime,
) -> list[ValidAlarm]:
    """Return when alarms that are labelled valid have sounded.

    Each has the time from its onset to its end, and that of its kept sound, which begins before.

    Args:
        labels: of the machine's alarms.
        sounds: the sound that is kept of them.
        on_delay_s: on-delay of the machine's alarms.
        now: the end of an alarm that is active.

    """
    found = []
    for each in labels:
        if each.label != VALID:
            continue
        times = each.raised, each.cleared or now  # the clock may have been set back between them
        begin = min(times) - timedelta(seconds=on_delay_s)
        found.append(ValidAlarm(each.alarm_id, begin.timestamp(), max(times).timestamp()))
    ids = {each.alarm_id for each in found}
    found += [
        ValidAlarm(each.alarm_id, each.begin.timestamp(), each.end.timestamp())
        for each in sounds
        if each.alarm_id in ids
    ]
    return found


def valid_alarms_of(
    state: Path, machine: str, labels: Sequence[AlarmLabel], *, on_delay_s: float, now: datetime
) -> list[ValidAlarm]:
    """Return when the alarms of a machine that are labelled valid have sounded.

    Packages are read where there are such alarms.  The arguments are those of `valid_alarms`.
    """
    if not any(each.label == VALID for each in labels):
        return []
    sounds = kept_alarms(state, machine).sounds
    return valid_alarms(labels, sounds, on_delay_s=on_delay_s, now=now)


def nothing_left(machine: str, left_out: str | None) -> str:
    """Return that no live sound is left, with the remedy."""
    return (
        f"all live sound of {machine} is {left_out}: refit when it runs without the fault, or label"
        " them anew (`asd-monitor alarms label ID invalid`) where they were not valid"
    )


def outside_of(
    alarms: Sequence[ValidAlarm], pieces: Sequence[_Piece]
) -> tuple[list[_Piece], str | None]:
    """Return the pieces of ten seconds outside of alarms, and what is left out as a sentence."""
    outside: list[_Piece] = []
    ids: set[str] = set()
    for piece in pieces:
        own = {
            each.alarm_id
            for each in alarms
            if piece.time_s < each.end_s and piece.time_s + BLOCK_S > each.begin_s
        }
        ids |= own
        if not own:
            outside.append(piece)
    left_out = len(pieces) - len(outside)
    if not left_out:
        return outside, None
    return outside, (
        f"{count(left_out, 'piece')} of ten seconds in the sound of alarms labelled valid "
        f"({', '.join(sorted(ids))})"
    )
