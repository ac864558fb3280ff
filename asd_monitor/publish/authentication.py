"""The secrets that the broker requires: password and TLS certificates.

They are read from their files anew for every connection, so that a renewed certificate or password
is used without a restart.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from asd_monitor.config.settings import Mqtt, Tls
from asd_monitor.errors import UsageError
from asd_monitor.limited_reading import read_limited

_MAX_PASSWORD_BYTES = 65_535  # MQTT 5, section 3.1.3.6
_MAX_PEM_BYTES = 10_000_000


def check_password(settings: Mqtt) -> None:
    """Check that the password can be read, where there is one.  Raises `UsageError`."""
    if settings.password_file is not None:
        read_password(settings.password_file)


def check_certificates(settings: Mqtt) -> None:
    """Check that the certificates can be used, where there are some.  Raises `UsageError`."""
    if settings.tls is not None:
        tls_context(settings.tls)


def read_password(path: Path) -> str:
    """Return the first line of a password file.  Raises `UsageError` where it has none."""
    try:
        lines = read_limited(path, _MAX_PASSWORD_BYTES).decode().splitlines()
    except (OSError, ValueError) as error:
        raise UsageError(
            f"MQTT password file {path}: cannot be read ({_why(error)}); "
            "name a readable text file in mqtt.password_file"
        ) from error
    if not lines or not lines[0]:
        raise UsageError(f"MQTT password file {path}: is empty; put the password on its first line")
    return lines[0]


def tls_context(tls: Tls) -> ssl.SSLContext:
    """Return a context that verifies the broker's certificate and host name.

    TLS 1.2 or later only (RFC 9325).  There is no fallback: a broker that does not offer it, or
    that cannot be verified, is not used.

    Raises `UsageError` naming the file that cannot be used.
    """
    try:
        if tls.ca is not None:
            read_limited(tls.ca, _MAX_PEM_BYTES)
        context = ssl.create_default_context(cafile=tls.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2  # whatever OpenSSL is configured for
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise UsageError(
            f"MQTT certificate authority {tls.ca}: cannot be used ({_why(error)}); "
            "name a PEM file in mqtt.tls.ca"
        ) from error
    if tls.cert is not None:
        try:
            for file in (tls.cert, tls.key or tls.cert):
                read_limited(file, _MAX_PEM_BYTES)
            context.load_cert_chain(tls.cert, tls.key, password=_no_passphrase)
        except (OSError, ValueError) as error:
            pair = f"{tls.cert}" if tls.key is None else f"{tls.cert} with key {tls.key}"
            raise UsageError(
                f"MQTT client certificate {pair}: cannot be used ({_why(error)}); "
                "name PEM files that belong together in mqtt.tls.cert and mqtt.tls.key, "
                "the key without a passphrase"
            ) from error
    return context


def _no_passphrase() -> str:
    # without a callback OpenSSL prompts on the terminal and blocks; an empty passphrase fails
    return ""


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not PEM").lower().replace("_", " ")
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
