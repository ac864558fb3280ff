"""The receiving end of the protocol of `sd_notify`."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path


class Systemd:
    """The receiving end of `NOTIFY_SOCKET`."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(0)
        self._lines: list[str] = []

    def received(self) -> list[str]:
        """Return all lines so far."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self._lines += self._socket.recv(4096).decode().splitlines()
        return self._lines

    def close(self) -> None:
        self._socket.close()

    @property
    def fed(self) -> int:
        """How often the watchdog was fed so far."""
        return self.received().count("WATCHDOG=1")
