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
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import structlog

from asd_monitor.daemon.awaited_commands import AwaitedCommands
from asd_monitor.daemon.broker_interface import Broker
from asd_monitor.daemon.command_address import default_address, requested_address
from asd_monitor.daemon.command_answers import STOPPED, AwaitedCommand, CommandAnswers
from asd_monitor.daemon.command_parsing import (
    CommandRefusedError,
    ReloadCommand,
    parse_command,
    too_long,
)
from asd_monitor.daemon.command_queue import ArrivedCommand, CommandQueue, Reception
from asd_monitor.daemon.config_reload import ReloadOutcome
from asd_monitor.daemon.journal_access import JournalAccess
from asd_monitor.daemon.machine_registry import MachineRegistry
from asd_monitor.daemon.reload_requests import ReloadRequests, TooManyReloadsError
from asd_monitor.journal.requests import OutcomeEntry, Request, TooManyRequestsError
from asd_monitor.journal.sqlite_errors import JournalError, LockedJournalError, StalledJournalError
from asd_monitor.publish.received_commands import ReceivedCommand

log = structlog.get_logger()

RELOAD_PAUSE_S = 10.0
"""Between two reloads that commands request: each measures the capacity in the scoring thread."""
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
        self._queue = CommandQueue()
        self._answers = CommandAnswers(broker)
        self._awaited = AwaitedCommands(journal.journal, self._answers, monotonic_s=monotonic_s)
        self._newest_reload_s = -math.inf
        journal.journal.requests.listen(self._receive_outcome)

    @property
    def counters(self) -> CommandCounters:
        """The counts so far."""
        return CommandCounters(
            dropped=self._queue.dropped,  # read first: it is never above `received`
            received=self._queue.received,
            refused=self._answers.refused,
            unanswered=self._answers.unanswered,
        )

    @property
    def idle_reason(self) -> str | None:
        """Why `run` has nothing to do; None: it has."""
        return None if self._queue or self._is_busy else "no command waits"

    def read(self, machines: Collection[str]) -> None:
        """Read the commands to these machines and no other; called in the event loop."""
        self._loop = asyncio.get_running_loop()
        self._machines = frozenset(machines)
        filters = [self._broker.topics.commands(machine) for machine in self._machines]
        self._broker.read_commands(filters, self.receive)

    def receive(self, command: ReceivedCommand) -> None:
        """Take a command; called in the thread of the session with the broker."""
        arrived = ArrivedCommand(command, datetime.now(UTC), self._monotonic_s())
        reception = self._queue.put(arrived)
        if reception is Reception.CLOSED:
            self._refuse_stopped(arrived)
        elif reception is Reception.QUEUED and self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the event loop is closed
                self._loop.call_soon_threadsafe(self._wake.set)

    async def run(self) -> None:
        """Handle commands and answer them, until cancelled."""
        while True:
            self._is_busy = True
            await self._retry()
            self._awaited.report()
            while (arrived := self._queue.take()) is not None:
                await self._handle(arrived)
                self.turns += 1
            self.turns += 1
            self._is_busy = False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._awaited.pause_s):
                    await self._wake.wait()
            self._wake.clear()

    def close(self) -> None:
        """Answer what becomes of the commands without an outcome; later ones are refused.

        Called after the end of `run`, and before that of the session with the broker.
        """
        for arrived in self._queue.close():
            self._refuse_stopped(arrived)
        self._awaited.close()

    def _refuse_stopped(self, arrived: ArrivedCommand) -> None:
        awaited = self._begin(arrived)
        if awaited is not None:
            with contextlib.suppress(CommandRefusedError):
                prefix = self._broker.topics.prefix
                awaited.address = requested_address(arrived.command, awaited.address, prefix)
            self._answers.publish(awaited, STOPPED, accepted=False)

    async def _handle(self, arrived: ArrivedCommand) -> None:
        awaited = self._begin(arrived)
        if awaited is None:
            return
        try:
            prefix = self._broker.topics.prefix
            awaited.address = requested_address(arrived.command, awaited.address, prefix)
            await self._carry_out(arrived, awaited)
        except CommandRefusedError as refused:
            self._answers.publish(awaited, str(refused), accepted=False)

    def _begin(self, arrived: ArrivedCommand) -> AwaitedCommand | None:
        """Return a command with the default address; None: it is not answered."""
        command = arrived.command
        machine, verb = self._broker.topics.command(command.topic)
        if machine not in self._machines or (command.retained and command.payload == b""):
            return None  # it was removed meanwhile, or a retained command is deleted
        if not _VERB.fullmatch(verb):
            self._answers.count(refused=1, unanswered=1)
            log.info("a command of an unknown name is not answered", machine=machine)
            return None
        default = default_address(command, self._broker.topics.response(machine, verb))
        return AwaitedCommand(machine, verb, default, arrived.time_s)

    async def _carry_out(self, arrived: ArrivedCommand, awaited: AwaitedCommand) -> None:
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
        self._awaited.add(asked.id, awaited)  # before it is written: the outcome may come at once
        await self._add(asked, awaited)

    def _reload(self, asked: ReloadCommand, awaited: AwaitedCommand) -> None:
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
        self._awaited.add(key, awaited)

    def _end_reload(self, key: str, outcome: ReloadOutcome) -> None:
        self._awaited.end(key, outcome.text, accepted=outcome.accepted)

    async def _add(self, request: Request, awaited: AwaitedCommand) -> None:
        """Write a request, and have it applied.  Raises `CommandRefusedError`.

        It waits where an earlier one does: what is asked later must not be applied before.
        """
        waiting = self._awaited.unwritten
        if waiting and waiting[0] is not awaited:
            self._journal.hold_request(request)
            awaited.unwritten = request
            return
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

    def _give_up(self, request: Request, awaited: AwaitedCommand) -> None:
        """Await no outcome of a request that is not in the journal."""
        self._awaited.discard(request.id)
        awaited.request_id = None

    async def _retry(self) -> None:
        """Try again to write the requests that the journal has not taken, up to one that waits."""
        for awaited in self._awaited.unwritten:
            if awaited.unwritten is not None:  # still
                try:
                    await self._add(awaited.unwritten, awaited)
                except CommandRefusedError as refused:
                    self._answers.publish(awaited, str(refused), accepted=False)
                    continue
                if awaited.unwritten is not None:
                    return

    def _receive_outcome(self, outcome: OutcomeEntry) -> None:
        """Take the outcome of a request; called in the thread of the disk."""
        if self._loop is not None and outcome.request_id in self._awaited:
            with contextlib.suppress(RuntimeError):  # the event loop is closed
                self._loop.call_soon_threadsafe(self._end_request, outcome)

    def _end_request(self, outcome: OutcomeEntry) -> None:
        self._awaited.end(outcome.request_id, outcome.outcome, accepted=outcome.accepted)
