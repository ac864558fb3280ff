"""A browser without a screen: requests to the page of a daemon, and its live events."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import urlencode

from tests.doubles.waiting import TIMEOUT_S


def free_port() -> int:
    """Return a port of loopback that no program uses now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@dataclass
class PageBrowser:
    """Requests to a page on a port of loopback."""

    port: int

    def get(self, path: str) -> tuple[int, str]:
        """Return status and text of a page; 0 where nothing listens."""
        try:
            answer, text = self._ask("GET", path)
        except OSError:
            return 0, ""
        return answer.status, text

    def until(
        self, path: str, text: str, status: int = 200, *, limit_s: float = 2 * TIMEOUT_S
    ) -> str:
        """Wait until a page contains a text, and return it."""
        deadline_s = time.monotonic() + limit_s
        found = (0, "")
        while time.monotonic() < deadline_s:
            found = self.get(path)
            if found[0] == status and text in found[1]:
                return found[1]
            time.sleep(0.1)  # another process serves it
        raise AssertionError(f"{path} has no {text!r}: {found}")

    def submit(self, page: str, action: str, **fields: str) -> str:
        """Send a form that is on a page; return the page that the redirect leads to."""
        _, text = self.get(page)
        key = re.search(r'name="form_key" value="([^"]*)"', text)
        assert key is not None, text
        assert f'action="{action}"' in text, text
        body = urlencode({"form_key": key[1], **fields})
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        answer, text = self._ask("POST", action, body, kind)
        assert answer.status == 303, text
        return self.get((answer.getheader("location") or "").partition("#")[0])[1]

    def _ask(
        self, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None
    ) -> tuple[HTTPResponse, str]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer, answer.read().decode()
        finally:
            connection.close()


class LiveEvents:
    """An open stream of events; use it with ``with``."""

    def __init__(self, port: int, path: str) -> None:
        self.events: list[tuple[float, str, Any]] = []
        """Time of arrival (Unix), name and content of each event."""
        self._connection = HTTPConnection("127.0.0.1", port, timeout=2 * TIMEOUT_S)
        self._path = path
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> LiveEvents:
        self._connection.request("GET", self._path)
        self._answer = self._connection.getresponse()
        assert self._answer.status == 200
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection.sock is not None:
            self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(TIMEOUT_S)
        self._connection.close()

    def wait_for(self, name: str, text: str = "") -> float:
        """Wait for an event of a name that contains a text; return when it arrived."""

        def found() -> float | None:
            return next(
                (at for at, n, c in self.events if n == name and text in json.dumps(c)), None
            )

        with self._changed:
            assert self._changed.wait_for(lambda: found() is not None, 2 * TIMEOUT_S), self.events[
                -3:
            ]
            at_s = found()
        assert at_s is not None
        return at_s

    def _read(self) -> None:
        name = ""
        try:
            for line in self._answer:
                text = line.decode().rstrip("\n")
                if text.startswith("event: "):
                    name = text.removeprefix("event: ")
                elif text.startswith("data: "):
                    with self._changed:
                        content = json.loads(text.removeprefix("data: "))
                        self.events.append((time.time(), name, content))
                        self._changed.notify_all()
        except (OSError, ValueError, AttributeError):
            pass  # the stream was closed
