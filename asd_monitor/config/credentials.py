"""The secrets of broker and page as credentials of systemd (`LoadCredential=`, systemd.exec(5))."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from asd_monitor.config.listen_address import is_loopback
from asd_monitor.config.settings import Http, Mqtt
from asd_monitor.errors import UsageError

PASSWORD_CREDENTIAL = "mqtt_password"  # noqa: S105 - the name, not the password
KEY_CREDENTIAL = "mqtt_tls_key"
TOKEN_CREDENTIAL = "http_token"  # noqa: S105 - the name


def with_credentials(mqtt: Mqtt, environ: Mapping[str, str]) -> Mqtt:
    """Return the settings with the credentials as files of password and key.

    A password file in the settings takes precedence, since its user is read from there too.  The
    credential of the key takes the place of `key`, which the user of the service cannot read.

    Raises `UsageError` for a credential that cannot be read, or for a password without a user name.
    """
    return _with_key(_with_password(mqtt, environ), environ)


def with_token(http: Http, environ: Mapping[str, str]) -> Http:
    """Return the settings of the page with the credential as the file of its token.

    A file in the settings takes precedence.  Raises `UsageError` for a credential that cannot be
    read, and for an address that other computers can reach without a token.
    """
    if http.token_file is not None:
        return http
    path = _credential(TOKEN_CREDENTIAL, environ)
    if path is not None:
        return http.model_copy(update={"token_file": path})
    if not is_loopback(http.listen):
        raise UsageError(
            f"http.listen: {http.listen} can be reached by other computers, and needs a token: add"
            " `token_file:`, or listen on 127.0.0.1"
        )
    return http


def _with_password(mqtt: Mqtt, environ: Mapping[str, str]) -> Mqtt:
    if mqtt.password_file is not None:
        return mqtt
    path = _credential(PASSWORD_CREDENTIAL, environ)
    if path is None:
        return mqtt
    if mqtt.username is None:
        raise UsageError(
            f"the systemd credential {PASSWORD_CREDENTIAL} is a password without a user name: "
            "add `username:` under `mqtt:` in the configuration"
        )
    return mqtt.model_copy(update={"password_file": path})


def _with_key(mqtt: Mqtt, environ: Mapping[str, str]) -> Mqtt:
    if mqtt.tls is None or mqtt.tls.cert is None:
        return mqtt
    path = _credential(KEY_CREDENTIAL, environ)
    if path is None:
        return mqtt
    return mqtt.model_copy(update={"tls": mqtt.tls.model_copy(update={"key": path})})


def _credential(name: str, environ: Mapping[str, str]) -> Path | None:
    """Return the file of a credential; None where there is none or it is empty.

    The unit's default where there is no secret is an empty credential.  Raises `UsageError`.
    """
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return None
    path = Path(folder) / name
    try:
        return path if path.read_bytes().strip() else None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(
            f"the systemd credential {path} cannot be read ({error.strerror}): "
            "check LoadCredential= of the unit"
        ) from error
