"""Which changes of a sound the reason of an alarm names.

    python -m experiments.reasons [--set choice|report] [--sounds FOLDER] [--streams FOLDER]
        --output FOLDER

Each synthetic machine is recorded four times for 30 s, and a profile is fitted; its faults, and
changes of the samples, are explained from ten seconds of another recording.  Each real recording
of at least 30 s is divided: the first two thirds are the training sound, changes are made in the
rest.  A change is *named* if a finding in the sentence is of its kind and has its number within 5 %,
*first* if it is the first one.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from asd_monitor.audio.files.recordings import read_recording
from asd_monitor.explanation.explain import explain
from asd_monitor.explanation.findings import Finding
from asd_monitor.explanation.sentence import MAX_FINDINGS
from asd_monitor.explanation.sound_analysis import analyse, conditioned
from asd_monitor.explanation.sound_profile import SoundProfile, blocks_of, fit_profile
from asd_monitor.records import Samples
from asd_monitor.synthesis.families import FAMILIES, draw_machine
from experiments.markdown import table
from experiments.reasons.changes import CHANGES, RATE_HZ, Changed, has_tone, missing_tone
from experiments.reasons.machines import (
    TEST_S,
    faulty_sounds,
    normal_sound,
    training_sound,
)
from experiments.reasons.truth import Truth, is_named

FIRST_SEED = {"choice": 100, "report": 500}
ROUNDS = 2  # machines of each family
MIN_RECORDING_S = 30.0
NORMAL = "normal"


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


def profile_of(recordings: Sequence[Samples]) -> SoundProfile:
    """Return the profile of recordings at 16 kHz."""
    analyses = [
        analyse(block, RATE_HZ)
        for sound in recordings
        for block in blocks_of(conditioned(sound, RATE_HZ, RATE_HZ), RATE_HZ)
    ]
    profile = fit_profile(analyses)
    if profile is None:
        raise ValueError("the recordings are too short for a profile")
    return profile


def said(background: str, name: str, change: str, profile: SoundProfile, changed: Changed) -> Outcome:
    """Return what is said of a changed sound."""
    found = explain(profile, changed.sound, RATE_HZ, {})
    shown: tuple[Finding, ...] = found.findings[:MAX_FINDINGS]
    return Outcome(
        background,
        name,
        change,
        changed.truth.text,
        found.sentence,
        is_named(changed.truth, shown),
        is_named(changed.truth, shown[:1]),
        shown[0].strength if shown else 0.0,
    )


def synthetic(first_seed: int) -> Iterator[Outcome]:
    """Yield what is said of simulated machines."""
    for number in range(ROUNDS * len(FAMILIES)):
        family, seed = FAMILIES[number % len(FAMILIES)], first_seed + number
        spec = draw_machine(family, np.random.default_rng((seed, 0)))
        profile = profile_of(training_sound(spec, seed))
        normal = normal_sound(spec, seed)
        name = f"{family} {seed}"
        yield said("synthetic", name, NORMAL, profile, Changed(normal, Truth("", frozenset())))
        for kind, changed in faulty_sounds(spec, seed).items():
            yield said("synthetic", name, kind, profile, changed)
        for at, (change, apply) in enumerate(CHANGES.items()):
            if apply is missing_tone and not has_tone(normal):
                continue
            changed = apply(normal, np.random.default_rng((seed, 4, at)))
            yield said("synthetic", name, f"+ {change}", profile, changed)


def real(folder: Path, first: int) -> Iterator[Outcome]:
    """Yield what is said of real recordings, of which every second one belongs to a set."""
    files = sorted(path for path in folder.iterdir() if path.suffix in (".ogg", ".flac", ".wav"))
    used = 0
    for path in files:
        sound = _read(path)
        if len(sound) < MIN_RECORDING_S * RATE_HZ:
            continue
        used += 1
        if used % 2 != first % 2:
            continue
        split = len(sound) * 2 // 3
        profile = profile_of([sound[:split]])
        test = sound[split : split + round(TEST_S * RATE_HZ)]
        name = path.stem[:40]
        yield said("real", name, NORMAL, profile, Changed(test, Truth("", frozenset())))
        for at, (change, apply) in enumerate(CHANGES.items()):
            if apply is missing_tone and not has_tone(test):
                continue
            changed = apply(test, np.random.default_rng((first, used, at)))
            yield said("real", name, f"+ {change}", profile, changed)


def _read(path: Path) -> Samples:
    recording = read_recording(path)
    return conditioned(recording.samples, recording.rate_hz, RATE_HZ)


def summary(outcomes: Sequence[Outcome]) -> str:
    """Return the table of changes."""
    groups: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for each in outcomes:
        groups[each.background, each.change].append(each)
    rows = []
    for (background, change), group in groups.items():
        if change == NORMAL:
            continue
        count = len(group)
        rows.append(
            (
                f"{background}: {change}",
                str(count),
                f"{sum(each.named for each in group)}",
                f"{sum(each.first for each in group)}",
                f"{np.median([each.strength for each in group]):.1f}",
            )
        )
    return table(("change", "sounds", "named", "named first", "median strength"), rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the experiment."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--set", choices=sorted(FIRST_SEED), default="report")
    parser.add_argument("--sounds", type=Path)
    parser.add_argument("--streams", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    first = FIRST_SEED[options.set]
    began = time.process_time()
    outcomes = list(synthetic(first))
    if options.sounds is not None:
        outcomes += real(options.sounds, first + (options.set == "report"))
    print(summary(outcomes))  # noqa: T201
    print(f"{time.process_time() - began:.0f} s")  # noqa: T201
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / f"{options.set}.json").write_text(
        json.dumps([asdict(each) for each in outcomes], indent=1)
    )


if __name__ == "__main__":
    main()
