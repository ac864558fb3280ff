"""The reasons of the alarms of one machine: what differs in their sound, before the rule.

A reason is determined where the alarm is written, so it delays the alarm: by about 0.1 s, and where
the machine waits for others of the box by `_TURN_S` at most.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

import structlog

from asd_monitor.alarm.state import AlarmCondition, Transition, TransitionKind
from asd_monitor.explanation.explain import explain
from asd_monitor.explanation.sound_profile import SoundProfile
from asd_monitor.monitor import Reading
from asd_monitor.records import Block

log = structlog.get_logger()

_TURN_S = 2.0
_DEFECTS = (ArithmeticError, LookupError, TypeError, ValueError, MemoryError)


class AlarmReasons:
    """Determines the reasons of one machine, in its thread."""

    def __init__(self, machine: str, turn: threading.Lock) -> None:
        """``turn`` is that of all machines of the box: one reason is determined at a time."""
        self.failures = 0
        """Alarms whose reason could not be determined; that is reported, and the rule is it."""
        self._log = log.bind(machine=machine)
        self._turn = turn

    def explained(
        self,
        change: Transition,
        reading: Reading,
        sound: Block | None,
        profile: SoundProfile | None,
    ) -> Transition:
        """Return a transition; one that raises an alarm with its reason before the rule.

        Of sound far quieter than ever in training, that is the reason.

        Args:
            change: the transition.
            reading: the reading that it is of.
            sound: the sound before the alarm; None: it is not known.
            profile: of the training sound; None: the model has none.

        """
        window = reading.window
        if sound is None or window is None or window.quiet or not raises_alarm(change):
            return change
        if not self._turn.acquire(timeout=_TURN_S):
            self.failures += 1
            self._log.warning("the reason of an alarm was not determined in time")
            return change
        try:
            explanation = explain(
                profile,
                sound.samples,
                sound.rate_hz,
                window.views,
                time_scale_s=reading.time_scale_s,
            )
        except _DEFECTS:  # an alarm is raised whatever is wrong with its reason
            self.failures += 1
            self._log.exception(
                "the reason of an alarm could not be determined",
                hint="please report it with the log",
            )
            return change
        finally:
            self._turn.release()
        return replace(change, why=f"{explanation.sentence.removesuffix('.')} ({change.why})")


def raised_at(readings: Sequence[Reading]) -> int | None:
    """Return the sample index of the newest alarm that readings raise; None: they raise none."""
    raised = [
        change.sample
        for reading in readings
        for change in reading.transitions
        if raises_alarm(change)
    ]
    return raised[-1] if raised else None


def raises_alarm(change: Transition) -> bool:
    """Return whether a transition raises an alarm, or the same one again."""
    return change.kind is TransitionKind.ALARM and change.after == AlarmCondition.UNACKNOWLEDGED
