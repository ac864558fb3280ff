"""Commands over MQTT: checked, applied as requests of the journal, answered with their outcome.

A command becomes a request in the journal, which the session of its machine applies as it does
those of the command line: a kill neither loses nor repeats it.  Its outcome is the answer.  A
reload, which changes nothing in the journal, is what SIGHUP does.

A command that has no outcome in time is answered twice: that it waits, and with its outcome later.
One that the journal has not taken until it is given up, or the daemon is stopped, is withdrawn.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import secrets
import threading
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

import structlog

from asd_monitor.daemon.broker_interface import Broker
from asd_monitor.daemon.command_address import Address, default_address, requested_address
from asd_monitor.daemon.command_parsing import (
    CommandRefusedError,
    ReloadCommand,
    parse_command,
    too_long,
)
from asd_monitor.daemon.config_reload import ReloadOutcome
from asd_monitor.daemon.journal_access import JournalAccess
from asd_monitor.daemon.machine_registry import MachineRegistry
from asd_monitor.daemon.reload_requests import ReloadRequests, TooManyReloadsError
from asd_monitor.daemon.token_bucket import TokenBucket
from asd_monitor.journal.requests import OutcomeEntry, Request, TooManyRequestsError
from asd_monitor.journal.sqlite_errors import JournalError, LockedJournalError, StalledJournalError
from asd_monitor.publish.messages import Response
from asd_monitor.publish.received_commands import ReceivedCommand
from asd_monitor.wording import printable

log = structlog.get_logger()

BURST = 20
"""Commands of a box at once, after a pause."""
RATE_HZ = 2.0
"""Commands of a box a second, in the long run."""
MAX_WAITING = 100
"""Commands that are not looked at yet; later ones are dropped."""
MAX_AWAITED = 100
"""Commands whose outcome is awaited; that of the oldest beyond is not answered any more."""
REPORT_S = 30.0
"""A command without an outcome after this time is answered that it waits."""
FORGET_S = 600.0
"""The outcome of a command that comes later is not answered any more."""
RETRY_S = 2.0
"""Between two attempts to write a request to a journal that does not take it now."""
_GIVEN_UP = (
    "it is given up and not applied, since the disk of the journal does not answer, or another"
    " process holds the file: check both, and repeat the command"
)
_LEFT = "it waits: the daemon is being stopped, and its next run applies what the journal has"
_STOPPED = "it is not applied: the daemon is being stopped; repeat the command when it runs again"
RELOAD_PAUSE_S = 10.0
"""Between two reloads that commands request: each measures the capacity in the scoring thread."""
_CALM_S = 60.0  # without a dropped command: the next one is logged again
_VERB = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""A last level of a topic that can be one of the topic of the answer."""


@dataclass(frozen=True, slots=True)
class CommandCounters:
    """Counts since the start of the daemon."""

    received: int = 0
    refused: int = 0
    """Commands that were not carried out."""
    dropped: int = 0
    """Commands above the permitted rate, which are not answered."""
    unanswered: int = 0
    """Commands whose topic has no answer, or whose outcome has come too late."""


@dataclass(frozen=True, slots=True)
class _Arrived:
    """A command that is not handled yet."""

    command: ReceivedCommand
    time: datetime
    time_s: float  # of the monotonic clock


@dataclass(slots=True)
class _Awaited:
    """A command whose outcome is awaited."""

    machine: str
    verb: str
    address: Address
    asked_s: float
    alarm_id: str | None = None
    request_id: str | None = None
    unwritten: Request | None = None  # the disk does not answer, or another process holds the file
    is_reported: bool = False  # that it waits


class Commands:
    """Receives commands in the thread of the session with the broker; `run` answers them.

    Args:
        broker: The session with the broker.
        journal: The journal, to which requests are added.
        registry: The machines, whose sessions apply them.
        reloads: The reloads that are requested.
        monotonic_s: Reads a monotonic clock, in s.

    """

    def __init__(
        self,
        broker: Broker,
        journal: JournalAccess,
        registry: MachineRegistry,
        reloads: ReloadRequests,
        *,
        monotonic_s: Callable[[], float],
    ) -> None:
        self.turns = 0
        """How often `run` has looked for commands, and how many it has handled."""
        self._broker = broker
        self._journal = journal
        self._registry = registry
        self._reloads = reloads
        self._monotonic_s = monotonic_s
        self._machines: Collection[str] = ()
        self._loop: asyncio.AbstractEventLoop | None = None  # None: no machine was read yet
        self._wake = asyncio.Event()
        self._is_busy = True
        self._lock = threading.Lock()  # of what follows, up to the counters
        self._bucket = TokenBucket(BURST, RATE_HZ)
        self._waiting: deque[_Arrived] = deque()
        self._is_closed = False
        self._newest_drop_s = -math.inf
        self._counters = CommandCounters()
        self._newest_reload_s = -math.inf
        self._awaited: dict[str, _Awaited] = {}  # by id of the request; the oldest first
        journal.journal.listen(self._receive_outcome)

    @property
    def counters(self) -> CommandCounters:
        """The counts so far."""
        with self._lock:
            return self._counters

    @property
    def idle_reason(self) -> str | None:
        """Why `run` has nothing to do; None: it has."""
        return None if self._waiting or self._is_busy else "no command waits"

    def read(self, machines: Collection[str]) -> None:
        """Read the commands to these machines and no other; called in the event loop."""
        self._loop = asyncio.get_running_loop()
        self._machines = frozenset(machines)
        filters = [self._broker.topics.commands(machine) for machine in self._machines]
        self._broker.read_commands(filters, self.receive)

    def receive(self, command: ReceivedCommand) -> None:
        """Take a command; called in the thread of the session with the broker."""
        now_s = self._monotonic_s()
        arrived = _Arrived(command, datetime.now(UTC), now_s)
        is_first_drop = False
        with self._lock:
            is_taken = len(self._waiting) < MAX_WAITING and self._bucket.take(now_s)
            is_closed = self._is_closed
            if is_taken and not is_closed:
                self._waiting.append(arrived)
            elif not is_taken:
                is_first_drop = now_s - self._newest_drop_s >= _CALM_S
                self._newest_drop_s = now_s
            self._count(received=1, dropped=int(not is_taken))
        if is_first_drop:
            log.warning(
                "too many commands: those above the permitted rate are dropped and not answered",
                topic=printable(command.topic[:200]),
                limit_hz=f"{RATE_HZ:g}",
                at_once=BURST,
                hint="wait for the answer to a command before the next; check what publishes them",
            )
        if is_taken and is_closed:
            self._refuse_stopped(arrived)
        elif is_taken and self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the event loop is closed
                self._loop.call_soon_threadsafe(self._wake.set)

    async def run(self) -> None:
        """Handle commands and answer them, until cancelled."""
        while True:
            self._is_busy = True
            await self._retry()
            self._report_waiting()
            while (arrived := self._next()) is not None:
                await self._handle(arrived)
                self.turns += 1
            self.turns += 1
            self._is_busy = False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s):
                    await self._wake.wait()
            self._wake.clear()

    def _next(self) -> _Arrived | None:
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    @property
    def _pause_s(self) -> float | None:
        """Time until a command has to be reported or forgotten, or written again; None: none has.

        In s.
        """
        now_s = self._monotonic_s()
        due = [
            each.asked_s + (FORGET_S if each.is_reported else REPORT_S)
            for each in self._awaited.values()
        ]
        if any(each.unwritten is not None for each in self._awaited.values()):
            due.append(now_s + RETRY_S)
        return max(0.0, min(due) - now_s) if due else None

    def close(self) -> None:
        """Answer what becomes of the commands without an outcome; later ones are refused.

        Called after the end of `run`, and before that of the session with the broker.
        """
        with self._lock:
            self._is_closed = True
            waiting = list(self._waiting)
            self._waiting.clear()
        for arrived in waiting:
            self._refuse_stopped(arrived)
        for awaited in self._awaited.values():
            if awaited.request_id is None:
                self._answer(awaited, _STOPPED, accepted=False)
            elif not self._withdraw(awaited, _STOPPED):
                self._answer(awaited, _LEFT, accepted=None)
        self._awaited.clear()

    def _refuse_stopped(self, arrived: _Arrived) -> None:
        awaited = self._begin(arrived)
        if awaited is not None:
            with contextlib.suppress(CommandRefusedError):
                prefix = self._broker.topics.prefix
                awaited.address = requested_address(arrived.command, awaited.address, prefix)
            self._answer(awaited, _STOPPED, accepted=False)

    async def _handle(self, arrived: _Arrived) -> None:
        awaited = self._begin(arrived)
        if awaited is None:
            return
        try:
            prefix = self._broker.topics.prefix
            awaited.address = requested_address(arrived.command, awaited.address, prefix)
            await self._carry_out(arrived, awaited)
        except CommandRefusedError as refused:
            self._answer(awaited, str(refused), accepted=False)

    def _begin(self, arrived: _Arrived) -> _Awaited | None:
        """Return a command with the default address; None: it is not answered."""
        command = arrived.command
        machine, verb = self._broker.topics.command(command.topic)
        if machine not in self._machines or (command.retained and command.payload == b""):
            return None  # it was removed meanwhile, or a retained command is deleted
        if not _VERB.fullmatch(verb):
            with self._lock:
                self._count(refused=1, unanswered=1)
            log.info("a command of an unknown name is not answered", machine=machine)
            return None
        default = default_address(command, self._broker.topics.response(machine, verb))
        return _Awaited(machine, verb, default, arrived.time_s)

    async def _carry_out(self, arrived: _Arrived, awaited: _Awaited) -> None:
        """Begin what is asked.  Raises `CommandRefusedError`."""
        command = arrived.command
        if command.retained:
            raise CommandRefusedError(
                "it was published with retain, and would be repeated at each connect: publish it"
                " without (mosquitto_pub without -r), and delete the retained one by an empty"
                " message with retain"
            )
        if command.payload is None:
            raise CommandRefusedError(too_long())
        asked = parse_command(awaited.machine, awaited.verb, command.payload, arrived.time)
        if isinstance(asked, ReloadCommand):
            self._reload(asked, awaited)
            return
        awaited.alarm_id, awaited.request_id = asked.alarm_id, asked.id
        self._await(asked.id, awaited)  # before it is written: the outcome may come at once
        await self._add(asked, awaited)

    def _await(self, key: str, awaited: _Awaited) -> None:
        while len(self._awaited) >= MAX_AWAITED:
            self._forget(next(iter(self._awaited)))
        self._awaited[key] = awaited

    def _forget(self, key: str) -> None:
        awaited = self._awaited.pop(key)
        if awaited.unwritten is not None and self._withdraw(awaited, _GIVEN_UP):
            return
        with self._lock:
            self._count(unanswered=1)

    def _withdraw(self, awaited: _Awaited, why: str) -> bool:
        """Answer that a request is not applied; return False where it may be in the journal."""
        request_id = awaited.request_id
        if request_id is None or not self._journal.journal.withdraw_request(request_id, why):
            return False
        self._answer(awaited, why, accepted=False)
        return True

    def _reload(self, asked: ReloadCommand, awaited: _Awaited) -> None:
        key = secrets.token_hex(16)
        since_s = self._monotonic_s() - self._newest_reload_s
        if since_s < RELOAD_PAUSE_S:
            raise CommandRefusedError(
                f"it is not carried out: a reload was requested {since_s:.0f} s ago, and commands"
                f" request at most one in {RELOAD_PAUSE_S:.0f} s: repeat it after that time"
            )
        try:
            self._reloads.request_outcome(partial(self._end_reload, key))
        except TooManyReloadsError as error:
            raise CommandRefusedError(
                "too many reloads wait for their end: try again later"
            ) from error
        self._newest_reload_s = self._monotonic_s()
        log.info("a command requests a reload", who=asked.who, why=asked.why)
        self._await(key, awaited)

    def _end_reload(self, key: str, outcome: ReloadOutcome) -> None:
        awaited = self._awaited.pop(key, None)
        if awaited is not None:
            self._answer(awaited, outcome.text, accepted=outcome.accepted)

    async def _add(self, request: Request, awaited: _Awaited) -> None:
        """Write a request, and have it applied.  Raises `CommandRefusedError`."""
        try:
            await self._journal.add_request(request)
        except (StalledJournalError, LockedJournalError):
            awaited.unwritten = request
            return
        except asyncio.CancelledError:  # whether it is written is not known
            awaited.unwritten = request
            raise
        except TooManyRequestsError as error:
            self._give_up(request, awaited)
            raise CommandRefusedError(
                "too many requests wait, and no more are taken: see the log for why they are not"
                " applied"
            ) from error
        except JournalError as error:
            self._give_up(request, awaited)
            raise CommandRefusedError(f"it cannot be written to the journal: {error}") from error
        awaited.unwritten = None
        with contextlib.ExitStack() as undo:
            undo.callback(self._journal.check_requests)  # where this is cancelled
            await self._registry.check_requests_of(request.machine)
            undo.pop_all()

    def _give_up(self, request: Request, awaited: _Awaited) -> None:
        """Await no outcome of a request that is not in the journal."""
        self._awaited.pop(request.id, None)
        awaited.request_id = None

    async def _retry(self) -> None:
        """Try again to write the requests that the journal has not taken."""
        for awaited in list(self._awaited.values()):
            if awaited.unwritten is not None:
                try:
                    await self._add(awaited.unwritten, awaited)
                except CommandRefusedError as refused:
                    self._answer(awaited, str(refused), accepted=False)

    def _report_waiting(self) -> None:
        """Answer the commands without an outcome that they wait, and forget the oldest."""
        now_s = self._monotonic_s()
        for key, awaited in list(self._awaited.items()):
            if now_s - awaited.asked_s >= FORGET_S:
                self._forget(key)
            elif not awaited.is_reported and now_s - awaited.asked_s >= REPORT_S:
                awaited.is_reported = True
                self._answer(awaited, _waits(awaited), accepted=None)

    def _receive_outcome(self, outcome: OutcomeEntry) -> None:
        """Take the outcome of a request; called in the thread of the disk."""
        if self._loop is not None and outcome.request_id in self._awaited:
            with contextlib.suppress(RuntimeError):  # the event loop is closed
                self._loop.call_soon_threadsafe(self._end_request, outcome)

    def _end_request(self, outcome: OutcomeEntry) -> None:
        awaited = self._awaited.pop(outcome.request_id, None)
        if awaited is not None:
            self._answer(awaited, outcome.outcome, accepted=outcome.accepted)

    def _answer(self, awaited: _Awaited, outcome: str, *, accepted: bool | None) -> None:
        outcome = printable(outcome)
        response = Response(
            machine=awaited.machine,
            verb=awaited.verb,
            time=datetime.now(UTC),
            accepted=accepted,
            outcome=outcome,
            alarm=awaited.alarm_id,
            request=awaited.request_id,
        )
        if accepted is False:
            with self._lock:
                self._count(refused=1)
        log.info(
            "a command is answered",
            machine=awaited.machine,
            verb=awaited.verb,
            accepted=accepted,
            outcome=outcome,
        )
        address = awaited.address
        self._broker.answer(address.topic, response.payload(), address.correlation)

    def _count(
        self, *, received: int = 0, refused: int = 0, dropped: int = 0, unanswered: int = 0
    ) -> None:
        """Add to the counters; the lock is held."""
        now = self._counters
        self._counters = replace(
            now,
            received=now.received + received,
            refused=now.refused + refused,
            dropped=now.dropped + dropped,
            unanswered=now.unanswered + unanswered,
        )


def _waits(awaited: _Awaited) -> str:
    if awaited.request_id is None:
        return "it waits: the reload has not ended yet; another answer follows with its outcome"
    if awaited.unwritten is not None:
        return (
            "it waits, and another answer follows with its outcome: the disk of the journal does"
            " not answer, or another process holds the file: check both"
        )
    return (
        "it waits: it is applied when the session of the machine and the disk of the journal"
        " answer; another answer follows with its outcome"
    )
