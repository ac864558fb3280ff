"""What an observer is shown of a running daemon."""

from collections.abc import Callable

import pytest

from asd_monitor.daemon.overview import MachineOverview, Overview
from asd_monitor.records import MachineState, MicrophoneState
from tests.doubles.level_detector import make_config
from tests.doubles.waiting import until


class Onlooker:
    """Keeps the newest overview."""

    def __init__(self) -> None:
        self.newest = Overview((), is_connected=False)

    def observe(self, overview: Overview) -> None:
        self.newest = overview

    async def until_fan(self, condition: Callable[[MachineOverview], bool]) -> MachineOverview:
        """Wait until the only machine meets a condition, and return it."""
        await until(lambda: bool(self.newest.machines) and condition(self.newest.machines[0]))
        return self.newest.machines[0]


async def test_an_observer_sees_states_levels_and_scores(daemon):
    onlooker = Onlooker()
    daemon.start(make_config(fan={"device": "hw:1"}), observer=onlooker)
    fan = await onlooker.until_fan(lambda fan: fan.alarm_score is not None)
    assert onlooker.newest.is_connected
    assert (fan.state, fan.microphone) == (MachineState.NORMAL, MicrophoneState.OK)
    assert fan.reason is None
    assert fan.thresholds is not None
    assert fan.thresholds.alarm > fan.thresholds.warning
    assert fan.level_dbfs is not None
    assert -100 < fan.level_dbfs < 0
    daemon.source("hw:1").interrupt("unplugged: plug it in")
    absent = await onlooker.until_fan(lambda fan: fan.state is MachineState.UNAVAILABLE)
    assert (absent.level_dbfs, absent.alarm_score) == (None, None)
    assert absent.reason == "unplugged: plug it in"
    assert absent.last_evaluated is not None
    daemon.broker.connected = False
    await until(lambda: not onlooker.newest.is_connected)
    daemon.service.stop()
    await daemon.finish()


async def test_a_machine_starts_until_its_source_has_reported(daemon):
    onlooker = Onlooker()
    daemon.start(make_config(fan={"device": "hw:9"}), observer=onlooker)
    await onlooker.until_fan(lambda fan: fan.is_starting)
    daemon.source("hw:9").interrupt("not plugged in: plug it in")
    absent = await onlooker.until_fan(lambda fan: not fan.is_starting)
    assert absent.microphone is MicrophoneState.NO_DEVICE
    daemon.service.stop()
    await daemon.finish()


class Faulty:
    """An observer with a defect."""

    calls = 0

    def observe(self, overview: Overview) -> None:
        self.calls += 1
        raise ValueError("a defect of the observer")


@pytest.mark.filterwarnings("ignore")
async def test_a_defect_of_an_observer_stops_no_machine(daemon):
    observer = Faulty()
    daemon.start(make_config(fan={"device": "hw:1"}), observer=observer)
    await until(lambda: observer.calls > 2)
    await daemon.until_state("fan", "normal")
    daemon.service.stop()
    await daemon.finish()
