"""The whole daemon in one process, with scripted sources and a broker that only remembers."""

import asyncio
import contextlib
import inspect
import os
import re
import signal
import socket
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog
from tests.doubles import daemon_fakes
from tests.doubles.daemon_fakes import (
    MemorySession,
    ScriptedSource,
    StubBundle,
    StubModels,
    make_config,
    until,
)
from tests.doubles.scripted_microphone import ScriptedMicrophone

from asd_monitor.audio import opening
from asd_monitor.audio.devices.device_strings import DeviceSpec
from asd_monitor.config.settings import Config
from asd_monitor.daemon import evaluator as judge_module
from asd_monitor.daemon import service, shutdown, supervision
from asd_monitor.daemon.service import RuntimeOptions, Service, _open_journal
from asd_monitor.daemon.state_lock import StateLock
from asd_monitor.errors import OperationError, UsageError
from asd_monitor.journal.alarm_records import Event
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.store import Journal

FAN_AND_PUMP = {"fan": {"device": "hw:1"}, "pump": {"device": "hw:2"}}


class Daemon:
    def __init__(self, folder: Path, models: StubModels) -> None:
        self.folder = folder
        self.models = models
        self.session = MemorySession()
        self.sources: dict[str, list[ScriptedSource]] = {}
        self.file: Config | Exception | None = None
        self.environment: dict[str, str] = {}
        self.task: asyncio.Task[None] | None = None

    def start(self, config: Config, **setting: object) -> None:
        setting = {"open_source": self._open} | setting
        self.file = config
        self.service = Service(
            config,
            RuntimeOptions(
                models=self.folder / "models",
                state=self.folder,
                reload=self._read,
                environment=self.environment,
                **setting,
            ),
            session=self.session,
        )
        self.task = asyncio.create_task(self.service.run(), name="service")

    def _read(self) -> Config:
        if isinstance(self.file, Exception):
            raise self.file
        assert self.file is not None
        return self.file

    def _open(self, spec: DeviceSpec) -> ScriptedSource:
        source = ScriptedSource()
        if not spec.is_file:
            source.open().hear(3)
        self.sources.setdefault(str(spec), []).append(source)
        return source

    def source(self, device: str) -> ScriptedSource:
        return self.sources[device][-1]

    async def until_state(self, machine: str, state: str, microphone: str = "ok") -> dict:
        wanted = (state, microphone)
        await until(
            lambda: (
                wanted
                == tuple(self.session.state(machine).get(key) for key in ("state", "microphone"))
            ),
            f"{machine}: {wanted}",
        )
        return self.session.state(machine)

    async def finish(self) -> None:
        assert self.task is not None
        await asyncio.wait_for(self.task, daemon_fakes.PATIENCE_S)


@pytest.fixture
async def daemon(tmp_path, monkeypatch):
    models = StubModels(fan=StubBundle(), pump=StubBundle(), mill=StubBundle())
    monkeypatch.setattr(judge_module.Evaluator.__init__, "__kwdefaults__", {"load": models.load})
    monkeypatch.setattr(supervision.Supervised.__init__, "__kwdefaults__", {"backoff_s": (0.01,)})
    daemon = Daemon(tmp_path, models)
    yield daemon
    if daemon.task is not None and not daemon.task.done():
        daemon.service.stop()
        with contextlib.suppress(Exception):
            await daemon.finish()


async def test_sigterm_is_a_clean_stop(daemon):
    daemon.start(make_config(**FAN_AND_PUMP))
    await daemon.until_state("fan", "normal")
    await daemon.until_state("pump", "normal")
    assert (daemon.folder / "sound.sock").exists()
    os.kill(os.getpid(), signal.SIGTERM)
    await daemon.finish()
    assert daemon.session.state("fan")["state"] == "stopped"
    assert daemon.session.state("pump")["state"] == "stopped"
    assert daemon.session.state("pump")["reason"] == "the daemon was stopped"
    assert daemon.session.stopped
    assert all(source.closed for sources in daemon.sources.values() for source in sources)
    assert not (daemon.folder / "sound.sock").exists()
    daemon.start(make_config(**FAN_AND_PUMP))  # the state folder is free again
    await daemon.until_state("fan", "normal")


@pytest.mark.parametrize(
    ("numbers", "interrupted"),
    [
        ([signal.SIGINT], True),
        ([signal.SIGINT, signal.SIGINT, signal.SIGTERM], True),
        ([signal.SIGTERM, signal.SIGINT], False),
    ],
)
async def test_ctrl_c_is_a_clean_stop_that_is_told_apart(daemon, numbers, interrupted):
    daemon.start(make_config(fan={"device": "hw:1"}))
    await daemon.until_state("fan", "normal")
    for number in numbers:
        signal.raise_signal(number)
        await asyncio.sleep(0)
    await daemon.finish()
    assert daemon.session.state("fan")["state"] == "stopped"
    assert daemon.session.stopped
    assert daemon.service.interrupted is interrupted


async def test_every_task_has_a_name(daemon):
    daemon.start(make_config(**FAN_AND_PUMP))
    await daemon.until_state("pump", "normal")
    names = {task.get_name() for task in asyncio.all_tasks() - {asyncio.current_task()}}
    assert {"listen fan", "hear fan", "judge fan", "listen pump", "watchdog"} <= names
    assert [name for name in names if re.fullmatch(r"Task-\d+", name)] == []
    daemon.service.stop()
    await daemon.finish()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_each_connection_to_the_broker_gets_a_new_status(daemon, monkeypatch):
    connected = []
    session, daemon.session = daemon.session, None

    def connect(_settings: object, _box: str, *, on_connect) -> MemorySession:
        connected.append(on_connect)
        return session

    monkeypatch.setattr(service, "BrokerSession", connect)
    daemon.start(make_config(fan={"device": "hw:1"}))
    daemon.session = session
    await daemon.until_state("fan", "normal")
    await until(lambda: session.all("box/testbox/status"))
    for _ in range(2):
        before = session.all("box/testbox/status")
        await asyncio.to_thread(connected[0])  # the session's thread calls it
        await until(lambda before=before: len(session.all("box/testbox/status")) > len(before))
        assert session.all("box/testbox/status")[-1]["uptime_s"] >= before[-1]["uptime_s"]
    daemon.service.stop()
    await daemon.finish()
    await asyncio.to_thread(connected[0])  # too late, and no harm


async def test_a_defect_in_one_machine_does_not_disturb_the_other(daemon):
    with structlog.testing.capture_logs() as logs:
        daemon.start(make_config(**FAN_AND_PUMP))
        await daemon.until_state("fan", "normal")
        await daemon.until_state("pump", "normal")
        for broken in range(1, 4):
            daemon.source("hw:1").fail(RuntimeError("a defect"))
            await until(lambda broken=broken: len(daemon.sources["hw:1"]) == broken + 1)
            await daemon.until_state("fan", "normal")
        daemon.source("hw:2").hear(5)
        await until(lambda: len(daemon.session.all("pump/score")) > 5)
    assert len(daemon.sources["hw:2"]) == 1
    told = [m for m in daemon.session.all("fan/state") if "defect" in (m["reason"] or "")]
    assert told
    assert (told[0]["microphone"], told[0]["evaluated"]) == ("fault", False)
    defects = [entry for entry in logs if "defect" in entry["event"]]
    assert [entry["machine"] for entry in defects] == ["fan"]  # told once


async def test_no_model_and_no_device_end_nothing(daemon):
    del daemon.models.bundles["fan"]
    daemon.start(make_config(**FAN_AND_PUMP))
    await daemon.until_state("fan", "no_model")
    daemon.source("hw:1").lose("hw:1: unplugged")
    await daemon.until_state("fan", "no_model", "no_device")
    await daemon.until_state("pump", "normal")


async def test_sighup_takes_up_what_changed_and_leaves_the_rest_alone(daemon):
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
    assert daemon.session.state("mill")["reason"] == "removed from the configuration"
    await daemon.until_state("saw", "no_model")
    await until(lambda: "hw:4" in daemon.sources)
    await daemon.until_state("pump", "normal")
    await until(lambda: daemon.session.state("fan")["model"] == "v2")
    assert [len(daemon.sources[d]) for d in ("hw:1", "hw:2", "hw:3")] == [1, 1, 1]
    assert not daemon.source("hw:1").closed
    assert daemon.source("hw:2").closed
    assert daemon.source("hw:3").closed


async def restart_fan(daemon: Daemon, how: str) -> ScriptedSource:
    """Let the fan's listener be replaced in one of the ways; return the new one's source."""
    listeners = len(daemon.sources["hw:1"])
    if how == "broken":
        daemon.source("hw:1").fail(RuntimeError("a defect"))
    else:
        daemon.file = make_config(fan={"device": "hw:1", "score_every_s": 1 + listeners})
        daemon.service.request_reload()
    await until(lambda: len(daemon.sources["hw:1"]) == listeners + 1)
    return daemon.source("hw:1")


def fan_scores(daemon: Daemon) -> list[dict]:
    return daemon.session.all("fan/score")


@pytest.mark.parametrize("how", ["broken", "reconfigured"])
async def test_scores_are_published_from_the_first_window_after_a_restart(daemon, how):
    daemon.start(make_config(fan={"device": "hw:1", "score_every_s": 1}))
    await until(lambda: fan_scores(daemon))
    daemon.source("hw:1").hear(20)
    await until(lambda: fan_scores(daemon)[-1]["sample"] > 20 * daemon_fakes.RATE)
    for _ in range(2):
        seq = fan_scores(daemon)[-1]["seq"]
        await restart_fan(daemon, how)
        await until(
            lambda seq=seq: any(
                m["seq"] > seq and m["sample"] < 2 * daemon_fakes.RATE for m in fan_scores(daemon)
            ),
            "the score of the first window",
        )
    numbers = [m["seq"] for m in fan_scores(daemon)]
    assert numbers == sorted(set(numbers))


async def test_counts_since_the_start_survive_restarts_of_a_listener(daemon):
    daemon.start(make_config(fan={"device": "hw:1"}))
    await daemon.until_state("fan", "normal")

    async def told() -> tuple[dict, dict]:
        statuses = daemon.session.all("box/testbox/status")
        daemon.service.note_connection()
        await until(lambda: len(daemon.session.all("box/testbox/status")) > len(statuses))
        status = daemon.session.all("box/testbox/status")[-1]
        machine = status["machines"].get("fan", {})
        counts = {key: machine.get(key) for key in ("lost_samples", "gaps", "restarts")}
        restarted = {key: status["restarted"][key] for key in ("microphones", "listeners")}
        return counts, restarted | {"samples": status["dropped"]["samples"]}

    def count(source: ScriptedSource, lost: int) -> None:
        source.lost_samples, source.gaps, source.restarts = lost, 2, 1

    count(daemon.source("hw:1"), 1000)
    for how, lost, listeners in (("broken", 100, 1), ("reconfigured", 10, 1), ("broken", 1, 2)):
        counts, totals = await told()
        source = await restart_fan(daemon, how)
        restarts = len(daemon.sources["hw:1"]) - 1
        assert (await told())[0] == counts
        count(source, lost)
        new_counts, new_totals = await told()
        assert new_counts == {
            "lost_samples": counts["lost_samples"] + lost,
            "gaps": 2 * (restarts + 1),
            "restarts": restarts + 1,
        }
        assert new_totals == {
            "microphones": restarts + 1,
            "listeners": listeners,
            "samples": totals["samples"] + lost,
        }
    await daemon.until_state("fan", "normal")
    seen = len(fan_scores(daemon))
    daemon.source("hw:1").hear(5)
    await until(lambda: len(fan_scores(daemon)) > seen)
    assert fan_scores(daemon)[-1]["lost_samples"] == 1111

    daemon.file = make_config(pump={"device": "hw:2"})
    daemon.service.request_reload()
    await daemon.until_state("pump", "normal")
    assert (await told())[1] == {"microphones": 4, "listeners": 2, "samples": 1111}
    daemon.file = make_config(fan={"device": "hw:1"}, pump={"device": "hw:2"})
    daemon.service.request_reload()
    await daemon.until_state("fan", "normal")
    assert (await told())[0] == {"lost_samples": 1111, "gaps": 8, "restarts": 4}


async def test_an_alarm_being_written_during_a_reload_is_taken_up(daemon, monkeypatch):
    entered, gate = threading.Event(), threading.Event()
    record = MachineJournal.record

    def slow_record(journal: MachineJournal, *arguments: object) -> Event:
        entered.set()
        assert gate.wait(daemon_fakes.PATIENCE_S)
        return record(journal, *arguments)

    monkeypatch.setattr(MachineJournal, "record", slow_record)
    daemon.start(make_config(fan={"device": "hw:1"}))
    await daemon.until_state("fan", "normal")
    daemon.source("hw:1").hear(25, 0.6)
    await until(entered.is_set)
    before = daemon.service._machines["fan"].task
    assert before is not None
    daemon.file = make_config(fan={"device": "hw:1", "score_every_s": 1})
    daemon.service.request_reload()
    await until(before.cancelling)
    for _ in range(100):  # a listener that did not wait for the journal would begin here
        await asyncio.sleep(0)
    gate.set()
    await until(lambda: len(daemon.sources["hw:1"]) == 2)
    await daemon.until_state("fan", "alarm")
    daemon.source("hw:1").hear(25, 0.6)
    await until(lambda: [m for m in fan_scores(daemon) if m["sample"] > 25 * daemon_fakes.RATE])
    with Journal(daemon.folder) as journal:
        (alarm,) = journal.alarms("fan")
        raised = [e for e in journal.events(alarm.id) if e.before == "normal"]
    assert len(raised) == 1
    assert daemon.session.alarm("fan")["id"] == alarm.id


async def test_a_bad_configuration_leaves_the_old_one_in_use(daemon):
    with structlog.testing.capture_logs() as logs:
        daemon.start(make_config(fan={"device": "hw:1"}))
        await daemon.until_state("fan", "normal")
        daemon.file = UsageError("a.yaml:3:1: unknown key")
        daemon.service.request_reload()
        await until(lambda: any("old one goes on" in entry["event"] for entry in logs))
    daemon.source("hw:1").hear(3)
    await until(lambda: daemon.source("hw:1").taken)
    assert daemon.session.state("fan")["state"] == "normal"
    assert not daemon.source("hw:1").closed


async def test_an_acknowledgement_by_another_process_is_taken_up(daemon):
    daemon.start(make_config(fan={"device": "hw:1"}))
    await daemon.until_state("fan", "normal")
    daemon.source("hw:1").hear(25, 0.6)
    await daemon.until_state("fan", "alarm")
    with Journal(daemon.folder) as other:
        (record,) = other.alarms("fan")
        other.acknowledge(record.id, "ann", "seen", datetime.now(UTC))
    await until(lambda: daemon.session.alarm("fan")["acknowledged"])


async def test_it_ends_when_every_recording_has_ended(daemon):
    daemon.start(make_config(fan={"device": "file:/a.wav"}, pump={"device": "file:/b.wav"}))
    await until(lambda: len(daemon.sources) == 2)
    for device in ("file:/a.wav", "file:/b.wav"):
        daemon.source(device).open().hear(5)
    daemon.source("file:/a.wav").finish()
    await daemon.until_state("fan", "stopped")
    assert daemon.task is not None
    assert not daemon.task.done()
    daemon.source("file:/b.wav").finish()
    await daemon.finish()
    assert daemon.session.stopped


async def test_a_microphone_keeps_it_alive(daemon):
    daemon.start(make_config(fan={"device": "file:/a.wav"}, pump={"device": "hw:2"}))
    await until(lambda: len(daemon.sources) == 2)
    daemon.source("file:/a.wav").open().hear(5)
    daemon.source("file:/a.wav").finish()
    await daemon.until_state("fan", "stopped")
    daemon.source("hw:2").hear(5)
    await until(lambda: len(daemon.session.all("pump/score")) > 5)
    assert daemon.task is not None
    assert not daemon.task.done()


async def test_a_recording_that_cannot_be_heard_fails_the_run(daemon):
    daemon.start(make_config(fan={"device": "file:/a.wav"}))
    await until(lambda: daemon.sources)
    daemon.source("file:/a.wav").fail(UsageError("/a.wav: empty"))
    with pytest.raises(UsageError, match=r"/a\.wav: empty"):
        await daemon.finish()


async def test_one_daemon_to_a_state_folder(daemon, tmp_path):
    daemon.start(make_config(fan={"device": "hw:1"}))
    await daemon.until_state("fan", "normal")
    with pytest.raises(OperationError, match=f"{tmp_path}: another daemon"):
        Service(make_config(fan={"device": "hw:1"}), RuntimeOptions(tmp_path, tmp_path))


def test_a_damaged_journal_does_not_keep_the_daemon_from_listening(tmp_path):
    (tmp_path / "alarms.db").write_bytes(b"no database" * 100)
    _open_journal(tmp_path).close()
    assert (tmp_path / "alarms.db.damaged-1").read_bytes() == b"no database" * 100
    _open_journal(tmp_path).close()
    assert not (tmp_path / "alarms.db.damaged-2").exists()


async def test_a_status_of_the_box(daemon):
    daemon.start(make_config(**FAN_AND_PUMP))
    await until(lambda: "asd/box/testbox/status" in daemon.session.retained)
    status = daemon.session.retained["asd/box/testbox/status"]
    assert set(status["machines"]) == {"fan", "pump"}
    assert {"messages", "samples", "journal"} <= set(status["dropped"])
    assert len(status["load"]) == 3


class Systemd:
    """The other end of `NOTIFY_SOCKET`."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(0)
        self.said: list[str] = []

    def listen(self) -> list[str]:
        with contextlib.suppress(BlockingIOError):
            while True:
                self.said += self._socket.recv(4096).decode().splitlines()
        return self.said

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def systemd(daemon, tmp_path):
    manager = Systemd(tmp_path / "notify")
    daemon.environment |= {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "100000"}
    yield manager
    manager.close()


async def test_what_systemd_is_told(daemon, systemd):
    daemon.start(make_config(fan={"device": "hw:1"}))
    await until(lambda: "READY=1" in systemd.listen())
    await until(lambda: systemd.listen().count("WATCHDOG=1") > 3)
    await until(lambda: "STATUS=fan normal (ok)" in systemd.listen())
    daemon.service.request_reload()
    await until(lambda: "RELOADING=1" in systemd.listen())
    await until(lambda: systemd.listen().count("READY=1") == 2)
    daemon.service.stop()
    await daemon.finish()
    assert "STOPPING=1" in systemd.listen()


async def test_the_watchdog_is_not_fed_while_a_machine_hangs(daemon, systemd):
    gate = threading.Event()
    detector = daemon_fakes.LevelDetector(gate=gate)
    daemon.models.bundles["fan"] = StubBundle(detector=detector)
    with structlog.testing.capture_logs() as logs:
        daemon.start(make_config(**FAN_AND_PUMP), hang_s=0.2)
        daemon_task = daemon.task
        await until(lambda: "READY=1" in systemd.listen())
        daemon.source("hw:1").hear(3)
        # an outage is an excuse, and so the pump does not hang
        daemon.source("hw:2").lose("unplugged")
        await until(lambda: any("hang" in entry["event"] for entry in logs))
        (entry,) = [entry for entry in logs if "hang" in entry["event"]]
        assert entry["machines"] == ["fan"]
        systemd.listen()
        fed = systemd.said.count("WATCHDOG=1")
        seen = len(systemd.said)  # it goes on telling its status
        await until(lambda: len(systemd.listen()) > seen + 5)
        assert systemd.said.count("WATCHDOG=1") == fed
        gate.set()
        daemon.source("hw:1").lose("unplugged")
        await until(lambda: systemd.listen().count("WATCHDOG=1") > fed)
    assert daemon_task is daemon.task


@pytest.fixture
def scripted(monkeypatch):
    """Return the microphones that the daemon opens, and the strings that it opens them by."""
    made: list[tuple[str, ScriptedMicrophone]] = []

    def make(spec: DeviceSpec, **_: object) -> ScriptedMicrophone:
        made.append((str(spec), ScriptedMicrophone(channels=3)))
        return made[-1][1]

    monkeypatch.setattr(opening, "Microphone", make)
    return made


async def test_machines_on_one_device_share_it_over_reloads(daemon, scripted):
    both = {"fan": {"device": "hw:1"}, "pump": {"device": "hw:1", "channel": 1}}
    daemon.start(make_config(**both), open_source=None)
    await until(lambda: scripted)
    ((device, microphone),) = scripted
    assert device == "hw:1"
    assert microphone.wanted[0] == {0, 1}
    microphone.open()
    microphone.hear(30)
    await daemon.until_state("fan", "normal")
    await daemon.until_state("pump", "normal")

    daemon.file = make_config(pump=both["pump"], mill={"device": "hw:1#2"})
    daemon.service.request_reload()
    await until(lambda: microphone.wanted[-1] == {1, 2}, "the mill is wanted")
    assert daemon.session.state("fan")["state"] == "stopped"
    assert daemon.session.state("pump")["microphone"] == "ok"
    microphone.lose("it is opened again")
    microphone.open()
    microphone.hear(30, gap=16_000)
    await daemon.until_state("mill", "normal")
    await daemon.until_state("pump", "normal")
    told = len(daemon.session.all("box/testbox/status"))
    daemon.service.note_connection()
    await until(lambda: len(daemon.session.all("box/testbox/status")) > told)
    machines = daemon.session.all("box/testbox/status")[-1]["machines"]
    assert {name: each["restarts"] for name, each in machines.items()} == {"pump": 1, "mill": 0}
    assert {name: each["lost_samples"] for name, each in machines.items()} == {
        "pump": 16_000,
        "mill": 0,
    }
    assert len(scripted) == 1

    daemon.service.stop()
    await daemon.finish()
    assert microphone.closed.is_set()


async def test_more_machines_than_a_box_carries_are_told_and_pass_windows_over(daemon, monkeypatch):
    monkeypatch.setattr("asd_monitor.daemon.scoring_thread.carries", lambda _: 1)
    daemon.start(make_config(**FAN_AND_PUMP))
    await until(lambda: "passed over" in str(daemon.session.state("fan").get("reason")))
    status = daemon.session.retained["asd/box/testbox/status"]
    assert (status["scoring"]["carries"], status["scoring"]["every"]) == (1, 2)
    assert daemon.session.state("fan")["evaluated"]
    for device in ("hw:1", "hw:2"):
        daemon.source(device).hear(10)
    await until(lambda: daemon.session.all("fan/score") and daemon.session.all("pump/score"))
    await until(
        lambda: all(each.status.passed_over > 0 for each in daemon.service._listeners()),
        "no window was passed over",
    )


STUB_PORTAUDIO = """
import time
class PortAudioError(Exception): pass
def query_devices():
    return [dict(name="stub", index=0, max_input_channels=1, default_samplerate=16000.0)]
class RawInputStream:
    def __init__(self, samplerate, device, channels, dtype, latency):
        self.samplerate, self.channels = samplerate, channels
    def start(self): pass
    def read(self, frames):
        time.sleep(frames / self.samplerate)
        return bytes(2 * frames * self.channels), False
"""


@pytest.mark.parametrize("request_name", ["stop", "request_reload"])
async def test_a_stop_or_reload_while_a_capture_child_is_started(
    daemon, tmp_path, monkeypatch, request_name
):
    (tmp_path / "sounddevice.py").write_text(STUB_PORTAUDIO)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    start, begun = asyncio.create_subprocess_exec, []

    async def start_late(*arguments, **options):
        if not begun:
            begun.append(True)
            daemon.file = make_config(pump={"device": "name:absent"})
            getattr(daemon.service, request_name)()
            await until(lambda: "fan" not in daemon.service._machines)  # it is being removed
        return await start(*arguments, **options)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start_late)
    daemon.start(make_config(fan={"device": "name:stub"}), open_source=None)
    await until(lambda: begun)
    await daemon.until_state("fan", "stopped", "no_device")
    if request_name == "request_reload":
        await until(lambda: "pump" in daemon.service._config.machines, "the reload has ended")
        daemon.service.stop()
    await daemon.finish()
    assert asyncio.all_tasks() == {asyncio.current_task()}


class UnreleasedSource(ScriptedSource):
    """A source whose release never ends."""

    async def close(self) -> None:
        await asyncio.Event().wait()


class UnendingSource(ScriptedSource):
    """A source with a defect: its iteration goes on when it is cancelled, until `may_end`."""

    may_end = False

    async def events(self):
        while not self.may_end:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.02)
        for event in ():
            yield event


@pytest.mark.parametrize("kind", [UnreleasedSource, UnendingSource])
async def test_a_machine_that_does_not_end_holds_up_neither_a_reload_nor_the_stop(
    daemon, monkeypatch, kind
):
    monkeypatch.setattr(service, "_REMOVE_S", 0.05)
    monkeypatch.setattr(shutdown, "_CANCELLED_S", 0.05)
    made = []

    def open_source(spec: DeviceSpec) -> ScriptedSource:
        if str(spec) == "hw:2":
            return daemon._open(spec)
        made.append(kind())
        return made[-1]

    both = make_config(**FAN_AND_PUMP, mill={"device": "hw:3"})
    with structlog.testing.capture_logs() as logs:
        daemon.start(both, open_source=open_source)
        await daemon.until_state("pump", "normal")
        await until(lambda: len(made) == 2)
        daemon.file = make_config(**FAN_AND_PUMP)
        daemon.service.request_reload()
        await until(lambda: "mill" not in daemon.service._config.machines, "the reload has ended")
        assert daemon.session.state("mill")["state"] == "stopped"
        daemon.service.stop()
        await daemon.finish()
    for machine in ("fan", "mill"):
        late = [entry for entry in logs if entry.get("task") == f"supervise {machine}"]
        assert late
        assert {entry["log_level"] for entry in late} == {"error"}
    assert daemon.session.state("fan")["state"] == "stopped"
    assert daemon.session.state("pump")["state"] == "stopped"
    assert daemon.session.stopped
    StateLock(daemon.folder).release()
    UnendingSource.may_end = True
    await until(lambda: len(asyncio.all_tasks()) == 1)
    UnendingSource.may_end = False


def raise_after(monkeypatch, owner: object, name: str) -> None:
    """Let a method raise when it has done its work."""
    work = getattr(owner, name)

    def raising(*arguments: object) -> None:
        work(*arguments)
        raise ZeroDivisionError(name)

    async def raising_late(*arguments: object) -> None:
        await work(*arguments)
        raise ZeroDivisionError(name)

    is_async = inspect.iscoroutinefunction(work)
    monkeypatch.setattr(owner, name, raising_late if is_async else raising)


async def test_each_step_of_the_shutdown_runs_whatever_the_others_raise(daemon, monkeypatch):
    with structlog.testing.capture_logs() as logs:
        daemon.start(make_config(**FAN_AND_PUMP))
        await daemon.until_state("fan", "normal")
        await daemon.until_state("pump", "normal")
        raise_after(monkeypatch, daemon.service._listeners()[0], "publish_stopped")
        raise_after(monkeypatch, daemon.service._sharing, "stop")
        raise_after(monkeypatch, daemon.service._scoring, "close")
        raise_after(monkeypatch, daemon.session, "stop")
        raise_after(monkeypatch, daemon.service._journal, "close")
        daemon.service.stop()
        await daemon.finish()
    assert daemon.session.state("pump")["state"] == "stopped"
    assert [entry["step"] for entry in logs if "step" in entry] == [
        "remove fan",
        "stop sharing sound",
        "stop scoring",
        "disconnect from the broker",
        "close the journal",
    ]
    StateLock(daemon.folder).release()  # nobody has it


async def test_a_step_of_the_shutdown_that_does_not_end_is_left_at_its_limit(daemon, monkeypatch):
    for limit in ("_STEP_S", "_MARGIN_S", "_GOODBYE_S"):
        monkeypatch.setattr(service, limit, 0.05)
    may_end = threading.Event()
    with structlog.testing.capture_logs() as logs:
        daemon.start(make_config(fan={"device": "hw:1"}))
        await daemon.until_state("fan", "normal")
        monkeypatch.setattr(daemon.service._scoring, "close", asyncio.Event().wait)
        monkeypatch.setattr(daemon.session, "stop", lambda _: may_end.wait())
        daemon.service.stop()
        await daemon.finish()
    may_end.set()
    late = [entry for entry in logs if "has not ended" in entry["event"] and "step" in entry]
    assert [entry["step"] for entry in late] == ["stop scoring", "disconnect from the broker"]
    StateLock(daemon.folder).release()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
async def test_a_signal_during_the_shutdown_does_not_end_the_process(daemon, monkeypatch, number):
    daemon.start(make_config(fan={"device": "hw:1"}))
    await daemon.until_state("fan", "normal")
    stop = daemon.session.stop

    handled = []

    def stop_late(timeout_s: float) -> None:
        default = signal.SIG_IGN, signal.SIG_DFL, signal.default_int_handler
        handled.append(signal.getsignal(number) not in default)
        if handled == [True]:
            os.kill(os.getpid(), number)
        stop(timeout_s)

    monkeypatch.setattr(daemon.session, "stop", stop_late)
    daemon.service.stop()
    await daemon.finish()
    assert handled == [True]
    assert daemon.session.stopped
