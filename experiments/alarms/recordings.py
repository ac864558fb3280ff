"""Alarms on recordings whose faults and failures are labelled.

    python -m experiments.alarms.recordings FOLDER --output FOLDER

FOLDER has recordings NAME.flac and labels.json, by name.  A recording with ``failure_at_s`` is a
run to failure: it is trained on each of its ranges ``train_from_new_s`` and ``train_run_in_s``, and
the rest of it is tested.  ``rms_1.5_for_5_min_of_life_at_s`` and ``rms_2_for_5_min_of_life_at_s``
say when its RMS stayed above so many times the training median.  Any other labelled recording is
tested by a model trained on X_train.flac, where its name is X_…; a fault begins at
``fault_from_s``, without that all of it is normal.  The budget is `1 per month`.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from asd_monitor.audio.files.recordings import Recording, read_recording
from experiments.alarms.product_commands import backtest, train
from experiments.alarms.results import write_results
from experiments.command_line import add_output, errors_reported, parser_of
from experiments.markdown import table

RANGES = {"from_new": "train_from_new_s", "run_in": "train_run_in_s"}
RMS_LIMITS = {1.5: "rms_1.5_for_5_min_of_life_at_s", 2.0: "rms_2_for_5_min_of_life_at_s"}
FIRST_TENTH = 0.1
MAX_FAULT_DELAY_S = 20.0
_TRAINING = "_train"


@dataclass(frozen=True, slots=True)
class RecordingResult:
    """The alarms on one recording; times in seconds from its start."""

    name: str
    trained_s: float
    from_s: float  # begin of what is tested
    to_s: float
    alarms_s: tuple[float, ...]
    time_scales_s: tuple[float, ...]
    highest: float  # alarm score
    limits_s: dict[str, float]  # what the first alarm is compared with

    @property
    def first_s(self) -> float | None:
        """Time of the first alarm."""
        return self.alarms_s[0] if self.alarms_s else None


def results_of(folder: Path) -> Iterator[RecordingResult]:
    """Train and test each labelled recording.  Raises UsageError and OperationError."""
    labels: dict[str, dict[str, Any]] = json.loads((folder / "labels.json").read_text())
    for name, label in labels.items():
        if name.endswith(_TRAINING):
            continue
        recording = read_recording(folder / f"{name}.flac")
        if "failure_at_s" in label:
            for kind, key in RANGES.items():
                yield _run_to_failure(f"{name}, {kind}", recording, label[key], label, kind)
        else:
            training = folder / f"{name.rsplit('_', 1)[0]}{_TRAINING}.flac"
            yield _test(name, read_recording(training), recording, 0.0, _fault(label))


def _fault(label: Mapping[str, Any]) -> dict[str, float]:
    return {"fault": label["fault_from_s"]} if "fault_from_s" in label else {}


def _run_to_failure(
    name: str, recording: Recording, trained: list[float], label: Mapping[str, Any], kind: str
) -> RecordingResult:
    begin, end = trained
    rate_hz = recording.rate_hz
    training = recording.samples[round(begin * rate_hz) : round(end * rate_hz)]
    limits = {f"RMS × {times:g}": label[key][kind] for times, key in RMS_LIMITS.items()}
    limits |= {"failure": label["failure_at_s"]}
    return _test(name, Recording(rate_hz, training, ()), recording, end, limits)


def _test(
    name: str, training: Recording, recording: Recording, from_s: float, limits: dict[str, float]
) -> RecordingResult:
    with tempfile.TemporaryDirectory() as folder:
        machine = train(Path(folder), "machine", training.samples, training.rate_hz)
        tested = recording.samples[round(from_s * recording.rate_hz) :]
        found = backtest(machine, tested, recording.rate_hz)
    return RecordingResult(
        name,
        len(training.samples) / training.rate_hz,
        from_s,
        len(recording.samples) / recording.rate_hz,
        tuple(from_s + alarm["raised_s"] for alarm in found["alarms"]),
        tuple(alarm["time_scale_s"] for alarm in found["alarms"]),
        found["highest_alarm_score"],
        limits,
    )


def verdict(tested: RecordingResult) -> str:
    """Return how the first alarm lies to what is labelled."""
    first = tested.first_s
    if not tested.limits_s:
        return "no alarm" if first is None else "false alarm"
    if first is None:
        return "no alarm"
    if "fault" in tested.limits_s:
        after = first - tested.limits_s["fault"]
        return f"{after:.1f} s after the fault" if after >= 0 else "false alarm"
    if first < tested.from_s + FIRST_TENTH * (tested.to_s - tested.from_s):
        return "in the first tenth"
    before = [name for name, at_s in tested.limits_s.items() if first < at_s]
    return f"before {before[0]}" if before else "after the failure"


def tables_of(found: list[RecordingResult]) -> str:
    """Return the table of all recordings."""
    rows = [
        [
            each.name,
            f"{each.trained_s:.0f} s",
            *("" if each.first_s is None else f"{each.first_s:.1f} s",),
            "" if not each.alarms_s else f"{each.time_scales_s[0]:g} s",
            f"{each.highest:.1f}",
            ", ".join(f"{name} {at_s:.1f} s" for name, at_s in each.limits_s.items()),
            verdict(each),
        ]
        for each in found
    ]
    head = ["recording", "trained on", "first alarm", "time scale", "highest alarm score"]
    return table([*head, "labelled", "verdict"], rows)


def main() -> int:
    """Test the recordings of the folder that the arguments name."""
    parser = parser_of("alarms.recordings", __doc__)
    parser.add_argument("folder", type=Path)
    add_output(parser)
    options = parser.parse_args()
    with errors_reported("recordings"):
        found = list(results_of(options.folder))
    figures = {"recordings": [asdict(each) for each in found]}
    write_results(options.output, "recordings", figures, tables_of(found), {})
    return 0


if __name__ == "__main__":
    sys.exit(main())
