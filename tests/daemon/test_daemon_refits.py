"""Refits of a session: when they are made, and models exchanged without a gap."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from asd_monitor.commissioning.schedule import Progress, RefitNote
from asd_monitor.commissioning.store import CommissioningStore
from asd_monitor.daemon.refit_child import RefitOutcome
from tests.doubles.commissioned_machine import (
    ALARM_LEVEL,
    DAY_S,
    NORMAL_LEVEL,
    begin_at,
    begun,
    first_model,
    store_of,
)
from tests.doubles.level_detector import StubBundle, StubModels, make_config
from tests.doubles.monitored_machine import MonitoredMachine
from tests.doubles.scripted_source import ScriptedSource
from tests.doubles.waiting import until


@pytest.fixture
def models() -> StubModels:
    return StubModels(fan=StubBundle(commissioning_days=7.0))


def refitted(machine: MonitoredMachine, version: str = "v2") -> RefitOutcome:
    """Put a refit of the first model into use, as the child process does."""
    first = first_model(machine)
    machine.models.bundles["fan"] = StubBundle(version, refit_of=first.first, commissioning_days=7)
    return RefitOutcome(None, version, in_use=True, moved=0.25, reason="commissioning: day 1 of 7")


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
    assert "asd-monitor models promote fan v2" in found["hint"]
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
    sessions = daemon.service.parts.registry.machines
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
