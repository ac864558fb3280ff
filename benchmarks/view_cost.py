"""Measure the processor time of each view and, on data sets in DCASE's layouts, its AUC.

    python -m benchmarks.view_cost [--machines 64] [--encoder FILE.onnx] [TREE ...]

Prints tables in Markdown.  Times are processor time of one core per window, that is per 0.512 s of
sound of one machine: the median of several rounds in this process, in which so many machines are
scored in blocks of 0.1 s as in the daemon.  docs/method/encoder.md reports the results.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when numpy is loaded
os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from asd_monitor.detector.detector import Detector
from asd_monitor.detector.estimators import BACK_ENDS
from asd_monitor.detector.fusion import fuse
from asd_monitor.dsp.frames import Floats
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
from benchmarks.cpu_profiler import CpuProfiler
from benchmarks.onnx_work import multiply_adds_per_s, parameters
from benchmarks.simulated_fleet import LIVE_BLOCK_S, SimulatedFleet, fitted_detectors
from experiments.fitted_machines import MachineWindows, auc_text, mean_by_type
from experiments.markdown import table

ROUNDS, SOUND_S, TRAINING_S, HOP_FRAMES = 5, 4.0, 120.0, 16
SPECTRA = "spectra, mel bands and their logarithms"
ENVELOPES = "envelopes of texture and rhythm"
REST = "all else: blocks, fusion, records"
ALL = "all"
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


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.view_cost",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("trees", nargs="*", type=Path, metavar="TREE")
    parser.add_argument("--machines", type=int, default=64)
    parser.add_argument("--encoder", type=Path, metavar="FILE.onnx", help="with its card FILE.yaml")
    options = parser.parse_args()
    try:
        encoder = load_encoder(options.encoder) if options.encoder else shipped_encoder()
        if encoder is None:
            raise UsageError("no encoder ships with this version: name one with --encoder")
        sys.stdout.write(_report(encoder, options.machines, options.trees))
    except AsdMonitorError as error:
        sys.stderr.write(f"view_cost: {error}\n")
        return error.exit_code
    return 0


def _report(encoder: Encoder, machines: int, trees: Sequence[Path]) -> str:
    work = multiply_adds_per_s(encoder.onnx, encoder.card)
    text = table(
        ["parameters of the encoder", f"{parameters(encoder.onnx):,}"],
        [
            ["multiply-adds per second of sound", f"{work / 1e6:.2f} million"],
            ["size as ONNX", f"{len(encoder.onnx) / 2**10:.0f} KiB"],
        ],
    )
    detectors = fitted_detectors(machines, HOP_FRAMES, TRAINING_S)
    _measure(detectors)  # warm-up
    rounds = [_measure(detectors) for _ in range(ROUNDS)]
    cost = {name: float(np.median([each[name] for each in rounds])) for name in rounds[0]}
    areas = _auc_by_view(trees, encoder)
    columns = ["AUC / pAUC alone", "all without it"] if areas else []
    total = sum(cost.values())
    rows = []
    for view in detectors[0].views:
        name = view.kind.name
        features, back_end = cost.get(name, 0.0), cost.get(f"{name}: back end", 0.0)
        share = f"{(features + back_end) / total:.0%}"
        rows.append([name, f"{features:.1f}", f"{back_end:.1f}", share, *areas.get(name, [])])
    for name in (SPECTRA, ENVELOPES, REST):
        spent = cost.get(name, 0.0)
        rows.append([name, f"{spent:.1f}", "", f"{spent / total:.0%}"])
    rows.append(["**a window**", f"**{total:.1f}**", "", "100%", *areas.get(ALL, [])])
    head = [f"{machines} machines", "features, µs", "back end, µs", "share", *columns]
    return f"{text}\n{table(head, rows)}"


def _measure(detectors: Sequence[Detector]) -> dict[str, float]:
    """Return microseconds per window, by row of the table."""
    profiler = CpuProfiler()
    fleet = SimulatedFleet(detectors)
    view_of = {id(v.back_end): v.kind.name for d in detectors for v in d.views}
    with ExitStack() as timing:
        for owner, function, name in TIMED:
            timing.enter_context(profiler.timing(owner, function, lambda *_, name=name: name))
        timing.enter_context(
            profiler.timing(StreamState, "reduce", lambda _, name, *__: REDUCED.get(name))
        )
        for back_end in BACK_ENDS.values():
            timing.enter_context(
                profiler.timing(
                    back_end,
                    "score_each",
                    lambda machines, _: f"{view_of[id(machines[0])]}: back end",
                )
            )
        with profiler.section(REST):
            windows = fleet.score(SOUND_S, LIVE_BLOCK_S)
    return {name: 1e6 * seconds / windows for name, seconds in profiler.seconds.items()}


def _auc_by_view(trees: Sequence[Path], encoder: Encoder) -> dict[str, list[str]]:
    """Return the AUC of each view alone and of all others, and of all, averaged over the trees."""
    of_trees: defaultdict[str, list[Floats]] = defaultdict(list)
    for tree in trees:
        types: list[str] = []
        areas: defaultdict[str, list[tuple[float, ...]]] = defaultdict(list)
        for machine in find_machines(tree):
            sys.stderr.write(f"{tree.name} {machine.name}\n")
            windows = MachineWindows.read(machine, [encoder])
            detector = windows.fit().detector
            scores = windows.score(detector)
            every = list(range(len(detector.views)))
            types.append(machine.type)
            areas[ALL].append(scores.auc(fuse, every))
            for number, view in enumerate(detector.views):
                others = [other for other in every if other != number]
                both = scores.auc(fuse, [number]) + scores.auc(fuse, others)
                areas[view.kind.name].append(both)
        for name, of_ids in areas.items():
            of_trees[name].append(mean_by_type(types, of_ids))
    found: dict[str, list[str]] = {}
    for name, means in of_trees.items():
        mean = np.mean(means, axis=0)
        texts = [auc_text(mean[k : k + 2]) for k in range(0, len(mean), 2)]
        found[name] = ["", f"**{texts[0]}**"] if name == ALL else texts
    return found


if __name__ == "__main__":
    sys.exit(main())
