"""Make a DCASE-2020-layout tree of machines that knock: brief real sounds in a rhythm, in noise.

    python -m datasets.impact_tree SOUNDS NOISES OUT --seed 1
    asd-monitor evaluate OUT

Valves, pickers and presses are heard for tenths of a second at a time, which `injected_tree`
with its steady recordings hardly has.  Each id of the type `struck` is two to four blows, cut out
of recordings of SOUNDS, that come again and again in the order of its cycle, over a recording of
NOISES.  Blows wander by some hundredths of their interval and by 1 dB.  A noise's first half
belongs to training and its second to testing, so that no background is in both.  Anomalous clips
have one fault, at a severity drawn from the range:

    missing   a blow stays out now and then     double    a blow comes twice
    late      a blow comes late                 drag      something scrapes along with a blow
    weak      a blow loses force                other     a blow is another recording
    dull      a blow loses its highs            extra     a foreign blow, once a cycle

OUT/labels.csv tells fault and severity of each clip.  The same options and seed write the same
tree.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from asd_monitor.records import Samples
from asd_monitor.synthesis.filtering import Signal, db_to_amplitude, zero_phase_filter
from datasets.dcase_tree import RATE_HZ, Tree, looped, read, recordings

FAULTS = ("missing", "late", "weak", "dull", "double", "drag", "other", "extra")
CLIP_S = 10.0
FADE = RATE_HZ // 50
LEAST_NOISE_S = 6.0
RMS = 0.05


@dataclass(frozen=True, eq=False)
class Blow:
    """One of a cycle's blows."""

    sound: Signal
    at: float  # in the cycle, 0 … 1
    missing: float = 0.0  # share of the cycles without it


@dataclass(frozen=True, eq=False)
class Machine:
    """What knocks, how often, and how far above the noise."""

    blows: tuple[Blow, ...]
    cycle_s: float
    jitter: float  # of the cycle
    snr_db: float


def main() -> int:
    """Write the tree."""
    options = _arguments()
    if options.out.exists() and any(options.out.iterdir()):
        sys.stderr.write(f"struck_tree: {options.out} is not empty: name another folder\n")
        return 2
    sounds = [read(path) for path in recordings(options.sounds, held_out=options.held_out)]
    sounds = [sound for sound in sounds if len(sound) > 4 * FADE and np.abs(sound).max() > 1e-3]
    noises = [read(path) for path in recordings(options.noises, held_out=options.held_out)]
    noises = [noise for noise in noises if len(noise) > LEAST_NOISE_S * RATE_HZ]
    if not sounds or not noises:
        sys.stderr.write(
            f"struck_tree: {options.sounds} needs recordings, and {options.noises} some of "
            f"{LEAST_NOISE_S:g} s or more\n"
        )
        return 1
    tree = Tree(options.out)
    for number in range(options.ids):
        rng = np.random.default_rng((options.seed, number))
        machine = _drawn(sounds, rng)
        noise = noises[number % len(noises)]
        for _ in range(options.train):
            tree.add("struck", "train", number, _clip(machine, noise, "train", rng))
        for _ in range(options.normal):
            tree.add("struck", "test", number, _clip(machine, noise, "test", rng))
        for at in range(options.anomaly):
            kind = FAULTS[(at + number) % len(FAULTS)]
            severity = float(rng.uniform(*options.severity))
            faulty = _with_fault(machine, kind, severity, sounds, rng)
            labels = {"fault": kind, "severity": f"{severity:.2f}"}
            tree.add("struck", "test", number, _clip(faulty, noise, "test", rng), **labels)
    sys.stdout.write(f"{options.out}: {tree.close()} clips\n")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sounds", type=Path, help="folder of FLAC, WAV or OGG")
    parser.add_argument("noises", type=Path, help="folder of backgrounds")
    parser.add_argument("out", type=Path, help="folder to write; must not exist or be empty")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--held-out", action="store_true", help="what no encoder is trained on")
    parser.add_argument("--ids", type=int, default=16)
    parser.add_argument("--train", type=int, default=12, help="train clips of each id")
    parser.add_argument("--normal", type=int, default=8, help="normal test clips of each id")
    parser.add_argument("--anomaly", type=int, default=16, help="anomalous test clips of each id")
    parser.add_argument("--severity", nargs=2, type=float, default=[0.1, 0.6], metavar="S")
    return parser.parse_args()


def _drawn(sounds: Sequence[Samples], rng: np.random.Generator) -> Machine:
    count = int(rng.integers(2, 5))
    offsets = np.sort(rng.dirichlet(np.full(count, 4.0)).cumsum() - rng.uniform())
    return Machine(
        tuple(
            Blow(_blow(sounds, rng) * db_to_amplitude(rng.uniform(-8.0, 0.0)), float(at % 1.0))
            for at in offsets
        ),
        cycle_s=float(np.exp(rng.uniform(np.log(0.6), np.log(3.0)))),
        jitter=float(rng.uniform(0.002, 0.02)),
        snr_db=float(rng.uniform(-6.0, 12.0)),
    )


def _blow(sounds: Sequence[Samples], rng: np.random.Generator) -> Signal:
    """Return a tenth to half a second of some recording, from its loudest moment, at unit RMS."""
    sound = sounds[int(rng.integers(len(sounds)))].astype(np.float64)
    n = min(len(sound), int(rng.uniform(0.08, 0.5) * RATE_HZ))
    start = min(max(0, int(np.abs(sound).argmax()) - 2 * FADE), len(sound) - n)
    piece = sound[start : start + n].copy()
    piece[:FADE] *= np.linspace(0.0, 1.0, FADE)
    piece[-FADE:] *= np.linspace(1.0, 0.0, FADE)
    return np.asarray(piece / (np.sqrt(np.mean(piece**2)) + 1e-9))


def _with_fault(
    machine: Machine,
    kind: str,
    severity: float,
    sounds: Sequence[Samples],
    rng: np.random.Generator,
) -> Machine:
    which = int(rng.integers(len(machine.blows)))
    blow, rest = machine.blows[which], machine.blows[:which] + machine.blows[which + 1 :]
    force = float(np.sqrt(np.mean(blow.sound**2)))
    added: tuple[Blow, ...] = ()
    if kind == "missing":
        blow = replace(blow, missing=0.15 + 0.85 * severity)
    elif kind == "late":
        blow = replace(blow, at=(blow.at + 0.03 + 0.3 * severity) % 1.0)
    elif kind == "weak":
        blow = replace(blow, sound=blow.sound * db_to_amplitude(-1.0 - 18.0 * severity))
    elif kind == "dull":
        octaves = np.log2(np.maximum(np.linspace(0.0, 8.0, 257), 0.05))
        loss_db = (2.0 + 16.0 * severity) * np.clip(octaves, 0.0, 1.5)
        blow = replace(blow, sound=zero_phase_filter(blow.sound, db_to_amplitude(-loss_db)))
    elif kind == "double":
        at = (blow.at + float(rng.uniform(0.03, 0.12)) / machine.cycle_s) % 1.0
        added = (Blow(blow.sound * db_to_amplitude(-20.0 + 20.0 * severity), at),)
    elif kind == "drag":
        scrape = _scrape(rng) * force * db_to_amplitude(-26.0 + 26.0 * severity)
        added = (Blow(scrape, blow.at),)
    elif kind == "other":
        share = np.sqrt(0.1 + 0.9 * severity)
        other = force * _blow(sounds, rng)
        mixed = np.zeros(max(len(other), len(blow.sound)))
        mixed[: len(blow.sound)] += np.sqrt(1.0 - share**2) * blow.sound
        mixed[: len(other)] += share * other
        blow = replace(blow, sound=mixed)
    elif kind == "extra":
        foreign = force * _blow(sounds, rng) * db_to_amplitude(-26.0 + 26.0 * severity)
        added = (Blow(foreign, float(rng.uniform())),)
    else:
        raise ValueError(f"no fault {kind!r}; there are {', '.join(FAULTS)}")
    return replace(machine, blows=(*rest, blow, *added))


def _scrape(rng: np.random.Generator) -> Signal:
    """Return a tenth to four tenths of a second of coloured noise, at unit RMS."""
    n = int(rng.uniform(0.1, 0.4) * RATE_HZ)
    middle = float(np.exp(rng.uniform(np.log(500.0), np.log(5000.0))))
    hz = np.linspace(1.0, RATE_HZ / 2, 257)
    noise = zero_phase_filter(
        rng.standard_normal(n), np.exp(-0.5 * (np.log2(hz / middle) / 0.7) ** 2)
    )
    noise = noise * np.hanning(n)
    return np.asarray(noise / (np.sqrt(np.mean(noise**2)) + 1e-9))


def _clip(machine: Machine, noise: Samples, part: str, rng: np.random.Generator) -> Samples:
    n = round(CLIP_S * RATE_HZ)
    cycle = machine.cycle_s * RATE_HZ
    sound = np.zeros(n)
    for begun in np.arange(-float(rng.uniform()) * cycle, n, cycle):
        for blow in machine.blows:
            start = int(begun + (blow.at + machine.jitter * rng.standard_normal()) * cycle)
            force = float(db_to_amplitude(rng.normal(0.0, 1.0)))
            skip = max(0, -start)
            piece = blow.sound[skip : max(skip, n - start)]
            if rng.uniform() >= blow.missing and len(piece):
                sound[start + skip : start + skip + len(piece)] += force * piece
    # the noise is told by the machine as it is when well, not by how loud a fault makes it
    half = len(noise) // 2
    of_part = noise[:half] if part == "train" else noise[half:]
    behind = looped(of_part, int(rng.integers(len(of_part))), n, FADE).astype(np.float64)
    behind /= float(np.sqrt(np.mean(of_part.astype(np.float64) ** 2))) + 1e-9
    # a blow has about unit RMS, and fills some tenth of the time
    whole = sound + behind * 0.4 * db_to_amplitude(-machine.snr_db)
    whole *= RMS * db_to_amplitude(rng.uniform(-1.0, 1.0))
    return np.clip(whole, -1.0, 1.0).astype(np.float32)


if __name__ == "__main__":
    sys.exit(main())
