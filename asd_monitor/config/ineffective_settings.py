"""Valid settings that may not have the effect that the user expects."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from asd_monitor.config.error_messages import dotted
from asd_monitor.config.settings import Config
from asd_monitor.config.yaml_places import find_place, written_path
from asd_monitor.config.yaml_text import Document, Finding
from asd_monitor.config.yaml_text import Path as KeyPath

_KEPT = ("keep_before_s", "keep_after_s")
_MOST_KEPT_S = 30.0  # `asd_monitor.evidence.sound_span.MAX_SIDE_S`


def notice_at(document: Document, path: KeyPath, message: str) -> Finding:
    """Return a notice about the setting at ``path``, with its place."""
    return Finding(find_place(document, path, of_key=True), f"{dotted(path)}: {message}")


def find_notices(document: Document, config: Config) -> Iterator[Finding]:
    """Yield the notices; one may be repeated."""
    notice = partial(notice_at, document)
    if config.mqtt.tls is not None and config.mqtt.port == 1883:
        yield notice(("mqtt", "tls"), "TLS on port 1883: most brokers use port 8883 for TLS")
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
        for key in _KEPT:
            if getattr(settings.evidence, key) > _MOST_KEPT_S:
                path = written_path(document, ("machines", machine, "evidence", key))
                yield notice(path, f"{_MOST_KEPT_S:g} s at most are kept")
        alarm = settings.alarm
        if alarm.warnings.per_second < alarm.false_alarms.per_second:
            message = (
                "fewer warnings than false alarms are accepted: a warning is published only "
                "together with an alarm"
            )
            places = [("machines", machine, "alarm", key) for key in ("warnings", "false_alarms")]
            paths = [written_path(document, path) for path in places]
            yield notice(next((p for p in paths if p in document.keys), places[0]), message)
