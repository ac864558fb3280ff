"""Valid settings that may not have the effect that the user expects."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from asd_monitor.config.error_messages import dotted
from asd_monitor.config.settings import Config
from asd_monitor.config.yaml_places import find_place, written_path
from asd_monitor.config.yaml_text import Document, Finding
from asd_monitor.config.yaml_text import Path as KeyPath

_OF_ALARM_EVIDENCE = {"keep_before_s", "keep_after_s", "max_bytes", "max_age_days"}


def notice_at(document: Document, path: KeyPath, message: str) -> Finding:
    """Return a notice about the setting at ``path``, with its place."""
    return Finding(find_place(document, path, of_key=True), f"{dotted(path)}: {message}")


def find_notices(document: Document, config: Config) -> Iterator[Finding]:
    """Yield the notices; one may be repeated."""
    notice = partial(notice_at, document)
    if config.mqtt.tls is not None and config.mqtt.port == 1883:
        yield notice(("mqtt", "tls"), "TLS on port 1883: most brokers use port 8883 for TLS")
    for path in document.keys:
        if len(path) > 2 and path[-2] == "evidence" and path[-1] in _OF_ALARM_EVIDENCE:
            message = "evidence of alarms is not stored yet: remove it, it has no effect"
            yield notice(path, message)
    devices: dict[str, str] = {}
    for machine, settings in config.machines.items():
        device = settings.device_text.removesuffix("#0")
        if device in devices:
            message = (
                f"the same device and channel as {devices[device]}: both machines are monitored "
                "by the same signal"
            )
            yield notice(("machines", machine, "device"), message)
        devices.setdefault(device, machine)
        alarm = settings.alarm
        if alarm.warnings.per_second < alarm.false_alarms.per_second:
            message = (
                "fewer warnings than false alarms are accepted: a warning is published only "
                "together with an alarm"
            )
            places = [("machines", machine, "alarm", key) for key in ("warnings", "false_alarms")]
            paths = [written_path(document, path) for path in places]
            yield notice(next((p for p in paths if p in document.keys), places[0]), message)
