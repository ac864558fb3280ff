"""Work of the daemon that hangs is found, and healthy work is not taken for hanging."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from asd_monitor.daemon import block_evaluation, evaluation_loop, monitor_session
from asd_monitor.daemon.broker_check import BrokerCheck
from asd_monitor.daemon.event_delivery import EventDelivery
from asd_monitor.daemon.self_test_intervals import SelfTestIntervals
from asd_monitor.journal.store import Journal
from tests.doubles.in_process_daemon import INTERVALS
from tests.doubles.level_detector import LevelDetector, StubBundle, make_config
from tests.doubles.waiting import until
from tests.doubles.watched_daemon import LIMITS, SHORT, conditions, longest_pause_s, until_not_fed


async def test_a_machine_that_hangs_is_restarted_and_then_the_watchdog_is_not_fed(
    daemon, systemd, environment, gate, monkeypatch
):
    for module in (monitor_session, evaluation_loop, block_evaluation):
        monkeypatch.setattr(module, "END_LIMIT_S", 0.1)
    daemon.environment |= environment
    daemon.models.bundles["fan"] = StubBundle(detector=LevelDetector(gate=gate))
    config = make_config(fan={"device": "hw:1"}, pump={"device": "hw:2"})
    with capture_logs() as logs:
        daemon.start(config, intervals=replace(INTERVALS, hang_s=0.3))
        await until(lambda: "READY=1" in systemd.received())
        daemon.source("hw:1").play(3)
        daemon.source("hw:2").interrupt("unplugged")  # which explains the standstill
        await daemon.until_state("fan", "unavailable", "fault")
        assert "scoring has not advanced" in daemon.broker.state("fan")["reason"]
        await until(lambda: len(daemon.sources["hw:1"]) > 1)
        await until(lambda: any("work hangs" in entry["event"] for entry in logs))
    (entry,) = [entry for entry in logs if "work hangs" in entry["event"]]
    assert entry["work"] == ["fan"]
    await until_not_fed(systemd)
    fed = systemd.fed
    gate.set()
    await until(lambda: systemd.fed > fed)
    assert (await daemon.box_status())["counters"]["monitoring"]["standstills"] >= 1


async def test_a_capture_that_delivers_nothing_is_declared_and_restarted(
    daemon, systemd, environment
):
    daemon.environment |= environment
    daemon.start(make_config(fan={"device": "hw:1"}), intervals=replace(INTERVALS, hang_s=0.3))
    await daemon.until_state("fan", "normal")
    await daemon.until_state("fan", "unavailable", "fault")
    assert "the capture of sound has not advanced" in daemon.broker.state("fan")["reason"]
    await until(lambda: len(daemon.sources["hw:1"]) > 1)


async def test_a_microphone_whose_capture_ends_is_declared(fan):
    fan.source("hw:1").finish()
    await fan.until_state("fan", "stopped")
    assert fan.broker.state("fan")["reason"]


async def test_a_blocked_event_loop_does_not_feed(fan, systemd):
    await asyncio.sleep(0)
    fed = systemd.fed
    time.sleep(0.3)  # noqa: ASYNC251 - the fault
    assert systemd.fed == fed


@pytest.mark.parametrize("work", ["the delivery of events", "the journal"])
async def test_a_thread_that_hangs_is_declared_and_the_watchdog_is_not_fed(
    fan, systemd, monkeypatch, gate, work
):
    monkeypatch.setattr(EventDelivery, "deliver", lambda _: gate.wait())
    if work == "the journal":
        monkeypatch.undo()
        monkeypatch.setattr(Journal, "maintain", lambda _: gate.wait())
    await until(lambda: ("standstill", work) in conditions(fan))
    await until_not_fed(systemd)
    fed = systemd.fed
    monkeypatch.undo()
    gate.set()
    await until(lambda: systemd.fed > fed)
    await until(lambda: ("standstill", work) not in conditions(fan))


async def test_a_session_with_the_broker_that_hangs_is_found(fan, systemd):
    fan.broker.is_pausing = False  # and its thread does not come round
    await until(lambda: ("standstill", "the session with the broker") in conditions(fan))
    await until_not_fed(systemd)


async def test_a_scoring_thread_that_hangs_is_found_while_no_machine_is_captured(
    fan, systemd, gate
):
    fan.source("hw:1").interrupt("unplugged")
    await fan.until_state("fan", "unavailable", "no_device")
    fan.service.parts.scoring.between_batches(gate.wait)
    await until(lambda: ("standstill", "the scoring thread") in conditions(fan))
    await until_not_fed(systemd)


async def test_a_self_test_that_hangs_is_declared_and_monitoring_goes_on(
    daemon, systemd, environment, monkeypatch
):
    async def hang(_: BrokerCheck) -> None:
        await asyncio.Event().wait()

    daemon.environment |= environment
    monkeypatch.setattr(BrokerCheck, "run", hang)
    at_once = replace(SHORT, self_test=SelfTestIntervals(0.0, 0.02, 60.0))
    daemon.start(make_config(fan={"device": "hw:1"}), intervals=at_once)
    await until(lambda: ("standstill", "the self-test") in conditions(daemon))
    fed = systemd.fed
    await until(lambda: systemd.fed > fed + 3)
    # it was restarted: the test is noted as failed, and others are made
    await until(lambda: ("self_test_failed", "round_trip") in conditions(daemon))
    await until(lambda: ("standstill", "the self-test") not in conditions(daemon))
    assert (await daemon.box_status())["counters"]["self_test"]["failed"] >= 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("how", ["hangs", "ends"])
async def test_a_thread_that_stores_live_sound_is_declared_and_monitoring_goes_on(
    fan, systemd, gate, how
):
    storing = fan.service.parts.refits.storing

    def end() -> None:
        raise SystemExit

    if how == "hangs":
        storing.post(gate.wait)
    else:
        storing.post(end)
        storing.post(lambda: None)
    await until(lambda: ("standstill", "storing live sound") in conditions(fan))
    fed = systemd.fed
    await until(lambda: systemd.fed > fed + 3)


async def test_several_machines_are_always_fed_also_during_a_self_test(
    daemon, systemd, environment
):
    daemon.environment |= environment
    intervals = replace(
        SHORT,
        hang_s=1.0,
        self_test=SelfTestIntervals(0.0, 0.02, 0.1),
        standstill=replace(LIMITS, self_test_s=60.0),
    )
    config = make_config(fan={"device": "hw:1"}, pump={"device": "hw:2"}, mill={"device": "hw:3"})
    with capture_logs() as logs:
        daemon.start(config, intervals=intervals)
        await daemon.until_state("fan", "normal")
        await daemon.until_state("mill", "normal")
        daemon.source("hw:3").interrupt("unplugged")
        sources = [daemon.source("hw:1"), daemon.source("hw:2")]
        longest_s, fed, fed_s = 0.0, systemd.fed, time.monotonic()
        for _ in range(40):
            for source in sources:
                source.play(2)
            await asyncio.sleep(0.1)
            if systemd.fed > fed:
                fed, fed_s = systemd.fed, time.monotonic()
            longest_s = max(longest_s, time.monotonic() - fed_s)
    assert longest_s < 2
    assert not [entry for entry in logs if "hang" in entry["event"]]
    assert not [key for key in conditions(daemon) if key[0] in ("standstill", "task_failing")]
    assert daemon.broker.retained["asd/box/testbox/selftest"]["machines"]["fan"]
    assert all(len(daemon.sources[f"hw:{number}"]) == 1 for number in (1, 2, 3))


@pytest.mark.parametrize("work", ["a step of a self-test", "the measurement of the capacity"])
async def test_a_machine_is_not_restarted_while_the_scoring_thread_does_other_work(
    daemon, systemd, environment, gate, work
):
    hang_s = 0.3
    daemon.environment |= environment
    daemon.start(make_config(fan={"device": "hw:1"}), intervals=replace(INTERVALS, hang_s=hang_s))
    await daemon.until_state("fan", "normal")
    scoring = daemon.service.parts.scoring
    if work == "a step of a self-test":
        scoring.between_batches(gate.wait)
    else:
        scoring._estimate = lambda _: gate.wait()
        scoring.capacity([])
    await until(lambda: scoring.does_other_work)
    daemon.source("hw:1").play(3)
    session = daemon.service.parts.registry.machines["fan"]
    await until(lambda: session.stage == "scoring")
    assert await longest_pause_s(systemd, 4 * hang_s) < hang_s
    assert session.restarts == 0
    gate.set()
    await until(lambda: session.stage == "the capture of sound")
