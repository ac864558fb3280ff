"""Write a data set in the layout of DCASE 2020 of machines with periodic impacts.

    python -m datasets.impact_tree SOUNDS NOISES OUT --seed 1
    asd-monitor evaluate OUT

Valves, pickers and presses sound for tenths of a second at a time, unlike the steady recordings
of `injected_tree`.  Each id of the type `struck` repeats a cycle of two to four impacts, cut from
recordings of SOUNDS, over a recording of NOISES.  The times of impacts have a jitter of some
hundredths of the cycle, their levels one of 1 dB.  The first half of a noise is for training and
the second for testing, so that no background is in both.  Anomalous clips have one fault, at a
severity drawn from the range:

    missing   an impact is sometimes absent     double    an impact occurs twice
    late      an impact is delayed              drag      scraping noise accompanies an impact
    weak      an impact has a lower level       other     an impact is of another recording
    dull      an impact lacks high frequencies  extra     one more impact in the cycle

OUT/labels.csv lists fault and severity of each clip.  The same options and seed write the same
data set.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from asd_monitor.encoder_training.sound_variation import at_unit_rms, loop
from asd_monitor.records import Samples
from asd_monitor.synthesis.filtering import Signal, db_to_amplitude, zero_phase_filter
from datasets.dcase_tree import DcaseTree, require_empty
from datasets.recordings import RATE_HZ, find_recordings, read_mono, rms_of

FAULTS = ("missing", "late", "weak", "dull", "double", "drag", "other", "extra")
TYPE = "struck"
CLIP_S = 10.0
FADE = RATE_HZ // 50
MIN_NOISE_S = 6.0
MIN_PEAK = 1e-3
RMS = 0.05
IMPACT_SHARE = 0.4
"""RMS of a sound of impacts of unit RMS, which fill about a tenth of the time."""


@dataclass(frozen=True, eq=False)
class Impact:
    """One of the impacts of a cycle."""

    sound: Signal
    phase: float  # in the cycle, 0 … 1
    missing: float = 0.0  # share of the cycles without it


@dataclass(frozen=True, eq=False)
class ImpactMachine:
    """The impacts of a machine, their cycle, and their level over the noise."""

    impacts: tuple[Impact, ...]
    cycle_s: float
    jitter: float  # standard deviation, as a share of the cycle
    snr_db: float


def main() -> int:
    """Write the data set."""
    parser = _parser()
    options = parser.parse_args()
    require_empty(parser, options.out)
    sounds = [
        read_mono(path) for path in find_recordings(options.sounds, held_out=options.held_out)
    ]
    sounds = [sound for sound in sounds if len(sound) > 4 * FADE and np.abs(sound).max() > MIN_PEAK]
    noises = [
        read_mono(path) for path in find_recordings(options.noises, held_out=options.held_out)
    ]
    noises = [noise for noise in noises if len(noise) > MIN_NOISE_S * RATE_HZ]
    if not sounds or not noises:
        sys.stderr.write(
            f"impact_tree: {options.sounds} needs recordings, and {options.noises} some of "
            f"{MIN_NOISE_S:g} s or more\n"
        )
        return 1
    tree = DcaseTree(options.out)
    for number in range(options.ids):
        noise = noises[number % len(noises)]
        _write_id(tree, number, sounds, noise, options)
    sys.stdout.write(f"{options.out}: {tree.close()} clips\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m datasets.impact_tree",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sounds", type=Path, help="folder of FLAC, WAV or OGG")
    parser.add_argument("noises", type=Path, help="folder of backgrounds")
    parser.add_argument("out", type=Path, help="folder to write; must not exist or be empty")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--held-out", action="store_true", help="only recordings no encoder is trained on"
    )
    parser.add_argument("--ids", type=int, default=16)
    parser.add_argument("--train", type=int, default=12, help="training clips of each id")
    parser.add_argument("--normal", type=int, default=8, help="normal test clips of each id")
    parser.add_argument("--anomaly", type=int, default=16, help="anomalous test clips of each id")
    parser.add_argument("--severity", nargs=2, type=float, default=[0.1, 0.6], metavar="S")
    return parser


def _write_id(
    tree: DcaseTree,
    number: int,
    sounds: Sequence[Samples],
    noise: Samples,
    options: argparse.Namespace,
) -> None:
    rng = np.random.default_rng((options.seed, number))
    machine = _draw_machine(sounds, rng)
    for _ in range(options.train):
        tree.add(TYPE, "train", number, _clip(machine, noise, "train", rng))
    for _ in range(options.normal):
        tree.add(TYPE, "test", number, _clip(machine, noise, "test", rng))
    for at in range(options.anomaly):
        kind = FAULTS[(at + number) % len(FAULTS)]
        severity = float(rng.uniform(*options.severity))
        faulty = _with_fault(machine, kind, severity, sounds, rng)
        labels = {"fault": kind, "severity": f"{severity:.2f}"}
        tree.add(TYPE, "test", number, _clip(faulty, noise, "test", rng), **labels)


def _draw_machine(sounds: Sequence[Samples], rng: np.random.Generator) -> ImpactMachine:
    count = int(rng.integers(2, 5))
    phases = np.sort(rng.dirichlet(np.full(count, 4.0)).cumsum() - rng.uniform())
    return ImpactMachine(
        tuple(
            Impact(
                _draw_impact(sounds, rng) * db_to_amplitude(rng.uniform(-8.0, 0.0)),
                float(phase % 1.0),
            )
            for phase in phases
        ),
        cycle_s=float(np.exp(rng.uniform(np.log(0.6), np.log(3.0)))),
        jitter=float(rng.uniform(0.002, 0.02)),
        snr_db=float(rng.uniform(-6.0, 12.0)),
    )


def _draw_impact(sounds: Sequence[Samples], rng: np.random.Generator) -> Signal:
    """Return 0.08 to 0.5 s about the peak of a random recording, at unit RMS."""
    sound = sounds[int(rng.integers(len(sounds)))].astype(np.float64)
    n = min(len(sound), int(rng.uniform(0.08, 0.5) * RATE_HZ))
    start = min(max(0, int(np.abs(sound).argmax()) - 2 * FADE), len(sound) - n)
    piece = sound[start : start + n].copy()
    piece[:FADE] *= np.linspace(0.0, 1.0, FADE)
    piece[-FADE:] *= np.linspace(1.0, 0.0, FADE)
    return at_unit_rms(piece)


def _with_fault(
    machine: ImpactMachine,
    kind: str,
    severity: float,
    sounds: Sequence[Samples],
    rng: np.random.Generator,
) -> ImpactMachine:
    index = int(rng.integers(len(machine.impacts)))
    impact = machine.impacts[index]
    others = machine.impacts[:index] + machine.impacts[index + 1 :]
    rms = float(np.sqrt(np.mean(impact.sound**2)))
    added: tuple[Impact, ...] = ()
    match kind:
        case "missing":
            impact = replace(impact, missing=0.15 + 0.85 * severity)
        case "late":
            impact = replace(impact, phase=(impact.phase + 0.03 + 0.3 * severity) % 1.0)
        case "weak":
            impact = replace(impact, sound=impact.sound * db_to_amplitude(-1.0 - 18.0 * severity))
        case "dull":
            octaves = np.log2(np.maximum(np.linspace(0.0, RATE_HZ / 2000, 257), 0.05))
            loss_db = (2.0 + 16.0 * severity) * np.clip(octaves, 0.0, 1.5)
            dulled = zero_phase_filter(impact.sound, db_to_amplitude(-loss_db))
            impact = replace(impact, sound=dulled)
        case "double":
            phase = (impact.phase + float(rng.uniform(0.03, 0.12)) / machine.cycle_s) % 1.0
            added = (Impact(impact.sound * db_to_amplitude(-20.0 + 20.0 * severity), phase),)
        case "drag":
            scrape = _draw_scrape(rng) * rms * db_to_amplitude(-26.0 + 26.0 * severity)
            added = (Impact(scrape, impact.phase),)
        case "other":
            share = np.sqrt(0.1 + 0.9 * severity)
            other = rms * _draw_impact(sounds, rng)
            mixed = np.zeros(max(len(other), len(impact.sound)))
            mixed[: len(impact.sound)] += np.sqrt(1.0 - share**2) * impact.sound
            mixed[: len(other)] += share * other
            impact = replace(impact, sound=mixed)
        case "extra":
            level = db_to_amplitude(-26.0 + 26.0 * severity)
            added = (Impact(rms * _draw_impact(sounds, rng) * level, float(rng.uniform())),)
        case _:
            raise ValueError(f"no fault {kind!r}; there are {', '.join(FAULTS)}")
    return replace(machine, impacts=(*others, impact, *added))


def _draw_scrape(rng: np.random.Generator) -> Signal:
    """Return 0.1 to 0.4 s of band-limited noise, at unit RMS."""
    n = int(rng.uniform(0.1, 0.4) * RATE_HZ)
    centre = float(np.exp(rng.uniform(np.log(500.0), np.log(5000.0))))
    hz = np.linspace(1.0, RATE_HZ / 2, 257)
    gain = np.exp(-0.5 * (np.log2(hz / centre) / 0.7) ** 2)
    return at_unit_rms(zero_phase_filter(rng.standard_normal(n), gain) * np.hanning(n))


def _clip(machine: ImpactMachine, noise: Samples, part: str, rng: np.random.Generator) -> Samples:
    n = round(CLIP_S * RATE_HZ)
    cycle = machine.cycle_s * RATE_HZ
    sound = np.zeros(n)
    for begin in np.arange(-float(rng.uniform()) * cycle, n, cycle):
        for impact in machine.impacts:
            phase = impact.phase + machine.jitter * rng.standard_normal()
            start = int(begin + phase * cycle)
            gain = float(db_to_amplitude(rng.normal(0.0, 1.0)))
            skip = max(0, -start)
            piece = impact.sound[skip : max(skip, n - start)]
            if rng.uniform() >= impact.missing and len(piece):
                sound[start + skip : start + skip + len(piece)] += gain * piece
    # the level of the noise does not depend on the fault
    half = len(noise) // 2
    of_part = noise[:half] if part == "train" else noise[half:]
    background = loop(of_part, n, int(rng.integers(len(of_part))), FADE).astype(np.float64)
    background /= rms_of(of_part) + 1e-9
    mixed = sound + background * IMPACT_SHARE * db_to_amplitude(-machine.snr_db)
    mixed *= RMS * db_to_amplitude(rng.uniform(-1.0, 1.0))
    return np.clip(mixed, -1.0, 1.0).astype(np.float32)


if __name__ == "__main__":
    sys.exit(main())
