"""Brokers that misbehave, are crowded, or are reached by a connection that stalls.

Each misbehaves for a while, in which alarms rise; then a mosquitto takes its place, and every
event has to arrive.
"""

from __future__ import annotations

import ssl
import subprocess
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from experiments.chaos import broker_behaviours
from experiments.chaos.box import Box
from experiments.chaos.broker_behaviours import Behaviour
from experiments.chaos.journal_reading import read_content
from experiments.chaos.log_reports import BROKER, LogReports
from experiments.chaos.process import ChaosProcess
from experiments.chaos.required_monitoring import require_monitored_or_reported
from experiments.chaos.scenario import Findings, Place, RepeatedFault, Scenario
from tests.doubles.fake_broker import FakeBroker
from tests.doubles.mosquitto import Subscriber

MISBEHAVES_S = 15.0
RECOVERY_LIMIT_S = 31.0
"""Alarms are out so long after the broker's recovery; the longest pause before a connection is 30 s
and is followed by the connection itself."""
_TAKEOVER_LIMIT_S = 62.0  # two clients must not alternate: pauses grow to a minute
MEMORY_MB = 200.0
_SEEN_LIMIT_S = 60.0
_LEFT_OUT_S = 45.0  # longer than the session waits for an acknowledgement
_PATIENCE_S = 120.0
_RETAINED = 10_000


@dataclass(frozen=True, slots=True)
class BrokenBroker:
    """A broker that behaves in one way until a mosquitto takes its place."""

    behave: Behaviour
    reported: bool = True
    """Whether the daemon has something to report."""
    misbehaves_s: float = MISBEHAVES_S
    limit_s: float = RECOVERY_LIMIT_S

    def __call__(self, place: Place, findings: Findings) -> None:
        """Let alarms rise while the broker misbehaves, and measure what follows."""
        with FakeBroker(self.behave) as fake, Box(place.product, place.folder) as box:
            box.start_broker()
            box.proxy.upstream = fake.port
            run = box.start()
            box.proxy.wait_until(lambda: box.proxy.connections > 0)
            _misbehave(run, findings, reported=self.reported, seconds=self.misbehaves_s)
            box.proxy.upstream = box.broker.port
            box.proxy.cut()
            _measure_recovery(box, run, findings, limit_s=self.limit_s)


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
        reports = LogReports(run, BROKER)
        reports.measure(findings, known=known, since_s=began_s, limit_s=_SEEN_LIMIT_S)
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
        return known - set_aside <= box.event_ids()

    at_s = None
    while at_s is None and time.monotonic() < recovered_s + _PATIENCE_S:
        set_aside = read_content(box.state).set_aside  # written up to a second later
        box.audit.set_aside |= set_aside
        at_s = box.proxy.wait_until(partial(delivered, set_aside), 1.0)
    took_s = float("inf") if at_s is None else at_s - recovered_s
    findings.recovered_s.append(took_s)
    findings.require(took_s <= limit_s, f"alarms out {took_s:.0f} s after the recovery")
    peak_mb = run.peak_mb()
    findings.require(peak_mb <= MEMORY_MB, f"{peak_mb:.0f} MB of memory")
    if set_aside:
        findings.notes.append(f"{len(set_aside)} events set aside in the journal, and reported")
    box.stop(run, findings)
    box.finish(findings)


def _half_open(place: Place, findings: Findings) -> None:
    """Let alarms rise while the network delivers nothing, and no end of a connection either."""
    with Box(place.product, place.folder) as box:
        box.start_broker()
        run = box.start()
        box.wait_alarm(run.started_s)
        known = LogReports(run, BROKER).number()
        box.proxy.stall()
        _misbehave(run, findings, reported=True, known=known)
        box.proxy.cut()
        box.proxy.go_on()
        _measure_recovery(box, run, findings)


def _stalled_handshake(place: Place, findings: Findings) -> None:
    """Let alarms rise while the broker accepts connections and does not answer the handshake."""
    place.folder.mkdir(parents=True)
    certificate, key = _certificate(place.folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    mqtt = {"tls": {"ca": str(certificate)}}
    with Box(place.product, place.folder, mqtt=mqtt, tls=context) as box:
        box.proxy.stall()
        box.start_broker()
        run = box.start()
        box.proxy.wait_until(lambda: box.proxy.connections > 0)
        _misbehave(run, findings, reported=True)
        box.proxy.go_on()
        _measure_recovery(box, run, findings)


def _crowded(place: Place, findings: Findings) -> None:
    """Start the daemon with thousands of retained messages, also below its topics."""
    with Box(place.product, place.folder) as box:
        box.start_broker()
        with Subscriber(box.broker.port, "nothing") as client:
            for topic in range(_RETAINED):
                name = f"asd/ghost{topic:05}/state" if topic % 2 else f"plc/{topic:05}"
                wait = topic == _RETAINED - 1
                client.publish(name, b"{}" * 50, qos=int(wait), retain=True)
        run = box.start()
        online_s = box.wait_online(run.started_s)
        findings.require(online_s, "no connection")
        require_monitored_or_reported(box, run, findings)


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
) -> RepeatedFault:
    broker = BrokenBroker(behave, reported, misbehaves_s, limit_s)
    return RepeatedFault(
        f"broker-{name}", f"broker {fault}", broker, seconds_each=misbehaves_s + 20.0
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
    _broken("silent", "accepts and never answers", broker_behaviours.silent),
    _broken("late", "answers CONNECT after 12 s", broker_behaviours.late_connack),
    _broken("closes-at-publish", "closes at each message", broker_behaviours.closes_at_publish),
    _broken(
        "closes-at-event",
        "closes at each event, as mosquitto 2.0 does where it is not permitted",
        broker_behaviours.closes_at_event,
        misbehaves_s=_LEFT_OUT_S,
    ),
    _broken(
        "no-acknowledgement",
        "pings and never acknowledges",
        broker_behaviours.never_acknowledges,
        misbehaves_s=_LEFT_OUT_S,
    ),
    _broken(
        "ignores-events",
        "acknowledges all but events",
        broker_behaviours.ignores_events,
        misbehaves_s=_LEFT_OUT_S,
    ),
    _broken("unknown-ids", "acknowledges unknown messages", broker_behaviours.unknown_ids),
    *(
        _broken(
            f"refuses-{code:02x}",
            f"refuses with 0x{code:02X}, {text}",
            broker_behaviours.refuses(code),
        )
        for code, text in _REFUSALS.items()
    ),
    _broken(
        "moved-9c", "disconnects with 0x9C, use another server", broker_behaviours.disconnects(0x9C)
    ),
    _broken("moved-9d", "disconnects with 0x9D, server moved", broker_behaviours.disconnects(0x9D)),
    _broken(
        "refuses-9c", "refuses the connection with 0x9C", broker_behaviours.refuses_connection(0x9C)
    ),
    _broken(
        "refuses-88", "refuses the connection with 0x88", broker_behaviours.refuses_connection(0x88)
    ),
    _broken(
        "taken-over",
        "reports a session taken over",
        broker_behaviours.taken_over,
        limit_s=_TAKEOVER_LIMIT_S,
    ),
    _broken("closes-after-connack", "closes after CONNACK", broker_behaviours.closes_after_connack),
    _broken(
        "unsubscribed", "sends a message without a subscription", broker_behaviours.unsubscribed
    ),
    _broken("large-message", "sends a message of 256 MB", broker_behaviours.large_message),
    _broken("unreleased", "sends QoS 2 and never releases it", broker_behaviours.unreleased),
    _broken(
        "byte-by-byte", "sends one byte at a time", broker_behaviours.byte_by_byte, reported=False
    ),
    _broken(
        "receive-maximum",
        "has a receive maximum of 1",
        broker_behaviours.receive_maximum,
        reported=False,
    ),
    _broken("small-packets", "has a maximum packet size of 100", broker_behaviours.small_packets),
    _broken(
        "keep-alive",
        "assigns a keep alive of 1 s",
        broker_behaviours.short_keep_alive,
        reported=False,
    ),
    _broken("http", "is a web server", broker_behaviours.http),
    _broken("only-311", "supports MQTT 3.1.1 only", broker_behaviours.only_311),
    _broken("random-bytes", "sends random bytes", broker_behaviours.random_bytes),
    _broken(
        "pings-unasked",
        "sends PINGRESP without a request",
        broker_behaviours.pings_unasked,
        reported=False,
    ),
    _broken(
        "connack-twice", "sends CONNACK twice", broker_behaviours.connack_twice, reported=False
    ),
    RepeatedFault(
        "broker-half-open",
        "half-open connection: nothing is delivered",
        _half_open,
        seconds_each=100.0,
    ),
    RepeatedFault(
        "broker-tls-stall", "TLS handshake that stalls", _stalled_handshake, seconds_each=60.0
    ),
    RepeatedFault(
        "retained", f"{_RETAINED:,} retained messages on the broker", _crowded, seconds_each=60.0
    ),
)
