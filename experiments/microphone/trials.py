"""Faults of the microphone and of the machine, and what the monitor reports of them.

    python -m experiments.microphone.trials --noise FOLDER --output FOLDER
        [--set choice|report] [--machines N] [--first NUMBER] [--seed N]

Each machine is trained on three minutes of one epoch.  Each change begins after 20 s of normal
sound of another epoch and take, and lasts for 40 s.  The monitor is that of the product without the
encoder, for the budget of one false alarm a month.  Times count from the change.  *alarm without*
is in how many trials the monitor without the baseline of the microphone raises an alarm.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from asd_monitor.alarm.budget import alarm_rule
from asd_monitor.alarm.state import AlarmCondition, Transition, TransitionKind
from asd_monitor.config.machine_settings import AlarmSettings
from asd_monitor.detector.detector import Detector
from asd_monitor.detector.fit import fit_detector
from asd_monitor.dsp.front_end import front_end_for
from asd_monitor.features.windows import Window
from asd_monitor.microphone.sample_counter import NO_SAMPLE_FAULTS
from asd_monitor.model_training.microphone_baseline import microphone_baseline
from asd_monitor.monitor import Monitor, Reading
from asd_monitor.pipeline import Pipeline, WindowExtractor
from asd_monitor.records import Block, MicrophoneState, Samples, Stream
from experiments.alarms.hall_schedule import plan_days
from experiments.alarms.machine_files import (
    MachineFiles,
    add_machine_arguments,
    in_processes,
    machines_of,
)
from experiments.alarms.plant_sound import RATE_HZ, make_plant, outside_recordings
from experiments.alarms.results import write_results
from experiments.command_line import add_noise, add_output, errors_reported, parser_of
from experiments.markdown import table
from experiments.microphone.simulated_changes import BEFORE_S, GAP_S, Change, ChangedPlant

TRAINING_S, STEM_S = 180.0, 120.0
TRAINING_DAY, TRAINING_EPOCH = 0, 20  # 10:00
TEST_DAY, TEST_EPOCHS = 1, (12, 20, 30, 40)
SEEN_WITHIN_S = 30.0
_BLOCK_S = 5.0  # BEFORE_S is a multiple of it
FRONT_END = front_end_for(RATE_HZ)


@dataclass(frozen=True, slots=True)
class Trial:
    """What the monitor reports of one change."""

    machine: int
    change: str
    of_microphone: bool
    fault_s: float | None  # after the change
    degraded_s: float | None
    reason: str | None  # of the first that is reported
    alarm_s: float | None
    alarm_without_s: float | None  # of a monitor without the baseline
    before: bool  # whether anything was reported before the change

    @property
    def seen_s(self) -> float | None:
        """Seconds until the change is reported."""
        return min((at for at in (self.fault_s, self.degraded_s) if at is not None), default=None)


def windows_of(sound: Samples) -> list[Window]:
    """Return the windows of a segment of sound (n,), without those of encoders."""
    extractor = WindowExtractor(FRONT_END)
    return extractor.push(Block(Stream(RATE_HZ), 0, sound)) + extractor.flush()


def trained(sound: Samples) -> Detector:
    """Return a detector of training sound (n,), with the baseline of the microphone."""
    windows = windows_of(sound)
    detector = fit_detector([windows], FRONT_END, RATE_HZ).detector
    baseline = microphone_baseline(detector, [windows], NO_SAMPLE_FAULTS)
    return replace(detector, microphone=baseline)


def trials_of(noise: Sequence[Path], machine: MachineFiles) -> list[Trial]:
    """Return the trials of one machine."""
    plants = [
        make_plant(
            machine.hall_set, machine.number, noise, seed=machine.seed, take=take, seconds=STEM_S
        )
        for take in (0, 1)
    ]
    rng = np.random.default_rng((machine.seed, machine.hall_set, machine.number, 77))
    days = plan_days(plants[0].hall, (TRAINING_DAY, TEST_DAY), rng)
    epoch = days[1].epochs[TEST_EPOCHS[machine.number % len(TEST_EPOCHS)]]
    seed = int(rng.integers(2**32))  # of the noise of the microphone, which is the same
    detector = trained(
        ChangedPlant(plants[0], epoch, np.random.default_rng(seed)).training(
            days[0].epochs[TRAINING_EPOCH], TRAINING_S
        )
    )
    changed = ChangedPlant(plants[1], epoch, np.random.default_rng(seed))
    changes = [*changed.microphone_changes(), *changed.machine_changes()]
    return [_trial(machine.number, detector, change) for change in changes]


def _trial(number: int, detector: Detector, change: Change) -> Trial:
    found, without = play(detector, change)
    states = [(at, to, why) for at, kind, to, why in found if kind is TransitionKind.MICROPHONE]
    after = [each for each in states if each[0] > 0]
    first = {
        state: min((at for at, to, _ in after if to == state), default=None)
        for state in (MicrophoneState.FAULT, MicrophoneState.DEGRADED)
    }
    reported = [why for _, to, why in after if to != MicrophoneState.OK]
    return Trial(
        machine=number,
        change=change.name,
        of_microphone=change.of_microphone,
        fault_s=first[MicrophoneState.FAULT],
        degraded_s=first[MicrophoneState.DEGRADED],
        reason=reported[0] if reported else None,
        alarm_s=_first_alarm(found),
        alarm_without_s=_first_alarm(without),
        before=len(after) < len(states),
    )


Changes = list[tuple[float, TransitionKind, str, str]]
"""Transitions: seconds after the change, kind, new value and reason."""


def play(detector: Detector, change: Change) -> tuple[Changes, Changes]:
    """Return the transitions with the baseline of the microphone, and those without it.

    Both monitors evaluate the same scores.
    """
    rule = alarm_rule(AlarmSettings().criteria, detector)
    pipeline = Pipeline(detector)
    monitors = [
        Monitor(pipeline, rule, RATE_HZ, baseline=baseline)
        for baseline in (detector.microphone, None)
    ]
    at, stream = round(BEFORE_S * RATE_HZ), Stream(RATE_HZ)
    gap = round(GAP_S * RATE_HZ) if change.interrupted else 0
    size = round(_BLOCK_S * RATE_HZ)
    found: tuple[list[Reading], list[Reading]] = ([], [])
    for begin in range(0, len(change.sound), size):
        if begin == at and gap:
            for monitor in monitors:
                monitor.interrupt()
        start = begin + gap if begin >= at else begin
        block = Block(stream, start, change.sound[begin : begin + size])
        parts, same = (monitor.split(block) for monitor in monitors)
        for part, other in zip(parts, same, strict=True):
            scores = [] if isinstance(part, Transition) else pipeline.push(part)
            found[0].extend(monitors[0].evaluate(part, scores))
            found[1].extend(monitors[1].evaluate(other, scores))
    with_it, without = (
        [
            ((each.sample - at - gap) / RATE_HZ, each.kind, str(each.after), each.why)
            for reading in readings
            for each in reading.transitions
        ]
        for readings in found
    )
    return with_it, without


def _first_alarm(changes: Changes) -> float | None:
    raised = [
        at
        for at, kind, to, _ in changes
        if kind is TransitionKind.ALARM and to == AlarmCondition.UNACKNOWLEDGED
    ]
    return raised[0] if raised else None


def table_of(trials: Sequence[Trial], *, of_microphone: bool) -> str:
    """Return the table of the changes of the microphone, or of those of machine and hall."""
    rows = []
    names = dict.fromkeys(each.change for each in trials if each.of_microphone is of_microphone)
    for name in names:
        own = [each for each in trials if each.change == name]
        seen = [each.seen_s for each in own if each.seen_s is not None]
        within = [at for at in seen if at <= SEEN_WITHIN_S]
        rows.append(
            [
                name,
                str(len(own)),
                str(sum(each.before for each in own)),
                str(sum(each.fault_s is not None for each in own)),
                str(sum(each.fault_s is None and each.degraded_s is not None for each in own)),
                f"{np.median(within):.1f} s" if within else "",
                f"{max(seen):.1f} s" if seen else "",
                str(sum(each.alarm_s is not None for each in own)),
                str(sum(each.alarm_s is not None and each.fault_s is not None for each in own)),
                str(sum(each.alarm_without_s is not None for each in own)),
                _longest_delay(own),
            ]
        )
    head = [
        "change",
        "trials",
        "before",
        "fault",
        "degraded",
        "median",
        "latest",
        "alarm",
        "of them with fault",
        "alarm without",
        "longest delay",
    ]
    return table(head, rows)


def _longest_delay(trials: Iterable[Trial]) -> str:
    delays = [
        each.alarm_s - each.alarm_without_s
        for each in trials
        if each.alarm_s is not None
        and each.alarm_without_s is not None
        and each.alarm_without_s > 0
    ]
    return f"{max(delays):.1f} s" if delays else ""


def main() -> int:
    """Try the machines that the arguments name."""
    parser = parser_of("microphone.trials", __doc__)
    add_machine_arguments(parser)
    add_noise(parser)
    add_output(parser)
    options = parser.parse_args()
    machines = machines_of(options)
    trials: list[Trial] = []
    with errors_reported("trials"):
        noise = outside_recordings(options.noise, machines[0].hall_set)
        for found in in_processes(partial(trials_of, noise), machines):
            trials += found
            sys.stderr.write(f"machine {found[0].machine}\n")
    tables = [table_of(trials, of_microphone=kind) for kind in (True, False)]
    figures = {"trials": [asdict(each) for each in trials]}
    write_results(options.output, "trials", figures, "\n".join(tables), {})
    return 0


if __name__ == "__main__":
    sys.exit(main())
