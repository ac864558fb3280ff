"""What the spectra of simulated weeks are taken for: healthy halls, faults, changed microphones.

    python -m experiments.microphone.weeks CACHE --output FOLDER
        [--set choice|report] [--machines N] [--first NUMBER] [--seed N]

CACHE has the windows that `experiments.alarms.windows` has written: 20 s of each hour.  The last
ten seconds of each segment are compared with the baseline: that of the ten minutes of training, or
that extended by the hours of the first week of commissioning.  A change of the microphone is added
to the spectra of every 24th later hour, in dB.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np

from asd_monitor.detector.idle import idle_region
from asd_monitor.detector.modes import find_modes
from asd_monitor.dsp.frames import Floats
from asd_monitor.dsp.mel import mel_centres_hz
from asd_monitor.microphone.baseline import (
    OFF,
    MicrophoneBaseline,
    TrainingPiece,
    fit_baseline,
    line_count,
)
from asd_monitor.microphone.recent_spectra import (
    DB,
    SpectralStatistics,
    Spectrum,
    ring_size,
)
from asd_monitor.microphone.sample_counter import NO_SAMPLE_FAULTS
from asd_monitor.microphone.spectral_change import SpectralComparison
from experiments.alarms.feature_extraction import FRONT_END
from experiments.alarms.machine_files import (
    COMMISSIONING,
    LATER,
    TRAINING,
    MachineFiles,
    add_arguments,
    in_processes,
    machines_of,
)
from experiments.alarms.results import write_results
from experiments.command_line import add_output, errors_reported, parser_of
from experiments.markdown import table
from experiments.microphone.responses import cover, other_response

FAULTS = ("tone10", "tone15", "impacts-9", "impacts-4")
CHANGED_HOURS = 24  # every n-th of the later hours
BASELINES = {"ten minutes": 0, "and a week": 168}
HZ = mel_centres_hz(FRONT_END.rate_hz, FRONT_END.mel_bands)

Change = Callable[[np.random.Generator], Floats]
"""A change of the spectrum in dB, (b,)."""

CHANGES: dict[str, Change] = {
    "cover 20 dB above 1 kHz": lambda _: cover(20.0, 1000.0)(HZ),
    "cover 20 dB above 2 kHz": lambda _: cover(20.0, 2000.0)(HZ),
    "cover 20 dB above 4 kHz": lambda _: cover(20.0, 4000.0)(HZ),
    "cover 10 dB above 2 kHz": lambda _: cover(10.0, 2000.0)(HZ),
    "cover 10 dB above 4 kHz": lambda _: cover(10.0, 4000.0)(HZ),
    "gain +12 dB": lambda _: np.full(len(HZ), 12.0),
    "gain -12 dB": lambda _: np.full(len(HZ), -12.0),
    "louder by 6 dB at all frequencies": lambda _: np.full(len(HZ), 6.0),
}
RESPONSE = "another microphone, interrupted"
SAME = "the same microphone, interrupted"


@dataclass(frozen=True, slots=True)
class Findings:
    """What the segments of one machine and kind of sound are taken for."""

    machine: int
    baseline: str
    sound: str
    segments: int
    found: dict[str, int]  # segments by finding


@dataclass(frozen=True, slots=True, eq=False)
class _Spectra:
    """The spectra of n segments of w windows."""

    bands: Spectrum  # (n, w, b), log10 of power
    lines: Spectrum  # (n, w, l)
    levels_dbfs: Floats  # (n, w)
    starts: Sequence[int]  # (w,)
    window: int

    @classmethod
    def load(cls, machine: MachineFiles, name: str) -> _Spectra:
        with np.load(machine.folder / f"{name}.npz") as arrays:
            lines = line_count(FRONT_END)
            return cls(
                arrays["feature.spectrum"].astype(np.float32),
                arrays["feature.tone"][..., :lines].astype(np.float32),
                arrays["feature.level"][..., 0].astype(np.float64),
                arrays["starts"].tolist(),
                int(arrays["window"]),
            )

    def pieces(self, modes_of: Callable[[Spectrum, Floats], np.ndarray]) -> list[TrainingPiece]:
        ends = [start + self.window for start in self.starts]
        return [
            TrainingPiece(self.starts, ends, bands, lines, modes_of(bands, levels))
            for bands, lines, levels in zip(self.bands, self.lines, self.levels_dbfs, strict=True)
        ]


def findings_of(machine: MachineFiles) -> list[Findings]:
    """Return the findings of one machine."""
    training, commissioning, later = (
        _Spectra.load(machine, name) for name in (TRAINING, COMMISSIONING, LATER)
    )
    idle = idle_region(training.levels_dbfs.ravel())
    is_off = partial(_is_off, idle)
    running = ~is_off(training.levels_dbfs)
    modes = find_modes(training.bands[running])

    def modes_of(bands: Spectrum, levels_dbfs: Floats) -> np.ndarray:
        return np.where(is_off(levels_dbfs), OFF, modes.of(bands)).astype(np.intp)

    first = fit_baseline(training.pieces(modes_of), FRONT_END, NO_SAMPLE_FAULTS)
    if first is None:
        raise ValueError("the training segments are too short")
    live = commissioning.pieces(modes_of)
    sounds = {"healthy": later}
    sounds |= {name: _Spectra.load(machine, name) for name in FAULTS if name in machine.faults}
    found = []
    for name, hours in BASELINES.items():
        baseline = first.extended(live[:hours])
        comparison = SpectralComparison(baseline)
        for sound, spectra in sounds.items():
            kinds = [
                _kind(comparison, *each) for each in zip(spectra.bands, spectra.lines, strict=True)
            ]
            found.append(_findings(machine, name, sound, kinds))
        found += _changed(machine, name, baseline, later)
    return found


def _is_off(idle: tuple[float, float] | None, levels_dbfs: Floats) -> np.ndarray:
    if idle is None:
        return np.zeros(np.shape(levels_dbfs), bool)
    return np.asarray((levels_dbfs >= idle[0]) & (levels_dbfs <= idle[1]))


def _findings(machine: MachineFiles, baseline: str, sound: str, kinds: Sequence[str]) -> Findings:
    return Findings(machine.number, baseline, sound, len(kinds), dict(Counter(kinds)))


def _kind(comparison: SpectralComparison, bands: Spectrum, lines: Spectrum) -> str:
    """Return what the last ten seconds of a segment, (w, b) and (w, l), are taken for."""
    size = ring_size(FRONT_END.hop_s)
    recent = SpectralStatistics.of(bands[-size:])
    found = None
    if comparison.may_hum(recent):
        found = comparison.hum(recent, SpectralStatistics.of(lines[-size:]).median)
    found = found or comparison.covered(recent) or comparison.level(recent)
    if found is None:
        return "ok"
    return f"{found.kind}, certain" if found.certain else str(found.kind)


def _changed(
    machine: MachineFiles, name: str, baseline: MicrophoneBaseline, later: _Spectra
) -> list[Findings]:
    rng = np.random.default_rng((machine.seed, machine.hall_set, machine.number, 79))
    comparison = SpectralComparison(baseline)
    hours = range(0, len(later.bands) - 1, CHANGED_HOURS)
    found = []
    for change, of in CHANGES.items():
        kinds = [
            _kind(comparison, later.bands[hour] + of(rng) / DB, later.lines[hour]) for hour in hours
        ]
        found.append(_findings(machine, name, change, kinds))
    if name != next(iter(BASELINES)):  # the response does not depend on it
        return found
    size = ring_size(FRONT_END.hop_s)
    for sound, is_other in ((RESPONSE, True), (SAME, False)):
        kinds = []
        for hour in hours:
            before = SpectralStatistics.of(later.bands[hour][: size // 2]).median
            change_db = other_response(rng)(HZ) if is_other else np.zeros(len(HZ))
            recent = SpectralStatistics.of(later.bands[hour][-size:] + change_db / DB)
            response = comparison.response(recent, before)
            kinds.append("ok" if response is None else str(response.kind))
        found.append(_findings(machine, name, sound, kinds))
    return found


def tables_of(found: Sequence[Findings]) -> str:
    """Return the table of each kind of sound, over all machines."""
    columns = ["covered, certain", "covered", "level", "hum, certain", "response"]
    rows = []
    for sound in dict.fromkeys(each.sound for each in found):
        for baseline in BASELINES:
            own = [each for each in found if (each.sound, each.baseline) == (sound, baseline)]
            if not own:
                continue
            total = sum(each.segments for each in own)
            cells = []
            for column in columns:
                number = sum(each.found.get(column, 0) for each in own)
                machines = sum(column in each.found for each in own)
                cells.append(f"{number} ({machines})" if number else "")
            rows.append([sound, baseline, str(total), *cells])
    return table(["sound", "baseline", "segments", *columns], rows)


def main() -> int:
    """Compare the machines that the arguments name."""
    parser = parser_of("microphone.weeks", __doc__)
    add_arguments(parser)
    add_output(parser)
    options = parser.parse_args()
    found: list[Findings] = []
    with errors_reported("weeks"):
        for of_machine in in_processes(findings_of, machines_of(options)):
            found += of_machine
            sys.stderr.write(f"machine {of_machine[0].machine}\n")
    figures = {"findings": [asdict(each) for each in found]}
    write_results(options.output, "weeks", figures, tables_of(found), {})
    return 0


if __name__ == "__main__":
    sys.exit(main())
