"""Server of the daemon's shared sound; see `asd_monitor.audio.sharing.protocol`.

A program such as `record` can so use a device that the daemon has open.  Sending never waits: a
client that reads too slowly is disconnected.
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
from asd_monitor.audio.sharing.protocol import (
    SOCKET_NAME,
    SharedStream,
    decode_request,
    encode_block,
    encode_refusal,
    encode_response,
)
from asd_monitor.audio.source import Opened
from asd_monitor.audio.wire import MAX_LINE_BYTES, WireError
from asd_monitor.errors import UsageError
from asd_monitor.records import Block

log = structlog.get_logger()

_MAX_UNSENT_BYTES = 4 << 20
_REQUEST_LIMIT_S = 5.0
_SOCKET_MODE = 0o660
_MAX_CLIENTS = 16


@dataclass(eq=False)
class _Client:
    writer: asyncio.StreamWriter
    sequence: int = 0


@dataclass(eq=False)
class PublishedChannel:
    """The sound of one machine, as clients receive it."""

    machine: str
    device: DeviceSpec
    opened: Opened | None = None  # None: the device delivers no sound at present
    on_dropped: Callable[[], None] = lambda: None
    """Called after a client was disconnected because it read too slowly."""
    _clients: list[_Client] = field(default_factory=list)

    def send_block(self, block: Block, monotonic_s: float) -> None:
        """Send a block, read at this monotonic time in s, to all clients; never waits."""
        for client in tuple(self._clients):
            transport = client.writer.transport
            if transport.is_closing():
                self._clients.remove(client)
            elif transport.get_write_buffer_size() > _MAX_UNSENT_BYTES:
                self._clients.remove(client)
                self.on_dropped()
                log.warning(
                    "client of the shared sound disconnected: it reads too slowly",
                    machine=self.machine,
                )
                transport.abort()
            else:
                time_ns = int(monotonic_s * 1e9)
                client.writer.write(encode_block(block, sequence=client.sequence, time_ns=time_ns))
                client.sequence += 1

    def add_client(self, writer: asyncio.StreamWriter, opened: Opened) -> None:
        """Send the response to a client, and every later block."""
        device = str(replace(self.device, channel=None))
        stream = SharedStream(opened, device, self.device.channel or 0)
        writer.write(encode_response(stream))
        self._clients.append(_Client(writer))

    def remove_client(self, writer: asyncio.StreamWriter) -> None:
        """Send no further block to this client."""
        self._clients = [client for client in self._clients if client.writer is not writer]

    def close(self) -> None:
        """Disconnect all clients."""
        for client in self._clients:
            client.writer.close()
        self._clients.clear()


class SharingServer:
    """Server on the socket `sound.sock` in the state folder."""

    def __init__(self, state: Path) -> None:
        self.path = state / SOCKET_NAME
        self._channels: dict[str, PublishedChannel] = {}
        self._server: asyncio.Server | None = None
        self._connections = 0
        self.dropped_clients = 0
        """Number of clients disconnected because they read too slowly."""
        self.refused_clients = 0
        """Number of requests that could not be met."""

    def publish(self, machine: str, device: DeviceSpec) -> PublishedChannel:
        """Return a new channel for the sound of a machine; `withdraw` ends it."""
        channel = PublishedChannel(machine, device, on_dropped=self._count_dropped)
        self._channels[machine] = channel
        return channel

    def withdraw(self, channel: PublishedChannel) -> None:
        """Disconnect the clients of a channel and accept no others."""
        channel.close()
        if self._channels.get(channel.machine) is channel:
            del self._channels[channel.machine]

    def _count_dropped(self) -> None:
        self.dropped_clients += 1

    async def start(self) -> None:
        """Start to serve; a socket that cannot be created is logged, and nothing is shared."""
        try:
            sock = _bind(self.path)
            self._server = await asyncio.start_unix_server(
                self._serve, sock=sock, limit=MAX_LINE_BYTES
            )
        except OSError as error:
            log.warning(
                "sound sharing is off: other programs cannot use a device that the daemon has open",
                socket=str(self.path),
                reason=str(error),
            )

    async def stop(self) -> None:
        """Disconnect all clients and remove the socket."""
        for channel in tuple(self._channels.values()):
            self.withdraw(channel)
        if self._server is not None:
            self._server.close()
            self._server = None
            with contextlib.suppress(OSError):
                self.path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            channel = await self._respond(reader, writer)
            if channel is not None:
                try:
                    while await reader.read(1 << 12):  # ends when the client disconnects
                        pass
                finally:
                    channel.remove_client(writer)
        except (OSError, TimeoutError):
            log.debug("client of the shared sound disconnected")
        finally:
            self._connections -= 1
            writer.close()

    async def _respond(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> PublishedChannel | None:
        try:
            async with asyncio.timeout(_REQUEST_LIMIT_S):
                line = await reader.readuntil(b"\n")
            channel, opened = self._select(line)
        except (UsageError, WireError, asyncio.LimitOverrunError) as refusal:
            self.refused_clients += 1
            writer.write(encode_refusal(str(refusal)))
            await writer.drain()
            return None
        except asyncio.IncompleteReadError:
            return None
        channel.add_client(writer, opened)
        return channel

    def _select(self, line: bytes) -> tuple[PublishedChannel, Opened]:
        channel = self._find(*decode_request(line))
        if self._connections > _MAX_CLIENTS:
            raise UsageError(
                f"{_MAX_CLIENTS} programs receive the daemon's sound already: end one of them"
            )
        if channel.opened is None:
            raise UsageError(f"{channel.device} delivers no sound at present: see the daemon's log")
        return channel, channel.opened

    def _find(self, device: str | None, machine: str | None) -> PublishedChannel:
        if machine is not None:
            if machine not in self._channels:
                machines = ", ".join(sorted(self._channels)) or "none"
                raise UsageError(f"no machine {machine}; monitored: {machines}")
            return self._channels[machine]
        wanted = parse_device(device or "")
        for channel in self._channels.values():
            if _is_same_channel(wanted, channel.device):
                return channel
        devices = ", ".join(sorted(str(each.device) for each in self._channels.values())) or "none"
        raise UsageError(f"no machine uses the device {wanted}; in use: {devices}")


def _is_same_channel(one: DeviceSpec, other: DeviceSpec) -> bool:
    return replace(one, channel=one.channel or 0) == replace(other, channel=other.channel or 0)


def _bind(path: Path) -> socket.socket:
    """Return a socket at `path` for owner and group only; raises OSError."""
    path.unlink(missing_ok=True)  # the lock on the state folder excludes another server
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(str(path))
        path.chmod(_SOCKET_MODE)  # before it listens, so nobody has connected yet
    except OSError:
        sock.close()
        raise
    return sock
