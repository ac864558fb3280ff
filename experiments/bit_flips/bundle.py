"""Flip single bits of a bundle, as a failing SD card does.

    python -m experiments.bit_flips.bundle --count 600 --seed 0

For each file of a bundle (manifest, arrays, report, network, and the file that names the version
in use) so many cases flip one bit each.  The network of the package takes the place of a damaged
copy, which has no effect then.  A case fails if the bundle is loaded and its scores or
its manifest differ, or if it is refused without a message of one line with a remedy.  The exit
code is 1 then.
"""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from asd_monitor.detector.fit import fit_detector
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.encoders.encoder_loading import shipped_encoder
from asd_monitor.features.windows import Window, WindowStream
from asd_monitor.model_store.bundle import Bundle, load_bundle, save_bundle
from asd_monitor.model_store.versions import BundleError
from experiments.command_line import parser_of

MACHINE = "fan01"
REMEDIES = ("train again with", "models promote", "models rollback", "asd-monitor train")


class BundleFlips:
    """A models folder with two versions of a machine, and what the one in use gives."""

    def __init__(self, models: Path) -> None:
        self._models = models
        front_end = FrontEnd()
        encoder = shipped_encoder()
        if encoder is None:
            raise FileNotFoundError("the shipped network is missing")
        stream = WindowStream(front_end, [encoder])
        sound = np.random.default_rng(0).normal(0, 0.05, 30 * front_end.rate_hz).astype(np.float32)
        self._windows: list[Window] = stream.push(sound)
        detector = fit_detector([self._windows], front_end, front_end.rate_hz, [encoder]).detector
        for _ in range(3):  # `current` names v3; v1 and v2 differ from it by one bit each
            save_bundle(models, MACHINE, detector, {"trained": "today"}, {"report.html": "<p>"})
        self._expected = self._result(load_bundle(models, MACHINE))
        folder = models / MACHINE / "v3"
        self.files = [models / MACHINE / "current", *sorted(folder.iterdir())]
        self.files += sorted((models / ".encoders").iterdir())

    def flip(self, path: Path, bit: int) -> tuple[str, str | None]:
        """Return the outcome with this bit flipped, and why the case fails; None: it does not."""
        content = path.read_bytes()
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            result = self._result(load_bundle(self._models, MACHINE))
        except BundleError as error:
            clear = "\n" not in error.reason and any(each in error.reason for each in REMEDIES)
            return "refused", None if clear else f"an unclear message: {error.reason}"
        finally:
            path.write_bytes(content)
        if result != self._expected:
            return "silently different", f"{path.name}, bit {bit}"
        return "without effect", None

    def _result(self, bundle: Bundle) -> tuple[str, object, list[object]]:
        scores = bundle.detector.score(self._windows)
        return bundle.version, bundle.manifest, [[each.score, each.fused] for each in scores]


def main() -> int:
    """Run the command line."""
    parser = parser_of("bit_flips.bundle", __doc__)
    parser.add_argument("--count", type=int, default=600, help="flips of each file (600)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    models = Path(tempfile.mkdtemp(prefix="bit-flips-"))
    failed = 0
    try:
        flips = BundleFlips(models)
        for path in flips.files:
            chance = random.Random(f"{arguments.seed} {path.name}")  # noqa: S311 - no secret
            outcomes: Counter[str] = Counter()
            for _ in range(arguments.count):
                outcome, failure = flips.flip(path, chance.randrange(8 * path.stat().st_size))
                outcomes[outcome] += 1
                if failure:
                    failed += 1
                    _line(f"{path.name}: {outcome}: {failure}")
            counts = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
            _line(f"{path.name[:20]:20s} {counts}")
    finally:
        shutil.rmtree(models)
    _line(f"{failed} failed")
    return 1 if failed else 0


def _line(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
