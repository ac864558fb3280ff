"""The checks of a self-test: what was measured → passed, failed or not possible."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from asd_monitor.detector.detector import Detector
from asd_monitor.dsp.mel import mel_centres_hz
from asd_monitor.self_test.baseline import SelfTestBaseline, Spectra
from asd_monitor.self_test.detected_levels import DetectedLevels, highest_level_db
from asd_monitor.self_test.live_trial import OFF, LiveTrial
from asd_monitor.self_test.recent_scores import RecentScores

MAX_WORSE_DB = 6.0
"""A fault whose level at detection has risen by more is detected clearly worse."""
MAX_SPECTRUM_DB = 10.0
"""More than a machine's operating points differ by: `asd_monitor.detector.idle.MARGIN_BELOW_DB`."""
BAND_GROUPS = 8
"""Groups of adjacent bands in which the spectra are compared."""
ATTENUATED_GROUPS = 2
"""So many groups from the highest down show a cover, and not a tone that has ceased."""
STALLED_S = 30.0
"""Captured sound without a window; the longest window lasts 10 s."""
FAR_OFF_SHARE = 0.9
"""Share of the windows with a score above `recent_scores.FAR_OFF` at which a model does not fit."""
FAR_OFF_S = 7200.0
"""Sound of which that is the share."""
_POWER_DB = 10.0  # dB in a unit of log10 of power


class Result(StrEnum):
    """Result of a check; a value on MQTT."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_POSSIBLE = "not_possible"


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check."""

    result: Result
    reason: str | None = None  # one sentence; None: nothing to explain
    remedy: str | None = None  # None: it has passed, or nothing can be done
    numbers: Mapping[str, float | None] = field(default_factory=dict)  # units in the names


def not_possible(reason: str) -> Check:
    """Return the result of a check that was not made."""
    return Check(Result.NOT_POSSIBLE, reason)


def overall(checks: Mapping[str, Check]) -> Result:
    """Return the result of several checks: failed before not possible before passed."""
    results = {check.result for check in checks.values()}
    for result in (Result.FAILED, Result.NOT_POSSIBLE):
        if result in results:
            return result
    return Result.PASSED


def check_sensitivity(trial: LiveTrial, known: DetectedLevels | None) -> Check:
    """Compare the levels of the faults that are detected with those at training.

    Args:
        trial: the trial of the live sound.
        known: the levels at training, or at the first self-test of a model that has none.

    """
    if trial.levels is None:
        return not_possible(trial.not_measured or "not measured")
    numbers: dict[str, float | None] = {}
    worse = []
    for kind, level_db in trial.levels.by_kind.items():
        numbers[f"{kind}_db"] = level_db
        known_db = None if known is None else known.by_kind[kind]
        numbers[f"{kind}_training_db"] = known_db
        if known_db is None:
            continue
        if level_db is None:
            highest_db = highest_level_db(kind, known)
            worse.append(f"{kind}: not at {highest_db:.1f} dB, at training at {known_db:.1f} dB")
        elif level_db - known_db > MAX_WORSE_DB:
            worse.append(f"{kind}: at {level_db:.1f} dB, at training at {known_db:.1f} dB")
    if not worse:
        return Check(Result.PASSED, numbers=numbers)
    return Check(
        Result.FAILED,
        f"known faults are detected worse than at training ({'; '.join(worse)})",
        "compare the sound with that of the training: if machine and microphone are in order, "
        "record the machine and train it again",
        numbers,
    )


def check_microphone(trial: LiveTrial, detector: Detector, baseline: SelfTestBaseline) -> Check:
    """Compare spectrum and level of the captured sound with those of the training."""
    if trial.off:
        return not_possible(OFF)
    loudest_dbfs = float(np.max(detector.evidence_calibration.loudest_dbfs))
    numbers: dict[str, float | None] = {
        "level_dbfs": trial.level_dbfs,
        "quietest_training_dbfs": detector.quietest_dbfs,
        "loudest_training_dbfs": loudest_dbfs,
    }
    remedy = (
        "look at the microphone: is it covered, moved, or its gain changed? then at the machine"
    )
    reason = None
    if baseline.spectra is not None and baseline.spectra.shape[1] == len(trial.spectrum):
        change = _changes_db(trial.spectrum, baseline.spectra)
        numbers["spectrum_change_db"] = float(change.median_db)
        numbers["high_frequencies_db"] = float(change.groups_db[-ATTENUATED_GROUPS:].max())
        reason = _spectrum_reason(change, detector)
    if trial.level_dbfs < detector.quiet_limit_dbfs:
        reason = (
            f"the level of {trial.level_dbfs:.0f} dBFS is far below that of the training "
            f"({detector.quietest_dbfs:.0f} dBFS at least)"
        )
    elif trial.level_dbfs > loudest_dbfs + MAX_SPECTRUM_DB:
        reason = (
            f"the level of {trial.level_dbfs:.0f} dBFS is far above that of the training "
            f"({loudest_dbfs:.0f} dBFS at most)"
        )
    if reason is not None:
        return Check(Result.FAILED, reason, remedy, numbers)
    return Check(Result.PASSED, numbers=numbers)


def check_scoring(stalled_s: float) -> Check:
    """Check that windows are scored while sound is captured.

    Args:
        stalled_s: sound that was captured since the newest window, in s.

    """
    numbers = {"unscored_s": stalled_s}
    if stalled_s < STALLED_S:
        return Check(Result.PASSED, numbers=numbers)
    return Check(
        Result.FAILED,
        f"{stalled_s:.0f} s of sound were captured and no window of it was scored",
        "restart the daemon; if it happens again, report it with the log",
        numbers,
    )


def check_model(machine: str, owner: str, recent: RecentScores) -> Check:
    """Check that the model in use is one of this machine, by its id and by its scores.

    Args:
        machine: id of the machine.
        owner: id of the machine in the model.
        recent: the scores of the last hours.

    """
    share, seconds = recent.far_off_share, recent.seconds
    numbers = {"far_off_share": share, "observed_s": seconds}
    remedy = (
        f"check that microphone and model are those of {machine}, then inspect the machine; if it "
        "is in order, record it and train it again"
    )
    if owner != machine:
        return Check(Result.FAILED, f"the model is one of {owner}", remedy, numbers)
    if share is None or share < FAR_OFF_SHARE:
        return Check(Result.PASSED, numbers=numbers)
    reason = f"{share:.0%} of the windows of the last {seconds / 3600:.1f} h are far from normal"
    if seconds < FAR_OFF_S:
        return Check(
            Result.NOT_POSSIBLE, f"{reason}: it is not known yet whether that lasts", None, numbers
        )
    return Check(Result.FAILED, f"{reason}: the model does not fit this sound", remedy, numbers)


@dataclass(frozen=True, slots=True, eq=False)
class _Change:
    groups_db: Spectra  # (`BAND_GROUPS`,), medians, from the lowest frequencies up
    first_bands: list[int]  # of each group

    @property
    def median_db(self) -> float:
        return float(np.median(self.groups_db))


def _changes_db(spectrum: Spectra, training: Spectra) -> _Change:
    """Return the change of a spectrum (b,) from the nearest of the training (k, b)."""
    changes = _POWER_DB * (spectrum - training)
    nearest = changes[np.abs(changes).mean(1).argmin()]
    groups = np.array_split(nearest, BAND_GROUPS)
    firsts = np.cumsum([0, *(len(group) for group in groups[:-1])])
    medians = np.array([np.median(group) for group in groups], np.float32)
    return _Change(medians, firsts.tolist())


def _spectrum_reason(change: _Change, detector: Detector) -> str | None:
    groups_db = change.groups_db
    if (np.abs(groups_db) >= MAX_SPECTRUM_DB).all() and len(set(np.sign(groups_db))) == 1:
        return f"the sound has changed by {change.median_db:+.0f} dB at all frequencies"
    attenuated = 0  # groups, from the highest down
    while groups_db[-1 - attenuated] <= -MAX_SPECTRUM_DB:
        attenuated += 1
    if attenuated < ATTENUATED_GROUPS:
        return None
    front_end = detector.front_end
    centres_hz = mel_centres_hz(front_end.rate_hz, front_end.mel_bands)
    edge_khz = centres_hz[change.first_bands[-attenuated]] / 1000
    loss_db = -float(np.median(groups_db[-attenuated:]))
    return f"the sound above {edge_khz:.1f} kHz is {loss_db:.0f} dB lower than in training"
