"""Measure the contribution of an encoder to detection, on data sets in DCASE's layouts.

    python -m datasets.synthetic_tree /tmp/made --seed 1
    python -m datasets.injected_tree SOUNDS /tmp/injected --seed 1
    python -m experiments.encoder_report [--encoder FILE.onnx] /tmp/made /tmp/injected >report.md

Prints Markdown for each data set: the views one by one and fused; detection by kind and severity
of the fault, from labels.csv; detection by duration of the training recordings; and the effect of
a gain of the test clips.  docs/method/encoder.md explains the tables.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from asd_monitor.detector.fusion import fuse
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.encoder_loading import select_encoders, shipped_encoder
from asd_monitor.errors import AsdMonitorError, UsageError
from asd_monitor.evaluation.dcase_layouts import find_machines
from experiments.command_line import parser_of
from experiments.encoder_measurements import (
    GAINS_DB,
    TRAINING_S,
    LabelledFault,
    MeasuredMachine,
    ViewGroups,
    measure,
    read_faults,
)
from experiments.fault_curves import BIN, detected_from, severity_curve
from experiments.fitted_machines import MachineScores, auc_text, mean_by_type
from experiments.markdown import table

DETECTED_AUC = 0.9


def main() -> int:
    """Print the tables of each data set."""
    parser = parser_of("encoder_report", __doc__)
    parser.add_argument("tree", nargs="+", type=Path)
    parser.add_argument(
        "--encoder",
        action="append",
        default=[],
        type=Path,
        metavar="FILE.onnx",
        help="with its card FILE.yaml, instead of the shipped one; may be repeated",
    )
    options = parser.parse_args()
    try:
        encoders = select_encoders(None if options.encoder else shipped_encoder(), options.encoder)
        if not encoders:
            raise UsageError("no encoder ships with this version: name one with --encoder")
        for tree in options.tree:
            sys.stdout.write(_report(tree, encoders))
    except AsdMonitorError as error:
        sys.stderr.write(f"encoder_report: {error}\n")
        return error.exit_code
    return 0


def _report(tree: Path, encoders: Sequence[Encoder]) -> str:
    faults = read_faults(tree)
    machines = []
    for machine in find_machines(tree):
        machines.append(measure(machine, encoders, faults))
        sys.stderr.write(f"{tree.name} {machine.name}: {time.process_time():.0f} s of CPU time\n")
    durations = sorted({round(machine.training_s) for machine in machines})
    span = " … ".join(str(end) for end in sorted({durations[0], durations[-1]}))
    sections = [
        f"## {tree.name}: {len(machines)} ids, each with {span} s of training recordings\n",
        _views_table(machines),
    ]
    if any(fault for machine in machines for fault in machine.faults):
        ranks = [pair for machine in machines for pair in machine.fault_ranks()]
        sections += [_kinds_table(machines[0].groups, ranks)]
        sections += [_severity_table(machines[0].groups, ranks)]
    sections += [_duration_table(machines), _gain_table(machines)]
    return "\n".join(sections) + "\n"


Ranks = Sequence[tuple[LabelledFault, list[float]]]
"""Faults and, by group of views, the share of normal clips with a lower score."""


def _section(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return f"### {title}\n\n{table(head, rows)}"


def _views_table(machines: Sequence[MeasuredMachine]) -> str:
    types = sorted({machine.type for machine in machines})
    columns: dict[str, Sequence[int]] = {
        name: [number] for number, name in enumerate(machines[0].views)
    }
    columns |= {f"**{name}**": views for name, views in machines[0].groups.items()}
    rows = []
    for name, views in columns.items():
        areas = [machine.scores.auc(fuse, views) for machine in machines]
        of_types = [
            np.mean([a for a, m in zip(areas, machines, strict=True) if m.type == each], axis=0)
            for each in types
        ]
        means = [mean_by_type([m.type for m in machines], areas)] if len(types) > 1 else []
        rows.append([name, *map(auc_text, (*of_types, *means))])
    head = ["fused", *types, *(["mean"] if len(types) > 1 else [])]
    return _section("Views, AUC / pAUC", head, rows)


def _kinds_table(groups: ViewGroups, ranks: Ranks) -> str:
    rows = []
    for kind in sorted({fault.kind for fault, _ in ranks}):
        of_kind = [by_group for fault, by_group in ranks if fault.kind == kind]
        rows.append([kind, str(len(of_kind)), *(f"{a:.3f}" for a in np.mean(of_kind, axis=0))])
    return _section("Kinds of fault, AUC", ["fault", "clips", *groups], rows)


def _severity_table(groups: ViewGroups, ranks: Ranks) -> str:
    severities = [fault.severity for fault, _ in ranks]
    curves = [
        severity_curve(severities, [by_group[number] for _, by_group in ranks])
        for number in range(len(groups))
    ]
    rows = []
    for bins in zip(*curves, strict=True):
        low = bins[0].low
        areas = [f"{each.auc:.3f}" for each in bins]
        rows.append([f"{low:.1f} … {low + BIN:.1f}", str(bins[0].clips), *areas])
    reached = []
    for curve in curves:
        severity = detected_from(curve, DETECTED_AUC)
        bound = "≤ " if severity == curve[0].severity else ""
        reached.append("not reached" if severity is None else f"{bound}{severity:.2f}")
    rows.append([f"**{DETECTED_AUC:g} from**", "", *reached])
    return _section("Severity of the fault, AUC", ["severity", "clips", *groups], rows)


def _duration_table(machines: Sequence[MeasuredMachine]) -> str:
    groups = machines[0].groups
    rows = []
    for seconds in TRAINING_S:
        enough = [m.by_training_s[seconds] for m in machines if seconds in m.by_training_s]
        if enough:
            rows.append([f"{seconds:g}", str(len(enough)), *_auc_by_group(groups, enough)])
    all_scores = [machine.scores for machine in machines]
    rows.append(["all", str(len(machines)), *_auc_by_group(groups, all_scores)])
    return _section("Seconds of training recordings, AUC", ["seconds", "ids", *groups], rows)


def _gain_table(machines: Sequence[MeasuredMachine]) -> str:
    groups = machines[0].groups
    types = [machine.type for machine in machines]
    rows = []
    for gain_db in GAINS_DB:
        areas = _auc_by_group(groups, [machine.by_gain[gain_db] for machine in machines])
        normal = mean_by_type(types, [machine.normal_scores[gain_db] for machine in machines])
        gain = f"{gain_db:+g} dB" if gain_db else "0 dB"
        rows.append([gain, *areas, *(f"{mean:.2f}" for mean in normal)])
    head = ["gain", *groups, *(f"normal: {name}" for name in groups)]
    return _section("Gain of the test clips: AUC, and mean score of normal clips", head, rows)


def _auc_by_group(groups: ViewGroups, scores: Sequence[MachineScores]) -> list[str]:
    areas = [[each.auc(fuse, views)[0] for views in groups.values()] for each in scores]
    return [f"{auc:.3f}" for auc in mean_by_type([each.type for each in scores], areas)]


if __name__ == "__main__":
    sys.exit(main())
