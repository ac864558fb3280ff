"""Measure what an encoder adds to the statistics, on data sets in the layout of DCASE 2020.

    python -m datasets.synthetic_tree /tmp/made --seed 1
    python -m datasets.injected_tree SOUNDS /tmp/injected --seed 1
    python -m experiments.encoder_report [--encoder FILE.onnx] /tmp/made /tmp/injected >report.md

Prints Markdown, for each tree: the views one by one and fused; detection by kind and by severity
of the fault, which labels.csv of the tree tells; detection by seconds of normals; and what a gain
alone does to the scores.  What the tables mean stands in docs/method/encoder.md.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asd_monitor.detector.calibration import ParetoTail
from asd_monitor.detector.detector import Detector
from asd_monitor.detector.fit import FittedDetector
from asd_monitor.detector.fusion import fuse
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.encoder_loading import select_encoders, shipped_encoder
from asd_monitor.errors import AsdMonitorError, UsageError
from asd_monitor.evaluation.dcase_data_set import DcaseMachine
from asd_monitor.evaluation.dcase_layouts import find_machines
from experiments.fault_curves import BIN, beaten, reached_at, severity_curve
from experiments.fitted_trees import (
    Floats,
    Heard,
    Scored,
    clip_windows,
    fit,
    hear,
    mean_by_type,
    score,
)

SECONDS = (20.0, 60.0, 180.0, 600.0)
GAINS_DB = (-12.0, -6.0, 0.0, 6.0, 12.0)
WANTED = 0.9  # AUC
Groups = Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class Fault:
    """What labels.csv tells of an anomalous clip."""

    kind: str
    severity: float


@dataclass(frozen=True, eq=False)
class Measured:
    """One id."""

    views: tuple[str, ...]
    groups: Groups  # of the views' columns
    scored: Scored  # with all normals
    faults: tuple[Fault | None, ...]  # of its test clips
    reference_s: float
    by_seconds: Mapping[float, Scored]  # with the first normals, where there are enough
    by_gain: Mapping[float, Scored]
    of_normals: Mapping[float, Floats]  # by gain: mean score of normal clips, by group

    @property
    def type(self) -> str:
        """Type of the machine."""
        return self.scored.type


def main() -> int:
    """Print the tables of each tree."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tree", nargs="+", type=Path)
    parser.add_argument(
        "--encoder",
        action="append",
        default=[],
        type=Path,
        metavar="FILE.onnx",
        help="with its card FILE.yaml, in the place of the shipped one; may be repeated",
    )
    arguments = parser.parse_args()
    try:
        encoders = select_encoders(
            None if arguments.encoder else shipped_encoder(), arguments.encoder
        )
        if not encoders:
            raise UsageError("no encoder ships with this version: name one with --encoder")
        for tree in arguments.tree:
            _report(tree, encoders)
    except AsdMonitorError as error:
        sys.stderr.write(f"encoder_report: {error}\n")
        return error.exit_code
    return 0


def _report(tree: Path, encoders: Sequence[Encoder]) -> None:
    faults = _faults(tree)
    machines = []
    for machine in find_machines(tree):
        machines.append(_measure(machine, encoders, faults))
        sys.stderr.write(f"{tree.name} {machine.name}: {time.process_time():.0f} s of processor\n")
    seconds = sorted({round(machine.reference_s) for machine in machines})
    told = " … ".join(str(end) for end in sorted({seconds[0], seconds[-1]}))
    _line(f"## {tree.name}: {len(machines)} ids, each with {told} s of normals")
    _line()
    _views_table(machines)
    if any(fault for machine in machines for fault in machine.faults):
        _kinds_table(machines)
        _severity_table(machines)
    _seconds_table(machines)
    _gains_table(machines)


def _faults(tree: Path) -> dict[Path, Fault]:
    """Return the faults by the clips' paths; none where the tree has no such labels."""
    table = tree / "labels.csv"
    if not table.exists():
        return {}
    with table.open(newline="") as lines:
        return {
            tree / row["file"]: Fault(row["fault"], float(row["severity"]))
            for row in csv.DictReader(lines)
            if row.get("fault") and row.get("severity")
        }


def _measure(
    machine: DcaseMachine, encoders: Sequence[Encoder], faults: Mapping[Path, Fault]
) -> Measured:
    heard = hear(machine, encoders)
    fitted = fit(heard)
    kinds = [view.kind for view in fitted.detector.views]
    groups = {
        "statistics": [at for at, kind in enumerate(kinds) if kind.encoder is None],
        "encoder": [at for at, kind in enumerate(kinds) if kind.encoder is not None],
        "all": list(range(len(kinds))),
    }
    by_gain = {gain_db: _with_gain(heard, fitted.detector, gain_db) for gain_db in GAINS_DB}
    return Measured(
        tuple(kind.name for kind in kinds),
        groups,
        by_gain[0.0],
        tuple(faults.get(clip.path) for clip in machine.test),
        sum(file.seconds for file in heard.reference.files),
        dict(_by_seconds(heard)),
        by_gain,
        {gain_db: _of_normals(fitted, groups, scored) for gain_db, scored in by_gain.items()},
    )


def _by_seconds(heard: Heard) -> Iterator[tuple[float, Scored]]:
    """Score the clips by what the first normals alone teach, where that is enough to learn."""
    for seconds in SECONDS:
        part = heard.first(seconds)
        if part is not None:
            try:
                detector = fit(heard, part).detector
            except UsageError:  # the machine is off in most of it
                continue
            yield seconds, score(detector, heard.machine, heard.clips)


def _with_gain(heard: Heard, detector: Detector, gain_db: float) -> Scored:
    machine = heard.machine
    clips = clip_windows(machine, heard.reference, gain_db) if gain_db else heard.clips
    return score(detector, machine, clips)


def _of_normals(fitted: FittedDetector, groups: Groups, scored: Scored) -> Floats:
    """Return the mean score of normal clips, calibrated for each group alone."""
    found = []
    for views in groups.values():
        tail = ParetoTail.fit(fuse(fitted.by_view[:, views]))
        clips = [
            float(tail.score(fuse(clip[:, views])).mean())
            for clip, anomalous in zip(scored.clips, scored.anomalous, strict=True)
            if not anomalous
        ]
        found.append(np.mean(clips))
    return np.array(found)


def _views_table(machines: Sequence[Measured]) -> None:
    types = sorted({machine.type for machine in machines})
    _line("### Views, AUC / pAUC")
    _head("fused", *types, *(["mean"] if len(types) > 1 else []))
    rows: dict[str, Sequence[int]] = {name: [at] for at, name in enumerate(machines[0].views)}
    rows |= {f"**{name}**": views for name, views in machines[0].groups.items()}
    for name, views in rows.items():
        areas = [machine.scored.areas(fuse, views) for machine in machines]
        of_types = [
            np.mean(
                [
                    area
                    for area, machine in zip(areas, machines, strict=True)
                    if machine.type == kind
                ],
                axis=0,
            )
            for kind in types
        ]
        means = [mean_by_type([m.type for m in machines], areas)] if len(types) > 1 else []
        _row(name, *(f"{cell[0]:.3f} / {cell[1]:.3f}" for cell in (*of_types, *means)))
    _line()


def _shares(machines: Sequence[Measured]) -> list[tuple[Fault, list[float]]]:
    """Return each fault, and by group the share of its id's normal clips that it beats."""
    found = []
    for machine in machines:
        scores = np.stack([machine.scored.scores(fuse, v) for v in machine.groups.values()])
        reference = scores[:, ~np.array(machine.scored.anomalous)]
        for at, fault in enumerate(machine.faults):
            if fault is not None:
                shares = [beaten(*pair) for pair in zip(scores[:, at], reference, strict=True)]
                found.append((fault, shares))
    return found


def _kinds_table(machines: Sequence[Measured]) -> None:
    found = _shares(machines)
    _line("### Kinds of fault, AUC")
    _head("fault", "clips", *machines[0].groups)
    for kind in sorted({fault.kind for fault, _ in found}):
        shares = [shares for fault, shares in found if fault.kind == kind]
        _row(kind, str(len(shares)), *(f"{area:.3f}" for area in np.mean(shares, axis=0)))
    _line()


def _severity_table(machines: Sequence[Measured]) -> None:
    found = _shares(machines)
    severities = [fault.severity for fault, _ in found]
    groups = list(machines[0].groups)
    curves = [
        severity_curve(severities, [shares[at] for _, shares in found]) for at in range(len(groups))
    ]
    _line("### Severity of the fault, AUC")
    _head("severity", "clips", *groups)
    for steps in zip(*curves, strict=True):
        low = steps[0].low
        areas = [f"{step.area:.3f}" for step in steps]
        _row(f"{low:.1f} … {low + BIN:.1f}", str(steps[0].clips), *areas)
    reached = []
    for curve in curves:
        at = reached_at(curve, WANTED)
        bound = "≤ " if at == curve[0].severity else ""
        reached.append("not reached" if at is None else f"{bound}{at:.2f}")
    _row(f"**{WANTED:g} from**", "", *reached)
    _line()


def _seconds_table(machines: Sequence[Measured]) -> None:
    groups = machines[0].groups
    _line("### Seconds of normals, AUC")
    _head("seconds", "ids", *groups)
    for seconds in SECONDS:
        there = [m.by_seconds[seconds] for m in machines if seconds in m.by_seconds]
        if there:
            _row(f"{seconds:g}", str(len(there)), *_areas(groups, there))
    _row("all", str(len(machines)), *_areas(groups, [machine.scored for machine in machines]))
    _line()


def _gains_table(machines: Sequence[Measured]) -> None:
    groups = machines[0].groups
    _line("### Gain of the test clips: AUC, and mean score of the normal ones")
    _head("gain", *groups, *(f"normals: {name}" for name in groups))
    types = [machine.type for machine in machines]
    for gain_db in GAINS_DB:
        areas = _areas(groups, [machine.by_gain[gain_db] for machine in machines])
        reference = mean_by_type(types, [machine.of_normals[gain_db] for machine in machines])
        told = f"{gain_db:+g} dB" if gain_db else "0 dB"
        _row(told, *areas, *(f"{mean:.2f}" for mean in reference))
    _line()


def _areas(groups: Groups, scored: Sequence[Scored]) -> list[str]:
    """Return the AUC of each group."""
    areas = [[one.areas(fuse, views)[0] for views in groups.values()] for one in scored]
    return [f"{area:.3f}" for area in mean_by_type([one.type for one in scored], areas)]


def _head(*cells: str) -> None:
    _line()
    _row(*cells)
    _row(*["---"] * len(cells))


def _row(*cells: str) -> None:
    _line(f"| {' | '.join(cells)} |")


def _line(text: str = "") -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
