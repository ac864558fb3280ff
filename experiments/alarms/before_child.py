"""Scores the windows of a simulated machine with the version of the package in PYTHONPATH.

    python -P before_child.py OUTPUT.npz PERIOD_S,… TRAINING.npz SEGMENTS.npz…

It is run by its path, so that `asd_monitor` is that of an earlier checkout.  A detector is fitted
to the windows of TRAINING.npz.  OUTPUT.npz has the sustained score of each window of each of the
other files, by its name, and the alarm thresholds for one false alarm in each period.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from asd_monitor.detector.fit import fit_detector
from asd_monitor.dsp.front_end import front_end_for
from asd_monitor.encoders.encoder_loading import shipped_encoder
from asd_monitor.features.windows import Window

RATE_HZ = 16_000
_BATCH = 32


def read(path: Path) -> list[list[Window]]:
    """Return the windows of each segment of a file of `experiments.alarms.segments`."""
    with np.load(path) as arrays:
        rows: dict[str, Any] = {
            name.removeprefix("feature."): arrays[name].astype(np.float32)
            for name in arrays.files
            if name.startswith("feature.")
        }
        starts, length = arrays["starts"].tolist(), int(arrays["window"])
    return [
        [
            Window(start, start + length, {name: each[number, at] for name, each in rows.items()})
            for at, start in enumerate(starts)
        ]
        for number in range(len(rows["level"]))
    ]


def run(output: Path, periods_s: list[float], training: Path, others: list[Path]) -> int:
    """Fit, score and write."""
    shipped = shipped_encoder()
    encoders = () if shipped is None else (shipped,)
    fitted: Any = fit_detector(read(training), front_end_for(RATE_HZ), RATE_HZ, encoders)
    detector = fitted.detector
    found: dict[str, Any] = {
        "periods_s": np.array(periods_s),
        "thresholds": np.array([detector.alarm_threshold(1.0 / period) for period in periods_s]),
    }
    for path in others:
        segments = read(path)
        scores: list[list[float]] = []
        for begin in range(0, len(segments), _BATCH):
            batch = segments[begin : begin + _BATCH]
            sustained = [w.sustained for w in detector.score([w for own in batch for w in own])]
            scores += np.array(sustained).reshape(len(batch), -1).tolist()
        found[path.stem] = np.array(scores, np.float32)
    np.savez(output, **found)
    return 0


if __name__ == "__main__":
    sys.exit(
        run(
            Path(sys.argv[1]),
            [float(text) for text in sys.argv[2].split(",")],
            Path(sys.argv[3]),
            [Path(text) for text in sys.argv[4:]],
        )
    )
