"""The checks of a self-test: what was measured → passed, failed or not possible."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from asd_monitor.detector.detector import Detector
from asd_monitor.microphone.baseline import MicrophoneBaseline
from asd_monitor.microphone.findings import Finding, MicrophoneCondition
from asd_monitor.microphone.recent_spectra import Spectrum
from asd_monitor.microphone.spectral_change import SpectralComparison
from asd_monitor.self_test.detected_levels import DetectedLevels, highest_level_db
from asd_monitor.self_test.live_trial import OFF, LiveTrial
from asd_monitor.self_test.obstacle import Obstacle
from asd_monitor.self_test.recent_scores import RecentScores

MAX_WORSE_DB = 6.0
"""A fault whose level at detection has risen by more is detected clearly worse."""
LOUDER_DB = 10.0
"""More than a machine's operating points differ by: `asd_monitor.detector.idle.MARGIN_BELOW_DB`."""
HIGHEST_PART = 4
"""The high frequencies are this part of the bands: a quarter."""
STALLED_S = 30.0
"""Captured sound without a window; the longest window lasts 10 s."""
FAR_OFF_SHARE = 0.9
"""Share of the windows with a score above `recent_scores.FAR_OFF` at which a model does not fit."""
FAR_OFF_S = 7200.0
"""Sound of which that is the share."""
_LOOK_AT_MICROPHONE = (
    "look at the microphone: is it covered, moved, muted, or its gain changed? then at the machine"
)


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
    remedy: str | None = None  # None: it has passed
    numbers: Mapping[str, float | None] = field(default_factory=dict)  # units in the names


def not_possible(obstacle: Obstacle) -> Check:
    """Return the result of a check that was not made."""
    return Check(Result.NOT_POSSIBLE, obstacle.reason, obstacle.remedy)


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
    if trial.not_measured is not None:
        return not_possible(trial.not_measured)
    if trial.levels is None:
        raise ValueError("a trial has levels, or an obstacle")
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


def check_microphone(trial: LiveTrial, detector: Detector, condition: MicrophoneCondition) -> Check:
    """Compare spectrum and level of the captured sound with those of the training.

    The spectrum is judged by the rules of the recognition (`asd_monitor.microphone`): what that
    cannot confirm, or what began before the daemon, is found as well.

    Args:
        trial: the trial of the live sound.
        detector: the detector in use.
        condition: the condition of the microphone by the sound since the daemon started.

    """
    loudest_dbfs = float(np.max(detector.evidence_calibration.loudest_dbfs))
    numbers: dict[str, float | None] = {
        "level_dbfs": trial.level_dbfs,
        "quietest_training_dbfs": detector.quietest_dbfs,
        "loudest_training_dbfs": loudest_dbfs,
    }
    if detector.microphone is not None:
        numbers |= _spectrum_numbers(trial.bands.median, detector.microphone.typical)
    reason = condition.reason
    if reason is None and trial.off:
        return not_possible(OFF)
    if reason is None and detector.microphone is not None:
        found = _spectral_finding(trial, detector.microphone)
        reason = None if found is None else found.text
    if reason is None and trial.level_dbfs < detector.quiet_limit_dbfs:
        reason = (
            f"the level of {trial.level_dbfs:.0f} dBFS is far below that of the training "
            f"({detector.quietest_dbfs:.0f} dBFS at least)"
        )
    elif reason is None and trial.level_dbfs > loudest_dbfs + LOUDER_DB:
        reason = (
            f"the level of {trial.level_dbfs:.0f} dBFS is far above that of the training "
            f"({loudest_dbfs:.0f} dBFS at most)"
        )
    if reason is not None:
        return Check(Result.FAILED, reason, _LOOK_AT_MICROPHONE, numbers)
    if detector.microphone is None:
        why = "the spectrum was not compared: the model was trained by an earlier version"
        return Check(Result.PASSED, why, numbers=numbers)
    return Check(Result.PASSED, numbers=numbers)


def checks_in_fault(fault: MicrophoneCondition) -> dict[str, Check]:
    """Return the results while the microphone has a fault, in which no window is evaluated."""
    obstacle = Obstacle("the microphone has a fault", _LOOK_AT_MICROPHONE)
    others = {name: not_possible(obstacle) for name in ("sensitivity", "scoring", "model")}
    return others | {"microphone": Check(Result.FAILED, fault.reason, _LOOK_AT_MICROPHONE)}


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
            Result.NOT_POSSIBLE,
            f"{reason}: it is not known yet whether that lasts",
            remedy,
            numbers,
        )
    return Check(Result.FAILED, f"{reason}: the model does not fit this sound", remedy, numbers)


def _spectral_finding(trial: LiveTrial, baseline: MicrophoneBaseline) -> Finding | None:
    """Return the change of the spectrum that a microphone explains; None: there is none."""
    comparison = SpectralComparison(baseline)
    lines = trial.lines[: baseline.lines.shape[1]]
    return (
        comparison.hum(trial.bands, lines)
        or comparison.covered(trial.bands)
        or comparison.level(trial.bands)
    )


def _spectrum_numbers(median: Spectrum, typical: Spectrum) -> dict[str, float | None]:
    """Return the change of medians (b,), in dB, from the nearest mode of (k, b) dB."""
    changes = median - typical
    nearest = changes[np.abs(changes).mean(1).argmin()]
    highest = nearest[-(len(nearest) // HIGHEST_PART) :]
    return {
        "spectrum_change_db": float(np.median(nearest)),
        "high_frequencies_db": float(np.median(highest)),
    }
