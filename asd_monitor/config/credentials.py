"""The broker's password as a credential of systemd (`LoadCredential=`, systemd.exec(5))."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from asd_monitor.config.settings import Mqtt
from asd_monitor.errors import UsageError

PASSWORD_CREDENTIAL = "mqtt_password"  # noqa: S105 - the name, not the password


def with_password_credential(mqtt: Mqtt, environ: Mapping[str, str]) -> Mqtt:
    """Return the settings with the credential as password file, where they name none.

    Raises `UsageError` for a credential that cannot be read or has no user name to go with it.
    """
    if mqtt.password_file is not None:
        return mqtt
    path = password_credential(environ)
    if path is None:
        return mqtt
    if mqtt.username is None:
        raise UsageError(
            f"the systemd credential {PASSWORD_CREDENTIAL} is a password without a user name: "
            "add `username:` under `mqtt:` in the configuration"
        )
    return mqtt.model_copy(update={"password_file": path})


def password_credential(environ: Mapping[str, str]) -> Path | None:
    """Return the file of the credential; None where there is none or it is empty.

    The unit's default for a broker without a password is an empty credential.  Raises `UsageError`.
    """
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return None
    path = Path(folder) / PASSWORD_CREDENTIAL
    try:
        return path if path.read_bytes().strip() else None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(
            f"the systemd credential {path} cannot be read ({error.strerror}): "
            "check LoadCredential= of the unit"
        ) from error
