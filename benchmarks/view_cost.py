"""Measure what each view costs and, on data sets in the layout of DCASE 2020, what it hears.

    python -m benchmarks.view_cost [--machines 64] [--encoder FILE.onnx] [TREE ...]

Prints tables in Markdown.  Times are of processor, on one core, for a window, that is for
0.512 s of sound of one machine; the median of several rounds in this process, in which so many
machines are listened to in blocks of 0.1 s, as the daemon does.  What one reads there stands in
docs/method/encoder.md.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when numpy is loaded
os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from asd_monitor.detector.detector import Detector
from asd_monitor.detector.estimators import BACK_ENDS
from asd_monitor.detector.fusion import fuse
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.encoder_loading import load_encoder, shipped_encoder
from asd_monitor.errors import AsdMonitorError, UsageError
from asd_monitor.evaluation.dcase_layouts import find_machines
from asd_monitor.features import analysis as analysis_module
from asd_monitor.features import window_statistics
from asd_monitor.features.analysis import Analysis
from asd_monitor.features.batched_encoder import BatchedEncoder
from asd_monitor.features.decimated_spectrum import FineSpectrum
from asd_monitor.features.mel_spectrogram import MelSpectrogram
from asd_monitor.features.separable_gabor import GaborFeatures
from asd_monitor.features.stream_state import StreamState
from benchmarks.detectors import Machines, detectors
from benchmarks.onnx_work import multiply_adds_per_s, parameters
from experiments.fitted_trees import fit, hear, mean_by_type, score

ROUNDS, SOUND_S, REFERENCE_S, HOP_FRAMES = 5, 4.0, 120.0, 16
SPECTRA = "spectra, mel bands and their logarithms"
ENVELOPES = "envelopes of texture and rhythm"
REST = "all else: gathering sound, fusing, telling"
TIMED: tuple[tuple[object, str, str], ...] = (
    (MelSpectrogram, "__call__", SPECTRA),
    (analysis_module, "log10_power", SPECTRA),
    (Analysis, "_level", "level"),
    (Analysis, "_means", "spectrum"),
    (Analysis, "_change", "change"),
    (Analysis, "_envelopes", ENVELOPES),
    (window_statistics, "log_deviation_of_means", "spread"),
    (window_statistics, "envelope_moments", "texture"),
    (window_statistics.ModulationSpectrum, "__call__", "rhythm"),
    (FineSpectrum, "push", "tone"),
    (FineSpectrum, "vectors", "tone"),
    (GaborFeatures, "filter_frequency", "pattern"),
    (GaborFeatures, "filter_time", "pattern"),
    (GaborFeatures, "vectors", "pattern"),
    (BatchedEncoder, "__call__", "encoder"),
)
REDUCED = {"peaks": "peaks", "gabor moduli": "pattern"}
"""Views by the names of sliding reductions, which several views use."""


class Clock:
    """Adds up processor time under names; what is within another is its own alone."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._running: list[str] = []
        self._since_s = 0.0

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Time what is done within this context."""
        self._note()
        self._running.append(name)
        try:
            yield
        finally:
            self._note()
            self._running.pop()

    def _note(self) -> None:
        now_s = time.thread_time()
        if self._running:
            self.seconds[self._running[-1]] += now_s - self._since_s
        self._since_s = now_s

    @contextmanager
    def on(self, owner: object, function: str, name: Callable[..., str | None]) -> Iterator[None]:
        """Time a function of a module or class within this context, under a name."""
        plain = getattr(owner, function)

        def timed(*arguments: Any) -> Any:
            found = name(*arguments)
            if found is None:
                return plain(*arguments)
            with self.of(found):
                return plain(*arguments)

        setattr(owner, function, timed)
        try:
            yield
        finally:
            setattr(owner, function, plain)


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("trees", nargs="*", type=Path, metavar="TREE")
    parser.add_argument("--machines", type=int, default=64)
    parser.add_argument("--encoder", type=Path, metavar="FILE.onnx", help="with its card FILE.yaml")
    given = parser.parse_args()
    try:
        encoder = load_encoder(given.encoder) if given.encoder else shipped_encoder()
        if encoder is None:
            raise UsageError("no encoder ships with this version: name one with --encoder")
        _report(encoder, given.machines, given.trees)
    except AsdMonitorError as error:
        sys.stderr.write(f"cost: {error}\n")
        return error.exit_code
    return 0


def _report(encoder: Encoder, machines: int, trees: Sequence[Path]) -> None:
    _row("parameters of the encoder", f"{parameters(encoder.onnx):,}")
    _row("---", "---")
    adds = multiply_adds_per_s(encoder.onnx, encoder.card)
    _row("multiply-adds a second of sound", f"{adds / 1e6:.2f} million")
    _row("size as ONNX", f"{len(encoder.onnx) / 2**10:.0f} KiB")
    sys.stdout.write("\n")
    fitted = detectors(machines, HOP_FRAMES, REFERENCE_S)
    _listen(fitted)  # warms up
    rounds = [_listen(fitted) for _ in range(ROUNDS)]
    cost = {name: float(np.median([one[name] for one in rounds])) for name in rounds[0]}
    heard = _heard(trees, encoder)
    views = [view.kind.name for view in fitted[0].views]
    columns = ["AUC / pAUC alone", "all without it"] if heard else []
    _row(f"{machines} machines", "features, µs", "back end, µs", "share", *columns)
    _row("---", *["---:"] * (3 + len(columns)))
    total = sum(cost.values())
    for name in views:
        feature, back_end = cost.get(name, 0.0), cost.get(f"{name}: back end", 0.0)
        share = f"{(feature + back_end) / total:.0%}"
        _row(name, f"{feature:.1f}", f"{back_end:.1f}", share, *heard.get(name, []))
    for name in (SPECTRA, ENVELOPES, REST):
        _row(name, f"{cost.get(name, 0.0):.1f}", "", f"{cost.get(name, 0.0) / total:.0%}")
    _row("**a window**", f"**{total:.1f}**", "", "100%", *heard.get("all", []))


def _listen(fitted: Sequence[Detector]) -> dict[str, float]:
    """Return microseconds a window, by row of the table."""
    clock = Clock()
    machines = Machines(fitted)
    of_back_end = {id(v.back_end): v.kind.name for d in fitted for v in d.views}
    with ExitStack() as timing:
        for owner, function, name in TIMED:
            timing.enter_context(clock.on(owner, function, lambda *_, name=name: name))
        timing.enter_context(
            clock.on(StreamState, "reduce", lambda _, name, *__: REDUCED.get(name))
        )
        for back_end in BACK_ENDS.values():
            timing.enter_context(
                clock.on(
                    back_end,
                    "score_each",
                    lambda many, _: f"{of_back_end[id(many[0])]}: back end",
                )
            )
        with clock.of(REST):
            windows = machines.hear(SOUND_S, 0.1)
    return {name: 1e6 * seconds / windows for name, seconds in clock.seconds.items()}


def _heard(trees: Sequence[Path], encoder: Encoder) -> dict[str, list[str]]:
    """Return the cells of each view, and of all, from what they hear on these trees."""
    cells: defaultdict[str, list[tuple[float, ...]]] = defaultdict(list)
    for tree in trees:
        types: list[str] = []
        areas: defaultdict[str, list[tuple[float, ...]]] = defaultdict(list)
        for machine in find_machines(tree):
            sys.stderr.write(f"{tree.name} {machine.name}\n")
            heard = hear(machine, [encoder])
            detector = fit(heard).detector
            scored = score(detector, machine, heard.clips)
            names = [view.kind.name for view in detector.views]
            every = list(range(len(names)))
            types.append(machine.type)
            areas["all"].append(scored.areas(fuse, every))
            for number, name in enumerate(names):
                without = [other for other in every if other != number]
                areas[name].append(scored.areas(fuse, [number]) + scored.areas(fuse, without))
        for name, of_ids in areas.items():
            cells[name].append(tuple(mean_by_type(types, of_ids).tolist()))
    found: dict[str, list[str]] = {}
    for name, of_trees in cells.items():
        mean = np.mean(of_trees, axis=0)
        pairs = [f"{mean[k]:.3f} / {mean[k + 1]:.3f}" for k in range(0, len(mean), 2)]
        found[name] = ["", f"**{pairs[0]}**"] if name == "all" else pairs
    return found


def _row(*cells: str) -> None:
    sys.stdout.write(f"| {' | '.join(cells)} |\n")


if __name__ == "__main__":
    sys.exit(main())
