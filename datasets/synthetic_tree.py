"""Write a data set of synthetic machines in a layout of DCASE Task 2.

    python -m datasets.synthetic_tree OUT --seed 1
    python -m datasets.synthetic_tree OUT --layout 2023 --machines 1 --train 20
    python -m datasets.synthetic_tree OUT --families fan pump --machines 4 --snr-db -3 3
    asd-monitor evaluate OUT

Each machine (an id of its family's type) stands in a factory hall of its own, at an SNR that is
drawn once per machine.  Training clips and normal test clips are separate recordings of it.  Each
anomalous test clip has one fault of a kind that the machine can have, at a severity drawn from
the range (below about 0.2 it is inaudible, 1 is gross).  With --noise, recordings of a folder
replace half of the halls.  OUT/labels.csv lists fault, severity and SNR of each clip.  The same
options and seed write the same data set.  The default is 8 types with 3 ids each, 768 clips,
2 hours 8 minutes of sound.

Layouts from 2021 on have sections instead of ids, and two domains: in the target domain the
machine runs at another speed in another hall.  --target of the training clips and half of the
test clips are of the target domain.  From 2024 on every second type hides its attributes; 2025
adds clips of the machine alone (even sections) or the noise alone (odd ones); 2026 has a second
microphone far away.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from asd_monitor.encoder_training.sound_variation import loop
from asd_monitor.records import Samples
from asd_monitor.synthesis.families import FAMILIES, draw_machine
from asd_monitor.synthesis.faults import KINDS, kinds_for, with_fault
from asd_monitor.synthesis.hall import Hall, draw_hall, mix, render_hall
from asd_monitor.synthesis.machine_spec import MachineSpec
from asd_monitor.synthesis.rendering import render
from datasets.dcase_tree import LAYOUTS, DcaseTree, require_empty
from datasets.recordings import RATE_HZ, find_recordings, read_mono, rms_of

SUPPLEMENTAL_CLIPS = 4  # of a section
FAR_MICROPHONE_DB = 9.0  # attenuation of the machine at the second microphone
LEVEL_S = 10.0  # of the machine's sound that its level is measured on


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m datasets.synthetic_tree",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("out", type=Path, help="folder to write; must not exist or be empty")
    parser.add_argument("--layout", choices=LAYOUTS, default="2020", help="year (default: 2020)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--machines", type=int, default=3, help="ids of each family")
    parser.add_argument("--train", type=int, default=12, help="training clips of each id")
    parser.add_argument("--target", type=int, default=3, help="of them in the target domain")
    parser.add_argument("--normal", type=int, default=8, help="normal test clips of each id")
    parser.add_argument("--anomaly", type=int, default=12, help="anomalous test clips of each id")
    parser.add_argument("--clip-s", type=float, default=10.0, help="duration of a clip in s")
    parser.add_argument("--faults", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--severity", nargs=2, type=float, default=[0.15, 0.7], metavar="S")
    parser.add_argument("--snr-db", nargs=2, type=float, default=[-6.0, 6.0], metavar="DB")
    parser.add_argument("--noise", type=Path, help="folder of recordings used as backgrounds")
    return parser


@dataclass(frozen=True)
class Domain:
    """An operating condition of a machine, and its surroundings."""

    name: str
    machine: MachineSpec
    hall: Hall
    recorded: Samples | None  # background in place of the hall
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
    def domain(name: str, spec: MachineSpec, surroundings: Hall, letter: str) -> Domain:
        condition = "" if hidden else f"spd_{spec.speed_hz:.0f}_hall_{letter}"
        return Domain(name, spec, surroundings, recorded, condition)

    found = {"source": domain("source", machine, hall, "A")}
    if options.layout != "2020":
        faster = replace(machine, speed_hz=machine.speed_hz * float(rng.uniform(1.1, 1.3)))
        found["target"] = domain("target", faster, draw_hall(rng), "B")
    return found


def _plan(options: argparse.Namespace, *, faults: bool) -> Iterator[tuple[str, str, bool]]:
    """Yield part, domain, and whether it is faulty, of each clip."""
    domains = options.layout != "2020"
    for index in range(options.train):
        in_target = domains and index >= options.train - options.target
        yield "train", "target" if in_target else "source", False
    for count, faulty in ((options.normal, False), (options.anomaly if faults else 0, True)):
        for index in range(count):
            yield "test", "target" if domains and index % 2 else "source", faulty


def _with_background(
    domain: Domain,
    sound: Samples,
    *,
    machine_rms: float,
    snr_db: float,
    options: argparse.Namespace,
    rng: np.random.Generator,
) -> Samples:
    """Return a clip (n,); in 2026 (n, 2), of the near and the far microphone."""
    if domain.recorded is None:
        background = render_hall(domain.hall, options.clip_s, rng)
    else:
        background = _excerpt(domain.recorded, round(options.clip_s * RATE_HZ), rng)
    near = mix(sound, background, snr_db, machine_rms)
    if options.layout != "2026":
        return near
    attenuation = np.float32(10 ** (-FAR_MICROPHONE_DB / 20))
    return np.stack([near, mix(attenuation * sound, background, snr_db, machine_rms)], axis=1)


def _excerpt(background: Samples, n: int, rng: np.random.Generator) -> Samples:
    """Return ``n`` samples of a looped recording, scaled by its RMS."""
    start = int(rng.integers(len(background)))
    piece = loop(background, n, start, RATE_HZ // 10)
    return piece / np.float32(rms_of(background) + 1e-9)


def _write_machine(
    tree: DcaseTree, family: str, number: int, options: argparse.Namespace, noises: list[Path]
) -> None:
    rng = np.random.default_rng((options.seed, FAMILIES.index(family), number))
    machine, hall = draw_machine(family, rng), draw_hall(rng)
    snr_db = float(rng.uniform(*options.snr_db))
    recorded = read_mono(noises[int(rng.integers(len(noises)))]) if noises else None
    if rng.uniform() < 0.5:
        recorded = None
    machine_rms = rms_of(render(machine, LEVEL_S, rng))
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
        clip = _with_background(
            domain,
            render(spec, options.clip_s, rng),
            machine_rms=machine_rms,
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
        for _ in range(SUPPLEMENTAL_CLIPS):
            if number % 2:
                noise = render_hall(hall, options.clip_s, rng) * np.float32(machine_rms)
                tree.add_supplemental(family, number, np.clip(noise, -1.0, 1.0), "noise")
            else:
                tree.add_supplemental(
                    family, number, render(machine, options.clip_s, rng), "machine"
                )


def main() -> int:
    """Write the data set."""
    parser = _parser()
    options = parser.parse_args()
    require_empty(parser, options.out)
    began, tree = time.monotonic(), DcaseTree(options.out, options.layout)
    noises = find_recordings(options.noise) if options.noise else []
    if options.noise and not noises:
        parser.error(f"{options.noise} has no FLAC, WAV or OGG")
    for family in options.families:
        for number in range(options.machines):
            _write_machine(tree, family, number, options, noises)
        sys.stderr.write(f"{family}: {time.monotonic() - began:.0f} s\n")
    sys.stdout.write(f"{options.out}: {tree.close()} clips\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
