"""The page without a server: its application over a state that a test fills, and ASGI requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from asd_monitor.daemon.page_protocol import Beat, LiveWindow, PageSetup
from asd_monitor.publish.messages import State
from asd_monitor.records import MachineState, MicrophoneState, Thresholds
from asd_monitor.web.access_token import Access
from asd_monitor.web.app import PageParts, build_app
from asd_monitor.web.event_stream import EventStreams
from asd_monitor.web.feed_reader import Watching
from asd_monitor.web.history import History
from asd_monitor.web.job_file import JobFile
from asd_monitor.web.jobs import Jobs
from asd_monitor.web.live_state import LiveState

TOKEN = "correct horse battery"  # noqa: S105 - of tests
LISTEN = "127.0.0.1:9464"
_histories: list[History] = []


@dataclass(frozen=True)
class Answer:
    """The answer to a request."""

    status: int
    headers: list[tuple[str, str]]
    body: str

    def header(self, name: str) -> str | None:
        """Return a header; None where it is missing."""
        return next((value for each, value in self.headers if each == name), None)


@dataclass
class PageClient:
    """Sends requests to an application, as a browser on this computer does."""

    live: LiveState
    app: Any
    streams: EventStreams
    access: Access
    jobs: Jobs
    reloads: list[bool] = field(default_factory=list)
    """Requests to the daemon to reload."""
    headers: dict[str, str] = field(default_factory=lambda: {"host": "localhost:9464"})
    now_s: float = 0.0
    """The monotonic clock of the page."""

    async def get(self, path: str, **headers: str) -> Answer:
        """Request a page."""
        return await self.ask("GET", path, headers)

    async def post(self, path: str, fields: Mapping[str, str], **headers: str) -> Answer:
        """Send a form with its key."""
        body = urlencode({"form_key": self.access.form_key(self.session), **fields})
        kind = {"content-type": "application/x-www-form-urlencoded"}
        return await self.ask("POST", path, kind | headers, body.encode())

    @property
    def session(self) -> str:
        """The cookie of the session."""
        return self.headers.get("cookie", "").partition("=")[2]

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> Answer:
        """Send a request; names of headers may have `_` for `-`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        messages = [{"type": "http.request", "body": body, "more_body": False}]
        status = 0
        found: list[tuple[str, str]] = []
        parts: list[bytes] = []

        async def receive() -> dict[str, Any]:
            if not messages:  # the browser stays until it has its answer
                await asyncio.Event().wait()
            return messages.pop()

        async def send(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                found.extend((k.decode(), v.decode()) for k, v in message["headers"])
            else:
                parts.append(message.get("body", b""))

        await self.app(self.scope(method, path, sent), receive, send)
        return Answer(status, found, b"".join(parts).decode())

    def scope(self, method: str, path: str, headers: Mapping[str, str]) -> dict[str, Any]:
        """Return the ASGI scope of a request."""
        path, _, query = path.partition("?")
        both = {**self.headers, **headers}
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in both.items()],
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 9464),
        }


def page_client(
    state: Path, *, token: str | None = None, machines: tuple[str, ...] = ("fan01",)
) -> PageClient:
    """Return a page that has heard of its machines once."""
    setup = PageSetup(
        listen=LISTEN,
        token_file=None,
        state=str(state),
        models=str(state / "models"),
        config=None,
        box="edge",
        version="1.2.3",
    )
    live = LiveState(setup, lambda: client.now_s)
    streams = EventStreams(live, Watching())
    access = Access(token, b"0" * 32)
    jobs = Jobs(JobFile(state), on_change=lambda: client.reloads.append(True))
    history = History(state)
    _histories.append(history)
    parts = PageParts(live, access, streams, history, jobs)
    client = PageClient(live, build_app(parts), streams, access, jobs)
    live.take(Beat(datetime.now(UTC), broker_connected=True, machines=machines, dropped=0))
    return client


async def end_histories() -> None:
    """Close the files of the histories that pages have opened."""
    while _histories:
        await _histories.pop().end()


def state_of(machine: str, state: MachineState = MachineState.NORMAL, **values: Any) -> State:
    """Return a state message."""
    now = datetime.now(UTC)
    known: dict[str, Any] = {
        "machine": machine,
        "time": now,
        "state": state,
        "microphone": MicrophoneState.OK,
        "evaluated": True,
        "since": now,
        "last_evaluated": None,
        "score": None,
        "alarm_score": None,
        "model": "v1",
        "provisional": False,
        "box": "edge",
        "clock_synced": True,
        "reason": None,
    }
    return State(**(known | values))


def window_of(machine: str, alarm_score: float = 0.5, time: datetime | None = None) -> LiveWindow:
    """Return a window of live sound."""
    return LiveWindow(
        machine,
        time or datetime.now(UTC),
        score=1.0,
        alarm_score=alarm_score,
        scales={"10": alarm_score},
        thresholds=Thresholds(2.0, 5.42),
        state=MachineState.NORMAL,
        rms_dbfs=-30.0,
    )


async def first_events(stream: AsyncIterator[bytes], count: int) -> list[bytes]:
    """Return the first events of a stream."""
    found = []
    async for event in stream:
        found.append(event)
        if len(found) == count:
            break
    return found
