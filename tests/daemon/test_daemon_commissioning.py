"""Commissioning in a session: blocks stored, refits made, models exchanged without a gap."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from asd_monitor.commissioning.blocks import SoundMode, SoundPiece
from asd_monitor.commissioning.schedule import Progress, RefitNote
from asd_monitor.commissioning.sound_pieces import write_sound
from asd_monitor.commissioning.store import CommissioningStore
from asd_monitor.config.settings import MachineDefaults
from asd_monitor.daemon import block_storage
from asd_monitor.daemon.box_refits import BoxRefits
from asd_monitor.daemon.commissioning import Commissioning
from asd_monitor.daemon.refit_child import RefitOutcome
from asd_monitor.features.windows import Window
from asd_monitor.monitor import Reading
from asd_monitor.records import MachineState, MicrophoneState, WindowScore
from tests.doubles.level_detector import StubBundle, StubModels, make_config
from tests.doubles.monitored_machine import MonitoredMachine
from tests.doubles.scripted_source import ScriptedSource
from tests.doubles.waiting import until

NORMAL_LEVEL, ALARM_LEVEL = 0.05, 0.6
DAY_S = 86_400.0


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Callable[..., MonitoredMachine]]:
    models = StubModels(fan=StubBundle(commissioning_days=7.0))
    machines: list[MonitoredMachine] = []

    def make_machine(**keys: object) -> MonitoredMachine:
        machines.append(MonitoredMachine(tmp_path, models, {"device": "hw:1"} | keys))
        return machines[-1]

    yield make_machine
    for machine in machines:
        await machine.stop()
        machine.journal.close()


def store_of(folder: Path) -> CommissioningStore:
    return CommissioningStore(folder / "commissioning" / "fan")


def stored_age_s(folder: Path, machine: str) -> float:
    progress = CommissioningStore(folder / "commissioning" / machine).progress()
    assert progress is not None
    return progress.age_s


def pieces(folder: Path, machine: str) -> list[Path]:
    return list((folder / "commissioning" / machine / "sound").glob("*.flac"))


def first_model(machine: MonitoredMachine) -> StubBundle:
    return machine.models.bundles["fan"]


async def begun(machine: MonitoredMachine) -> None:
    """Wait until the stored state has been read."""
    await machine.until_state("normal")
    await until(lambda: machine.session.status.commissioning is not None)


def begin_at(folder: Path, bundle: StubBundle, age_s: float, **changes: object) -> Progress:
    """Store the progress of an earlier run."""
    progress = Progress(bundle.sha256, "v1", 1.7e9, age_s)
    progress = replace(progress, **changes)  # type: ignore[arg-type]
    store_of(folder).begin(progress)
    return progress


def refitted(machine: MonitoredMachine, version: str = "v2") -> RefitOutcome:
    """Put a refit of the first model into use, as the child process does."""
    first = first_model(machine)
    machine.models.bundles["fan"] = StubBundle(version, refit_of=first.first, commissioning_days=7)
    return RefitOutcome(None, version, in_use=True, moved=0.25, reason="commissioning: day 1 of 7")


async def test_live_blocks_are_stored(make, tmp_path):
    machine = make()
    machine.start(ScriptedSource().open())
    machine.source.play(3, NORMAL_LEVEL)
    await begun(machine)
    await machine.play(120, NORMAL_LEVEL)
    await machine.stop()
    store = store_of(tmp_path)
    blocks = store.blocks()
    assert 2 <= len(blocks) <= 8
    assert all(3 <= len(block.vectors) <= 5 and not block.alarm_active for block in blocks)
    progress = store.progress()
    assert progress is not None
    assert 100 < progress.age_s < 125
    assert progress.model_sha256 == first_model(machine).sha256


async def test_no_sound_is_stored_while_the_channel_dies_again_and_again(make, tmp_path):
    """What was captured shortly before it died is not kept either."""
    machine = make()
    machine.start(ScriptedSource().open())
    machine.source.play(3, NORMAL_LEVEL)
    await begun(machine)
    for _ in range(6):
        await machine.play(15, NORMAL_LEVEL)
        machine.source.play_constant(3)
    await machine.stop()
    assert [block for block in store_of(tmp_path).blocks() if block.age_s < 70.0] == []


async def test_a_little_sound_is_stored(make, tmp_path):
    machine = make()
    begin_at(tmp_path, first_model(machine), 900.0)
    machine.start(ScriptedSource().open())
    machine.source.play(3, NORMAL_LEVEL)
    await begun(machine)
    await machine.play(120, NORMAL_LEVEL)
    await machine.stop()
    assert len(pieces(tmp_path, "fan")) == 1


async def test_sound_of_an_earlier_run_counts(make, tmp_path):
    for run in range(2):
        machine = make()
        if run == 0:
            begin_at(tmp_path, first_model(machine), 900.0)
        machine.start(ScriptedSource().open())
        machine.source.play(3, NORMAL_LEVEL)
        await begun(machine)
        await machine.play(120, NORMAL_LEVEL)
        await machine.stop()
        machine.journal.close()
        assert len(pieces(tmp_path, "fan")) == 1


async def test_machines_that_begin_together_write_and_keep_sound_at_different_times(
    daemon, tmp_path
):
    machines = ("fan", "pump", "mill")
    for name in machines:
        daemon.models.bundles[name].commissioning_days = 7.0
    daemon.start(make_config(**{m: {"device": f"hw:{n}"} for n, m in enumerate(machines)}))
    for name in machines:
        await daemon.until_state(name, "normal")
    sessions = daemon.service._registry.machines
    await until(lambda: all(each.status.commissioning for each in sessions.values()))

    def is_evaluated(until_s: float) -> bool:
        newest = [daemon.broker.messages(f"{name}/score")[-1:] for name in machines]
        return all(each and each[0]["sample"] > until_s * 16_000 for each in newest)

    for played_s in range(3, 310, 10):
        await until(partial(is_evaluated, played_s - 3))
        for number in range(len(machines)):
            daemon.source(f"hw:{number}").play(10, NORMAL_LEVEL)
    await until(lambda: all(stored_age_s(tmp_path, name) for name in machines))
    ages_s = sorted(stored_age_s(tmp_path, name) for name in machines)
    assert np.diff(ages_s).min() > 60
    assert {bool(pieces(tmp_path, name)) for name in machines} == {False, True}


async def test_no_sound_is_stored_where_none_is_wanted(make, tmp_path):
    machine = make(evidence={"sound": "none"})
    begin_at(tmp_path, first_model(machine), 900.0)  # sound is due at once
    machine.start(ScriptedSource().open())
    machine.source.play(3, NORMAL_LEVEL)
    await begun(machine)
    await machine.play(120, NORMAL_LEVEL)
    await machine.stop()
    assert store_of(tmp_path).blocks()
    assert not list(tmp_path.rglob("*.flac"))


@pytest.mark.parametrize("reason", ["configured", "trained without"])
async def test_without_commissioning_nothing_is_stored(make, tmp_path, reason):
    machine = make(commissioning={"days": 0}) if reason == "configured" else make()
    if reason == "trained without":
        first_model(machine).commissioning_days = 0.0
    machine.start(ScriptedSource().open())
    await machine.play(60, NORMAL_LEVEL)
    await machine.until_evaluated()
    assert machine.session.status.commissioning is None
    await machine.stop()
    assert not (tmp_path / "commissioning").exists()


async def test_commissioning_goes_on_after_a_restart(make, tmp_path):
    machine = make()
    begin_at(
        tmp_path,
        first_model(machine),
        2.5 * DAY_S,
        day_done=True,
        last=RefitNote(4e9, "v1 is a candidate", "v1", 3.5),
    )
    machine.start(ScriptedSource().open())
    machine.source.play(3, NORMAL_LEVEL)
    await begun(machine)
    status = machine.session.status.commissioning
    assert status is not None
    assert (status.day, status.days, status.result) == (3, 7, "v1 is a candidate")
    assert status.next_refit is not None
    await machine.play(30, NORMAL_LEVEL)
    await machine.stop()
    progress = store_of(tmp_path).progress()
    assert progress is not None
    assert 2.5 * DAY_S + 20 < progress.age_s < 2.5 * DAY_S + 40


async def test_a_refit_that_was_due_while_the_daemon_was_down_is_made_soon(make, tmp_path):
    machine = make()
    begin_at(
        tmp_path,
        first_model(machine),
        2.5 * DAY_S,
        day_done=True,
        last=RefitNote(1.7e9, "v1 in use", "v1"),
    )
    made = []

    async def refit(name: str) -> RefitOutcome:
        made.append(name)
        return refitted(machine)

    machine.refit = refit
    machine.start(ScriptedSource().open())
    machine.source.play(3, NORMAL_LEVEL)
    await begun(machine)
    with capture_logs() as logs:
        await machine.play(30, NORMAL_LEVEL)
        await until(lambda: machine.session.status.model == "v2")
    assert made == ["fan"]
    assert [(log["event"], log["moved"]) for log in logs if "new version" in log["event"]] == [
        ("refit: a new version is in use", 0.25)
    ]
    await machine.play(30, NORMAL_LEVEL)
    status = machine.session.status.commissioning
    assert status is not None
    assert status.result == "v2 in use"
    assert made == ["fan"]
    await machine.stop()
    progress = store_of(tmp_path).progress()
    assert progress is not None
    assert (progress.refits, progress.last and progress.last.version) == (1, "v2")


async def test_no_window_is_lost_and_the_alarm_is_kept_when_a_refit_is_put_into_use(make):
    machine = make(alarm={"off_delay_s": 2})
    machine.start(ScriptedSource().open())
    machine.source.play(5, NORMAL_LEVEL)
    await machine.play(20, ALARM_LEVEL)
    await machine.until_state("alarm")
    alarm = machine.broker.alarm("fan")
    refitted(machine)
    machine.session.reload_model()
    await until(lambda: machine.session.status.model == "v2")
    await machine.play(10, ALARM_LEVEL)
    scores = machine.broker.messages("fan/score")
    samples = [m["sample"] for m in scores]
    assert {after - before for before, after in itertools.pairwise(samples)} == {8192}
    assert len(scores) == (35 * 16_000 - 31_744) // 8192 + 1
    assert {m["model"] for m in scores} == {"v1", "v2"}
    # the evidence of the two models does not compare: the span fills anew, and the alarm stays
    assert scores[-1]["alarm_score"] == scores[-22]["alarm_score"]
    assert min(m["alarm_score"] for m in scores[-20:]) == 0
    assert machine.broker.alarm("fan")["id"] == alarm["id"]


async def test_a_model_trained_anew_begins_with_an_empty_span_and_store(make, tmp_path):
    machine = make()
    machine.start(ScriptedSource().open())
    machine.source.play(3, NORMAL_LEVEL)
    await begun(machine)
    await machine.play(60, NORMAL_LEVEL)
    machine.models.bundles["fan"] = trained = StubBundle("v3", commissioning_days=7)
    machine.session.reload_model()
    await until(lambda: machine.session.status.model == "v3")
    await machine.play(20, NORMAL_LEVEL)
    await machine.stop()
    progress = store_of(tmp_path).progress()
    assert progress is not None
    assert progress.model_sha256 == trained.sha256
    assert progress.age_s < 30


async def test_a_candidate_is_logged_with_the_command_that_promotes_it(make, tmp_path):
    machine = make()
    begin_at(tmp_path, first_model(machine), 3601.0)

    async def refit(name: str) -> RefitOutcome:
        return RefitOutcome(None, "v2", in_use=False, moved=4.5, reason="commissioning: day 1 of 7")

    machine.refit = refit
    machine.start(ScriptedSource().open())
    machine.source.play(3, NORMAL_LEVEL)
    await begun(machine)
    with capture_logs() as logs:
        await machine.play(30, NORMAL_LEVEL)
        await until(lambda: any("candidate" in log["event"] for log in logs))
    (found,) = [log for log in logs if "candidate" in log["event"]]
    assert "asd-monitor models promote --machine fan --version v2" in found["hint"]
    assert machine.session.status.model == "v1"


async def test_sound_is_evaluated_while_a_refit_runs_and_a_stop_ends_it(make, tmp_path):
    machine = make()
    begin_at(tmp_path, first_model(machine), 3601.0)
    ended = asyncio.Event()

    async def refit(name: str) -> RefitOutcome:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    machine.refit = refit
    machine.start(ScriptedSource().open())
    machine.source.play(3, NORMAL_LEVEL)
    await begun(machine)
    await machine.play(20, NORMAL_LEVEL)
    await until(lambda: bool(machine.refits))
    before = len(machine.broker.messages("fan/score"))
    await machine.play(20, NORMAL_LEVEL)
    assert len(machine.broker.messages("fan/score")) - before >= 38
    await machine.stop()
    assert ended.is_set()
    progress = store_of(tmp_path).progress()
    assert progress is not None
    assert progress.refits == 0  # it is made after the restart


async def test_a_store_that_cannot_be_written_is_logged_once_and_monitoring_goes_on(make, tmp_path):
    (tmp_path / "commissioning").write_text("a file where a folder is needed")
    machine = make()
    with capture_logs() as logs:
        machine.start(ScriptedSource().open())
        await machine.play(30, NORMAL_LEVEL)
        await machine.until_state("normal")
        await until(lambda: any("not stored" in log["event"] for log in logs))
    assert len([log for log in logs if "not stored" in log["event"]]) == 1


async def test_live_sound_is_stored_from_when_the_folder_can_be_written_on(
    make, tmp_path, monkeypatch
):
    monkeypatch.setattr(block_storage, "RETRY_S", 0.02)
    obstacle = tmp_path / "commissioning"
    obstacle.write_text("a file where a folder is needed")
    machine = make()
    with capture_logs() as logs:
        machine.start(ScriptedSource().open())
        machine.source.play(3, NORMAL_LEVEL)
        await machine.until_state("normal")
        await until(lambda: any("not stored" in log["event"] for log in logs))
        assert machine.session.status.commissioning is None
        obstacle.unlink()
        await begun(machine)
    assert len([log for log in logs if "not stored" in log["event"]]) == 1
    await machine.play(60, NORMAL_LEVEL)
    await machine.stop()
    assert store_of(tmp_path).blocks()


async def test_sound_that_is_not_wanted_is_deleted_also_without_commissioning(make, tmp_path):
    folder = tmp_path / "commissioning" / "fan" / "sound"
    write_sound(folder, SoundPiece(1.7e9, SoundMode(-9, False)), np.zeros(1600, np.float32), 16_000)
    machine = make(commissioning={"days": 0}, evidence={"sound": "none"})
    machine.start(ScriptedSource().open())
    machine.source.play(10, NORMAL_LEVEL)
    await machine.until_evaluated()
    await until(lambda: not list(folder.iterdir()))


async def test_one_machine_of_a_box_is_refitted_at_a_time(daemon, tmp_path):
    running, most, made = 0, 0, []

    async def refit(machine: str, models: Path, state: Path) -> RefitOutcome:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.05)
        running -= 1
        made.append(machine)
        return RefitOutcome("not tried")

    machines = ("fan", "pump", "mill")
    for name in machines:
        bundle = daemon.models.bundles[name]
        bundle.commissioning_days = 7.0
        store = CommissioningStore(tmp_path / "commissioning" / name)
        store.begin(Progress(bundle.sha256, "v1", 1.7e9, 3601.0))
    daemon.start(make_config(**{m: {"device": f"hw:{n}"} for n, m in enumerate(machines)}),
                 refit=refit)  # fmt: skip
    for name in machines:
        await daemon.until_state(name, "normal")
    sessions = daemon.service._registry.machines
    await until(lambda: all(each.status.commissioning for each in sessions.values()))
    for number in range(3):
        daemon.source(f"hw:{number}").play(15, NORMAL_LEVEL)
    await until(lambda: len(made) == 3)
    assert sorted(made) == sorted(machines)
    assert most == 1
    entry = (await daemon.box_status())["machines"]["fan"]["commissioning"]
    assert (entry["day"], entry["result"]) == (1, "failed: not tried")
    daemon.service.stop()
    await daemon.finish()


async def test_windows_with_dropouts_are_not_counted_as_dropped(tmp_path):
    box = BoxRefits(refit=never_refitted)
    subject = Commissioning(
        "fan",
        MachineDefaults(),
        models=tmp_path,
        state=tmp_path,
        box=box,
        now=lambda: datetime.now(UTC),
        read_sound=lambda _first, _past: None,
        on_new_model=lambda: None,
        on_refit_ended=lambda: None,
    )
    bundle: Any = StubBundle(commissioning_days=7.0)
    subject.take_model(bundle, RATE_HZ)
    await until(lambda: subject.tap is not None)
    windows = [window_at(number * HOP) for number in range(6)]

    def push(scored: list[Window], evaluated: list[Window]) -> None:
        subject.begin_push()
        assert subject.tap is not None
        subject.tap(scored)
        subject.push([reading_of(each) for each in evaluated], lambda _: datetime.now(UTC))

    push(windows[:3], windows[:1])  # two have dropouts
    assert box.counters.skipped_windows == 0
    push(windows[3:4], windows[4:5])  # of a pipeline that was replaced
    assert box.counters.skipped_windows == 1
    subject.end()
    await subject.finish(10.0)
    await box.storing.finish(10.0)


RATE_HZ, HOP, LENGTH = 16_000, 8192, 31_744


async def never_refitted(_machine: str, _models: Path, _state: Path) -> RefitOutcome:
    raise AssertionError


def window_at(start: int) -> Window:
    features = {"level": np.zeros(1, np.float32), "spectrum": np.zeros(3, np.float32)}
    return Window(start, start + LENGTH, features, 1)


def reading_of(window: Window) -> Reading:
    score = WindowScore(window.start, window.end, 1.0, 2.0, 0.5, {}, -30.0, False, 1, False)
    return Reading(
        window.end, score, 0.5, 10.0, MachineState.NORMAL, MicrophoneState.DEGRADED, None, ()
    )
