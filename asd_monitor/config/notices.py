"""What a file may say, but does not do what one may expect."""

from __future__ import annotations

from collections.abc import Iterator

from asd_monitor.config.error_wording import dotted
from asd_monitor.config.settings import Config, Mqtt, Tls
from asd_monitor.config.yaml_places import find, written
from asd_monitor.config.yaml_text import Document, Fault
from asd_monitor.config.yaml_text import Path as KeyPath


def notices(document: Document, config: Config) -> Iterator[Fault]:
    """Yield them, some twice."""

    def notice(path: KeyPath, told: str) -> Fault:
        return Fault(find(document, path, of_key=True), f"{dotted(path)}: {told}")

    if config.mqtt.commands:
        yield notice(("mqtt", "commands"), "commands over MQTT are not available yet: no effect")
    if config.mqtt.tls is not None and config.mqtt.port == 1883:
        yield notice(("mqtt", "tls"), "TLS on port 1883: most brokers listen for it on 8883")
    for path, told in _unreadable(config.mqtt):
        yield notice(path, told)
    for path in document.keys:
        if path[-1] == "evidence" and path[0] in {"defaults", "machines"} and len(path) < 4:
            yield notice(path, "evidence of alarms is not kept yet: no effect")
    heard: dict[str, str] = {}
    for machine, settings in config.machines.items():
        device = settings.device_text.removesuffix("#0")
        if device in heard:
            told = f"the same device and channel as {heard[device]}: both hear the same"
            yield notice(("machines", machine, "device"), told)
        heard.setdefault(device, machine)
        alarm = settings.alarm
        if alarm.warnings.per_second < alarm.false_alarms.per_second:
            told = "warnings rarer than false alarms: they come together with the alarms"
            places = [("machines", machine, "alarm", key) for key in ("warnings", "false_alarms")]
            paths = [written(document, path) for path in places]
            yield notice(next((p for p in paths if p in document.keys), places[0]), told)


def _unreadable(mqtt: Mqtt) -> Iterator[tuple[KeyPath, str]]:
    """Yield the files that this user cannot read; the service may be another user."""
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
            told = f"{file}: {error.strerror}: the broker cannot be reached without it"
            yield ("mqtt", *path), told
