"""Which changes of a sound the reason of an alarm names.

    python -m experiments.reasons [--set choice|report] [--sounds FOLDER] [--streams FOLDER]
        --output FOLDER

Each synthetic machine is recorded four times for 30 s, and a profile is fitted; its faults, and
changes of the samples, are explained from ten seconds of another recording.  Each real recording
of at least 30 s is divided: changes are made in the ten seconds in its middle, the rest is the
training sound; recordings in which these ten seconds differ as they are, are left out.

A change is *named* if a finding in the sentence is of its kind and has its number within 5 %,
*first* if it is the first one.  *alarms* are the sounds whose median evidence is at least that
which is an alarm whatever the tails say.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from asd_monitor.detector.evidence import EFFECT_BOUND
from asd_monitor.explanation.explain import explain
from asd_monitor.explanation.sentence import MAX_FINDINGS
from asd_monitor.records import Samples
from asd_monitor.synthesis.families import FAMILIES, draw_machine
from experiments.command_line import add_output, parser_of
from experiments.markdown import table, text_table
from experiments.reasons.changes import (
    CHANGES,
    RATE_HZ,
    Changed,
    has_tone,
    missing_tone,
    shifted_speed,
)
from experiments.reasons.machines import faulty_sounds, normal_sound, training_sound
from experiments.reasons.models import TEST_S, Model, model_of, read_at_rate
from experiments.reasons.streams import stream_sentences
from experiments.reasons.truth import Truth, is_named

FIRST_SEED = {"choice": 100, "report": 500}
ROUNDS = 2  # machines of each family
MIN_RECORDING_S = 30.0
NORMAL = "normal"
STEADY = 1.5
"""Recordings whose own middle has a stronger finding are not steady, and are left out."""
RMS = 0.02
DRAWS = 3  # of each change of a real recording


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was said of one sound."""

    background: str
    sound: str
    change: str
    truth: str
    sentence: str
    named: bool
    first: bool
    strength: float
    alarm: bool  # whether its evidence is an alarm whatever the tails say


def said(background: str, name: str, change: str, model: Model, changed: Changed) -> Outcome:
    """Return what is said of a changed sound."""
    found = explain(model.profile, changed.sound, RATE_HZ, {})
    shown = found.findings[:MAX_FINDINGS]
    return Outcome(
        background,
        name,
        change,
        changed.truth.text,
        found.sentence,
        is_named(changed.truth, shown),
        is_named(changed.truth, shown[:1]),
        shown[0].strength if shown else 0.0,
        model.evidence(changed.sound) >= EFFECT_BOUND,
    )


def synthetic(first_seed: int) -> Iterator[Outcome]:
    """Yield what is said of simulated machines."""
    for number in range(ROUNDS * len(FAMILIES)):
        family, seed = FAMILIES[number % len(FAMILIES)], first_seed + number
        spec = draw_machine(family, np.random.default_rng((seed, 0)))
        model = model_of(training_sound(spec, seed))
        normal = normal_sound(spec, seed)
        name = f"{family} {seed}"
        yield said("synthetic", name, NORMAL, model, Changed(normal, Truth("", frozenset())))
        for kind, changed in faulty_sounds(spec, seed).items():
            yield said("synthetic", name, kind, model, changed)
        for change, changed in _changes(normal, seed):
            yield said("synthetic", name, change, model, changed)


def _changes(sound: Samples, seed: int) -> Iterator[tuple[str, Changed]]:
    for at, (change, apply) in enumerate(CHANGES.items()):
        if apply not in (missing_tone, shifted_speed) or has_tone(sound):
            yield f"+ {change}", apply(sound, np.random.default_rng((seed, 4, at)))


def real(folder: Path, first: int) -> Iterator[Outcome]:
    """Yield what is said of real recordings, of which every second one belongs to a set."""
    files = sorted(path for path in folder.iterdir() if path.suffix in (".ogg", ".flac", ".wav"))
    used = 0
    for path in files:
        sound = _at_level(read_at_rate(path))
        if len(sound) < MIN_RECORDING_S * RATE_HZ:
            continue
        used += 1
        if used % 2 != first % 2:
            continue
        middle, test_n = len(sound) // 2, round(TEST_S * RATE_HZ)
        model = model_of([sound[: middle - test_n // 2], sound[middle + test_n // 2 :]])
        test = sound[middle - test_n // 2 : middle + test_n // 2]
        name = path.stem[:40]
        normal = said("real", name, NORMAL, model, Changed(test, Truth("", frozenset())))
        yield normal
        if normal.alarm or normal.strength >= STEADY:
            continue
        for draw in range(DRAWS):
            for change, changed in _changes(test, first + used + 1000 * draw):
                yield said("real", name, change, model, changed)


def _at_level(sound: Samples) -> Samples:
    """Return the sound at `RMS`, so that changes do not clip it."""
    rms = float(np.sqrt(np.mean(np.square(sound, dtype=np.float64)))) + 1e-9
    return np.asarray(sound * (RMS / rms), np.float32)


def summary(outcomes: Sequence[Outcome]) -> str:
    """Return the table of changes."""
    groups: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for each in outcomes:
        groups[each.background, each.change].append(each)
    rows = []
    for (background, change), group in groups.items():
        if change == NORMAL:
            continue
        alarms = [each for each in group if each.alarm]
        rows.append(
            (
                f"{background}: {change.removeprefix('+ ')}"
                if change.startswith("+")
                else f"simulated fault: {change}",
                str(len(group)),
                str(sum(each.named for each in group)),
                str(len(alarms)),
                str(sum(each.named for each in alarms)),
                str(sum(each.first for each in alarms)),
            )
        )
    return table(("change", "sounds", "named", "alarms", "named", "first"), rows)


def examples(outcomes: Sequence[Outcome]) -> str:
    """Return truth and sentence of the first alarm of each change; of its first sound, if none."""
    first: dict[tuple[str, str], Outcome] = {}
    for each in outcomes:
        key = each.background, each.change
        if each.change != NORMAL and (key not in first or each.alarm > first[key].alarm):
            first[key] = each
    rows = [
        (
            each.sound,
            each.truth,
            each.sentence,
            *("yes" if is_so else "no" for is_so in (each.named, each.alarm)),
        )
        for each in first.values()
    ]
    return text_table(("sound", "truth", "sentence", "named", "alarm"), rows)


def main() -> None:
    """Run the experiment."""
    parser = parser_of("reasons", __doc__)
    parser.add_argument("--set", choices=sorted(FIRST_SEED), default="report")
    parser.add_argument("--sounds", type=Path, metavar="FOLDER")
    parser.add_argument("--streams", type=Path, metavar="FOLDER")
    add_output(parser)
    options = parser.parse_args()
    first = FIRST_SEED[options.set]
    outcomes = list(synthetic(first))
    if options.sounds is not None:
        outcomes += real(options.sounds, first + (options.set == "report"))
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / f"{options.set}.json").write_text(
        json.dumps([asdict(each) for each in outcomes], indent=1)
    )
    text = f"{summary(outcomes)}\n{examples(outcomes)}"
    if options.streams is not None:
        rows = list(stream_sentences(options.streams))
        text += "\n" + text_table(("stream", "at", "sentence"), rows)
    (options.output / f"{options.set}.md").write_text(text)
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    main()
