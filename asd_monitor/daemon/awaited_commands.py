"""The commands whose outcome is awaited: answered that they wait, given up, or answered at last."""

from __future__ import annotations

from collections.abc import Callable

from asd_monitor.daemon.command_answers import (
    GIVEN_UP,
    LEFT,
    STOPPED,
    AwaitedCommand,
    CommandAnswers,
    reason_of_waiting,
)
from asd_monitor.journal.store import Journal

MAX_AWAITED = 100
"""Commands whose outcome is awaited; that of the oldest beyond is not answered any more."""
REPORT_S = 30.0
"""A command without an outcome after this time is answered that it waits."""
FORGET_S = 600.0
"""The outcome of a command that comes later is not answered any more."""
RETRY_S = 2.0
"""Between two attempts to write a request to a journal that does not take it now."""


class AwaitedCommands:
    """The commands without an outcome, by the id of their request, or that of a reload.

    All but ``in`` and ``len`` is called in the event loop.

    Args:
        journal: The journal, from which requests are withdrawn.
        answers: Publishes the answers.
        monotonic_s: Reads a monotonic clock, in s.

    """

    def __init__(
        self, journal: Journal, answers: CommandAnswers, *, monotonic_s: Callable[[], float]
    ) -> None:
        self._journal = journal
        self._answers = answers
        self._monotonic_s = monotonic_s
        self._awaited: dict[str, AwaitedCommand] = {}  # the oldest first

    def __contains__(self, key: str) -> bool:
        return key in self._awaited

    def __len__(self) -> int:
        return len(self._awaited)

    @property
    def unwritten(self) -> list[AwaitedCommand]:
        """Those whose request the journal has not taken, the oldest first."""
        return [each for each in self._awaited.values() if each.unwritten is not None]

    @property
    def pause_s(self) -> float | None:
        """Time until a command has to be reported or forgotten, or written again; None: none has.

        In s.
        """
        now_s = self._monotonic_s()
        due = [
            each.asked_s + (FORGET_S if each.is_reported else REPORT_S)
            for each in self._awaited.values()
        ]
        if self.unwritten:
            due.append(now_s + RETRY_S)
        return max(0.0, min(due) - now_s) if due else None

    def add(self, key: str, awaited: AwaitedCommand) -> None:
        """Await the outcome of a command; the oldest beyond the bound is forgotten."""
        while len(self._awaited) >= MAX_AWAITED:
            self._forget(next(iter(self._awaited)))
        self._awaited[key] = awaited

    def end(self, key: str, outcome: str, *, accepted: bool) -> None:
        """Answer a command with its outcome, where it is awaited still."""
        awaited = self._awaited.pop(key, None)
        if awaited is not None:
            self._answers.publish(awaited, outcome, accepted=accepted)

    def discard(self, key: str) -> None:
        """Await a command no more, without an answer."""
        self._awaited.pop(key, None)

    def report(self) -> None:
        """Answer the commands without an outcome that they wait, and forget the oldest."""
        now_s = self._monotonic_s()
        for key, awaited in list(self._awaited.items()):
            if now_s - awaited.asked_s >= FORGET_S:
                self._forget(key)
            elif not awaited.is_reported and now_s - awaited.asked_s >= REPORT_S:
                awaited.is_reported = True
                self._answers.publish(awaited, reason_of_waiting(awaited), accepted=None)

    def close(self) -> None:
        """Answer what becomes of the commands at a stop."""
        for awaited in self._awaited.values():
            if awaited.request_id is None:
                self._answers.publish(awaited, STOPPED, accepted=False)
            elif not self._withdraw(awaited, STOPPED):
                self._answers.publish(awaited, LEFT, accepted=None)
        self._awaited.clear()

    def _forget(self, key: str) -> None:
        awaited = self._awaited.pop(key)
        if awaited.unwritten is not None and self._withdraw(awaited, GIVEN_UP):
            return
        self._answers.count(unanswered=1)

    def _withdraw(self, awaited: AwaitedCommand, why: str) -> bool:
        """Answer that a request is not applied; return False where it may be in the journal."""
        request_id = awaited.request_id
        if request_id is None or not self._journal.requests.withdraw(request_id, why):
            return False
        self._answers.publish(awaited, why, accepted=False)
        return True
