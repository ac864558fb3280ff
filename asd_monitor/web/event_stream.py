"""Server-sent events: what an open page is sent, in bounded memory.

A stream that its browser reads too slowly is ended; the browser connects again by itself and gets
the present values.  (https://html.spec.whatwg.org/multipage/server-sent-events.html)
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from asd_monitor.daemon.page_protocol import Beat, LiveSound, LiveWindow, PageLine
from asd_monitor.publish.messages import BoxAlarm, SelfTest, Status
from asd_monitor.web.feed_reader import Watching
from asd_monitor.web.live_state import LiveMachine, LiveState
from asd_monitor.web.sparkline import spark_of
from asd_monitor.web.summaries import box_summary, machine_summary
from asd_monitor.web.trend import PERIOD_S
from asd_monitor.wording import rfc3339

MAX_STREAMS = 64
_MAX_WAITING = 512  # events of one stream
_RETRY_MS = 2000


class Subscription:
    """One open page.

    Args:
        machine: Its machine; None: the page of all machines.

    """

    def __init__(self, machine: str | None) -> None:
        self.machine = machine
        self._waiting: deque[bytes] = deque()
        self._changed: dict[str, LiveMachine] = {}
        self._wake = asyncio.Event()
        self._ended = False

    def put(self, event: str, content: object) -> None:
        """Queue an event; a stream that is too far behind ends."""
        if len(self._waiting) >= _MAX_WAITING:
            self.end()
            return
        data = json.dumps(content, separators=(",", ":"), allow_nan=False)
        self._waiting.append(f"event: {event}\ndata: {data}\n\n".encode())
        self._wake.set()

    def note_change(self, machine: LiveMachine) -> None:
        """Send the summary of a machine with the next beat."""
        self._changed[machine.id] = machine

    def send_changes(self) -> None:
        """Queue the summaries of the machines that have changed."""
        changed, self._changed = self._changed, {}
        if changed:
            self.put("machines", [machine_summary(each).as_json() for each in changed.values()])

    def end(self) -> None:
        """End the stream."""
        self._ended = True
        self._wake.set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the events until the stream ends."""
        yield f"retry: {_RETRY_MS}\n\n".encode()
        while not self._ended:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting and not self._ended:
                yield self._waiting.popleft()


class EventStreams:
    """All open pages.

    Args:
        live: What is shown.
        watching: Asks for the sound of the machines that are looked at.

    """

    def __init__(self, live: LiveState, watching: Watching) -> None:
        self.refused = 0
        """Streams that were refused because there are too many."""
        self._live = live
        self._watching = watching
        self._open: set[Subscription] = set()
        self._is_closed = False
        self._silent: set[str] = set()  # machines whose newest window is not one of now
        self._configured: tuple[str, ...] = ()
        self._sparks_of = 0  # the period of the trends that were sent
        live.on_line = self._spread

    @property
    def count(self) -> int:
        """Open pages."""
        return len(self._open)

    async def all_machines(self, _request: Request) -> Response:
        """Answer with the events of the page of all machines."""
        return self._stream(Subscription(None), self._begin_all)

    async def one_machine(self, request: Request) -> Response:
        """Answer with the events of the page of one machine."""
        machine = request.path_params["machine"]
        if machine not in self._live.configured:
            return PlainTextResponse("there is no such machine\n", 404)
        return self._stream(Subscription(machine), self._begin_one)

    def close(self) -> None:
        """End all streams; no further one begins."""
        self._is_closed = True
        for each in tuple(self._open):
            each.end()

    def _stream(
        self, subscription: Subscription, begin: Callable[[Subscription], None]
    ) -> Response:
        if self._is_closed or len(self._open) >= MAX_STREAMS:
            self.refused += 1
            return PlainTextResponse(
                "too many pages are open: close some\n", 503, {"retry-after": "5"}
            )
        return StreamingResponse(
            self._events(subscription, begin),
            media_type="text/event-stream",
            headers={"x-accel-buffering": "no"},
        )

    async def _events(
        self, subscription: Subscription, begin: Callable[[Subscription], None]
    ) -> AsyncIterator[bytes]:
        self._open.add(subscription)
        if subscription.machine is not None:
            self._watching.add(subscription.machine)
        try:
            begin(subscription)
            async for event in subscription:
                yield event
        finally:
            self._open.discard(subscription)
            if subscription.machine is not None:
                self._watching.remove(subscription.machine)

    def _begin_all(self, subscription: Subscription) -> None:
        subscription.put("box", box_summary(self._live).as_json())
        for machine in self._live.shown():
            subscription.note_change(machine)
        subscription.send_changes()
        self._put_sparks(subscription, datetime.now(UTC))

    def _begin_one(self, subscription: Subscription) -> None:
        machine = self._live.machine(subscription.machine or "")
        subscription.put("box", box_summary(self._live).as_json())
        ages = {"window_s": machine.window_age_s, "sound_s": machine.sound_age_s}
        subscription.put("ages", ages)  # of the newest of what follows
        subscription.put("machines", [machine_summary(machine).as_json()])
        subscription.put("windows", [window_json(each) for each in machine.windows])
        subscription.put("sounds", [sound_json(each) for each in machine.sounds])

    def _spread(self, line: PageLine, machine: LiveMachine | None) -> None:
        """Pass a line of the feed to the pages that show it."""
        if isinstance(line, Beat):
            self._note_beat(line)
        for each in tuple(self._open):
            if machine is not None and each.machine in (None, machine.id):
                self._pass_on(each, line, machine)
            elif isinstance(line, Beat):
                each.send_changes()
                each.put("beat", {"time": rfc3339(line.time), "broker": line.broker_connected})
            elif isinstance(line, Status | SelfTest | BoxAlarm):
                each.put("box", box_summary(self._live).as_json())

    def _note_beat(self, beat: Beat) -> None:
        self._watching.ask(beat.machines)
        for machine in self._live.shown():
            if machine.id not in self._watching.asked:
                machine.sounds.clear()  # they would be of an earlier minute when it is looked at
        self._note_silent()
        if self._configured != (configured := tuple(beat.machines)):
            self._configured = configured
            for each in self._open:
                each.put("box", box_summary(self._live).as_json())
        if self._sparks_of != (period := int(beat.time.timestamp() // PERIOD_S)):
            self._sparks_of = period
            for each in self._open:
                if each.machine is None:
                    self._put_sparks(each, beat.time)

    def _put_sparks(self, subscription: Subscription, now: datetime) -> None:
        sparks = {each.id: asdict(spark_of(each, now)) for each in self._live.shown()}
        subscription.put("sparks", sparks)

    def _note_silent(self) -> None:
        """Let the pages show no more scores of machines that have none any longer."""
        known = {each.id: each for each in self._live.shown() if each.window is not None}
        silent = {name for name, each in known.items() if each.recent_window is None}
        for each in self._open:
            for name in silent - self._silent:
                if each.machine in (None, name):
                    each.note_change(known[name])
        self._silent = silent

    @staticmethod
    def _pass_on(subscription: Subscription, line: PageLine, machine: LiveMachine) -> None:
        if isinstance(line, LiveWindow):
            subscription.note_change(machine)
            if subscription.machine is not None:
                subscription.put("windows", [window_json(line)])
        elif isinstance(line, LiveSound):
            if subscription.machine is not None:
                subscription.put("sounds", [sound_json(line)])
        else:  # a state or an alarm, which is shown at once
            subscription.note_change(machine)
            subscription.send_changes()


def window_json(window: LiveWindow) -> dict[str, Any]:
    """Return a window for a live update."""
    return asdict(window) | {"time": rfc3339(window.time)}


def sound_json(sound: LiveSound) -> dict[str, Any]:
    """Return a block of sound for a live update."""
    return asdict(sound) | {"time": rfc3339(sound.time)}
