"""The box: its session with the broker, and how it does."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import structlog

from asd_monitor import __version__
from asd_monitor.config.settings import Config
from asd_monitor.daemon.machine_publisher import StreamCounts
from asd_monitor.errors import UsageError
from asd_monitor.journal.store import Journal
from asd_monitor.publish.broker_settings import MqttSettings, TlsSettings
from asd_monitor.publish.messages import MachineStatus, Scoring, Status
from asd_monitor.publish.session import Session

log = structlog.get_logger()

PASSWORD_CREDENTIAL = "mqtt_password"  # noqa: S105 - a name


def mqtt_settings(config: Config, environment: Mapping[str, str]) -> MqttSettings:
    """Return how to reach the broker; the password may be a credential of systemd.

    Raises UsageError for a credential that cannot be used.
    """
    mqtt = config.mqtt
    password_file = mqtt.password_file
    if password_file is None:
        password_file = _credential(environment)
        if password_file is not None and mqtt.username is None:
            raise UsageError(
                f"systemd hands over the credential {PASSWORD_CREDENTIAL}, and a password needs a "
                "user: add `username:` under `mqtt:` in the configuration"
            )
    tls = TlsSettings(mqtt.tls.ca, mqtt.tls.cert, mqtt.tls.key) if mqtt.tls else None
    return MqttSettings(
        box=config.box,
        host=mqtt.host,
        port=mqtt.port,
        prefix=mqtt.prefix,
        username=mqtt.username,
        password_file=password_file,
        tls=tls,
    )


def _credential(environment: Mapping[str, str]) -> Path | None:
    folder = environment.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return None
    path = Path(folder) / PASSWORD_CREDENTIAL
    # the unit's fallback for a box without a password is an empty one
    return path if path.is_file() and path.read_bytes().strip() else None


def box_status(
    session: Session,
    journal: Journal,
    machines: Mapping[str, MachineStatus],
    *,
    uptime_s: float,
    dropped_sharing: int,
    counts: StreamCounts,
    restarted: int,
    scoring: Scoring | None = None,
) -> Status:
    """Return how the box does now; `counts` are those of all machines, removed ones included."""
    counters = session.counters
    return Status(
        box=session.topics.box,
        time=datetime.now(UTC),
        version=__version__,
        uptime_s=round(uptime_s, 1),
        machines=machines,
        load=[round(load, 2) for load in os.getloadavg()],
        dropped={
            "messages": counters.dropped,
            "refused": counters.refused,
            "samples": counts.lost_samples,
            "journal": journal.dropped,
            "sharing": dropped_sharing,
            "windows": counts.skipped_windows,
        },
        restarted={
            "microphones": counts.restarts,
            "listeners": restarted,
            "broker": counters.reconnects,
        },
        scoring=scoring,
    )
