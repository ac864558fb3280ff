"""Tries to connect to the broker once, as the daemon would."""

from __future__ import annotations

import socket
import time
from functools import partial

from paho.mqtt.client import MQTTv5, MQTTv311

from asd_monitor.config.settings import Config
from asd_monitor.diagnosis.programs import within
from asd_monitor.errors import UsageError
from asd_monitor.publish.broker_connection import Connection
from asd_monitor.publish.broker_diagnostics import EndCause
from asd_monitor.publish.send_queue import Outgoing
from asd_monitor.publish.topics import Topics

_LIMIT_S = 10.0
_WHOLE_LIMIT_S = 20.0
_WILL = b'{"schema": "asd.probe/1", "by": "asd-monitor setup"}'


def why_not_connected(config: Config) -> str | None:
    """Return why the broker cannot be used, with the remedy; None: it accepts this box.

    The time for the name of the broker is limited, too, which the system may try much longer.
    """
    late: str | None = (
        f"{config.mqtt.address} does not answer in time: check the name, and the name resolution "
        "of this computer"
    )
    return within(_WHOLE_LIMIT_S, partial(_why_not, config), late)


def _why_not(config: Config) -> str | None:
    mqtt = config.mqtt
    topics = Topics(mqtt.prefix, config.box)
    # Brokers check at the connect whether the will may be published; DISCONNECT discards it.  Where
    # the connection is lost before, no subscriber must take a daemon that runs for offline.
    will = Outgoing(topics.availability, _WILL, qos=1, retain=False)
    end = None
    for version in (MQTTv5, MQTTv311):
        try:
            client_id = f"asd-{config.box}-setup"  # the daemon's would end its connection
            connection = Connection(mqtt, client_id, version, will, keep_alive_s=30)
        except UsageError as error:
            return str(error)
        wakeup, other = socket.socketpair()
        try:
            end = connection.open(wakeup, time.monotonic, _LIMIT_S)
            if end is None:
                connection.disconnect(wakeup, time.monotonic, time.monotonic() + _LIMIT_S)
                return None
        finally:
            connection.close()
            wakeup.close()
            other.close()
        if end.cause is not EndCause.UNSUPPORTED_VERSION:
            break
    return None if end is None else f"{end.reason}: {end.remedy}"
