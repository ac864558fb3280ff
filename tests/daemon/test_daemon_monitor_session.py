"""One machine, driven by a scripted source: what is published and written down."""

import asyncio
import contextlib
import threading
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import structlog
from tests.doubles import daemon_fakes
from tests.doubles.daemon_fakes import MemorySession, ScriptedSource, StubBundle, StubModels, until

from asd_monitor.alarm.budget import rule_for
from asd_monitor.audio.sharing.server import SoundSharing
from asd_monitor.daemon import evaluator as judge_module
from asd_monitor.daemon.machine_publisher import MachinePublisher
from asd_monitor.daemon.monitor_session import MonitorSession, SessionContext
from asd_monitor.daemon.scoring_thread import Scoring
from asd_monitor.daemon.training_child import Training
from asd_monitor.errors import UsageError
from asd_monitor.evaluation.replay import backtest
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.store import Journal
from asd_monitor.records import MicrophoneState

FAN = {"device": "hw:1"}
LOUD = 0.6


class Machine:
    """A listener and what surrounds it."""

    def __init__(self, folder: Path, models: StubModels, keys: dict) -> None:
        self.session = MemorySession()
        self.source = ScriptedSource()
        self.journal = Journal(folder)
        self.trained: list[tuple[str, Path, Path]] = []
        self.training_ends = asyncio.Event()
        self.training_failure: str | None = None
        self.models = models
        self.settings = daemon_fakes.make_config(fan=keys).machines["fan"]
        self._folder = folder
        self._tasks: list[asyncio.Task] = []

    async def _train(self, machine: str, sound: Path, models: Path) -> Training:
        self.trained.append((machine, sound, models))
        await self.training_ends.wait()
        return Training(self.training_failure)

    async def _ease(self) -> None:
        await asyncio.sleep(0)

    def start(self, source: ScriptedSource | None = None) -> MonitorSession:
        self.source = source or self.source
        self.scoring = Scoring()
        around = SessionContext(
            models=self._folder / "models",
            state=self._folder,
            sharing=SoundSharing(self._folder),
            scoring=self.scoring,
            open_source=lambda _: self.source,
            train=self._train,
            ease=self._ease,
        )
        report = MachinePublisher(
            "fan", self.session.topics, self.session, clock_synced=lambda: True
        )
        journal = MachineJournal(self.journal, "fan")
        self.listener = MonitorSession("fan", self.settings, journal, report, around)
        self.task = asyncio.create_task(self.listener.run())
        self._tasks.append(self.task)
        return self.listener

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._tasks:
            await self.scoring.close()

    @property
    def told(self) -> dict:
        return self.session.state("fan")

    async def until_state(self, state: str, microphone: str = "ok") -> dict:
        await until(
            lambda: (self.told.get("state"), self.told.get("microphone")) == (state, microphone),
            f"{state}, {microphone} instead of {self.told}",
        )
        return self.told

    async def hear(self, seconds: int, level: float = 0.1) -> None:
        """Give sound no faster than it is judged."""
        for _ in range(seconds // 5):
            self.source.hear(5, level)
            await self.until_judged()

    async def until_judged(self) -> None:
        await until(lambda: self.source.taken)
        await until(lambda: self.listener.pulse.progress >= self.source.end)


@pytest.fixture
async def make(tmp_path, monkeypatch):
    models = StubModels(fan=StubBundle())
    monkeypatch.setattr(judge_module.Evaluator.__init__, "__kwdefaults__", {"load": models.load})
    made = []

    def make(**keys) -> Machine:
        made.append(Machine(tmp_path, models, FAN | keys))
        return made[-1]

    yield make
    for machine in made:
        await machine.stop()
        machine.journal.close()


async def test_normal_sound_gives_scores_and_no_alarm(make):
    machine = make()
    machine.start()
    machine.source.open().hear(20, 0.05)
    told = await machine.until_state("normal")
    assert told["evaluated"]
    assert told["model"] == "v1"
    await machine.until_judged()
    scores = machine.session.all("fan/score")
    assert [m["seq"] for m in scores] == list(range(1, len(scores) + 1))
    assert len(scores) == 36  # windows of 1.984 s every 0.512 s
    assert scores[0]["thresholds"] == {"warning": 3.0, "alarm": 5.0}
    assert scores[0]["window_s"] == pytest.approx(1.984)
    assert machine.session.alarm("fan")["active"] is False
    assert machine.session.changes("fan") == []


async def test_a_fault_raises_an_alarm_that_stays_until_somebody_has_seen_it(make):
    machine = make(alarm={"off_delay_s": 2})
    machine.start()
    machine.source.open().hear(5, 0.05)
    machine.source.hear(20, LOUD)
    await machine.until_state("alarm")
    alarm = machine.session.alarm("fan")
    assert (alarm["active"], alarm["acknowledged"], alarm["latched"]) == (True, False, False)
    machine.source.hear(25, 0.05)
    await until(lambda: machine.session.alarm("fan")["latched"])
    assert machine.told["state"] == "alarm"

    machine.journal.acknowledge(alarm["id"], "ann", "bearing", datetime.now(UTC))
    machine.listener.look_for_acknowledgements()
    await until(lambda: not machine.session.alarm("fan")["active"])
    await machine.until_state("normal")
    assert machine.session.alarm("fan")["acknowledged_at"] is not None
    alarm_changes = [
        (m["from"], m["to"]) for m in machine.session.all("fan/event") if m["alarm_id"]
    ]
    assert alarm_changes == [
        ("normal", "unacknowledged"),
        ("unacknowledged", "latched"),
        ("latched", "acknowledged"),
        ("acknowledged", "normal"),
    ]
    assert ("alarm", "normal") in machine.session.changes("fan")
    events = machine.session.all("fan/event")
    scored = {(m["from"], m["to"]): m["score"] for m in events}
    assert scored["normal", "unacknowledged"] >= 5.0  # the threshold
    assert scored["normal", "alarm"] >= 5.0
    assert scored["unacknowledged", "latched"] < 5.0
    assert scored["latched", "acknowledged"] is None  # no score brought it
    event = next(m for m in events if m["to"] == "acknowledged")
    assert (event["who"], event["why"], event["alarm_id"]) == ("ann", "bearing", alarm["id"])


@pytest.mark.parametrize("with_the_newest", [False, True])
async def test_an_older_alarm_is_acknowledged_beside_the_newest_one(make, with_the_newest):
    machine = make(alarm={"latch": False, "off_delay_s": 2})
    machine.start()
    machine.source.open()
    ids = []
    for _ in range(2):
        await machine.hear(25, LOUD)
        await machine.until_state("alarm")
        ids.append(machine.session.alarm("fan")["id"])
        if len(ids) == 1:
            await machine.hear(40, 0.05)
            await machine.until_state("normal")
    older, newest = ids
    assert older != newest
    before = machine.session.all("fan/alarm")

    signed = [older, newest] if with_the_newest else [older]
    for alarm in signed:
        machine.journal.acknowledge(alarm, "ann", "bearing", datetime.now(UTC))
    machine.listener.look_for_acknowledgements()
    await until(lambda: len(acknowledgements(machine)) == len(signed))
    assert [m["alarm_id"] for m in acknowledgements(machine)] == signed
    published = machine.session.all("fan/alarm")[len(before) :]
    assert [m["id"] for m in published] == signed[1:]
    alarm = machine.session.alarm("fan")
    assert (alarm["id"], alarm["active"], alarm["acknowledged"]) == (newest, True, with_the_newest)
    assert machine.told["state"] == "alarm"

    await machine.hear(25, 0.05)  # the newest one returns to normal as ever
    await machine.until_state("normal")
    alarm = machine.session.alarm("fan")
    assert (alarm["id"], alarm["active"]) == (newest, False)


def acknowledgements(machine: Machine) -> list[dict]:
    return [m for m in machine.session.all("fan/event") if m["who"] == "ann"]


async def test_a_restart_takes_up_the_alarm_that_stood(make):
    machine = make()
    machine.start()
    machine.source.open().hear(25, LOUD)
    await machine.until_state("alarm")
    first = machine.session.alarm("fan")
    await machine.stop()

    machine.session.retained.clear()
    machine.start(ScriptedSource().open())
    machine.source.hear(30, 0.05)
    told = await machine.until_state("alarm")
    assert told["evaluated"]
    await until(lambda: machine.session.alarm("fan").get("latched"))
    assert machine.session.alarm("fan")["id"] == first["id"]
    assert machine.session.alarm("fan")["raised"] == first["raised"]


async def test_an_acknowledgement_made_while_nothing_ran_is_taken_up(make):
    machine = make()
    machine.start()
    machine.source.open().hear(25, LOUD)
    await machine.until_state("alarm")
    await machine.stop()
    (record,) = machine.journal.alarms("fan")
    machine.journal.acknowledge(record.id, "bob", None, datetime.now(UTC))

    machine.start(ScriptedSource().open())
    await until(lambda: ("unacknowledged", "acknowledged") in machine.session.changes("fan"))
    assert machine.session.alarm("fan")["acknowledged"]


async def test_an_outage_is_told_and_alarms_neither_rise_nor_clear(make):
    machine = make(alarm={"off_delay_s": 2})
    machine.start()
    machine.source.lose("hw:1: no such card")
    told = await machine.until_state("normal", "no_device")
    assert not told["evaluated"]
    assert told["reason"] == "hw:1: no such card"
    machine.source.open().hear(25, LOUD)
    await machine.until_state("alarm")
    machine.source.lose("unplugged")
    told = await machine.until_state("alarm", "no_device")
    assert not told["evaluated"]
    assert machine.listener.pulse.excuse == "unplugged"
    machine.source.open().hear(3, LOUD, gap=160_000)
    await machine.until_state("alarm")
    assert machine.session.alarm("fan")["latched"] is False
    seen = [("no_device", "ok"), ("ok", "no_device"), ("no_device", "ok")]
    await until(lambda: [c for c in machine.session.changes("fan") if "no_device" in c] == seen)


async def test_a_fault_of_the_microphone_is_logged_once(make):
    machine = make()
    with structlog.testing.capture_logs() as logs:
        machine.start()
        machine.source.open().hear(3)
        await machine.until_state("normal")
        for fault in ("unplugged", "held by arecord"):
            machine.source.lose(fault)
            await until(lambda fault=fault: machine.told["reason"] == fault)
            machine.source.open().hear(3)
            await machine.until_state("normal")
        await until(lambda: len(machine.session.changes("fan")) == 4)
    for fault in ("unplugged", "held by arecord"):
        assert len([entry for entry in logs if fault in entry.values()]) == 1


async def test_what_was_heard_before_an_outage_does_not_count_after_it(make):
    machine = make()
    machine.start()
    for _ in range(3):
        machine.source.open().hear(7, LOUD)  # two of these would do for an alarm
        await machine.until_judged()
        machine.source.lose("a file that cannot be read")
        await machine.until_state("normal", "no_device")
    assert machine.session.alarm("fan")["active"] is False
    machine.source.open().hear(14, LOUD)
    await machine.until_state("alarm")


async def test_a_dead_channel_is_a_fault_until_sound_returns(make):
    machine = make()
    machine.start()
    machine.source.open().hear(5, 0.05)
    machine.source.hear_value(4)
    told = await machine.until_state("normal", "fault")
    assert "muted or broken" in told["reason"]
    assert not told["evaluated"]
    machine.source.hear(5, 0.05)
    await machine.until_state("normal", "ok")
    assert machine.session.changes("fan") == [("ok", "fault"), ("fault", "ok")]


async def test_idle(make):
    machine = make()
    machine.start()
    machine.source.open().hear(10, 1e-4)
    told = await machine.until_state("idle")
    assert told["evaluated"]


async def test_no_model_is_told_and_one_that_comes_is_taken_up(make):
    machine = make()
    bundle = machine.models.bundles.pop("fan")
    machine.start()
    machine.source.open().hear(3)
    told = await machine.until_state("no_model")
    assert "train one" in told["reason"]
    assert (told["evaluated"], told["model"]) == (False, None)
    assert machine.session.alarm("fan")["id"] is None
    machine.models.bundles["fan"] = bundle
    machine.listener.reload()
    await machine.until_state("normal")
    machine.source.hear(5)
    await until(lambda: machine.session.all("fan/score"))
    assert ("no_model", "normal") in machine.session.changes("fan")


async def test_a_new_model_that_is_bad_leaves_the_old_one_in_use(make):
    machine = make()
    machine.start()
    machine.source.open().hear(3)
    await machine.until_state("normal")
    machine.models.broken["fan"] = "views.npz: its hash differs"
    machine.listener.reload()
    await until(lambda: "its hash differs" in (machine.told["reason"] or ""))
    assert (machine.told["state"], machine.told["model"]) == ("normal", "v1")
    machine.models.broken.clear()
    machine.models.bundles["fan"] = StubBundle("v2")
    machine.listener.reload()
    await until(lambda: machine.told["model"] == "v2")
    assert machine.told["reason"] is None


async def test_an_alarm_survives_a_new_model(make):
    machine = make()
    machine.start()
    machine.source.open().hear(25, LOUD)
    await machine.until_state("alarm")
    machine.models.bundles["fan"] = StubBundle("v2")
    machine.listener.reload()
    await until(lambda: machine.told["model"] == "v2")
    assert machine.told["state"] == "alarm"


async def test_too_low_a_rate_for_the_model_is_no_model(make):
    machine = make()
    machine.start(ScriptedSource(rate_hz=8000).open())
    machine.source.hear(3)
    told = await machine.until_state("no_model")
    assert "16000 Hz" in told["reason"]


async def test_inference_does_not_block_the_loop(make):
    """While a window is being judged, sound, outages and the heartbeat go on."""
    gate = threading.Event()
    machine = make()
    detector = daemon_fakes.LevelDetector(gate=gate)
    machine.models.bundles["fan"] = StubBundle(detector=detector)
    machine.start()
    machine.source.open().hear(5)
    await until(detector.entered.is_set)
    machine.source.hear(5)
    await until(lambda: machine.source.taken)
    machine.source.lose("unplugged")
    await machine.until_state("normal", "no_device")
    before = len(machine.session.all("fan/state"))
    machine.listener.repeat_state()
    assert len(machine.session.all("fan/state")) == before + 1
    assert not machine.session.all("fan/score")
    gate.set()
    await until(lambda: machine.session.all("fan/score"))


async def test_a_judge_that_is_too_slow_loses_the_oldest_sound_and_says_so(make):
    gate = threading.Event()
    machine = make()
    detector = daemon_fakes.LevelDetector(gate=gate)
    machine.models.bundles["fan"] = StubBundle(detector=detector)
    machine.start()
    machine.source.open().hear(5)
    await until(detector.entered.is_set)
    machine.source.hear(60)
    await until(lambda: machine.source.taken)
    gate.set()
    await machine.until_judged()
    status = machine.listener.status
    assert 25 * 16_000 < status.lost_samples <= 35 * 16_000
    machine.listener.repeat_state()
    told = await machine.until_state("normal", "degraded")
    assert told["evaluated"]
    assert "lost" in told["reason"]
    machine.source.hear(5)
    await machine.until_judged()
    machine.listener.repeat_state()
    await machine.until_state("normal", "ok")


async def test_a_recording_waits_for_the_judge_and_ends(make):
    machine = make(device="file:/x.wav")
    machine.start()
    machine.source.open().hear(120)
    machine.source.finish()
    await asyncio.wait_for(machine.task, daemon_fakes.PATIENCE_S)
    assert machine.listener.status.lost_samples == 0
    assert len(machine.session.all("fan/score")) == 231
    assert machine.told["state"] == "stopped"
    assert machine.told["reason"] == "the recording has ended"
    assert machine.source.closed


def play(source: ScriptedSource, seed: int) -> ScriptedSource:
    """Give loud and quiet stretches, gaps and outages as the seed has it."""
    rng = np.random.default_rng(seed)
    source.open()
    for _ in range(12):
        source.hear(float(rng.uniform(1, 14)), LOUD if rng.random() < 0.6 else 0.05)
        match rng.integers(4):
            case 0:
                source.end += int(rng.integers(1, 20_000))
            case 1:
                source.lose("a file that cannot be read")
                source.end += int(rng.integers(1, 20_000))
                source.open()
            case 2:
                source.hear_value(float(rng.uniform(1, 4)))
    source.finish()
    return source


@pytest.mark.parametrize("seed", range(4))
async def test_the_daemon_and_backtest_judge_alike(make, seed):
    machine = make(device="file:/x.wav", alarm={"off_delay_s": 2, "latch": False})
    machine.start(play(ScriptedSource(), seed))
    await asyncio.wait_for(machine.task, daemon_fakes.PATIENCE_S)
    detector = daemon_fakes.LevelDetector()
    rule = rule_for(machine.settings.alarm, detector)
    expected = await backtest(play(ScriptedSource(), seed), detector, rule, Path("x"))

    began = datetime.fromisoformat(machine.session.all("fan/score")[0]["time"]).timestamp()
    began -= machine.session.all("fan/score")[0]["sample"] / daemon_fakes.RATE
    raised, states = [], []
    for event in machine.session.all("fan/event"):
        at_s = datetime.fromisoformat(event["time"]).timestamp() - began
        if event["to"] == "unacknowledged":
            raised.append(at_s)
        elif event["to"] in ("normal", "warning", "alarm", "idle") and not event["alarm_id"]:
            states.append((event["to"], at_s))
    assert len(expected.alarms) > 0
    assert raised == pytest.approx([alarm.raised_s for alarm in expected.alarms], abs=0.002)
    assert states == [
        (span.state, pytest.approx(span.from_s, abs=0.002)) for span in expected.states[1:]
    ]


async def test_a_recording_has_its_own_clock(make):
    machine = make(device="file:/x.wav")
    machine.start()
    machine.source.open().hear(60)
    machine.source.finish()
    await asyncio.wait_for(machine.task, daemon_fakes.PATIENCE_S)
    times = [datetime.fromisoformat(m["time"]) for m in machine.session.all("fan/score")]
    assert (times[-1] - times[0]).total_seconds() == pytest.approx(113 * 0.512, abs=0.01)


async def test_a_recording_that_cannot_be_read_is_told(make):
    machine = make(device="file:/x.wav")
    machine.start()
    machine.source.fail(UsageError("/x.wav: not a recording"))
    await asyncio.wait_for(machine.task, daemon_fakes.PATIENCE_S)
    assert machine.told["state"] == "stopped"
    assert machine.told["reason"] == "/x.wav: not a recording"
    assert str(machine.listener.refusal) == "/x.wav: not a recording"


async def test_thinned_scores(make):
    machine = make(score_every_s=5)
    machine.start()
    machine.source.open().hear(30)
    await machine.until_judged()
    assert 5 <= len(machine.session.all("fan/score")) <= 7


async def test_a_clean_stop_says_stopped(make):
    machine = make()
    listener = machine.start()
    machine.source.open().hear(3)
    await machine.until_state("normal")
    await machine.stop()
    listener.publish_stopped("the daemon was stopped")
    assert (machine.told["state"], machine.told["evaluated"]) == ("stopped", False)
    assert machine.source.closed


# learning


async def test_learning_records_trains_and_monitors(make):
    machine = make(learn="60s")
    bundle = machine.models.bundles.pop("fan")
    machine.start()
    machine.source.open().hear(30)
    told = await machine.until_state("learning")
    assert told["evaluated"] is False
    await until(lambda: machine.told["reason"] == "recorded 30 of 60 s")
    machine.source.hear_value(10)  # a muted microphone is no normal sound
    await machine.until_state("learning", "fault")
    machine.source.hear(35)
    await until(lambda: machine.trained)
    await until(lambda: machine.told["reason"] == "training")
    (_, sound, _) = machine.trained[0]
    assert len(list(sound.glob("*.flac"))) >= 2
    machine.models.bundles["fan"] = bundle
    machine.training_ends.set()
    await machine.until_state("normal")
    machine.source.hear(5)
    await until(lambda: machine.session.all("fan/score"))
    assert ("learning", "normal") in machine.session.changes("fan")
    assert len(machine.trained) == 1


async def test_a_recording_waits_while_its_model_is_trained(make):
    machine = make(learn="60s", device="file:/x.wav")
    bundle = machine.models.bundles.pop("fan")
    machine.start()
    machine.source.open().hear(160)
    machine.source.finish()
    await until(lambda: machine.trained)
    machine.models.bundles["fan"] = bundle
    machine.training_ends.set()
    await asyncio.wait_for(machine.task, daemon_fakes.PATIENCE_S)
    scores = machine.session.all("fan/score")
    assert len(scores) > 180  # nearly all of the 100 s after the learning
    assert scores[-1]["sample"] > 159 * 16_000


@pytest.mark.parametrize(
    ("silent", "told"), [(False, "30 s of usable sound"), (True, "one value only")]
)
async def test_a_recording_that_ends_before_it_was_learned_is_an_error(make, silent, told):
    machine = make(learn="60s", device="file:/x.wav")
    machine.models.bundles.pop("fan")
    with structlog.testing.capture_logs() as logs:
        machine.start()
        machine.source.open()
        if silent:
            machine.source.hear_value(30)
        else:
            machine.source.hear(30)
        machine.source.finish()
        await asyncio.wait_for(machine.task, daemon_fakes.PATIENCE_S)
    assert machine.trained == []
    assert machine.told["state"] == "stopped"
    for part in ("the recording has ended without a model", told, "60 s", "longer recording"):
        assert part in machine.told["reason"]
    (error,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert error["machine"] == "fan"
    assert told in error["reason"]


async def test_a_recording_that_ends_unjudged_for_want_of_a_model_says_so(make):
    machine = make(device="file:/x.wav")
    machine.models.bundles.pop("fan")
    machine.start()
    machine.source.open().hear(5)
    machine.source.finish()
    await asyncio.wait_for(machine.task, daemon_fakes.PATIENCE_S)
    assert machine.told["reason"] == (
        "the recording has ended without a model: no model of fan: train one"
    )


async def test_learning_that_fails_is_no_model_until_a_reload(make):
    machine = make(learn="60s")
    machine.models.bundles.pop("fan")
    machine.training_failure = "only 12 s of usable sound: 48 s more are needed"
    machine.training_ends.set()
    machine.start()
    machine.source.open()
    await machine.hear(70)
    told = await machine.until_state("no_model")
    assert "48 s more are needed" in told["reason"]
    assert "SIGHUP" in told["reason"]
    machine.training_failure = None
    machine.models.bundles["fan"] = StubBundle()
    machine.listener.reload()
    await machine.until_state("normal")
    assert len(machine.trained) == 1


async def test_learning_goes_on_after_a_restart(make):
    machine = make(learn="90s")
    machine.models.bundles.pop("fan")
    machine.start()
    machine.source.open()
    await machine.hear(70)
    await machine.stop()
    machine.start(ScriptedSource().open())
    machine.source.hear(35)
    await until(lambda: machine.trained)


async def test_a_bad_model_is_not_learned_anew(make, tmp_path):
    machine = make(learn="60s")
    machine.models.broken["fan"] = "views.npz is missing"
    version = tmp_path / "models" / "fan" / "v1"
    version.mkdir(parents=True)
    (version / "manifest.json").write_text("{}")
    machine.start()
    machine.source.open().hear(3)
    told = await machine.until_state("no_model")
    assert told["reason"] == "views.npz is missing"


async def test_models_that_may_not_be_read_are_not_learned_anew(make, monkeypatch):
    def refuse(*_: object) -> list[str]:
        raise PermissionError(13, "Permission denied")

    machine = make(learn="60s")
    machine.models.broken["fan"] = "models/fan/current: no permission to read it"
    monkeypatch.setattr(judge_module, "versions", refuse)
    machine.start()
    machine.source.open().hear(3)
    told = await machine.until_state("no_model")
    assert told["reason"] == "models/fan/current: no permission to read it"


async def test_microphone_states_are_those_of_the_source(make):
    machine = make()
    machine.start()
    machine.source.lose("held by arecord", MicrophoneState.FAULT)
    await machine.until_state("normal", "fault")
