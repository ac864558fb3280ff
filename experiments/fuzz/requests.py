"""Damaged requests to the page, as the HTTP server receives them.

A case is twenty requests of one connection: those of a browser with changed methods, addresses,
headers, cookies and bodies, every form with damaged fields, and bytes that are no HTTP.  They pass
the protocol, the guard and the pages, with a token and without; an answer 500 is a failure.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from uvicorn.server import ServerState

from asd_monitor.daemon.page_protocol import Beat, PageSetup, read_line
from asd_monitor.web.access_token import Access
from asd_monitor.web.app import PageParts, build_app
from asd_monitor.web.event_stream import EventStreams
from asd_monitor.web.feed_reader import Watching
from asd_monitor.web.history import History
from asd_monitor.web.job_file import JobFile
from asd_monitor.web.jobs import Jobs
from asd_monitor.web.live_state import LiveState
from asd_monitor.web.server import page_server
from tests.doubles.alarm_commands import write_alarms

_REQUESTS = 20
_TOKEN = "a token of the fuzzer"  # noqa: S105
_BEAT = (
    b'{"schema":"asd.page-beat/1","time":"2026-03-02T10:00:00.000Z","broker_connected":true,'
    b'"machines":["fan01","pump02"],"dropped":0}'
)
_PATHS = (
    *("/", "/alarms", "/models", "/login", "/logout", "/healthz", "/readyz", "/metrics"),
    *("/machines/fan01", "/machines/fan01?span=week", "/machines/fan01/out-of-service"),
    *("/alarms/fan01-20261123T044500Z", "/alarms/fan01-20261123T044500Z/ack", "/alarms?machine=x"),
    *("/alarms/fan01-20261123T044500Z/evidence/index.html", "/models/fan01/refit"),
    *("/models/fan01/v1/report", "/models/fan01/v1/promote", "/static/page.css", "/static/x"),
    *("/recordings", "/recordings/work", "/recordings/fan01/record", "/recordings/fan01/train"),
)
_ALARM = "/alarms/fan01-20261123T044500Z"
_FORMS = (
    *(f"{_ALARM}/{verb}" for verb in ("ack", "shelve", "unshelve", "label", "mark-normal")),
    *("/machines/fan01/out-of-service", "/machines/fan01/in-service", "/login", "/logout"),
    *("/models/fan01/refit", "/models/fan01/rollback"),
    *("/models/fan01/v1/promote", "/models/fan01/v1/compare"),
    *("/recordings/stop", "/recordings/fan01/record", "/recordings/fan01/train"),
    "/recordings/fan01/20261123T044500Z/delete",
)
_KEY = "K" * len(Access(None, b"0" * 32).form_key(""))
"""In the place of the key of a form, which differs between the pages."""
_FIELDS = (
    *("who", "why", "hours", "until", "utc_offset_min", "label", "withdraw", "token", "anyway"),
    *("since", "minutes", "use:20261123T044500Z", "use:..", "use:", "next"),
)
_VALUES = (
    *("", "ann", "8", "until", "1", "0", "-1", "1e9", "nan", "inf", "9" * 400, "yes", "valid"),
    *("2026-11-23T06:00", "9999-12-31T23:59", "0001-01-01T00:00", "2026-02-30T00:00", "%00", "%ff"),
    *("..%2f..%2fx", "%F0%9F%98%80", "a" * 600, "%0d%0aX:y", "-14%3A00", "--help", "%E2%80%AE"),
)
_PARTS = (
    *("..", "%2e%2e", "%00", "%ff", "//", "\\", "?", "#", "%", "é", "😀", "{}", "<script>", "'"),
    *(
        "a" * 300,
        "a" * 3000,
        "%2f",
        ";",
        "&",
        "=",
        "machine=",
        "request=",
        "span=",
        "next=//x",
        ".",
    ),
)
_HEADERS = (
    *("Host: evil.example", "Host: ", "Host: [::1", "Host: localhost:x", "Cookie: asd_page_9464=x"),
    *("Cookie: " + "a=b; " * 500, "Cookie: \x80=\xff", "Authorization: Bearer " + _TOKEN),
    *("Authorization: Bearer x", "Authorization: \xff", "Origin: null", "Origin: http://x"),
    *("Sec-Fetch-Site: cross-site", "Content-Length: 99999999", "Content-Length: -1"),
    *("Content-Length: 3", "Transfer-Encoding: chunked", "Content-Type: multipart/form-data"),
    *("Content-Type: application/x-www-form-urlencoded", "Range: bytes=9-1", "Range: bytes=0-"),
    *("Accept: text/html", "Connection: close", "Expect: 100-continue", "Upgrade: websocket"),
    *("X: " + "y" * 20_000, "no colon", " : ", "If-Range: x", "Accept-Encoding: gzip"),
)
_BODIES = (
    *(b"", b"a=b", b"form_key=x&who=ann", b"token=" + _TOKEN.encode(), b"=&=&=", b"&" * 100),
    *(b"a" * 20_000, b"\xff\x00", b"who=%ff", b"who=%00&why=%0d%0a", b"5\r\nhello\r\n0\r\n\r\n"),
)
_METHODS = ("GET", "GET", "GET", "POST", "POST", "HEAD", "PUT", "OPTIONS", "get", "", "X" * 500)


class DamagedRequests:
    """Requests to the page of a box with two machines."""

    name = "requests"

    def prepare(self) -> None:
        """Write a journal with an alarm of each machine."""
        self._folder = tempfile.TemporaryDirectory(prefix="fuzz-state-")
        write_alarms(Path(self._folder.name))

    def write_case(self, rng: np.random.Generator, folder: Path) -> str:
        """Write the requests of one connection each, as bytes."""
        requests = [_request(rng) for _ in range(_REQUESTS)]
        content = [request.decode("latin-1") for request in requests]
        (folder / "requests.json").write_text(json.dumps(content))
        return f"{len(requests)} requests"

    def run_case(self, folder: Path) -> str:
        """Send them, to a page with a token and to one without; return the kinds of answers."""
        requests = [
            text.encode("latin-1") for text in json.loads((folder / "requests.json").read_text())
        ]
        shutil.copytree(self._folder.name, folder / "state")
        kinds: set[str] = set()
        for token in (None, _TOKEN):
            kinds |= asyncio.run(_answers(folder / "state", token, requests))
        return "+".join(sorted(kinds)) or "nothing"


def _request(rng: np.random.Generator) -> bytes:
    def choice(values: Any) -> Any:
        return values[int(rng.integers(len(values)))]

    is_form = rng.random() < 0.35
    path = choice(_FORMS if is_form else _PATHS)
    for _ in range(int(rng.integers(5)) // 3):
        at = int(rng.integers(len(path) + 1))
        path = path[:at] + choice(_PARTS) + path[at:]
    headers = ["Host: localhost:9464"] if rng.random() < 0.9 else []
    headers += [choice(_HEADERS) for _ in range(int(rng.integers(6)) // 2)]
    body = choice(_BODIES)
    if is_form:
        pairs = [f"{choice(_FIELDS)}={choice(_VALUES)}" for _ in range(int(rng.integers(8)))]
        body = "&".join([f"form_key={_KEY}", *pairs]).encode()
        headers.append("Content-Type: application/x-www-form-urlencoded")
        if rng.random() < 0.5:
            headers.append(f"Authorization: Bearer {_TOKEN}")
    if is_form or rng.random() < 0.7:
        headers.append(f"Content-Length: {len(body)}")
    method = "POST" if is_form else choice(_METHODS)
    head = "\r\n".join([f"{method} {path} HTTP/1.1", *headers, "", ""])
    request = bytearray(head.encode("utf-8", "replace") + body)
    if rng.random() < 0.2:
        for _ in range(int(rng.integers(1, 6))):
            request[int(rng.integers(len(request)))] = int(rng.integers(256))
    return bytes(request)


class _Transport(asyncio.Transport):
    """Keeps what the server writes."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self._is_closed = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 9464) if name in ("peername", "sockname") else default

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self._is_closed = True

    def is_closing(self) -> bool:
        return self._is_closed

    def pause_reading(self) -> None:
        """Go on: a case is small."""

    def resume_reading(self) -> None:
        """Go on: a case is small."""


async def _answers(state: Path, token: str | None, requests: list[bytes]) -> set[str]:
    """Return the first digits of the answers.  Raises AssertionError for an answer 500."""
    setup = PageSetup("127.0.0.1:9464", None, str(state), str(state), None, "edge", "1")
    live = LiveState(setup, lambda: 0.0)
    beat = read_line(_BEAT)
    if not isinstance(beat, Beat):
        raise TypeError(beat)
    live.take(beat)
    streams = EventStreams(live, Watching())
    # a program that only ends stands for asd-monitor
    jobs = Jobs(JobFile(state), on_change=lambda: None, program=("true",))
    history = History(state)
    access = Access(token, b"0" * 32)
    parts = PageParts(live, access, streams, history, jobs)
    config: uvicorn.Config = page_server(build_app(parts)).config
    config.load()
    kinds: set[str] = set()
    for written in requests:
        request = written.replace(_KEY.encode(), access.form_key("").encode())
        server = ServerState()
        transport = _Transport()
        protocol = config.http_protocol_class(config=config, server_state=server, app_state={})  # type: ignore[call-arg]
        protocol.connection_made(transport)
        protocol.data_received(request)
        protocol.eof_received()
        if server.tasks:
            done, late = await asyncio.wait(server.tasks, timeout=0.2)
            for each in late:  # waits for the rest of a body
                each.cancel()
            for each in done:
                each.result()
        protocol.connection_lost(None)
        statuses = re.findall(rb"HTTP/1\.1 (\d)(\d\d) ", transport.written)
        if (b"5", b"00") in statuses:
            raise AssertionError(f"answered 500: {request[:500]!r}")
        kinds |= {f"{kind.decode()}xx" for kind, _ in statuses}
    await jobs.close()
    await history.end()
    return kinds
