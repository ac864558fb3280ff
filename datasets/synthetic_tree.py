"""Write a tree of made machines in a layout of DCASE Task 2, to measure a detector on.

    python -m datasets.synthetic_tree OUT --seed 1
    python -m datasets.synthetic_tree OUT --layout 2023 --machines 1 --train 20
    python -m datasets.synthetic_tree OUT --families fan pump --machines 4 --snr-db -3 3
    asd-monitor evaluate OUT

Each machine (one id of its family's type) stands in a factory hall of its own, heard at an
SNR drawn once a machine.  Train clips and normal test clips are separate recordings of it;
every anomalous test clip has one fault of a kind that the machine can have, at a severity
drawn from the range (below about 0.2 nobody hears it, 1 is gross).  With --noise, recordings
from a folder are heard in the place of half of the halls.  OUT/labels.csv tells for each clip
the fault, its severity and the SNR.  The same options and seed write the same tree.
With the default options: 8 types, 3 ids each, 768 clips, 2 hours 8 minutes of sound.

Layouts from 2021 on have sections in the place of ids, and two domains: in the target the
machine runs at another speed in another hall.  Of the train clips --target are of it, of the
test clips half.  From 2024 on every second type hides its attributes; 2025 adds clips of the
machine alone (even sections) or the noise alone (odd ones), 2026 a second microphone far away.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from asd_monitor.records import Samples
from asd_monitor.synthesis.families import FAMILIES, draw_machine
from asd_monitor.synthesis.faults import KINDS, kinds_for, with_fault
from asd_monitor.synthesis.hall import Hall, draw_hall, mix, render_hall
from asd_monitor.synthesis.machine_spec import MachineSpec
from asd_monitor.synthesis.rendering import render
from datasets.dcase_tree import LAYOUTS, RATE_HZ, Tree, looped, read, recordings

SUPPLEMENTAL = 4  # clips of a section
FAR_DB = 9.0  # how much less of the machine the second microphone hears


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder to write; must not exist or be empty")
    parser.add_argument("--layout", choices=LAYOUTS, default="2020", help="whose (default: 2020)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--machines", type=int, default=3, help="ids of each family")
    parser.add_argument("--train", type=int, default=12, help="train clips of each id")
    parser.add_argument("--target", type=int, default=3, help="of them of the target domain")
    parser.add_argument("--normal", type=int, default=8, help="normal test clips of each id")
    parser.add_argument("--anomaly", type=int, default=12, help="anomalous test clips of each id")
    parser.add_argument("--clip-s", type=float, default=10.0, help="seconds of a clip")
    parser.add_argument("--faults", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--severity", nargs=2, type=float, default=[0.15, 0.7], metavar="S")
    parser.add_argument("--snr-db", nargs=2, type=float, default=[-6.0, 6.0], metavar="DB")
    parser.add_argument("--noise", type=Path, help="folder of recordings used as backgrounds")
    return parser.parse_args()


def _cut(background: Samples, n: int, rng: np.random.Generator) -> Samples:
    start = int(rng.integers(len(background)))
    piece = looped(background, start, n, RATE_HZ // 10)
    return piece / np.float32(np.sqrt(np.mean(background.astype(np.float64) ** 2)) + 1e-9)


@dataclass(frozen=True)
class Domain:
    """How a machine runs, and where."""

    name: str
    machine: MachineSpec
    hall: Hall
    recorded: Samples | None  # heard in the place of the hall
    condition: str


def _domains(
    machine: MachineSpec,
    *,
    recorded: Samples | None,
    options: argparse.Namespace,
    hidden: bool,
    rng: np.random.Generator,
    hall: Hall,
) -> dict[str, Domain]:
    def named(name: str, spec: MachineSpec, where: Hall, letter: str) -> Domain:
        told = "" if hidden else f"spd_{spec.speed_hz:.0f}_hall_{letter}"
        return Domain(name, spec, where, recorded, told)

    found = {"source": named("source", machine, hall, "A")}
    if options.layout != "2020":
        faster = replace(machine, speed_hz=machine.speed_hz * float(rng.uniform(1.1, 1.3)))
        found["target"] = named("target", faster, draw_hall(rng), "B")
    return found


def _plan(options: argparse.Namespace, *, faults: bool) -> Iterator[tuple[str, str, bool]]:
    """Give part, domain, and whether it is faulty, of each clip."""
    domains = options.layout != "2020"
    for at in range(options.train):
        in_target = domains and at >= options.train - options.target
        yield "train", "target" if in_target else "source", False
    for count, faulty in ((options.normal, False), (options.anomaly if faults else 0, True)):
        for at in range(count):
            yield "test", "target" if domains and at % 2 else "source", faulty


def _heard(
    domain: Domain,
    sound: Samples,
    *,
    usual_rms: float,
    snr_db: float,
    options: argparse.Namespace,
    rng: np.random.Generator,
) -> Samples:
    """Return a clip (n,), in 2026 (n, 2): near and far."""
    if domain.recorded is None:
        background = render_hall(domain.hall, options.clip_s, rng)
    else:
        background = _cut(domain.recorded, round(options.clip_s * RATE_HZ), rng)
    near = mix(sound, background, snr_db, usual_rms)
    if options.layout != "2026":
        return near
    less = np.float32(10 ** (-FAR_DB / 20))
    return np.stack([near, mix(less * sound, background, snr_db, usual_rms)], axis=1)


def _write_machine(
    tree: Tree, family: str, number: int, options: argparse.Namespace, noises: list[Path]
) -> None:
    rng = np.random.default_rng((options.seed, FAMILIES.index(family), number))
    machine, hall = draw_machine(family, rng), draw_hall(rng)
    snr_db = float(rng.uniform(*options.snr_db))
    recorded = read(noises[int(rng.integers(len(noises)))]) if noises else None
    if rng.uniform() < 0.5:
        recorded = None
    usual = render(machine, 10.0, rng).astype(np.float64)
    usual_rms = float(np.sqrt(np.mean(usual**2)))
    hidden = options.layout >= "2024" and options.families.index(family) % 2 == 1
    domains = _domains(
        machine, hall=hall, recorded=recorded, options=options, hidden=hidden, rng=rng
    )
    kinds = [kind for kind in kinds_for(machine) if kind in options.faults]
    for part, name, faulty in _plan(options, faults=bool(kinds)):
        domain = domains[name]
        spec, labels = domain.machine, {"fault": "", "severity": ""}
        if faulty:
            kind, severity = str(rng.choice(kinds)), float(rng.uniform(*options.severity))
            spec = with_fault(spec, kind, severity, int(rng.integers(4)))
            labels = {"fault": kind, "severity": f"{severity:.2f}"}
        clip = _heard(
            domain,
            render(spec, options.clip_s, rng),
            usual_rms=usual_rms,
            snr_db=snr_db,
            options=options,
            rng=rng,
        )
        tree.add(
            family,
            part,
            number,
            clip,
            domain=name,
            condition=domain.condition,
            **labels,
            snr_db=f"{snr_db:.1f}",
        )
    if options.layout >= "2025":
        for _ in range(SUPPLEMENTAL):
            if number % 2:
                hiss = render_hall(hall, options.clip_s, rng) * np.float32(usual_rms)
                tree.add_supplemental(family, number, np.clip(hiss, -1.0, 1.0), "noise")
            else:
                tree.add_supplemental(
                    family, number, render(machine, options.clip_s, rng), "machine"
                )


def main() -> int:
    """Write the tree."""
    options = _arguments()
    if options.out.exists() and any(options.out.iterdir()):
        sys.stderr.write(f"made_tree: {options.out} is not empty: name another folder\n")
        return 2
    began, tree = time.monotonic(), Tree(options.out, options.layout)
    noises = recordings(options.noise) if options.noise else []
    if options.noise and not noises:
        sys.stderr.write(f"made_tree: {options.noise} has no FLAC, WAV or OGG\n")
        return 2
    for family in options.families:
        for number in range(options.machines):
            _write_machine(tree, family, number, options, noises)
        sys.stderr.write(f"{family}: {time.monotonic() - began:.0f} s\n")
    sys.stdout.write(f"{options.out}: {tree.close()} clips\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
