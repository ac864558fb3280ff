"""Write a data set in the layout of DCASE 2020 from recordings, with injected faults.

    python -m datasets.injected_tree SOUNDS OUT --seed 1
    asd-monitor evaluate OUT

Each recording of at least --least-s seconds is one id of the type `injected`.  It is divided in
time, alternately between training and testing, so that no sound is in both.  A clip is a random
excerpt of its part, looped with cross-fades, with a gain of up to ±1 dB, a spectral tilt of up
to ±2 dB and noise of its own.  Anomalous clips have one injected fault
(asd_monitor/synthesis/injection.py) at a severity drawn from the range.  OUT/labels.csv lists
recording, fault and severity of each clip.  The same options and seed write the same data set.
At most 100 recordings are used, since ids have two digits.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from asd_monitor.encoder_training.sound_variation import CROSS_FADE, draw_tilt_db, loop
from asd_monitor.records import Samples
from asd_monitor.synthesis.filtering import db_to_amplitude, zero_phase_filter
from asd_monitor.synthesis.injection import INJECTED, inject
from datasets.dcase_tree import DcaseTree, require_empty
from datasets.foreign_faults import FOREIGN, inject_foreign
from datasets.recordings import RATE_HZ, find_recordings, read_mono, rms_of

TYPE = "injected"
MAX_IDS = 100
RMS, MAX_PEAK = 0.05, 0.7
MIN_RMS = 1e-4
MIN_PIECE_S = 1.5


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m datasets.injected_tree",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sounds", type=Path, help="folder of FLAC, WAV or OGG")
    parser.add_argument("out", type=Path, help="folder to write; must not exist or be empty")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--held-out", action="store_true", help="only recordings no encoder is trained on"
    )
    parser.add_argument("--least-s", type=float, default=6.0, help="leave shorter ones out")
    parser.add_argument("--only", default="*", metavar="GLOB", help="names of recordings to use")
    parser.add_argument("--train", type=int, default=12, help="training clips of each id")
    parser.add_argument("--normal", type=int, default=8, help="normal test clips of each id")
    parser.add_argument("--anomaly", type=int, default=16, help="anomalous test clips of each id")
    parser.add_argument("--clip-s", type=float, default=10.0, help="duration of a clip in s")
    parser.add_argument(
        "--faults", nargs="+", choices=(*INJECTED, *FOREIGN), default=list(INJECTED)
    )
    parser.add_argument(
        "--foreign",
        action="store_true",
        help="faults of kinds that no encoder is trained on (datasets/foreign_faults.py)",
    )
    parser.add_argument("--severity", nargs=2, type=float, default=[0.1, 0.6], metavar="S")
    return parser


def _divide(sound: Samples) -> tuple[Samples, Samples]:
    """Return the parts for training and for testing: alternate pieces, joined."""
    length = int(max(MIN_PIECE_S * RATE_HZ, len(sound) / 10))
    pieces = [sound[at : at + length] for at in range(0, len(sound) - length // 2, length)]
    return _join(pieces[0::2]), _join(pieces[1::2])


def _join(pieces: list[Samples]) -> Samples:
    """Concatenate pieces with equal-power cross-fades."""
    ramp = np.sqrt(np.linspace(0.0, 1.0, CROSS_FADE, dtype=np.float32))
    joined = pieces[0]
    for piece in pieces[1:]:
        seam = joined[-CROSS_FADE:] * ramp[::-1] + piece[:CROSS_FADE] * ramp
        joined = np.concatenate([joined[:-CROSS_FADE], seam, piece[CROSS_FADE:]])
    return joined


def _clip(part: Samples, n: int, rng: np.random.Generator) -> Samples:
    piece = loop(part, n, int(rng.integers(len(part)))).astype(np.float64)
    tilt_db = draw_tilt_db(rng)
    piece = zero_phase_filter(piece, db_to_amplitude(tilt_db + rng.uniform(-1.0, 1.0)))
    rms = float(np.sqrt(np.mean(piece**2)))
    noise = rng.standard_normal(n) * rms * float(db_to_amplitude(rng.uniform(-46.0, -40.0)))
    return np.clip(piece + noise, -1.0, 1.0).astype(np.float32)


def _write_id(
    tree: DcaseTree, number: int, path: Path, index: int, options: argparse.Namespace
) -> bool:
    """Write the clips of a recording; return whether it is long and loud enough."""
    sound = read_mono(path)
    rms = rms_of(sound)
    if len(sound) < options.least_s * RATE_HZ or rms < MIN_RMS:
        return False
    n = round(options.clip_s * RATE_HZ)
    gain = min(RMS / rms, MAX_PEAK / float(np.abs(sound).max()))
    rng = np.random.default_rng((options.seed, index))
    train, test = _divide((sound * gain).astype(np.float32))
    for _ in range(options.train):
        tree.add(TYPE, "train", number, _clip(train, n, rng), recording=path.name)
    for _ in range(options.normal):
        tree.add(TYPE, "test", number, _clip(test, n, rng), recording=path.name)
    faults = FOREIGN if options.foreign else options.faults
    for at in range(options.anomaly):
        kind = faults[(at + number) % len(faults)]
        inject_fault = inject_foreign if kind in FOREIGN else inject
        severity = float(rng.uniform(*options.severity))
        clip = inject_fault(_clip(test, n, rng), kind, severity, rng)
        labels = {"recording": path.name, "fault": kind, "severity": f"{severity:.2f}"}
        tree.add(TYPE, "test", number, clip, **labels)
    return True


def main() -> int:
    """Write the data set."""
    parser = _parser()
    options = parser.parse_args()
    require_empty(parser, options.out)
    began, tree, number = time.monotonic(), DcaseTree(options.out), 0
    for index, path in enumerate(find_recordings(options.sounds, held_out=options.held_out)):
        if path.match(options.only) and number < MAX_IDS:
            number += _write_id(tree, number, path, index, options)
    if number == 0:
        sys.stderr.write(f"injected_tree: {options.sounds} has no recording long enough\n")
        return 1
    sys.stderr.write(f"{number} recordings, {time.monotonic() - began:.0f} s\n")
    sys.stdout.write(f"{options.out}: {tree.close()} clips\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
