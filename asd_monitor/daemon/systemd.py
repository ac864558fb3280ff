"""Notification of the service manager, by the protocol of ``sd_notify(3)``."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping


class SystemdNotifier:
    """Sends state messages to systemd; does nothing where no socket is configured."""

    def __init__(self, address: str | None = None, watchdog_s: float | None = None) -> None:
        self._address = address
        self.watchdog_s = watchdog_s
        """Longest interval between two `feed_watchdog`, in s; None: the watchdog is off."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> SystemdNotifier:
        """Read ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID`` as systemd sets them."""
        usec = environment.get("WATCHDOG_USEC", "")
        meant_for = environment.get("WATCHDOG_PID") or str(os.getpid())
        watchdog_s = None
        if usec.isdecimal() and int(usec) > 0 and meant_for == str(os.getpid()):
            watchdog_s = int(usec) / 1e6
        return cls(environment.get("NOTIFY_SOCKET") or None, watchdog_s)

    def ready(self, status: str) -> None:
        """Report that start-up or a reload is complete."""
        self._send(f"READY=1\nSTATUS={status}")

    def status(self, status: str) -> None:
        """Set the line that ``systemctl status`` shows."""
        self._send(f"STATUS={status}")

    def reloading(self) -> None:
        """Report that a reload has begun; `ready` ends it."""
        now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={now_us}\nSTATUS=reloading")

    def stopping(self) -> None:
        """Report that a clean stop has begun."""
        self._send("STOPPING=1\nSTATUS=stopping")

    def feed_watchdog(self) -> None:
        """Restart the watchdog timer."""
        self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if self._address is None:
            return
        address = self._address
        if address.startswith("@"):
            address = "\0" + address[1:]
        # monitoring goes on without a service manager; systemd restarts a silent service
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.settimeout(0)
                sock.sendto(message.encode(), address)
        except OSError:
            return
