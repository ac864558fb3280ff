"""How to reach the broker, and the secrets that it takes.

Secrets lie in files and are read anew for every connection, so that a renewed
certificate or password is taken up without a restart.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from asd_monitor.errors import UsageError


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Certificates in PEM; without ``ca`` those that the system trusts are trusted."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None  # may stand in the file of ``cert``


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """Where the broker is and who we are."""

    box: str
    host: str = "localhost"
    port: int = 1883
    prefix: str = "asd"
    username: str | None = None
    password_file: Path | None = None
    tls: TlsSettings | None = None
    client_id: str = ""  # empty: asd-<box>

    @property
    def client(self) -> str:
        """The MQTT client id in use."""
        return self.client_id or f"asd-{self.box}"

    @property
    def address(self) -> str:
        """The broker as people write it."""
        return f"{self.host}:{self.port}"


def read_password(settings: MqttSettings) -> str | None:
    """Return the first line of the password file, or None where none is named.

    Raises UsageError if it cannot be read, is empty or has no user to go with it.
    """
    path = settings.password_file
    if path is None:
        return None
    if settings.username is None:
        raise UsageError(
            f"MQTT password file {path}: a password needs a user; set mqtt.username too"
        )
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"MQTT password file {path}: cannot be read ({_why(error)}); "
            "name a text file that this user may read in mqtt.password_file"
        ) from error
    if not lines or not lines[0]:
        raise UsageError(f"MQTT password file {path}: is empty; put the password on its first line")
    return lines[0]


def tls_context(tls: TlsSettings) -> ssl.SSLContext:
    """Return a context that checks the broker's certificate and host name.

    Raises UsageError naming the file that does not fit.
    """
    if tls.key is not None and tls.cert is None:
        raise UsageError(f"MQTT key {tls.key}: needs its certificate; set mqtt.tls.cert too")
    try:
        context = ssl.create_default_context(cafile=tls.ca)
    except OSError as error:  # ssl.SSLError is one
        raise UsageError(
            f"MQTT certificate authority {tls.ca}: cannot be used ({_why(error)}); "
            "name a PEM file in mqtt.tls.ca"
        ) from error
    if tls.cert is not None:
        try:
            context.load_cert_chain(tls.cert, tls.key, password=_refuse_encrypted)
        except OSError as error:
            pair = f"{tls.cert}" if tls.key is None else f"{tls.cert} with key {tls.key}"
            raise UsageError(
                f"MQTT client certificate {pair}: cannot be used ({_why(error)}); "
                "name PEM files that belong together in mqtt.tls.cert and mqtt.tls.key, "
                "the key without a passphrase"
            ) from error
    return context


def _refuse_encrypted() -> str:
    # an empty answer makes OpenSSL fail where it would ask on the terminal and hang
    return ""


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not PEM").lower().replace("_", " ")
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "not UTF-8 text"
