"""What the daemon publishes for Home Assistant, and when it removes it."""

from __future__ import annotations

import asyncio
import json
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import structlog

from asd_monitor.config.settings import Config, HomeAssistant, Http
from asd_monitor.daemon.discovery_record import FILE, DiscoveryRecord
from asd_monitor.evidence.building import alarm_picture, content_of
from asd_monitor.evidence.package_files import delete_package, stored_packages, write_package
from tests.doubles.captured_alarm import captured_alarm
from tests.doubles.in_process_daemon import INTERVALS, InProcessDaemon
from tests.doubles.level_detector import make_config
from tests.doubles.waiting import until

BOX = "homeassistant/device/asd-testbox-box/config"
FAN, PUMP = (f"homeassistant/device/asd-testbox-{name}/config" for name in ("fan", "pump"))
PICTURE = "asd/fan/evidence/picture"
SOON = replace(INTERVALS, discovery_delay_s=0.05, discovery_confirm_s=0.01)


def config_of(*machines: str, prefix: str | None = "homeassistant", **more: Any) -> Config:
    config = make_config(**{name: {"device": f"hw:{name}"} for name in machines})
    discovery = None if prefix is None else HomeAssistant(discovery_prefix=prefix)
    return config.model_copy(update={"homeassistant": discovery, **more})


def discovered(daemon: InProcessDaemon, prefix: str = "homeassistant") -> set[str]:
    """Return the topics of the discovery that the broker has retained."""
    return {topic for topic in daemon.broker.retained if topic.startswith(f"{prefix}/")}


def recorded(folder: Path) -> set[str]:
    return set(json.loads((folder / FILE).read_text())["topics"])


async def until_discovered(daemon: InProcessDaemon, *topics: str) -> None:
    await until(lambda: discovered(daemon) == set(topics), f"discovered {topics}")


async def restarted(daemon: InProcessDaemon, config: Config) -> InProcessDaemon:
    """Stop a daemon, and start another on the same broker and state folder."""
    daemon.service.stop()
    await daemon.finish()
    second = InProcessDaemon(daemon.folder, daemon.models)
    second.broker.retained.update(daemon.broker.retained)
    second.start(config, intervals=SOON)
    return second


def keep_alarm(folder: Path, alarm_id: str, image: bytes | None) -> None:
    """Store the evidence of an alarm of the fan."""
    captured = captured_alarm(alarm_id=alarm_id)
    write_package(folder, content_of(captured, alarm_picture(captured)), "<p>", image)


async def test_machines_and_box_are_published_and_follow_a_reload(daemon):
    daemon.start(config_of("fan", "pump"), intervals=SOON)
    await until_discovered(daemon, BOX, FAN, PUMP)
    assert daemon.broker.retained[FAN]["dev"]["via_device"] == "asd-testbox-box"
    assert daemon.broker.retained[FAN]["cmps"]["acknowledge"] == {"platform": "button"}
    before = len([topic for topic, _ in daemon.broker.sent if topic == BOX])
    daemon.file = config_of("fan", "mill")
    daemon.service.request_reload()
    mill = FAN.replace("-fan/", "-mill/")
    await until_discovered(daemon, BOX, FAN, mill)
    assert len([topic for topic, _ in daemon.broker.sent if topic == BOX]) == before + 1
    await until(lambda: recorded(daemon.folder) == {BOX, FAN, mill})


async def test_nothing_is_published_where_it_is_not_configured(daemon):
    daemon.start(config_of("fan", prefix=None), intervals=SOON)
    await until(lambda: daemon.service.parts.discovery.turns > 0)
    await daemon.until_state("fan", "normal")
    assert not discovered(daemon)
    assert not (daemon.folder / FILE).exists()
    assert not any("homeassistant" in topic for topic in daemon.broker.topics_read)


async def test_buttons_come_with_commands(daemon):
    config = config_of("fan")
    commands = config.model_copy(update={"mqtt": config.mqtt.model_copy(update={"commands": True})})
    daemon.start(commands, intervals=SOON)
    await until_discovered(daemon, BOX, FAN)
    button = daemon.broker.retained[FAN]["cmps"]["acknowledge"]
    assert button["command_topic"] == "asd/fan/cmd/ack"


async def test_switching_it_off_and_another_prefix_remove_all(daemon):
    daemon.start(config_of("fan"), intervals=SOON)
    await until_discovered(daemon, BOX, FAN)
    daemon.file = config_of("fan", prefix="ha")
    daemon.service.request_reload()
    await until(lambda: len(discovered(daemon, "ha")) == 2)
    await until_discovered(daemon)
    assert "ha/status" in daemon.broker.topics_read
    daemon.file = config_of("fan", prefix=None)
    daemon.service.request_reload()
    await until(lambda: not discovered(daemon, "ha"))
    await until(lambda: recorded(daemon.folder) == set())
    assert "ha/status" not in daemon.broker.topics_read


async def test_what_was_removed_while_no_daemon_ran_is_removed_at_the_start(daemon):
    daemon.start(config_of("fan", "pump"), intervals=SOON)
    await until_discovered(daemon, BOX, FAN, PUMP)
    second = await restarted(daemon, config_of("fan"))
    await until_discovered(second, BOX, FAN)
    third = await restarted(second, config_of("fan", prefix=None))
    await until_discovered(third)
    third.service.stop()
    await third.finish()


async def test_a_removal_is_repeated_until_the_broker_has_taken_it(daemon):
    daemon.start(config_of("fan", "pump"), intervals=SOON)
    await until_discovered(daemon, BOX, FAN, PUMP)
    daemon.broker.connected = False
    daemon.file = config_of("fan")
    daemon.service.request_reload()
    await until_discovered(daemon, BOX, FAN)
    discovery = daemon.service.parts.discovery
    turns = discovery.turns
    await until(lambda: discovery.turns > turns + 3)
    assert PUMP in recorded(daemon.folder)
    daemon.broker.connected, daemon.broker.refused[PUMP] = True, "not authorised"
    turns = discovery.turns
    await until(lambda: discovery.turns > turns + 3)
    assert PUMP in recorded(daemon.folder)
    daemon.broker.refused.clear()
    await until(lambda: PUMP not in recorded(daemon.folder))
    assert [message for topic, message in daemon.broker.sent if topic == PUMP].count(None) == 1


async def test_all_is_published_again_when_home_assistant_has_started(daemon):
    daemon.start(config_of("fan"), intervals=SOON)
    await until_discovered(daemon, BOX, FAN)

    def times() -> int:
        return len([topic for topic, _ in daemon.broker.sent if topic == FAN])

    before = times()
    await asyncio.to_thread(daemon.broker.receive, "homeassistant/status", b"offline")
    for _ in range(3):  # once for several
        await asyncio.to_thread(daemon.broker.receive, "homeassistant/status", b"online")
    await until(lambda: times() > before)
    turns = daemon.service.parts.discovery.turns
    await asyncio.to_thread(daemon.broker.receive, "homeassistant/status", b"online", retained=True)
    await until(lambda: daemon.service.parts.discovery.turns > turns)
    assert times() == before + 2


async def test_a_topic_is_recorded_before_it_is_published(daemon, monkeypatch):
    publish, unrecorded = daemon.broker.publish, []

    def publish_recorded(topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        if topic.startswith("homeassistant/") and topic not in recorded(daemon.folder):
            unrecorded.append(topic)
        publish(topic, payload, qos=qos, retain=retain)

    monkeypatch.setattr(daemon.broker, "publish", publish_recorded)
    daemon.start(config_of("fan"), intervals=SOON)
    await until_discovered(daemon, BOX, FAN)
    daemon.file = config_of("pump")
    daemon.service.request_reload()
    await until_discovered(daemon, BOX, PUMP)
    assert unrecorded == []


async def test_a_damaged_record_is_reported_and_replaced(daemon):
    (daemon.folder / FILE).write_text('{"topics": ["homeassistant/x"]}')
    with structlog.testing.capture_logs() as logs:
        daemon.start(config_of("fan"), intervals=SOON)
        await until_discovered(daemon, BOX, FAN)
    assert [each for each in logs if "Home Assistant is not known" in each["event"]]
    assert recorded(daemon.folder) == {BOX, FAN}


async def test_what_another_box_has_published_is_left_as_it_is(daemon):
    other = "homeassistant/device/asd-other-fan/config"
    DiscoveryRecord(daemon.folder, "other").save({other})
    daemon.start(config_of("fan"), intervals=SOON)
    await until_discovered(daemon, BOX, FAN)
    assert other not in [topic for topic, _ in daemon.broker.sent]
    assert recorded(daemon.folder) == {BOX, FAN}


async def test_a_record_that_cannot_be_written_is_reported_once(daemon):
    (daemon.folder / FILE).mkdir(parents=True)
    with structlog.testing.capture_logs() as logs:
        daemon.start(config_of("fan"), intervals=SOON)
        await until_discovered(daemon, BOX, FAN)
        daemon.file = config_of("fan", "pump")
        daemon.service.request_reload()
        await until_discovered(daemon, BOX, FAN, PUMP)
    assert len([each for each in logs if "cannot be saved" in each["event"]]) == 1


async def test_the_picture_is_that_of_the_newest_alarm_that_is_stored(daemon):
    keep_alarm(daemon.folder, "fan-1", b"PNG 1")
    daemon.start(config_of("fan"), intervals=SOON)
    await until(lambda: daemon.broker.retained.get(PICTURE) == b"PNG 1")
    assert PICTURE in recorded(daemon.folder)
    (package,) = stored_packages(daemon.folder)
    delete_package(daemon.folder, package)
    second = await restarted(daemon, config_of("fan"))
    await until(lambda: PICTURE not in second.broker.retained)
    await until(lambda: recorded(daemon.folder) == {BOX, FAN})
    second.service.stop()
    await second.finish()


@pytest.mark.parametrize("prefix", [None, "homeassistant"])
async def test_the_picture_of_a_new_alarm_is_published_with_the_setting_alone(daemon, prefix):
    config = config_of("fan", prefix=prefix)
    daemon.start(config, intervals=SOON)
    await daemon.until_state("fan", "normal")
    [[source]] = daemon.sources.values()
    source.play(10, 0.6)
    await daemon.until_state("fan", "alarm")
    source.play(15, 0.6)
    await until(lambda: daemon.broker.alarm("fan").get("evidence"))
    if prefix is not None:
        await until(lambda: PICTURE in daemon.broker.retained)
        assert cast("bytes", daemon.broker.retained[PICTURE]).startswith(b"\x89PNG")
    turns = daemon.service.parts.discovery.turns
    daemon.service.parts.discovery.configure(config)
    await until(lambda: daemon.service.parts.discovery.turns > turns)
    assert (PICTURE in daemon.broker.retained) == (prefix is not None)


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        ("127.0.0.1:9464", None),
        ("192.0.2.7:9464", "http://192.0.2.7:9464/machines/fan"),
        ("0.0.0.0:80", f"http://{socket.gethostname()}:80/machines/fan"),
        ("[2001:db8::7]:9464", "http://[2001:db8::7]:9464/machines/fan"),
    ],
)
async def test_the_page_is_named_where_home_assistant_may_reach_it(
    daemon: InProcessDaemon, listen: str, url: str | None
) -> None:
    daemon.start(config_of("fan"), intervals=SOON)
    await until_discovered(daemon, BOX, FAN)
    http = Http(listen=listen, token_file=Path("/run/token"))
    daemon.service.parts.discovery.configure(config_of("fan", http=http))
    await until(lambda: daemon.broker.retained[FAN]["dev"].get("configuration_url") == url, "url")
    daemon.service.stop()
    await daemon.finish()
