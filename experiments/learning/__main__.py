"""A machine whose normal sound has changed: marked, learned, and compared before it is used.

    python -m experiments.learning --noise FOLDER --output FOLDER [--machines N] [--first N]

A synthetic machine in real noise is trained on four minutes, and refitted to a day of live sound.
Then its sound changes: it runs faster, another device hums, or a filter is louder.  One alarm of it
is marked as normal, a candidate is made and promoted.  Counted are the sounds of 30 s that raise an
alarm, with the model before and after: of the changed machine, of the machine as it was, and with
simulated faults.  Then the model is rolled back, and the alarm of a fault is marked as normal by
mistake, once while another alarm of this fault is labelled valid, and once without.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import soundfile

from asd_monitor.alarm.budget import alarm_rule
from asd_monitor.cli.app import main as asd_monitor
from asd_monitor.config.machine_settings import MachineDefaults
from asd_monitor.detector.detector import Detector
from asd_monitor.journal.requests import Verb
from asd_monitor.model_store.catalogue import promote, rollback
from asd_monitor.model_training.model_replay import replay_alarm
from asd_monitor.records import Samples
from asd_monitor.synthesis.families import FAMILIES, draw_machine
from experiments.command_line import add_noise, add_output, errors_reported, parser_of
from experiments.learning.box import MACHINE, Box
from experiments.learning.sounds import CHANGES, RATE_HZ, Scene, read_noise
from experiments.markdown import table

SOUNDS = 6
SOUND_S = 30.0
TRAINING_S = 240.0
LIVE_PIECES, LIVE_H = 30, 24.0
FIRST_SEED = 900
_ALARM_S = 60.0


@dataclass(frozen=True, slots=True)
class Story:
    """What one machine has shown; counts are of sounds that raise an alarm."""

    family: str
    change: str
    sounds: int
    changed_before: int
    changed_after: int
    normal_before: int
    normal_after: int
    faults: int
    faults_before: int
    faults_after: int
    faults_in_changed: int  # after
    lost_in_comparison: int  # alarms that would not rise any more
    warnings: int  # of the candidate
    rolled_back: bool  # bit for bit
    mislabelled_learned: bool  # the fault would raise no alarm any more
    warned_by_alarm: bool
    warned_alone: bool


def alarms(detector: Detector, sounds: Sequence[Samples]) -> int:
    """Return how many sounds raise an alarm."""
    rule = alarm_rule(MachineDefaults().alarm_criteria, detector)
    return sum(replay_alarm(detector, rule, sound, RATE_HZ).rises for sound in sounds)


def tell(scene: Scene, change: str, family: str, folder: Path) -> Story:
    """Return what happens to one machine."""
    _train(folder, scene)
    box = Box(folder, datetime.now(UTC))  # what was marked before the training is not used
    box.store_live_sound([scene.normal(12.0, 100 + n) for n in range(LIVE_PIECES)], LIVE_H)
    changed = [scene.changed(change, SOUND_S, n) for n in range(SOUNDS)]
    normal = [scene.normal(SOUND_S, 500 + n) for n in range(SOUNDS)]
    faulty = [
        scene.faulty(kind, severity, SOUND_S, n)
        for n, (kind, severity) in enumerate(scene.faults())
    ]
    both = [
        scene.changed_and_faulty(change, kind, severity, SOUND_S, n)
        for n, (kind, severity) in enumerate(scene.faults())
    ]
    promote(box.models, MACHINE, box.refit().version)
    in_use = box.bundle()
    before, hashes = in_use.detector, box.hashes(in_use.version)

    fault = _detected_fault(scene, before)
    box.add_alarm(fault[0], 5.0, "valid")
    marked = box.add_alarm(scene.changed(change, _ALARM_S, 900), 3.0)
    box.ask(Verb.MARK_NORMAL, marked)
    refit = box.refit()
    promote(box.models, MACHINE, refit.version)
    after = box.bundle().detector
    rollback(box.models, MACHINE)
    is_same = box.bundle().version == in_use.version and box.hashes(in_use.version) == hashes

    warned = []
    learned = False
    for label in ("valid", None):
        box.forget_alarms()
        if label is not None:
            box.add_alarm(fault[0], 5.0, label)
        box.ask(Verb.MARK_NORMAL, box.add_alarm(fault[1], 3.0))
        mistaken = box.refit().comparison
        warned.append(bool(mistaken.warnings()))
        learned = learned or any(each.is_lost for each in mistaken.alarms)
    return Story(
        family,
        change,
        SOUNDS,
        changed_before=alarms(before, changed),
        changed_after=alarms(after, changed),
        normal_before=alarms(before, normal),
        normal_after=alarms(after, normal),
        faults=len(faulty),
        faults_before=alarms(before, faulty),
        faults_after=alarms(after, faulty),
        faults_in_changed=alarms(after, both),
        lost_in_comparison=sum(each.is_lost for each in refit.comparison.alarms),
        warnings=len(refit.comparison.warnings()),
        rolled_back=is_same,
        mislabelled_learned=learned,
        warned_by_alarm=warned[0],
        warned_alone=warned[1],
    )


def _detected_fault(scene: Scene, detector: Detector) -> list[Samples]:
    """Return two sounds of the first fault that raises an alarm in both, else of the last."""
    found: list[Samples] = []
    for kind in dict.fromkeys(kind for kind, _ in scene.faults()):
        found = [scene.faulty(kind, 1.0, _ALARM_S, 800 + n) for n in range(2)]
        if alarms(detector, found) == len(found):
            break
    return found


def _train(folder: Path, scene: Scene) -> None:
    recordings = folder / "recordings"
    recordings.mkdir()
    sound = scene.normal(TRAINING_S, 0)
    soundfile.write(recordings / "1.flac", sound, RATE_HZ, "PCM_16")
    models = str(folder / "models")
    sys.argv = ["asd-monitor", "train", "-m", MACHINE, "-n", str(recordings), "--models", models]
    try:
        asd_monitor()
    except SystemExit as end:
        if end.code:
            raise


def table_of(stories: Sequence[Story]) -> str:
    """Return the results as a table in Markdown."""
    head = (
        "machine, change",
        "changed sound: alarms before → after",
        "sound as it was",
        "faults",
        "faults in the changed sound",
        "rollback",
        "fault marked by mistake: learned, warned (alone)",
    )
    rows = [
        (
            f"{each.family}, {each.change}",
            f"{each.changed_before} → {each.changed_after} of {each.sounds}",
            f"{each.normal_before} → {each.normal_after} of {each.sounds}",
            f"{each.faults_before} → {each.faults_after} of {each.faults}",
            f"{each.faults_in_changed} of {each.faults}",
            "bit for bit" if each.rolled_back else "DIFFERS",
            f"{_yes(each.mislabelled_learned)}, {_yes(each.warned_by_alarm)} "
            f"({_yes(each.warned_alone)})",
        )
        for each in stories
    ]
    return table(head, rows)


def _yes(value: bool) -> str:  # noqa: FBT001
    return "yes" if value else "no"


def _generator(number: int) -> np.random.Generator:
    return np.random.default_rng((FIRST_SEED, number))


def main() -> None:
    """Tell the story of each machine, and write the table."""
    parser = parser_of("learning", __doc__)
    add_noise(parser)
    add_output(parser)
    parser.add_argument("--machines", type=int, default=4, metavar="N")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="number of the first")
    options = parser.parse_args()
    with errors_reported("learning"):
        noise = read_noise(options.noise)
        options.output.mkdir(parents=True, exist_ok=True)
        stories = []
        for number in range(options.first, options.first + options.machines):
            family = FAMILIES[number % len(FAMILIES)]
            spec = draw_machine(family, _generator(number))
            scene = Scene(spec, noise, FIRST_SEED + number)
            folder = Path(tempfile.mkdtemp(prefix="learning-"))
            try:
                story = tell(scene, CHANGES[number % len(CHANGES)], family, folder)
            finally:
                shutil.rmtree(folder)
            stories.append(story)
            sys.stdout.write(table_of([story]).splitlines()[-1] + "\n")
            sys.stdout.flush()
            document = json.dumps([asdict(each) for each in stories], indent=1)
            (options.output / "learning.json").write_text(document)
            (options.output / "learning.md").write_text(table_of(stories))


if __name__ == "__main__":
    main()
