"""Packages of alarms with known faults: do the marks fit, what does a package weigh and cost.

    python -m experiments.evidence_pages --output FOLDER [--sounds FOLDER …] [--screenshots]

Each synthetic machine is trained with the command line on four recordings of 30 s; then the real
daemon monitors a recording of it in which a fault begins after 40 s, at full speed; ten seconds of
the training sound are stored as those that commissioning keeps.  A mark is
*right* if it begins within 1.5 s of the fault (or if no begin is marked, where the fault is older
than the sound), and if the sound in its band differs from the
unchanged sound, which is known, by at least 1 dB and no less than in the other bands.  The packages
are in FOLDER/state/evidence; with ``--screenshots`` the pages of five are pictured by Chromium.
``--sounds`` adds recordings of at least 150 s, whose first 55 % are the training sound.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import yaml

from asd_monitor.commissioning.blocks import BAND_DB, SoundMode, SoundPiece
from asd_monitor.commissioning.sound_pieces import write_sound
from asd_monitor.evidence.package_files import Package, read_package
from asd_monitor.evidence.package_names import FOLDER, PAGE
from asd_monitor.model_store.bundle import load_bundle
from benchmarks.mosquitto import MosquittoProcess
from experiments.command_line import add_output, errors_reported, parser_of
from experiments.evidence_pages.cases import FAULTS, Case, recorded_cases, synthetic_cases
from experiments.evidence_pages.measuring import cost_s, placed_marks, sizes
from experiments.evidence_pages.screenshots import take_screenshots
from experiments.markdown import table
from experiments.reasons.changes import RATE_HZ

SEED = 700
NORMAL_PIECE_S, PIECE_TIME_S = 10.0, 1_795_000_000.0
"""Sound as commissioning keeps it, and its Unix time."""
PICTURED = tuple(FAULTS)[:5]
_CLI = (sys.executable, "-m", "asd_monitor")


def train_and_monitor(cases: Sequence[Case], output: Path, *, encoder: bool) -> None:
    """Train a model of each machine, and monitor its recording with the real daemon."""
    models, state, sounds = output / "models", output / "state", output / "sounds"
    sounds.mkdir(parents=True, exist_ok=True)
    options = [] if encoder else ["--no-shipped-encoder"]
    for case in cases:
        soundfile.write(sounds / f"{case.name}.wav", case.sound, RATE_HZ, "FLOAT")
        normal = case.training[0][: round(NORMAL_PIECE_S * RATE_HZ)]
        level_dbfs = 10.0 * np.log10(np.mean(np.square(normal, dtype=np.float64)))
        piece = SoundPiece(PIECE_TIME_S, SoundMode(int(level_dbfs // BAND_DB), alarm_active=False))
        write_sound(state / "commissioning" / case.name / "sound", piece, normal, RATE_HZ)
        if (models / case.name / "current").exists():
            continue
        with tempfile.TemporaryDirectory() as folder:
            for number, sound in enumerate(case.training):
                soundfile.write(Path(folder) / f"{number}.wav", sound, RATE_HZ, "FLOAT")
            command = [*_CLI, "train", "-m", case.name, "-n", folder, "--models", str(models)]
            subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL)
    with MosquittoProcess(output / "broker") as broker:
        config = {
            "version": 1,
            "box": "edge-07",
            "mqtt": {"host": "127.0.0.1", "port": broker.port},
            "selftest": "off",
            "defaults": {"commissioning": {"days": 0}},
            "machines": {
                case.name: {"device": f"file:{(sounds / f'{case.name}.wav').resolve()}"}
                for case in cases
            },
        }
        path = output / "config.yaml"
        path.write_text(yaml.safe_dump(config))
        folders = ["--models", str(models), "--state", str(state)]
        command = [*_CLI, "run", "--config", str(path), *folders, "--speed", "0"]
        subprocess.run(command, check=True)


def measured(case: Case, output: Path, costs: Path) -> dict[str, Any]:
    """Return what was found of a case."""
    folder = output / "state" / FOLDER / case.name
    packages = [read_package(each) for each in sorted(folder.glob("[!.]*"))]
    found: dict[str, Any] = {
        "machine": case.name,
        "fault": case.fault,
        "truth": case.truth.text,
        "begin_s": case.begin_s,
        "packages": len(packages),
    }
    package = next((each for each in packages if _is_of_fault(each, case)), None)
    if package is None:
        return found | {"marks": []}
    bundle = load_bundle(output / "models", case.name)
    return found | {
        "sentence": package.alarm["sentence"],
        "delay_s": package.alarm["raised_sample"] / RATE_HZ - case.begin_s,
        "marks": [asdict(each) for each in placed_marks(case, package)],
        "bytes": sizes(package.folder),
        "cpu_s": cost_s(case, package, bundle, costs),
        "page": str(package.folder / PAGE),
    }


def _is_of_fault(package: Package, case: Case) -> bool:
    return bool(package.alarm["raised_sample"] >= case.begin_s * RATE_HZ)


def tables(results: Sequence[dict[str, Any]]) -> str:
    """Return the results as Markdown."""
    rows = []
    for each in results:
        first = each["marks"][0] if each["marks"] else None
        size = each.get("bytes", {})
        rows.append(
            [
                each["machine"],
                each["truth"],
                each.get("sentence", "no alarm"),
                "-" if first is None else f"{first['begin_error_s']:+.1f}",
                "-"
                if first is None
                else f"{first['change_db']:.1f} / {first['change_elsewhere_db']:.1f}",
                "yes" if first is not None and first["right"] else "no",
                f"{sum(mark['right'] for mark in each['marks'])}/{len(each['marks'])}",
                f"{size.get(PAGE, 0) / 1000:.0f}",
                f"{sum(size.values()) / 1000:.0f}",
                f"{each.get('cpu_s', 0.0):.2f}",
            ]
        )
    head = ["machine", "fault", "sentence", "begin, s", "dB in box / all", "first right", "right"]
    head += ["page, kB", "package, kB", "CPU, s"]
    alarms = [each for each in results if each["marks"]]
    right = sum(each["marks"][0]["right"] for each in alarms)
    return (
        f"{table(head, rows)}\nThe first mark is right in {right} of {len(alarms)} alarms, of "
        f"{len(results)} cases.\n"
    )


def main() -> None:
    """Run the experiment."""
    parser = parser_of("evidence_pages", __doc__)
    add_output(parser)
    parser.add_argument("--sounds", type=Path, nargs="*", default=[], metavar="FOLDER")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--encoder", action="store_true", help="train with the shipped encoder")
    parser.add_argument("--screenshots", action="store_true")
    options = parser.parse_args()
    output: Path = options.output
    with errors_reported("evidence_pages"), tempfile.TemporaryDirectory() as costs:
        cases = list(synthetic_cases(options.seed))
        for folder in options.sounds:
            cases += recorded_cases(folder, options.seed)
        train_and_monitor(cases, output, encoder=options.encoder)
        results = [measured(case, output, Path(costs)) for case in cases]
        (output / "results.json").write_text(json.dumps(results, indent=1))
        (output / "results.md").write_text(tables(results))
        sys.stdout.write(tables(results))
        if options.screenshots:
            for each in results[: len(PICTURED)]:
                if "page" in each:
                    take_screenshots(Path(each["page"]), output, each["fault"])


if __name__ == "__main__":
    main()
