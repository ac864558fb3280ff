"""Brokers that do not keep to the protocol, refuse, stall, or have tight limits.

Each behaves so for a while, in which alarms rise; then a mosquitto takes its place, and every
event has to arrive.
"""

from __future__ import annotations

import re
import signal
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

from asd_monitor.errors import OperationError
from experiments.chaos.box import Box, until
from experiments.chaos.journal_reading import read_content
from experiments.chaos.process import ChaosProcess
from experiments.chaos.scenario import Findings, Place, Scenario
from tests.doubles.fake_broker import (
    CONNACK_5,
    CONNACK_311,
    CONNACK_WRONG_VERSION,
    DISCONNECT,
    DISCONNECT_TAKEN_OVER,
    PINGREQ,
    PUBLISH,
    ClientConnection,
    FakeBroker,
)

MISBEHAVES_S = 15.0
RECOVERY_LIMIT_S = 31.0
"""Alarms are out so long after the broker's recovery; the longest pause before a connection is 30 s
and is followed by the connection itself."""
_TAKEOVER_LIMIT_S = 62.0  # two clients must not alternate: pauses grow to a minute
MEMORY_MB = 200.0
_SEEN_LIMIT_S = 60.0
_LEFT_OUT_S = 45.0  # longer than the session waits for an acknowledgement
_PATIENCE_S = 120.0
_SUBSCRIBE = 8
_REPORTED = re.compile(r"^\S+ \[(?:warning|error)\] .* broker=localhost", re.MULTILINE)
_LARGE_BYTES = 256 << 20

Behaviour = Callable[[ClientConnection], None]


def _accept(client: ClientConnection, properties: bytes = b"") -> None:
    if client.level < 5:
        client.sock.sendall(CONNACK_311)
    elif not properties:
        client.sock.sendall(CONNACK_5)
    else:
        body = bytes([0, 0, len(properties)]) + properties
        client.sock.sendall(bytes([0x20, len(body)]) + body)


def _ignore(client: ClientConnection, *, pings: bool = False) -> None:
    """Read to the end of the connection, and answer nothing but pings where it is said."""
    while (packet := client.read()) is not None:
        if pings and packet[0] >> 4 == PINGREQ:
            client.sock.sendall(b"\xd0\0")


def _silent(client: ClientConnection) -> None:
    _ignore(client)


def _late_connack(client: ClientConnection) -> None:
    threading.Event().wait(12.0)  # more than the session waits for it
    _accept(client)
    client.serve()


def _closes_at_event(client: ClientConnection) -> None:
    _accept(client)
    while (packet := client.read()) is not None:
        head, body = packet
        if head >> 4 == PUBLISH:
            packet_id = client.record_publish(head, body)
            if client.publishes[-1][0].endswith("/event"):
                return
            if packet_id is not None:
                client.acknowledge(packet_id)
        elif head >> 4 == PINGREQ:
            client.sock.sendall(b"\xd0\0")


def _closes_at_publish(client: ClientConnection) -> None:
    _accept(client)
    while (packet := client.read()) is not None:
        if packet[0] >> 4 == PUBLISH:
            return


def _never_acknowledges(client: ClientConnection) -> None:
    _accept(client)
    _ignore(client, pings=True)


def _ignores_events(client: ClientConnection) -> None:
    _accept(client)
    _serve_publishes(client, lambda topic: None if topic.endswith("/event") else 0)


def _serve_publishes(
    client: ClientConnection, code_of: Callable[[str], int | None], shift: int = 0
) -> None:
    """Answer every message with a reason code; None: with nothing."""
    while (packet := client.read()) is not None:
        head, body = packet
        if head >> 4 == PUBLISH:
            packet_id = client.record_publish(head, body)
            code = code_of(client.publishes[-1][0])
            if packet_id is not None and code is not None:
                acknowledged = ((packet_id + shift) % 65536).to_bytes(2)
                answer = acknowledged + (bytes([code, 0]) if client.level >= 5 else b"")
                client.sock.sendall(bytes([0x40, len(answer)]) + answer)
        elif head >> 4 == PINGREQ:
            client.sock.sendall(b"\xd0\0")
        elif head >> 4 == DISCONNECT:
            return


def _unknown_ids(client: ClientConnection) -> None:
    _accept(client)
    _serve_publishes(client, lambda _: 0, shift=1000)


def _refuses(code: int) -> Behaviour:
    def behave(client: ClientConnection) -> None:
        _accept(client)
        _serve_publishes(client, lambda _: code)

    return behave


def _disconnects(code: int) -> Behaviour:
    def behave(client: ClientConnection) -> None:
        _accept(client)
        client.read()
        client.sock.sendall(bytes([0xE0, 2, code, 0]))

    return behave


def _refuses_connection(code: int) -> Behaviour:
    def behave(client: ClientConnection) -> None:
        answer = bytes([0, code, 0]) if client.level >= 5 else bytes([0, 3])
        client.sock.sendall(bytes([0x20, len(answer)]) + answer)

    return behave


def _taken_over(client: ClientConnection) -> None:
    _accept(client)
    client.read()
    client.sock.sendall(DISCONNECT_TAKEN_OVER)


def _closes_after_connack(client: ClientConnection) -> None:
    _accept(client)


def _unsubscribed(client: ClientConnection) -> None:
    _accept(client)
    topic = b"other/topic"
    client.sock.sendall(bytes([0x30, 2 + len(topic) + 4]) + b"\0\x0b" + topic + b"\0abc")
    client.serve()


def _large_message(client: ClientConnection) -> None:
    _accept(client)
    length, sizes = _LARGE_BYTES - 1, bytearray()
    while length:
        sizes.append(length % 128 | (0x80 if length > 127 else 0))
        length //= 128
    client.sock.sendall(bytes([0x30]) + sizes + b"\0\x0bother/topic\0")
    for _ in range(_LARGE_BYTES >> 20):
        client.sock.sendall(bytes(1 << 20))


def _unreleased(client: ClientConnection) -> None:
    _accept(client)
    for packet_id in count(1):
        body = b"\0\x0bother/topic" + (packet_id % 65535 + 1).to_bytes(2) + b"\0" + bytes(60_000)
        client.sock.sendall(bytes([0x34, *_length(len(body))]) + body)


def _length(number: int) -> bytes:
    field_ = bytearray()
    while True:
        field_.append(number % 128 | (0x80 if number > 127 else 0))
        number //= 128
        if not number:
            return bytes(field_)


def _byte_by_byte(client: ClientConnection) -> None:
    answer = CONNACK_5 if client.level >= 5 else CONNACK_311
    pause = threading.Event()
    for byte in answer:
        client.sock.sendall(bytes([byte]))
        pause.wait(0.3)
    while (packet := client.read()) is not None:
        head, body = packet
        packet_id = client.record_publish(head, body) if head >> 4 == PUBLISH else None
        answer = b"\xd0\0" if head >> 4 == PINGREQ else b""
        if packet_id is not None:
            answer = bytes([0x40, 2]) + packet_id.to_bytes(2)
        for byte in answer:
            client.sock.sendall(bytes([byte]))
            pause.wait(0.02)


def _receive_maximum(client: ClientConnection) -> None:
    _accept(client, b"\x21\x00\x01")
    client.serve()


def _small_packets(client: ClientConnection) -> None:
    _accept(client, b"\x27\x00\x00\x00\x64")
    client.serve()


def _short_keep_alive(client: ClientConnection) -> None:
    _accept(client, b"\x13\x00\x01")
    client.sock.settimeout(1.5)  # MQTT 5, section 3.1.2.10: one and a half times
    client.serve()


def _http(client: ClientConnection) -> None:
    client.sock.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n<html></html>")


def _only_311(client: ClientConnection) -> None:
    if client.level >= 5:
        client.sock.sendall(CONNACK_WRONG_VERSION)
        return
    _accept(client)
    client.serve()


def _random_bytes(client: ClientConnection) -> None:
    client.sock.sendall(bytes(range(255, 0, -1)) * 20)


def _pings_unasked(client: ClientConnection) -> None:
    _accept(client)
    client.sock.sendall(b"\xd0\0" * 50_000)
    client.serve()


def _connack_twice(client: ClientConnection) -> None:
    _accept(client)
    _accept(client)
    client.serve()


@dataclass(frozen=True, slots=True)
class BrokenBroker:
    """A broker that behaves in one way until a mosquitto takes its place."""

    name: str
    fault: str
    behave: Behaviour
    reported: bool = True
    """Whether the daemon has something to report."""
    times: int = 1
    seconds_each: float = 45.0
    misbehaves_s: float = MISBEHAVES_S
    limit_s: float = RECOVERY_LIMIT_S

    def run(self, place: Place, times: int) -> Findings:
        """Let alarms rise while the broker misbehaves, and measure what follows."""
        findings = Findings(times)
        for number in range(times):
            folder = place.folder / str(number)
            with FakeBroker(self.behave) as fake, Box(place.product, folder) as box:
                box.start_broker()
                box.proxy.upstream = fake.port
                run = box.start()
                box.proxy.wait_until(lambda box=box: box.proxy.connections > 0)  # type: ignore[misc]
                _misbehave(run, findings, reported=self.reported, seconds=self.misbehaves_s)
                box.proxy.upstream = box.broker.port
                box.proxy.cut()
                _measure_recovery(box, run, findings, limit_s=self.limit_s)
        return findings


def _misbehave(
    run: ChaosProcess,
    findings: Findings,
    *,
    reported: bool,
    seconds: float = MISBEHAVES_S,
    known: int = 0,
) -> None:
    """Wait until the daemon reports more than the known lines, and for the rest of the time."""
    began_s = time.monotonic()
    if reported:
        try:
            seen_s = until(lambda: len(_REPORTED.findall(run.log)) > known, _SEEN_LIMIT_S)
            findings.seen_s.append(seen_s - began_s)
        except OperationError:
            findings.problems.append(f"nothing is reported within {_SEEN_LIMIT_S:g} s")
    run.wait(max(0.1, began_s + seconds - time.monotonic()))
    findings.require(run.runs, f"the daemon has ended: {run.log[-300:]}")


def _measure_recovery(
    box: Box, run: ChaosProcess, findings: Findings, *, limit_s: float = RECOVERY_LIMIT_S
) -> None:
    """Wait until every event of the journal is acknowledged, and audit all."""
    recovered_s = time.monotonic()
    content = read_content(box.state)
    known = {event.id for event in content.events}
    findings.require(content.alarms, "no alarm rose while the broker misbehaved")

    def delivered(set_aside: frozenset[str]) -> bool:
        return known - set_aside <= {message["id"] for message in box.events()}

    at_s = None
    while at_s is None and time.monotonic() < recovered_s + _PATIENCE_S:
        set_aside = read_content(box.state).set_aside  # written up to a second later
        at_s = box.proxy.wait_until(partial(delivered, set_aside), 1.0)
    took_s = float("inf") if at_s is None else at_s - recovered_s
    findings.recovered_s.append(took_s)
    findings.require(took_s <= limit_s, f"alarms out {took_s:.0f} s after the recovery")
    peak_mb = run.peak_mb()
    findings.require(peak_mb <= MEMORY_MB, f"{peak_mb:.0f} MB of memory")
    if set_aside:
        findings.notes.append(f"{len(set_aside)} events set aside in the journal, and reported")
    findings.require("Traceback" not in run.log, f"traceback in {run.log_path}")
    run.send(signal.SIGTERM)
    findings.require(run.wait() == 0, "the daemon does not stop")
    box.finish(findings)


@dataclass(frozen=True, slots=True)
class HalfOpen:
    """The network delivers nothing in either direction, and no end of a connection."""

    name: str = "broker-half-open"
    fault: str = "half-open connection: nothing is delivered"
    times: int = 1
    seconds_each: float = 100.0

    def run(self, place: Place, times: int) -> Findings:
        """Let alarms rise meanwhile, and measure what follows."""
        findings = Findings(times)
        for number in range(times):
            with Box(place.product, place.folder / str(number)) as box:
                box.start_broker()
                run = box.start()
                box.wait_alarm(run.started_s)
                known = len(_REPORTED.findall(run.log))
                box.proxy.stall()
                _misbehave(run, findings, reported=True, known=known)
                box.proxy.cut()
                box.proxy.go_on()
                _measure_recovery(box, run, findings)
        return findings


@dataclass(frozen=True, slots=True)
class StalledHandshake:
    """The broker accepts the connection and does not answer the TLS handshake."""

    name: str = "broker-tls-stall"
    fault: str = "TLS handshake that stalls"
    times: int = 1
    seconds_each: float = 60.0

    def run(self, place: Place, times: int) -> Findings:
        """Let alarms rise meanwhile, and measure what follows."""
        findings = Findings(times)
        for number in range(times):
            folder = place.folder / str(number)
            folder.mkdir(parents=True)
            certificate, key = _certificate(folder)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            mqtt = {"tls": {"ca": str(certificate)}}
            with Box(place.product, folder, mqtt=mqtt, tls=context) as box:
                box.proxy.stall()
                box.start_broker()
                run = box.start()
                box.proxy.wait_until(lambda box=box: box.proxy.connections > 0)  # type: ignore[misc]
                _misbehave(run, findings, reported=True)
                box.proxy.go_on()
                _measure_recovery(box, run, findings)
        return findings


def _certificate(folder: Path) -> tuple[Path, Path]:
    """Write a certificate that signs itself, for ``localhost``; return it and its key."""
    certificate, key = folder / "broker.pem", folder / "broker.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-keyout", str(key), "-out", str(certificate), "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


def _broken(
    name: str,
    fault: str,
    behave: Behaviour,
    *,
    reported: bool = True,
    misbehaves_s: float = MISBEHAVES_S,
    limit_s: float = RECOVERY_LIMIT_S,
) -> BrokenBroker:
    seconds_each = misbehaves_s + 20.0
    return BrokenBroker(
        f"broker-{name}",
        f"broker {fault}",
        behave,
        reported,
        seconds_each=seconds_each,
        misbehaves_s=misbehaves_s,
        limit_s=limit_s,
    )


_REFUSALS = {
    0x80: "unspecified error",
    0x83: "implementation specific error",
    0x87: "not authorised",
    0x95: "packet too large",
    0x97: "quota exceeded",
    0x99: "payload format invalid",
}

SCENARIOS: tuple[Scenario, ...] = (
    _broken("silent", "accepts and never answers", _silent),
    _broken("late", "answers CONNECT after 12 s", _late_connack),
    _broken("closes-at-publish", "closes at each message", _closes_at_publish),
    _broken(
        "closes-at-event",
        "closes at each event, as mosquitto 2.0 does where it is not permitted",
        _closes_at_event,
        misbehaves_s=_LEFT_OUT_S,
    ),
    _broken(
        "no-acknowledgement",
        "pings and never acknowledges",
        _never_acknowledges,
        misbehaves_s=_LEFT_OUT_S,
    ),
    _broken(
        "ignores-events",
        "acknowledges all but events",
        _ignores_events,
        misbehaves_s=_LEFT_OUT_S,
    ),
    _broken("unknown-ids", "acknowledges unknown messages", _unknown_ids),
    *(
        _broken(f"refuses-{code:02x}", f"refuses with 0x{code:02X}, {text}", _refuses(code))
        for code, text in _REFUSALS.items()
    ),
    _broken("moved-9c", "disconnects with 0x9C, use another server", _disconnects(0x9C)),
    _broken("moved-9d", "disconnects with 0x9D, server moved", _disconnects(0x9D)),
    _broken("refuses-9c", "refuses the connection with 0x9C", _refuses_connection(0x9C)),
    _broken("refuses-88", "refuses the connection with 0x88", _refuses_connection(0x88)),
    _broken("taken-over", "reports a session taken over", _taken_over, limit_s=_TAKEOVER_LIMIT_S),
    _broken("closes-after-connack", "closes after CONNACK", _closes_after_connack),
    _broken("unsubscribed", "sends a message without a subscription", _unsubscribed),
    _broken("large-message", "sends a message of 256 MB", _large_message),
    _broken("unreleased", "sends QoS 2 and never releases it", _unreleased),
    _broken("byte-by-byte", "sends one byte at a time", _byte_by_byte, reported=False),
    _broken("receive-maximum", "has a receive maximum of 1", _receive_maximum, reported=False),
    _broken("small-packets", "has a maximum packet size of 100", _small_packets),
    _broken("keep-alive", "assigns a keep alive of 1 s", _short_keep_alive, reported=False),
    _broken("http", "is a web server", _http),
    _broken("only-311", "supports MQTT 3.1.1 only", _only_311),
    _broken("random-bytes", "sends random bytes", _random_bytes),
    _broken("pings-unasked", "sends PINGRESP without a request", _pings_unasked, reported=False),
    _broken("connack-twice", "sends CONNACK twice", _connack_twice, reported=False),
    HalfOpen(),
    StalledHandshake(),
)
