"""Effect of a DC offset, of its drift and of its steps on the scores of recordings.

    python -m experiments.dc_offset RECORDING…

Prints a table in Markdown.  Each recording is normal sound of one machine, of some minutes without
a gap.  Its first half trains a detector, its second half is tested: as it is, and with each
disturbance added to it.  The columns are the largest change of the fused score over all windows,
the largest over the windows that begin more than 0.5 s after the last step or end before the first
one, and the highest alarm score beside the threshold of one false alarm per month.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asd_monitor.alarm.budget import alarm_rule
from asd_monitor.audio.files.recordings import read_recording
from asd_monitor.config.quantities import parse_budget
from asd_monitor.detector.detector import Detector
from asd_monitor.detector.fit import fit_detector
from asd_monitor.dsp.front_end import front_end_for
from asd_monitor.encoders.encoder_loading import shipped_encoder
from asd_monitor.errors import AsdMonitorError
from asd_monitor.monitor import Monitor, Reading
from asd_monitor.pipeline import Pipeline, WindowExtractor
from asd_monitor.records import AlarmCriteria, Block, Samples, Stream, WindowScore
from experiments.command_line import parser_of
from experiments.markdown import table

SETTLING_S = 0.5
POP_S = 0.02
CRITERIA = AlarmCriteria(
    parse_budget("1 per month").per_second, parse_budget("1 per day").per_second
)

Times = npt.NDArray[np.float64]
"""Seconds since the start of the recording, (n,)."""


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What is added to the sound, by time."""

    name: str
    offset: Callable[[Times], Times]
    step_s: tuple[float, ...] = ()  # times of the steps
    in_training: float = 0.0  # constant offset of the training half


def constant(offset: float) -> Callable[[Times], Times]:
    """Return a constant offset."""
    return lambda t: np.full(len(t), offset)


def sine(amplitude: float, period_s: float) -> Callable[[Times], Times]:
    """Return a periodic drift."""
    return lambda t: amplitude * np.sin(2 * np.pi * t / period_s)


def steps(height: float, at_s: Sequence[float]) -> Callable[[Times], Times]:
    """Return an offset that changes by a height at each time, upwards and downwards in turn."""
    return lambda t: np.where(np.searchsorted(np.asarray(at_s), t, side="right") % 2, height, 0.0)


def pops(height: float, at_s: Sequence[float]) -> Callable[[Times], Times]:
    """Return pulses of POP_S, as of a plug."""
    edges = np.ravel([(at, at + POP_S) for at in at_s])
    return lambda t: np.where(np.searchsorted(edges, t, side="right") % 2, height, 0.0)


def disturbances(seconds: float) -> list[Disturbance]:
    """Return the disturbances of a test of so many seconds."""
    middle = seconds / 2
    every_30_s = tuple(np.arange(15.0, seconds, 30.0).tolist())
    return [
        Disturbance("+0.01 in the test", constant(0.01)),
        Disturbance("+0.1 in the test", constant(0.1)),
        Disturbance("−0.1 in the test", constant(-0.1)),
        Disturbance("+0.1 in training", constant(0.0), in_training=0.1),
        Disturbance("+0.1 in both", constant(0.1), in_training=0.1),
        Disturbance("even drift to 0.1", lambda t: 0.1 * t / seconds),
        Disturbance("sine of 0.1, 60 s", sine(0.1, 60.0)),
        Disturbance("sine of 0.1, 10 s", sine(0.1, 10.0)),
        Disturbance("a step of 0.1", steps(0.1, [middle]), (middle,)),
        Disturbance("a step of 0.1 every 30 s", steps(0.1, every_30_s), every_30_s),
        Disturbance("a pop of 0.5 every 30 s", pops(0.5, every_30_s), every_30_s),
    ]


def train(sound: Samples, rate_hz: int) -> Detector:
    """Return a detector fitted to the sound, with the shipped encoder where it fits."""
    front_end = front_end_for(rate_hz)
    encoder = shipped_encoder()
    fits = encoder is not None and encoder.incompatibility(front_end) is None
    encoders = (encoder,) if encoder is not None and fits else ()
    extractor = WindowExtractor(front_end, encoders)
    windows = extractor.push(Block(Stream(rate_hz), 0, sound)) + extractor.flush()
    return fit_detector([windows], front_end, front_end.rate_hz, encoders).detector


def monitored(detector: Detector, sound: Samples, rate_hz: int) -> list[Reading]:
    """Return the readings of the sound in blocks of 1 s."""
    monitor = Monitor(Pipeline(detector), alarm_rule(CRITERIA, detector), rate_hz)
    stream = Stream(rate_hz)
    return [
        reading
        for start in range(0, len(sound), rate_hz)
        for reading in monitor.push(Block(stream, start, sound[start : start + rate_hz]))
    ]


def compare(path: Path) -> list[list[str]]:
    """Return the rows of a recording.  Raises UsageError and OperationError."""
    recording = read_recording(path)
    rate_hz, middle = recording.rate_hz, len(recording.samples) // 2
    training, test = recording.samples[:middle], recording.samples[middle:]
    times = np.arange(len(test)) / rate_hz
    detectors = {0.0: train(training, rate_hz)}
    before = monitored(detectors[0.0], test, rate_hz)
    rows = [[path.stem, "as it is", "", "", _alarms(before, detectors[0.0])]]
    for each in disturbances(len(test) / rate_hz):
        offset = each.in_training
        if offset not in detectors:
            detectors[offset] = train(training + np.float32(offset), rate_hz)
        disturbed = (test + each.offset(times)).astype(np.float32)
        after = monitored(detectors[offset], disturbed, rate_hz)
        changes = [
            (_distant(new, each.step_s, rate_hz), abs(new.fused - old.fused))
            for new, old in zip(_windows(after), _windows(before), strict=True)
        ]
        largest = max(change for _, change in changes)
        distant = max((change for is_distant, change in changes if is_distant), default=np.nan)
        alarms = _alarms(after, detectors[offset])
        rows.append([path.stem, each.name, f"{largest:.5f}", f"{distant:.5f}", alarms])
    return rows


def _windows(readings: Sequence[Reading]) -> list[WindowScore]:
    return [reading.window for reading in readings if reading.window is not None]


def _distant(window: WindowScore, step_s: Sequence[float], rate_hz: int) -> bool:
    return all(
        window.end <= at * rate_hz or window.start > (at + SETTLING_S) * rate_hz for at in step_s
    )


def _alarms(readings: Sequence[Reading], detector: Detector) -> str:
    threshold = alarm_rule(CRITERIA, detector).thresholds.alarm
    highest = max(reading.alarm_score for reading in readings)
    newest = readings[-1].alarm
    return f"{highest:.2f} of {threshold:.2f}, {newest.number if newest else 0} alarms"


def main() -> int:
    """Compare the given recordings."""
    parser = parser_of("dc_offset", __doc__)
    parser.add_argument("recording", nargs="+", type=Path)
    head = ["recording", "offset", "largest change", "away from steps", "highest alarm score"]
    try:
        rows = [row for path in parser.parse_args().recording for row in compare(path)]
    except AsdMonitorError as error:
        sys.stderr.write(f"dc_offset: {error}\n")
        return error.exit_code
    sys.stdout.write(table(head, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
