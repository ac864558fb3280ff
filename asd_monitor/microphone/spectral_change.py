"""Changes of the captured spectrum that a microphone explains.

All compare the order statistics of ten seconds with the ranges of the training sound, in dB:

    covered    bands from an edge up to the highest are lower than ever in any operating mode, and
               those below the edge are as in training: a cover, a dirty membrane, another direction
    level      every band has changed by about the same: a changed gain
    hum        harmonics of the mains are far higher than ever, and the sound above them is lower
               than ever: a broken shield.  Hum alone is none: motors hum.
    response   a smooth change from before an interruption of the capture to after it, both up and
               down: another microphone

A machine can lose its high frequencies as well, and a motor that stalls hums while its airflow is
gone.  What excludes them is sound below that of the machine that is off.  A cover is certain where
the attenuation is large and smooth, hum where it is of odd harmonics; how that tells them apart in
simulated halls is in docs/method/microphone.md.

Only bands below the cut-off of the microphone's own low-pass are judged.
"""

from __future__ import annotations

import numpy as np

from asd_monitor.dsp.fine_spectrum import fine_frames
from asd_monitor.dsp.frames import Floats
from asd_monitor.dsp.mel import mel_centres_hz
from asd_monitor.microphone.baseline import MicrophoneBaseline
from asd_monitor.microphone.findings import Finding, FindingKind
from asd_monitor.microphone.recent_spectra import DB, SpectralStatistics, Spectrum

EDGES_HZ = (700.0, 1000.0, 1400.0, 2000.0, 2800.0, 4000.0)
"""Frequencies above which a cover attenuates; between them lies half an octave.  Above the last one
the highest bands alone fall below their range where a neighbouring machine stops."""
BEYOND_EDGE = 1.3
"""Above the edge by this factor a cover attenuates fully, below 1 / `BELOW_EDGE` not at all."""
BELOW_EDGE = 1.4
LOW_RANGE_DB = 6.0
"""Median distance from the range of training up to which the bands below an edge are of a mode.

Halls differ by as much from those of a short training.  What the low frequencies differ by is
subtracted from the attenuation above the edge, since the high ones may differ by as much."""
ATTENUATED_SHARE = 0.75
"""Share of the bands above an edge that are attenuated by what is stated."""
UNCERTAIN_DB, CERTAIN_DB = 5.5, 12.0
"""Attenuation, below the lowest of training and beyond what the low frequencies differ by, from
which on a cover is suspected, and certain."""
SMOOTH_DB = 1.2
"""Roughness up to which the attenuation is that of a cover: it keeps what the sound is made of.

A machine that falls silent at high frequencies leaves other sound there, of another form."""

EXCLUDING_DB = 12.0
"""So far below the lowest of training, in which the machine was off as well, is no machine."""

CUT_OFF_DB, CUT_OFF_FLATNESS_DB = 15.0, 8.0
"""Drop within half an octave, and range of all above it, that are of the microphone's own low-pass
and its own noise."""
_HALF_OCTAVE = 14  # bands
_CUT_OFF_EDGE_DB = 6.0
_MIN_FLAT = 9  # bands

LEVEL_DB = 10.5
"""Change of level at all frequencies that is reported: above that of a machine twice as loud."""
FLATNESS_DB = 7.0
"""Up to this difference between the tenth and the ninetieth percentile it is at all frequencies."""

MAINS_HZ = (50.0, 60.0)
HUM_DB, HARMONICS = 10.0, 3
"""So many harmonics of the mains are so far above the highest of training, and the lines beside."""
ODD_HARMONICS = 2
"""So many of them are odd in the hum of a cable."""
HUM_LOSS_DB = 6.0
"""Attenuation above `_HUM_LOSS_EDGE_HZ` that shows a broken shield together with hum."""
_HUM_LOSS_EDGE_HZ = 1000.0
_BESIDE = 12  # lines of 2 Hz on both sides of a harmonic: half of the distance to the next

RESPONSE_DB = 3.5
"""Range of the smooth change, without its extremes, that is another frequency response."""
IN_RANGE_DB, IN_RANGE_SHARE = 1.5, 0.9
"""A spectrum of an operating mode lies outside its range by no more, in this share of the bands."""
ROUGHNESS_DB = 2.5
"""Root mean square up to which the rest of the change is none of the sound itself."""
_SMOOTHING = 17  # bands: more than half an octave at high frequencies
_EXTREMES = 0.03  # share of the bands on each side that may be extreme
_MIN_BANDS = 6  # on each side of an edge


class SpectralComparison:
    """Compares the spectra of ten seconds with a baseline."""

    def __init__(self, baseline: MicrophoneBaseline) -> None:
        front_end = baseline.front_end
        self._baseline = baseline
        self._hz = mel_centres_hz(front_end.rate_hz, front_end.mel_bands)
        self._judged = judged_bands(baseline)
        edges = [(hz, *self._split(hz)) for hz in EDGES_HZ]
        self._edges = [
            (hz, below, above)
            for hz, below, above in edges
            if below >= _MIN_BANDS and self._judged - above >= _MIN_BANDS
        ]
        self._highest = slice(self._edges[-1][2] if self._edges else self._judged, self._judged)
        self._low = (baseline.quietest[:, self._highest].max(0) - UNCERTAIN_DB) / DB
        self._means = (baseline.typical.mean(1) / DB).tolist()
        fine = fine_frames(front_end)
        lines_hz = np.arange(fine.lines.start, fine.lines.stop) * front_end.rate_hz / fine.frame
        self._harmonics = {hz: _harmonics(hz, lines_hz) for hz in MAINS_HZ}

    def _split(self, hz: float) -> tuple[int, int]:
        """Return how many bands lie below an edge, and the first one above it."""
        below, above = np.searchsorted(self._hz, (hz / BELOW_EDGE, hz * BEYOND_EDGE))
        return int(below), int(above)

    @property
    def recognises_covers(self) -> bool:
        """Whether enough bands are judged for a cover to be recognised."""
        return bool(self._edges)

    @property
    def cut_off_hz(self) -> float | None:
        """Frequency of the microphone's own low-pass; None: it has none."""
        return None if self._judged == len(self._hz) else float(self._hz[self._judged])

    def is_usual(self, spectrum: Spectrum) -> bool:
        """Return whether a window's spectrum (b,), log10 of power, shows no change.

        Where this holds for all windows of ten seconds, `covered`, `level` and `hum` find nothing
        in them; this takes a small part of their time.  `response` may find something.
        """
        mean = float(np.add.reduce(spectrum)) / len(spectrum)
        if all(abs(mean - known) >= (LEVEL_DB - FLATNESS_DB) / DB for known in self._means):
            return False
        return not np.count_nonzero(spectrum[self._highest] <= self._low)

    def covered(self, recent: SpectralStatistics) -> Finding | None:
        """Return whether high frequencies are lower than ever, and low ones are not."""
        loss = self._baseline.quietest - recent.lower_quartile  # (k, b)
        if not self._edges or not (loss[:, self._highest] >= UNCERTAIN_DB).any():
            return None
        outside = np.maximum(
            self._baseline.lowest - recent.median, recent.median - self._baseline.highest
        )
        change = recent.median - self._baseline.typical
        best_db, best_hz, lower_db, certain, excludes = 0.0, 0.0, 0.0, False, False
        for hz, below, above in reversed(self._edges):
            distance = np.maximum(_at_share(outside[:, :below], 0.5), 0.0)
            modes = np.flatnonzero(distance <= LOW_RANGE_DB)
            if not len(modes):
                continue
            # of the modes that the low frequencies are of, the one with the least attenuation
            of_all = _at_share(loss[:, above : self._judged], 1.0 - ATTENUATED_SHARE)
            lower = of_all[modes]
            by_mode = lower - distance[modes]
            least = int(by_mode.argmin())
            attenuation = float(by_mode[least])
            if attenuation >= CERTAIN_DB:  # in the end it is that of the lowest such edge
                certain = _roughness(change[modes[least], above : self._judged]) <= SMOOTH_DB
            if attenuation > best_db:
                best_db, best_hz, lower_db = attenuation, hz, float(lower[least])
                excludes = self._excludes_machine(float(of_all.min()))
        if best_db < UNCERTAIN_DB:
            return None
        question = "covered or moved?" if certain else "covered, moved, or a changed machine?"
        return Finding(
            FindingKind.COVERED,
            certain,
            f"{question} sound above {best_hz / 1000:g} kHz is {lower_db:.0f} dB lower than ever "
            "in training: look at the microphone",
            excludes_machine=excludes,
        )

    def level(self, recent: SpectralStatistics) -> Finding | None:
        """Return whether every band has changed by about the same, in relation to every mode."""
        change = recent.median - self._baseline.typical
        means = change.mean(1)
        if np.abs(means).min() < LEVEL_DB - FLATNESS_DB:
            return None
        medians = np.median(change, axis=1)
        ordered = np.sort(change, axis=1)
        last = ordered.shape[1] - 1
        flatness = ordered[:, (9 * last) // 10] - ordered[:, last // 10]
        best = int(flatness.argmin())
        if np.abs(medians).min() < LEVEL_DB or flatness[best] > FLATNESS_DB:
            return None
        return Finding(
            FindingKind.LEVEL,
            certain=False,
            text=f"level changed by {medians[best]:+.0f} dB at all frequencies: check the gain of "
            "the microphone",
        )

    def may_hum(self, recent: SpectralStatistics) -> bool:
        """Return whether the sound above the mains' harmonics is lower than ever."""
        return self._loss_above_hum(recent) >= HUM_LOSS_DB

    def hum(self, recent: SpectralStatistics, lines: Spectrum) -> Finding | None:
        """Return whether hum has taken the place of the sound; ``lines`` (l,) are medians in dB.

        A motor that stalls hums, and its airflow is gone.  The forces in it are of even harmonics,
        since they do not depend on the sign of the current: odd ones are of a cable.  So it is
        certain where these are raised and the sound is lost, or where the sound is far below that
        of the machine that is off as well.
        """
        loss_db = self._loss_above_hum(recent)
        if loss_db < HUM_LOSS_DB:
            return None
        for hz, harmonics in self._harmonics.items():
            rises = {}
            for number, line in harmonics:
                near = slice(max(0, line - 1), line + 2)
                peak = lines[near].max()
                beside = np.median(lines[max(0, line - _BESIDE) : line + _BESIDE + 1])
                rises[number] = min(peak - self._baseline.lines[0, near].max(), peak - beside)
            higher = {number: each for number, each in rises.items() if each >= HUM_DB}
            if len(higher) >= HARMONICS:
                excludes_machine = self._excludes_machine(loss_db)
                is_electrical = sum(number % 2 for number in higher) >= ODD_HARMONICS
                certain = excludes_machine or (is_electrical and loss_db >= CERTAIN_DB)
                question = "" if certain else "a broken cable, or a motor that stalls? "
                return Finding(
                    FindingKind.HUM,
                    certain=certain,
                    text=f"{question}hum of the mains ({hz:.0f} Hz and harmonics) is up to "
                    f"{max(higher.values()):.0f} dB higher than ever in training, and the sound "
                    f"above 1 kHz {loss_db:.0f} dB lower: check cable and plug of the microphone",
                    excludes_machine=excludes_machine,
                )
        return None

    def response(self, recent: SpectralStatistics, before: Spectrum) -> Finding | None:
        """Return whether the change since ``before`` (b,), medians in dB, is a smooth response."""
        change = recent.median - before
        change = change - np.median(change)
        smooth = _smoothed(change)
        ordered = np.sort(smooth)
        extreme = int(_EXTREMES * len(ordered))
        low, high = float(ordered[extreme]), float(ordered[-1 - extreme])
        roughness = float(np.sqrt(np.mean((change - smooth) ** 2)))
        if high - low < RESPONSE_DB or roughness > ROUGHNESS_DB:
            return None
        return Finding(
            FindingKind.RESPONSE,
            certain=False,
            text=f"another microphone, or moved? since the capture was interrupted the spectrum "
            f"differs by {low:+.0f} to {high:+.0f} dB: check which microphone is connected",
        )

    def is_of_mode(self, recent: SpectralStatistics) -> bool:
        """Return whether the spectrum lies in the range of one of the operating modes."""
        outside = np.maximum(
            self._baseline.lowest - recent.median, recent.median - self._baseline.highest
        )
        return bool((_at_share(outside, IN_RANGE_SHARE) <= IN_RANGE_DB).any())

    def _excludes_machine(self, loss_db: float) -> bool:
        """Return whether no machine leaves sound that is so far below the lowest of any mode."""
        return self._baseline.has_pause and loss_db >= EXCLUDING_DB

    def _loss_above_hum(self, recent: SpectralStatistics) -> float:
        above = self._split(_HUM_LOSS_EDGE_HZ)[1]
        loss = (self._baseline.quietest - recent.lower_quartile)[:, above : self._judged]
        if not loss.shape[1]:
            return 0.0
        return float(_at_share(loss, 1.0 - ATTENUATED_SHARE).min())


def judged_bands(baseline: MicrophoneBaseline) -> int:
    """Return how many bands, from the lowest on, lie below the microphone's own low-pass.

    Above it there is nothing but its own noise, which no cover attenuates.
    """
    level = baseline.typical.max(0)
    above = np.maximum.accumulate(level[::-1])[::-1]  # highest from each band on
    flatness = above - np.minimum.accumulate(level[::-1])[::-1]
    for first in range(2 * _HALF_OCTAVE, len(level) - _MIN_FLAT):
        below = float(np.median(level[first - 2 * _HALF_OCTAVE : first - _HALF_OCTAVE]))
        if below - above[first] >= CUT_OFF_DB and flatness[first] <= CUT_OFF_FLATNESS_DB:
            kept = np.flatnonzero(level[:first] >= below - _CUT_OFF_EDGE_DB)
            return int(kept[-1]) + 1
    return len(level)


def _at_share(values: Spectrum, share: float) -> Spectrum:
    """Return the value (k,) below which this share of each row of (k, b) lies."""
    at = int(share * (values.shape[1] - 1))
    return np.asarray(np.partition(values, at, axis=1)[:, at])


def _roughness(change: Spectrum) -> float:
    """Return the root mean square of what adjacent bands (b,) differ by, as of white noise."""
    return float(np.sqrt(np.mean(np.diff(change) ** 2) / 2.0))


def _smoothed(change: Spectrum) -> Floats:
    padded = np.pad(change, _SMOOTHING // 2, mode="edge")
    return np.convolve(padded, np.full(_SMOOTHING, 1.0 / _SMOOTHING), "valid")


def _harmonics(mains_hz: float, lines_hz: Floats) -> list[tuple[int, int]]:
    """Return the number of each harmonic of the mains, and the line that is nearest to it."""
    highest = int(lines_hz[-1] // mains_hz)
    return [
        (number, int(np.abs(lines_hz - number * mains_hz).argmin()))
        for number in range(1, highest + 1)
        if number * mains_hz >= lines_hz[0]
    ]
