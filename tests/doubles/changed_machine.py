"""A machine whose normal sound has changed, with the sound of its alarms and its labels."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile

from asd_monitor.alarm.state import AlarmCondition
from asd_monitor.evidence.sound_span import Gap
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.machine_requests import MachineRequests
from asd_monitor.journal.requests import Request, Verb
from asd_monitor.journal.store import Journal
from asd_monitor.records import Samples
from tests.doubles.journalled_machine import alarm_transition
from tests.doubles.kept_alarm_sound import keep_alarm_sound
from tests.doubles.synthetic_sounds import machine_sound

RATE_HZ = 16_000
ALARM_S = 40.0


def changed_sound(seconds: float = ALARM_S, seed: int = 31) -> Samples:
    """Return the sound of fan01 with another tone, which is normal since a change."""
    return machine_sound(seconds, seed=seed, fault=0.7)


def faulty_sound(seconds: float = ALARM_S, seed: int = 41) -> Samples:
    """Return the sound of fan01 with impacts."""
    sound = machine_sound(seconds, seed=seed)
    t = np.arange(round(0.05 * RATE_HZ)) / RATE_HZ
    impact = 0.5 * np.exp(-t / 0.006) * np.sin(2 * np.pi * 4300 * t)
    for start in range(0, len(sound) - len(t), round(0.11 * RATE_HZ)):
        sound[start : start + len(t)] += impact.astype(np.float32)
    return sound


@dataclass(frozen=True, slots=True)
class ChangedMachine:
    """The state folder of fan01."""

    state: Path
    begin: datetime
    """Of the first alarm."""

    def add_alarm(self, sound: Samples | None, hours: float, gaps: tuple[Gap, ...] = ()) -> str:
        """Raise and end an alarm some hours after the begin, with its sound; return its id."""
        raised = self.begin + timedelta(hours=hours)
        with Journal(self.state) as journal:
            machine = MachineJournal(journal, "fan01")
            number = machine.number + 1
            steps = (AlarmCondition.NORMAL, AlarmCondition.UNACKNOWLEDGED, AlarmCondition.RETURNED)
            for at, (before, after) in enumerate(pairwise(steps)):
                change = alarm_transition(before, after, number=number)
                machine.record(change, raised + timedelta(seconds=at * ALARM_S), "v1")
            record = machine.newest
            assert record is not None
            alarm_id = record.id
        begin = raised - timedelta(seconds=10)
        if sound is not None:
            keep_alarm_sound(
                self.state, "fan01", alarm_id, begin, sound=sound, rate_hz=RATE_HZ, gaps=gaps
            )
        return alarm_id

    def ask(self, verb: Verb, alarm_id: str | None, why: str = "a test", **arguments: str) -> None:
        """Ask for something about an alarm or the machine; apply it as the daemon does."""
        now = datetime.now(UTC)
        with Journal(self.state) as journal:
            journal.requests.add(Request(verb, "fan01", "ann", now, alarm_id, why, arguments))
            machine = MachineJournal(journal, "fan01")
            MachineRequests(machine).apply(None, now, None)

    def keep_normal_sound(self, hours: float, sound: Samples) -> None:
        """Store a piece of sound as the commissioning does."""
        folder = self.state / "commissioning/fan01/sound"
        folder.mkdir(parents=True, exist_ok=True)
        time = self.begin + timedelta(hours=hours)
        name = f"{time:%Y%m%dT%H%M%SZ}_-33dBFS.flac"
        soundfile.write(folder / name, sound, RATE_HZ, "PCM_16")


def changed_machine(state: Path) -> ChangedMachine:
    """Return a state folder without an alarm; its times are of the last hours."""
    begin = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=20)
    return ChangedMachine(state, begin)
