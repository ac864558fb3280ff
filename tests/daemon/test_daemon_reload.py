"""Reload of configuration and models in a running daemon."""

import asyncio
import os
import signal

import pytest
import structlog

from asd_monitor.audio.devices.device_strings import DeviceSpec
from asd_monitor.config.machine_settings import Machine
from asd_monitor.config.settings import Config
from asd_monitor.daemon.journal_access import JournalAccess
from asd_monitor.daemon.machine_registry import MachineRegistry
from asd_monitor.daemon.monitor_session import MonitorSession
from asd_monitor.errors import UsageError
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.sqlite_errors import JournalError
from asd_monitor.journal.store import Journal
from tests.doubles.in_process_daemon import InProcessDaemon
from tests.doubles.level_detector import StubBundle, make_config
from tests.doubles.scripted_microphone import ScriptedMicrophone
from tests.doubles.waiting import until


async def test_sighup_applies_changes_and_leaves_other_machines_running(daemon):
    daemon.start(
        make_config(fan={"device": "hw:1"}, pump={"device": "hw:2"}, mill={"device": "hw:3"})
    )
    for machine in ("fan", "pump", "mill"):
        await daemon.until_state(machine, "normal")
    daemon.file = make_config(
        fan={"device": "hw:1"}, pump={"device": "hw:4"}, saw={"device": "hw:5"}
    )
    daemon.models.bundles["fan"] = StubBundle("v2")
    os.kill(os.getpid(), signal.SIGHUP)
    await daemon.until_state("mill", "stopped")
    assert daemon.broker.state("mill")["reason"] == "removed from the configuration"
    await daemon.until_state("saw", "no_model")
    await until(lambda: "hw:4" in daemon.sources)
    await daemon.until_state("pump", "normal")
    await until(lambda: daemon.broker.state("fan")["model"] == "v2")
    assert [len(daemon.sources[d]) for d in ("hw:1", "hw:2", "hw:3")] == [1, 1, 1]
    assert not daemon.source("hw:1").closed
    assert daemon.source("hw:2").closed
    assert daemon.source("hw:3").closed


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (UsageError("a.yaml:3:1: unknown key"), "a.yaml:3:1: unknown key"),
        (OverflowError("too large"), "a defect of asd-monitor"),
        (RecursionError("too deep"), "a defect of asd-monitor"),
    ],
)
async def test_configuration_that_cannot_be_read_leaves_the_old_one_in_use(daemon, error, reason):
    with structlog.testing.capture_logs() as logs:
        daemon.start(make_config(fan={"device": "hw:1"}))
        await daemon.until_state("fan", "normal")
        daemon.file = error
        daemon.service.request_reload()
        await until(lambda: any(entry.get("reason") == reason for entry in logs))
    daemon.source("hw:1").play(3)
    await until(lambda: daemon.source("hw:1").delivered)
    assert daemon.broker.state("fan")["state"] == "normal"
    assert not daemon.source("hw:1").closed
    await until(lambda: any(m["active"] for m in daemon.broker.messages("box/testbox/alarm")))
    (condition,) = daemon.broker.messages("box/testbox/alarm")[-1]["conditions"]
    assert (condition["kind"], condition["check"]) == ("task_failing", "configuration")
    assert reason in condition["text"]
    assert condition["remedy"].endswith(f"`kill -HUP {os.getpid()}` tries again")
    daemon.file = make_config(fan={"device": "hw:1"})
    daemon.service.request_reload()
    await until(lambda: not daemon.broker.messages("box/testbox/alarm")[-1]["active"])


async def test_machines_on_one_device_share_it_across_reloads(daemon):
    microphones: list[tuple[str, ScriptedMicrophone]] = []

    def open_microphone(spec: DeviceSpec) -> ScriptedMicrophone:
        microphones.append((str(spec), ScriptedMicrophone(channels=3)))
        return microphones[-1][1]

    both: dict[str, dict[str, object]] = {
        "fan": {"device": "hw:1"},
        "pump": {"device": "hw:1", "channel": 1},
    }
    daemon.start(make_config(**both), open_source=None, open_microphone=open_microphone)
    await until(lambda: microphones)
    ((device, microphone),) = microphones
    assert device == "hw:1"
    await until(lambda: len(microphone.wanted) == 2, "both machines on the device")
    assert microphone.wanted == [{0, 1}, {0, 1}]
    microphone.open()
    microphone.play(30)
    await daemon.until_state("fan", "normal")
    await daemon.until_state("pump", "normal")

    daemon.file = make_config(pump=both["pump"], mill={"device": "hw:1#2"})
    daemon.service.request_reload()
    await until(lambda: microphone.wanted[-1] == {1, 2}, "the channel of the mill")
    assert daemon.broker.state("fan")["state"] == "stopped"
    assert daemon.broker.state("pump")["microphone"] == "ok"
    microphone.interrupt("it is opened again")
    microphone.open()
    microphone.play(30, gap=16_000)
    await daemon.until_state("mill", "normal")
    await daemon.until_state("pump", "normal")
    machines = (await daemon.box_status())["machines"]
    assert {name: each["restarts"] for name, each in machines.items()} == {"pump": 1, "mill": 0}
    assert {name: each["lost_samples"] for name, each in machines.items()} == {
        "pump": 16_000,
        "mill": 0,
    }
    assert len(microphones) == 1

    daemon.service.stop()
    await daemon.finish()
    assert microphone.closed.is_set()


async def test_machine_that_starts_later_on_an_open_device_is_evaluated(daemon, monkeypatch):
    microphone = ScriptedMicrophone()
    machine_journal = JournalAccess.machine_journal
    may_start = asyncio.Event()

    async def delay_pump(access: JournalAccess, machine: str) -> MachineJournal:
        if machine == "pump":
            await may_start.wait()
        return await machine_journal(access, machine)

    monkeypatch.setattr(JournalAccess, "machine_journal", delay_pump)
    config = make_config(fan={"device": "hw:1"}, pump={"device": "hw:1", "channel": 1})
    daemon.start(config, open_source=None, open_microphone=lambda _: microphone)
    await until(lambda: microphone.wanted)
    assert microphone.wanted == [{0, 1}]
    microphone.open()
    microphone.play(30)
    await daemon.until_state("fan", "normal")

    may_start.set()
    await until(lambda: len(microphone.wanted) == 2, "both machines on the device")
    microphone.play(30)
    await daemon.until_state("pump", "normal")
    assert microphone.wanted == [{0, 1}, {0, 1}]
    machines = (await daemon.box_status())["machines"]
    assert {name: each["restarts"] for name, each in machines.items()} == {"fan": 0, "pump": 0}
    assert {name: each["lost_samples"] for name, each in machines.items()} == {"fan": 0, "pump": 0}


STUB_PORTAUDIO = """
import time
class PortAudioError(Exception): pass
def query_devices():
    return [dict(name="stub", index=0, max_input_channels=1, default_samplerate=16000.0)]
class RawInputStream:
    def __init__(self, samplerate, device, channels, dtype, latency):
        self.samplerate, self.channels = samplerate, channels
    read_available = 0
    def start(self): pass
    def read(self, frames):
        time.sleep(frames / self.samplerate)
        return bytes(2 * frames * self.channels), False
"""


@pytest.mark.parametrize("request_name", ["stop", "request_reload"])
async def test_stop_or_reload_while_a_capture_child_starts(
    daemon, tmp_path, monkeypatch, request_name
):
    (tmp_path / "sounddevice.py").write_text(STUB_PORTAUDIO)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    start = asyncio.create_subprocess_exec
    begun: list[bool] = []

    def fan_is_being_removed() -> bool:
        tasks = [task for task in asyncio.all_tasks() if task.get_name() == "monitor fan"]
        return all(task.cancelling() for task in tasks)

    async def start_late(*arguments, **options):
        if not begun:
            begun.append(True)
            daemon.file = make_config(pump={"device": "name:absent"})
            getattr(daemon.service, request_name)()
            await until(fan_is_being_removed)
        return await start(*arguments, **options)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start_late)
    daemon.start(make_config(fan={"device": "name:stub"}), open_source=None)
    await until(lambda: begun)
    await daemon.until_state("fan", "stopped", "no_device")
    if request_name == "request_reload":
        await until(lambda: "pump" in daemon.service.config.machines, "the end of the reload")
        daemon.service.stop()
    await daemon.finish()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_machine_whose_alarms_cannot_be_read_is_monitored(daemon, monkeypatch):
    def fail(journal: Journal, *_: object) -> list[object]:
        raise JournalError("disk I/O error")

    monkeypatch.setattr(Journal, "alarms", fail)
    monkeypatch.setattr(Journal, "events", fail)
    daemon.start(make_config(fan={"device": "hw:1"}))
    await daemon.until_state("fan", "normal")
    daemon.file = make_config(fan={"device": "hw:1"}, pump={"device": "hw:2"})
    daemon.service.request_reload()
    await daemon.until_state("pump", "normal")
    daemon.source("hw:2").play(20, 0.6)
    await daemon.until_state("pump", "alarm")
    daemon.file = make_config(fan={"device": "hw:1"}, pump={"device": "hw:3"})
    daemon.service.request_reload()
    await until(lambda: "hw:3" in daemon.sources)
    await daemon.until_state("pump", "alarm")


async def test_an_alarm_of_an_earlier_run_is_taken_up_though_it_cannot_be_read(daemon, monkeypatch):
    daemon.start(make_config(fan={"device": "hw:1"}))
    await daemon.until_state("fan", "normal")
    daemon.source("hw:1").play(20, 0.6)
    await daemon.until_state("fan", "alarm")
    daemon.service.stop()
    await daemon.finish()

    def fail(journal: Journal, *_: object) -> list[object]:
        raise JournalError("disk I/O error")

    monkeypatch.setattr(Journal, "alarms", fail)
    monkeypatch.setattr(Journal, "events", fail)
    second = InProcessDaemon(daemon.folder, daemon.models)
    second.start(make_config(fan={"device": "hw:1"}))
    await second.until_state("fan", "alarm")
    for key in ("id", "active", "raised", "reason", "views", "provisional"):
        assert second.broker.alarm("fan")[key] == daemon.broker.alarm("fan")[key]
    second.service.stop()
    await second.finish()


async def test_a_machine_that_could_not_be_added_affects_no_other(daemon, monkeypatch):
    machine_journal = JournalAccess.machine_journal
    broken = ["pump"]

    async def fail_for_pump(access: JournalAccess, machine: str) -> MachineJournal:
        if machine in broken:
            raise ZeroDivisionError("a defect")
        return await machine_journal(access, machine)

    monkeypatch.setattr(JournalAccess, "machine_journal", fail_for_pump)
    both = make_config(fan={"device": "hw:1"}, pump={"device": "hw:2"})
    with structlog.testing.capture_logs() as logs:
        daemon.start(both)
        await daemon.until_state("fan", "normal")
        daemon.file = make_config(fan={"device": "hw:1"})
        daemon.service.request_reload()
        await until(lambda: "pump" not in daemon.service.config.machines, "the end of the reload")
    assert [each["machine"] for each in logs if "not applied" in each["event"]] == ["pump"]
    daemon.source("hw:1").play(3)
    await until(lambda: daemon.source("hw:1").delivered)
    assert daemon.broker.state("fan")["state"] == "normal"
    broken.clear()
    daemon.file = both
    daemon.service.request_reload()
    await daemon.until_state("pump", "normal")
    assert len(daemon.sources["hw:1"]) == 1


@pytest.mark.parametrize("is_repaired", [True, False])
async def test_a_defect_while_one_machine_is_added_at_a_reload_is_reported(
    daemon, monkeypatch, is_repaired
):
    add, broken = MachineRegistry.add, ["mill"]

    async def fail_for_mill(registry: MachineRegistry, machine: str, settings: Machine) -> None:
        if machine in broken:
            raise ZeroDivisionError("a defect")
        await add(registry, machine, settings)

    monkeypatch.setattr(MachineRegistry, "add", fail_for_mill)
    devices = {"fan": {"device": "hw:1"}, "mill": {"device": "hw:2"}, "pump": {"device": "hw:3"}}
    daemon.start(make_config(fan=devices["fan"]))
    await daemon.until_state("fan", "normal")
    daemon.file = make_config(**devices)
    daemon.service.request_reload()
    await daemon.until_state("pump", "normal")
    await until(lambda: daemon.broker.messages("box/testbox/alarm"))
    (condition,) = daemon.broker.messages("box/testbox/alarm")[-1]["conditions"]
    assert (condition["kind"], condition["machine"]) == ("task_failing", "mill")
    assert "ZeroDivisionError: a defect" in condition["text"]
    assert condition["remedy"].endswith(f"`kill -HUP {os.getpid()}` tries again")
    assert len(daemon.sources["hw:1"]) == 1
    if is_repaired:
        broken.clear()
    else:
        daemon.file = make_config(fan=devices["fan"])
    daemon.service.request_reload()
    if is_repaired:
        await daemon.until_state("mill", "normal")
    await until(lambda: not daemon.broker.messages("box/testbox/alarm")[-1]["active"])


async def test_a_defect_in_the_removal_of_a_machine_affects_no_other(daemon, monkeypatch):
    daemon.start(make_config(fan={"device": "hw:1"}, pump={"device": "hw:2"}))
    await daemon.until_state("fan", "normal")
    await daemon.until_state("pump", "normal")

    def fail(session: MonitorSession, reason: str) -> None:
        raise ZeroDivisionError(reason)

    monkeypatch.setattr(MonitorSession, "publish_stopped", fail)
    daemon.file = make_config(mill={"device": "hw:3"})
    daemon.service.request_reload()
    await daemon.until_state("mill", "normal")
    monkeypatch.undo()


async def test_settings_that_need_a_restart_are_logged_at_each_reload(daemon):
    config = make_config(fan={"device": "hw:1"})
    changed = config.model_copy(update={"mqtt": config.mqtt.model_copy(update={"prefix": "other"})})

    async def warnings_of(file: Config) -> int:
        daemon.file = file
        with structlog.testing.capture_logs() as logs:
            daemon.service.request_reload()
            await until(lambda: any(each["event"] == "reloading" for each in logs))
            await until(lambda: daemon.service.config is file)
        return sum("need a restart" in each["event"] for each in logs)

    daemon.start(config)
    await daemon.until_state("fan", "normal")
    assert await warnings_of(changed) == 1
    assert await warnings_of(changed.model_copy()) == 1
    assert await warnings_of(config.model_copy()) == 0
