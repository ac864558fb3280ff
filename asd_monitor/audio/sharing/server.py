"""Serves the sound of the devices that the daemon holds, so that `record` can hear it too.

The protocol is that of `asd_monitor.audio.sharing.client`.  A listener hands each block
over and goes on; a client that reads too slowly is cut off.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import structlog

from asd_monitor.audio.devices.device_strings import DeviceSpec, parse_device
from asd_monitor.audio.sharing.client import (
    SOCKET_NAME,
    decode_request,
    encode_answer,
    encode_block,
    encode_refusal,
)
from asd_monitor.audio.source import Opened
from asd_monitor.audio.wire import MAX_LINE_BYTES, WireError
from asd_monitor.errors import UsageError
from asd_monitor.records import Block

log = structlog.get_logger()

_MOST_UNSENT_BYTES = 4 << 20
_REQUEST_S = 5.0
_MODE = 0o660
_MOST_CLIENTS = 16


@dataclass(eq=False)
class _Client:
    writer: asyncio.StreamWriter
    sequence: int = 0


@dataclass(eq=False)
class Outlet:
    """One machine's sound, as it can be heard from outside."""

    machine: str
    device: DeviceSpec
    opened: Opened | None = None  # None: nothing is heard at the moment
    on_dropped: Callable[[], None] = lambda: None
    _clients: list[_Client] = field(default_factory=list)

    def hand_over(self, block: Block, monotonic_s: float) -> None:
        """Send a block to all who listen; never waits."""
        for client in tuple(self._clients):
            transport = client.writer.transport
            if transport.is_closing():
                self._clients.remove(client)
            elif transport.get_write_buffer_size() > _MOST_UNSENT_BYTES:
                self._clients.remove(client)
                self.on_dropped()
                log.warning("a program that hears along is too slow: cut off", machine=self.machine)
                transport.abort()
            else:
                time_ns = int(monotonic_s * 1e9)
                client.writer.write(encode_block(block, sequence=client.sequence, time_ns=time_ns))
                client.sequence += 1

    def add(self, writer: asyncio.StreamWriter, opened: Opened) -> None:
        """Let one more hear; the answer goes out before any block."""
        channel = self.device.channel or 0
        answer = encode_answer(
            opened, device=str(replace(self.device, channel=None)), channel=channel
        )
        writer.write(answer)
        self._clients.append(_Client(writer))

    def remove(self, writer: asyncio.StreamWriter) -> None:
        """Forget one who has left."""
        self._clients = [client for client in self._clients if client.writer is not writer]

    def close(self) -> None:
        """Hang up on all."""
        for client in self._clients:
            client.writer.close()
        self._clients.clear()


class SoundSharing:
    """The socket `sound.sock` in the state folder."""

    def __init__(self, state: Path) -> None:
        self.path = state / SOCKET_NAME
        self._outlets: dict[str, Outlet] = {}
        self._server: asyncio.Server | None = None
        self._connections = 0
        self.dropped_clients = 0
        """Programs that read too slowly and were cut off."""

    def outlet(self, machine: str, device: DeviceSpec) -> Outlet:
        """Return a new outlet for a machine; `withdraw` ends it."""
        outlet = Outlet(machine, device, on_dropped=self._count_dropped)
        self._outlets[machine] = outlet
        return outlet

    def withdraw(self, outlet: Outlet) -> None:
        """Hang up on those who hear this outlet."""
        outlet.close()
        if self._outlets.get(outlet.machine) is outlet:
            del self._outlets[outlet.machine]

    def _count_dropped(self) -> None:
        self.dropped_clients += 1

    async def start(self) -> None:
        """Begin to serve; without a socket the daemon goes on and says so."""
        try:
            sock = _bound(self.path)
            self._server = await asyncio.start_unix_server(
                self._serve, sock=sock, limit=MAX_LINE_BYTES
            )
        except OSError as error:
            log.warning(
                "other programs cannot hear along while the daemon holds a device",
                socket=str(self.path),
                reason=str(error),
            )

    async def stop(self) -> None:
        """Hang up on all and remove the socket."""
        for outlet in tuple(self._outlets.values()):
            self.withdraw(outlet)
        if self._server is not None:
            self._server.close()
            self._server = None
            with contextlib.suppress(OSError):
                self.path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            outlet = await self._answer(reader, writer)
            if outlet is not None:
                try:
                    while await reader.read(1 << 12):  # ends when the client leaves
                        pass
                finally:
                    outlet.remove(writer)
        except (OSError, TimeoutError):
            log.debug("a program that wanted to hear along has gone")
        finally:
            self._connections -= 1
            writer.close()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Outlet | None:
        try:
            async with asyncio.timeout(_REQUEST_S):
                line = await reader.readuntil(b"\n")
            outlet, opened = self._choose(line)
        except (UsageError, WireError, asyncio.LimitOverrunError) as refusal:
            writer.write(encode_refusal(str(refusal)))
            await writer.drain()
            return None
        except asyncio.IncompleteReadError:
            return None
        outlet.add(writer, opened)
        return outlet

    def _choose(self, line: bytes) -> tuple[Outlet, Opened]:
        outlet = self._find(*decode_request(line))
        if self._connections > _MOST_CLIENTS:
            raise UsageError("too many programs hear along already: end one of them")
        if outlet.opened is None:
            raise UsageError(f"{outlet.device} is not heard at the moment: see the daemon's log")
        return outlet, outlet.opened

    def _find(self, device: str | None, machine: str | None) -> Outlet:
        if machine is not None:
            if machine not in self._outlets:
                raise UsageError(
                    f"no machine {machine} here; there are: {', '.join(sorted(self._outlets))}"
                )
            return self._outlets[machine]
        wanted = parse_device(device or "")
        for outlet in self._outlets.values():
            if _same_channel(wanted, outlet.device):
                return outlet
        there_are = ", ".join(sorted(str(outlet.device) for outlet in self._outlets.values()))
        raise UsageError(f"no machine here listens to {wanted}; there are: {there_are}")


def _same_channel(one: DeviceSpec, other: DeviceSpec) -> bool:
    return replace(one, channel=one.channel or 0) == replace(other, channel=other.channel or 0)


def _bound(path: Path) -> socket.socket:
    """Return a socket at `path` that only owner and group may use; raises OSError."""
    path.unlink(missing_ok=True)  # the lock on the state folder tells that nobody else serves it
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(str(path))
        path.chmod(_MODE)  # nobody can connect before it listens
    except OSError:
        sock.close()
        raise
    return sock
