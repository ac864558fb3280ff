"""Valid settings that may not have the effect that the user expects."""

from __future__ import annotations

from collections.abc import Iterator

from asd_monitor.config.error_messages import dotted
from asd_monitor.config.settings import Config, Mqtt, Tls
from asd_monitor.config.yaml_places import find_place, written_path
from asd_monitor.config.yaml_text import Document, Finding
from asd_monitor.config.yaml_text import Path as KeyPath


def find_notices(document: Document, config: Config) -> Iterator[Finding]:
    """Yield the notices; one may be repeated."""

    def notice(path: KeyPath, message: str) -> Finding:
        return Finding(find_place(document, path, of_key=True), f"{dotted(path)}: {message}")

    if config.mqtt.commands:
        yield notice(("mqtt", "commands"), "commands over MQTT are not available yet: no effect")
    if config.mqtt.tls is not None and config.mqtt.port == 1883:
        yield notice(("mqtt", "tls"), "TLS on port 1883: most brokers use port 8883 for TLS")
    for path, message in _unreadable_files(config.mqtt):
        yield notice(path, message)
    for path in document.keys:
        if path[-1] == "evidence" and path[0] in {"defaults", "machines"} and len(path) < 4:
            yield notice(path, "evidence of alarms is not stored yet: no effect")
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


def _unreadable_files(mqtt: Mqtt) -> Iterator[tuple[KeyPath, str]]:
    """Yield the files that this user cannot read; the service may run as another user."""
    tls = mqtt.tls or Tls()
    files = {
        ("password_file",): mqtt.password_file,
        ("tls", "ca"): tls.ca,
        ("tls", "cert"): tls.cert,
        ("tls", "key"): tls.key,
    }
    for path, file in files.items():
        if file is None:
            continue
        try:
            file.open("rb").close()
        except OSError as error:
            yield (
                ("mqtt", *path),
                (
                    f"{file}: cannot be read ({error.strerror}): `run` needs it to "
                    "connect to the broker"
                ),
            )
