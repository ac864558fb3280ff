"""Talks to systemd, and judges whether every machine is still being looked after.

systemd restarts the daemon when it does not hear `WATCHDOG=1` in time.  That is sent
only while each machine's work advances or its standstill has a declared reason
(`no_device`, a recording that has ended …); a daemon whose event loop runs while one
of its pipelines hangs is therefore restarted.  The protocol is that of `sd_notify(3)`.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkProgress:
    """Where one machine's work stands."""

    progress: int  # grows with the work done; samples or steps, any unit
    excuse: str | None = None  # why no progress is to be expected


class HangDetector:
    """Remembers when each machine last advanced.

    >>> vigil = Vigil(patience_s=10)
    >>> vigil.stuck(0.0, {"fan01": Pulse(1)})
    []
    >>> vigil.stuck(11.0, {"fan01": Pulse(1)})
    ['fan01']
    >>> vigil.stuck(12.0, {"fan01": Pulse(1, excuse="no_device")})
    []
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._seen: dict[str, tuple[int, float]] = {}

    def stuck(self, now_s: float, pulses: Mapping[str, WorkProgress]) -> list[str]:
        """Return the machines that have not advanced for too long without an excuse."""
        late = []
        for machine, pulse in pulses.items():
            progress, since_s = self._seen.get(machine, (None, now_s))
            if pulse.progress != progress or pulse.excuse is not None:
                since_s = now_s
            elif now_s - since_s > self._patience_s:
                late.append(machine)
            self._seen[machine] = (pulse.progress, since_s)
        for gone in self._seen.keys() - pulses.keys():
            del self._seen[gone]
        return late


class ServiceManager:
    """The side of systemd that a service speaks to; silent where there is none."""

    def __init__(self, address: str | None = None, watchdog_s: float | None = None) -> None:
        self._address = address
        self.watchdog_s = watchdog_s
        """Longest allowed silence between two `alive()`, or None: nobody waits for it."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> ServiceManager:
        """Read `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` as systemd sets them."""
        usec = environment.get("WATCHDOG_USEC", "")
        meant_for = environment.get("WATCHDOG_PID") or str(os.getpid())
        watchdog_s = None
        if usec.isdecimal() and int(usec) > 0 and meant_for == str(os.getpid()):
            watchdog_s = int(usec) / 1e6
        return cls(environment.get("NOTIFY_SOCKET") or None, watchdog_s)

    def ready(self, status: str) -> None:
        """Say that start-up or a reload is over."""
        self._send(f"READY=1\nSTATUS={status}")

    def status(self, status: str) -> None:
        """Set the line that `systemctl status` shows."""
        self._send(f"STATUS={status}")

    def reloading(self) -> None:
        """Say that the configuration is being read again; `ready` ends it."""
        now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={now_us}\nSTATUS=reloading")

    def stopping(self) -> None:
        """Say that a clean stop has begun."""
        self._send("STOPPING=1\nSTATUS=stopping")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if self._address is None:
            return
        address = self._address
        if address.startswith("@"):
            address = "\0" + address[1:]
        # A manager that is gone or slow must not stop the listening; it restarts us if it minds.
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.settimeout(0)
                sock.sendto(message.encode(), address)
        except OSError:
            return
