"""Machines whose sound changes at a known time, in a known way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asd_monitor.records import Samples
from asd_monitor.synthesis.families import FAMILIES, draw_machine
from asd_monitor.synthesis.rendering import render
from experiments.reasons.changes import (
    RATE_HZ,
    Change,
    bearing_impacts,
    hiss,
    knocking,
    louder,
    modulated_hiss,
    modulation,
    new_tone,
    rattle,
    silent_band,
    tone_with_sidebands,
)
from experiments.reasons.machines import training_sound
from experiments.reasons.models import read_at_rate
from experiments.reasons.truth import Truth

FAULTS: dict[str, Change] = {
    "tone": new_tone,
    "impacts": bearing_impacts,
    "hiss": hiss,
    "level": louder,
    "rough": modulated_hiss,
    "sidebands": tone_with_sidebands,
    "knocking": knocking,
    "rattle": rattle,
    "quiet": silent_band,
    "modulation": modulation,
}
"""The first five are those whose pages are pictured."""
NORMAL_S, FAULTY_S = 40.0, 40.0
MIN_RECORDING_S = 150.0
RMS = 0.02
_TRAINING_SHARE = 0.55


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A machine, and a recording of it in which a fault begins."""

    name: str
    fault: str
    training: Sequence[Samples]
    sound: Samples
    unchanged: Samples
    begin_s: float  # of the fault
    truth: Truth


def synthetic_cases(seed: int) -> Iterator[Case]:
    """Yield two cases of each fault, each of a machine of another family."""
    for number, fault in enumerate(2 * list(FAULTS)):
        family, own = FAMILIES[(3 * number) % len(FAMILIES)], seed + number
        spec = draw_machine(family, np.random.default_rng((own, 0)))
        normal = render(spec, NORMAL_S + FAULTY_S, np.random.default_rng((own, 2)))
        training = training_sound(spec, own)
        gain = RMS / _rms(np.concatenate(training))
        yield _case(
            f"{family}-{fault}", [gain * each for each in training], gain * normal, fault, own
        )


def recorded_cases(folder: Path, seed: int) -> Iterator[Case]:
    """Yield a case of each recording that is long enough."""
    files = sorted(path for path in folder.iterdir() if path.suffix in (".ogg", ".flac", ".wav"))
    used = 0
    for path in files:
        sound = read_at_rate(path)
        if len(sound) < MIN_RECORDING_S * RATE_HZ:
            continue
        fault = list(FAULTS)[used % len(FAULTS)]
        used += 1
        sound *= RMS / _rms(sound)
        split = round(_TRAINING_SHARE * len(sound))
        rest = sound[split : split + round((NORMAL_S + FAULTY_S) * RATE_HZ)]
        name = "".join(each if each.isalnum() else "-" for each in path.stem)[:40].strip("-")
        yield _case(f"{name}-{fault}", [sound[:split]], rest, fault, seed + used)


def _case(name: str, training: Sequence[Samples], normal: Samples, fault: str, seed: int) -> Case:
    change = FAULTS[fault]
    begin = min(round(NORMAL_S * RATE_HZ), len(normal) // 2)
    changed = change(normal[begin:], np.random.default_rng((seed, 4)))
    sound = np.concatenate([normal[:begin], changed.sound])
    return Case(name, fault, training, sound, normal, begin / RATE_HZ, changed.truth)


def _rms(sound: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(sound, dtype=np.float64)))) + 1e-9
