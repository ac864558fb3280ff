"""The evidence of alarms, from the sound of a session to the package on disk."""

from __future__ import annotations

import numpy as np

from asd_monitor.evidence.package_files import read_package
from tests.doubles.monitored_machine import MonitoredMachine
from tests.doubles.waiting import until

ALARM_LEVEL = 0.6
NORMAL_LEVEL = 0.05
RATE_HZ = 16_000


async def raise_alarm(machine: MonitoredMachine) -> str:
    """Play normal sound and that of an alarm; return the id of the alarm."""
    machine.start()
    machine.source.open()
    await machine.play(20, NORMAL_LEVEL)
    await machine.play(15, ALARM_LEVEL)
    await machine.until_state("alarm")
    alarm_id: str = machine.broker.alarm("fan")["id"]
    return alarm_id


async def test_an_alarm_gets_a_package_with_its_sound_when_that_is_complete(make, tmp_path):
    machine = make(evidence={"keep_before_s": 8, "keep_after_s": 5})
    alarm_id = await raise_alarm(machine)
    assert machine.broker.alarm("fan")["evidence"] is None
    await machine.play(10, NORMAL_LEVEL)
    await until(lambda: machine.broker.alarm("fan")["evidence"])
    path = machine.broker.alarm("fan")["evidence"]
    assert path == f"evidence/fan/{alarm_id}"
    package = read_package(tmp_path / path)
    alarm, sound = package.alarm, package.document["sound"]
    assert (alarm["id"], alarm["machine"], alarm["model"]) == (alarm_id, "fan", "v1")
    assert alarm["raised_sample"] - alarm["onset_sample"] >= 3 * RATE_HZ  # the on-delay
    assert sound["first_sample"] == alarm["onset_sample"] - 8 * RATE_HZ
    past = sound["first_sample"] + sound["samples"]
    assert past == alarm["raised_sample"] + 5 * RATE_HZ
    found = package.read_sound()
    assert found is not None
    samples, rate_hz = found
    assert (len(samples), rate_hz) == (sound["samples"], RATE_HZ)
    begin = 20 * RATE_HZ - sound["first_sample"]  # of the fault
    assert np.std(samples[: begin - 100]) < 0.1 < np.std(samples[begin + 100 : begin + RATE_HZ])
    (record,) = machine.journal.alarms("fan")
    assert record.evidence == path
