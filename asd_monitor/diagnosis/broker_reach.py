"""Whether the broker can be reached: name, port, certificate; each within a time limit."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from asd_monitor.config.settings import Mqtt
from asd_monitor.diagnosis.bounded_connection import connect_in_time
from asd_monitor.diagnosis.findings import Area, Check, Finding
from asd_monitor.errors import UsageError
from asd_monitor.publish.authentication import tls_context
from asd_monitor.publish.broker_diagnostics import connect_failed

CONNECT_LIMIT_S = 3.0
SOON = timedelta(days=30)
"""A certificate that ends sooner is worth a warning."""
_EXPIRED, _NOT_YET, _NAME, _ADDRESS = 10, 9, 62, 64  # X509_V_ERR_… of OpenSSL
_UNKNOWN_ISSUER = frozenset({2, 18, 19, 20, 21})


@dataclass(frozen=True, slots=True)
class Reach:
    """How far the broker was reached."""

    findings: tuple[Finding, ...]
    is_reached: bool  # TCP, and TLS where it is configured


def connection_error(mqtt: Mqtt) -> OSError | None:
    """Return why no TCP connection to the broker can be made; None: one was."""
    try:
        connect_in_time(mqtt.host, mqtt.port, limit_s=CONNECT_LIMIT_S).close()
    except OSError as error:
        return error
    return None


def reach_broker(mqtt: Mqtt, now: datetime) -> Reach:
    """Connect by TCP and TLS; ``now`` is a time with time zone."""
    findings: list[Finding] = []
    error = connection_error(mqtt)
    if error is not None:
        end = connect_failed(error, mqtt)
        name = "host" if isinstance(error, socket.gaierror) else "connection"
        findings.append(Check(Area.BROKER, name, mqtt.address).failed(end.reason, end.remedy))
        return Reach(tuple(findings), is_reached=False)
    findings.append(Check(Area.BROKER, "connection", mqtt.address).ok("accepts connections"))
    if mqtt.tls is None:
        return Reach(tuple(findings), is_reached=True)
    found = list(_tls(mqtt, now))
    failed = any(each.result == "failed" for each in found)
    return Reach((*findings, *found), is_reached=not failed)


def _tls(mqtt: Mqtt, now: datetime) -> Iterator[Finding]:
    check = Check(Area.BROKER, "tls", mqtt.address)
    if mqtt.tls is None:
        return
    try:
        context = tls_context(mqtt.tls)
    except UsageError as error:
        what, _, remedy = str(error).partition("; ")
        yield check.failed(what, remedy)
        return
    for certificate in context.get_ca_certs() if mqtt.tls.ca is not None else []:
        yield from _dates(Check(Area.BROKER, "authority", str(mqtt.tls.ca)), certificate, now)
    try:
        with (
            connect_in_time(mqtt.host, mqtt.port, limit_s=CONNECT_LIMIT_S) as plain,
            context.wrap_socket(plain, server_hostname=mqtt.host) as wrapped,
        ):
            certificate, version = wrapped.getpeercert() or {}, wrapped.version()
            refusal = _refusal(wrapped)
    except ssl.SSLCertVerificationError as error:
        yield check.failed(*_certificate_problem(error, mqtt))
        return
    except OSError as error:
        end = connect_failed(error, mqtt)
        yield check.failed(end.reason, end.remedy)
        return
    if refusal is not None:
        yield check.failed(
            f"the broker refuses the client certificate: {refusal}",
            "name one that its authority has issued and that is valid now, in mqtt.tls.cert and "
            "mqtt.tls.key",
        )
        return
    yield check.ok(f"{version}, the certificate is trusted and of this host")
    yield from _dates(Check(Area.BROKER, "certificate", mqtt.address), certificate, now)


def _refusal(wrapped: ssl.SSLSocket) -> str | None:
    """Return why the broker has refused the client certificate; with TLS 1.3 it says so late."""
    wrapped.settimeout(0.5)
    try:
        wrapped.recv(1)
    except TimeoutError:
        return None
    except ssl.SSLError as error:
        return (error.reason or str(error)).lower().replace("_", " ")
    except OSError:
        return None
    return None


def _certificate_problem(error: ssl.SSLCertVerificationError, mqtt: Mqtt) -> tuple[str, str]:
    code = error.verify_code
    if code == _EXPIRED:
        return (
            "the certificate of the broker, or of its authority, has expired",
            "renew it on the broker; if it is valid, set the clock of this computer",
        )
    if code == _NOT_YET:
        return (
            "the certificate of the broker is not valid yet",
            "set the clock of this computer, or that of the broker",
        )
    if code in {_NAME, _ADDRESS}:
        return (
            f"the certificate of the broker is not of the name {mqtt.host}",
            "write in mqtt.host the name that is in the certificate, or issue it for this name",
        )
    if code in _UNKNOWN_ISSUER:
        ca = None if mqtt.tls is None else mqtt.tls.ca
        by = "trusted by this computer" if ca is None else f"in {ca}"
        return (
            f"the authority that issued the certificate of the broker is not {by}",
            "name the certificate of that authority in mqtt.tls.ca",
        )
    end = connect_failed(error, mqtt)
    return end.reason, end.remedy


def _dates(check: Check, certificate: object, now: datetime) -> Iterator[Finding]:
    """Yield the finding of the dates of a certificate, as `ssl` describes it."""
    text = certificate.get("notAfter") if isinstance(certificate, dict) else None
    if not isinstance(text, str):
        return
    with contextlib.suppress(ValueError):
        end = datetime.fromtimestamp(ssl.cert_time_to_seconds(text), UTC)
        if end < now:
            yield check.failed(f"the certificate has expired on {end:%Y-%m-%d}", "renew it")
        elif end - now < SOON:
            yield check.warning(
                f"the certificate expires on {end:%Y-%m-%d}", "renew it before that day"
            )
        else:
            yield check.ok(f"valid until {end:%Y-%m-%d}")
