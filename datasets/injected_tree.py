"""Make a DCASE-2020-layout tree out of recordings: each is a machine, faults are injected.

    python -m datasets.injected_tree SOUNDS OUT --seed 1
    asd-monitor evaluate OUT

Each recording of at least --least-s seconds becomes one id of the type `injected`.  It is cut
into pieces of time which belong by turns to training and to testing, so that no sound is in
both; a clip is pieces of its own part, cross-faded, starting somewhere, with a gain within
1 dB, a tilt within 1 dB an octave at most and a little noise of its own.  Anomalous clips are such
clips with one fault injected (see asd_monitor/synthesis/injection.py), at a severity drawn from
the range.  OUT/labels.csv tells recording, fault and severity of each clip.  The same options
and seed write the same tree.  At most 100 recordings are taken (ids have two digits).
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from asd_monitor.records import Samples
from asd_monitor.synthesis.filtering import db_to_amplitude, zero_phase_filter
from asd_monitor.synthesis.injection import INJECTED, inject
from datasets.dcase_tree import RATE_HZ, Tree, looped, read, recordings
from datasets.foreign_faults import FOREIGN, inject_foreign

FADE = RATE_HZ // 20


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sounds", type=Path, help="folder of FLAC, WAV or OGG")
    parser.add_argument("out", type=Path, help="folder to write; must not exist or be empty")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--held-out", action="store_true", help="what no encoder is trained on")
    parser.add_argument("--least-s", type=float, default=6.0, help="shorter ones are left out")
    parser.add_argument("--only", default="*", metavar="GLOB", help="names of recordings to take")
    parser.add_argument("--train", type=int, default=12, help="train clips of each id")
    parser.add_argument("--normal", type=int, default=8, help="normal test clips of each id")
    parser.add_argument("--anomaly", type=int, default=16, help="anomalous test clips of each id")
    parser.add_argument("--clip-s", type=float, default=10.0, help="seconds of a clip")
    parser.add_argument(
        "--faults", nargs="+", choices=(*INJECTED, *FOREIGN), default=list(INJECTED)
    )
    parser.add_argument(
        "--foreign",
        action="store_true",
        help="faults that no encoder was trained on (foreign_faults.py)",
    )
    parser.add_argument("--severity", nargs=2, type=float, default=[0.1, 0.6], metavar="S")
    return parser.parse_args()


def _parts(sound: Samples) -> tuple[Samples, Samples]:
    """Deal pieces of time out to training and testing, by turns, each part cross-faded."""
    length = int(max(1.5 * RATE_HZ, len(sound) / 10))
    pieces = [sound[at : at + length] for at in range(0, len(sound) - length // 2, length)]
    return _joined(pieces[0::2]), _joined(pieces[1::2])


def _joined(pieces: list[Samples]) -> Samples:
    ramp = np.sqrt(np.linspace(0.0, 1.0, FADE, dtype=np.float32))
    whole = pieces[0]
    for piece in pieces[1:]:
        seam = whole[-FADE:] * ramp[::-1] + piece[:FADE] * ramp
        whole = np.concatenate([whole[:-FADE], seam, piece[FADE:]])
    return whole


def _clip(part: Samples, n: int, rng: np.random.Generator) -> Samples:
    piece = looped(part, int(rng.integers(len(part))), n, FADE).astype(np.float64)
    tilt = np.log2(np.maximum(np.linspace(0.0, 8.0, 257), 0.05)) * rng.normal(0.0, 0.25)
    piece = zero_phase_filter(
        piece, db_to_amplitude(np.clip(tilt, -2.0, 2.0) + rng.uniform(-1.0, 1.0))
    )
    rms = float(np.sqrt(np.mean(piece**2)))
    hum = rng.standard_normal(n) * rms * float(db_to_amplitude(rng.uniform(-46.0, -40.0)))
    return np.clip(piece + hum, -1.0, 1.0).astype(np.float32)


def main() -> int:
    """Write the tree."""
    options = _arguments()
    if options.out.exists() and any(options.out.iterdir()):
        sys.stderr.write(f"injected_tree: {options.out} is not empty: name another folder\n")
        return 2
    began, tree, number = time.monotonic(), Tree(options.out), 0
    n = round(options.clip_s * RATE_HZ)
    for index, path in enumerate(recordings(options.sounds, held_out=options.held_out)):
        if not path.match(options.only) or number == 100:
            continue
        sound = read(path)
        rms = float(np.sqrt(np.mean(sound.astype(np.float64) ** 2)))
        if len(sound) < options.least_s * RATE_HZ or rms < 1e-4:
            continue
        sound = (sound * min(0.05 / rms, 0.7 / float(np.abs(sound).max()))).astype(np.float32)
        rng = np.random.default_rng((options.seed, index))
        train, test = _parts(sound)
        for _ in range(options.train):
            tree.add("injected", "train", number, _clip(train, n, rng), recording=path.name)
        for _ in range(options.normal):
            tree.add("injected", "test", number, _clip(test, n, rng), recording=path.name)
        for at in range(options.anomaly):
            faults = FOREIGN if options.foreign else options.faults
            kind = faults[(at + number) % len(faults)]
            spoil = inject_foreign if kind in FOREIGN else inject
            severity = float(rng.uniform(*options.severity))
            clip = spoil(_clip(test, n, rng), kind, severity, rng)
            labels = {"recording": path.name, "fault": kind, "severity": f"{severity:.2f}"}
            tree.add("injected", "test", number, clip, **labels)
        number += 1
    if number == 0:
        sys.stderr.write(f"injected_tree: {options.sounds} has no recording long enough\n")
        return 1
    took = time.monotonic() - began
    sys.stderr.write(f"{number} recordings, {took:.0f} s\n")
    sys.stdout.write(f"{options.out}: {tree.close()} clips\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
