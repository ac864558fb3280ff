"""Findings of a training that limit how far its model can be relied on.

`reports.notices` words them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from asd_monitor.alarm.supported_budget import CommissioningExtent, EffectiveBudget
from asd_monitor.audio.files.levels import LevelDefect, level_defects
from asd_monitor.detector.idle import idle_region
from asd_monitor.microphone.baseline import MicrophoneBaseline
from asd_monitor.microphone.spectral_change import SpectralComparison
from asd_monitor.model_training.adaptation_result import Adaptation
from asd_monitor.model_training.held_out_trial import USUAL_SHARE, HeldOutTrial
from asd_monitor.model_training.level_trend import LevelTrend, find_level_trend
from asd_monitor.model_training.outliers import Outlier
from asd_monitor.model_training.reference import Reference
from asd_monitor.model_training.sound_change import SoundChange, find_sound_change
from asd_monitor.model_training.sound_files import SoundFile

RECOMMENDED_S = 600.0
"""Less usable sound is a finding."""
MAX_SHARE_RATIO = 5.0
"""More held-out windows above the usual evidence, by this factor, are a finding…"""
MIN_WINDOWS_ABOVE = 10
"""…if they are at least this many."""


@dataclass(frozen=True, slots=True)
class EncoderNotAdapted:
    """The adapted encoder is no better than the frozen one, which is kept."""

    adaptation: Adaptation


@dataclass(frozen=True, slots=True)
class ShortReference:
    """Less usable sound than `RECOMMENDED_S`."""

    usable_s: float


@dataclass(frozen=True, slots=True)
class LevelFinding:
    """A recording whose level makes it unsuitable."""

    file: SoundFile
    defect: str  # what it is, and the remedy: see `level_defects`


@dataclass(frozen=True, slots=True)
class ChangedSound:
    """A part of the recordings in which the machine sounds different from the rest."""

    change: SoundChange


@dataclass(frozen=True, slots=True)
class DriftingLevel:
    """The level of the machine rises or falls throughout the recordings."""

    trend: LevelTrend


@dataclass(frozen=True, slots=True)
class NoPause:
    """The recordings do not show how the machine sounds when it is off."""


@dataclass(frozen=True, slots=True)
class CoverNotRecognised:
    """The microphone captures too few frequencies for a cover to be recognised."""

    cut_off_hz: float | None  # of its own low-pass; None: the sampling rate is too low


@dataclass(frozen=True, slots=True)
class NothingHeldOut:
    """Too little sound for a held-out trial."""


@dataclass(frozen=True, slots=True)
class HeldOutAlarms:
    """Alarms on the held-out part."""

    alarms: int
    seconds: float


@dataclass(frozen=True, slots=True)
class HeldOutExcess:
    """Far more held-out windows above the usual evidence than expected, without an alarm."""

    share: float
    expected: float


@dataclass(frozen=True, slots=True)
class ProvisionalBudget:
    """The training sound does not support the configured budget."""

    budget: EffectiveBudget
    configured: str  # ``1 per month``
    commissioning: CommissioningExtent


@dataclass(frozen=True, slots=True)
class UnusualSound:
    """Outliers among the training windows."""

    outliers: tuple[Outlier, ...]


Finding = (
    EncoderNotAdapted
    | ShortReference
    | LevelFinding
    | ChangedSound
    | DriftingLevel
    | NoPause
    | CoverNotRecognised
    | NothingHeldOut
    | HeldOutAlarms
    | HeldOutExcess
    | ProvisionalBudget
    | UnusualSound
)


def assess_reference(reference: Reference) -> tuple[Finding, ...]:
    """Return the findings on the recordings alone, before a detector is fitted to them."""
    return tuple(_reference_findings(reference))


def _reference_findings(reference: Reference) -> Iterator[Finding]:
    if reference.usable_s < RECOMMENDED_S:
        yield ShortReference(reference.usable_s)
    yield from _level_findings(reference)
    change, trend = find_sound_change(reference), find_level_trend(reference)
    if change is not None and not (trend is not None and trend.contains(change)):
        yield ChangedSound(change)
    if trend is not None:
        yield DriftingLevel(trend)
    levels = [window.rms_dbfs for window in reference.windows]
    if levels and idle_region(levels) is None:
        yield NoPause()


def _level_findings(reference: Reference) -> Iterator[Finding]:
    has_louder = any(not each.summary.is_quiet for each in reference.levels)
    for each in reference.levels:
        for defect, text in level_defects(each.summary).items():
            # beside louder recordings, a quiet one is a pause of the machine
            if defect is not LevelDefect.QUIET or not has_louder:
                yield LevelFinding(each.file, text)


def assess(
    reference: Reference,
    trial: HeldOutTrial | None,
    provisional: ProvisionalBudget | None,
    outliers: Sequence[Outlier],
    adaptation: Adaptation | None,
    *,
    microphone: MicrophoneBaseline | None = None,
) -> tuple[Finding, ...]:
    """Return the findings of a training."""
    found = _findings(reference, trial, provisional, outliers, adaptation)
    return (*found, *_microphone_findings(microphone))


def _findings(
    reference: Reference,
    trial: HeldOutTrial | None,
    provisional: ProvisionalBudget | None,
    outliers: Sequence[Outlier],
    adaptation: Adaptation | None,
) -> Iterator[Finding]:
    if adaptation is not None and not adaptation.kept:
        yield EncoderNotAdapted(adaptation)
    yield from _reference_findings(reference)
    if trial is None:
        yield NothingHeldOut()
    else:
        yield from _held_out_findings(trial)
    if provisional is not None:
        yield provisional
    if outliers:
        yield UnusualSound(tuple(outliers))


def _microphone_findings(microphone: MicrophoneBaseline | None) -> Iterator[Finding]:
    if microphone is None:
        return
    comparison = SpectralComparison(microphone)
    if not comparison.recognises_covers:
        yield CoverNotRecognised(comparison.cut_off_hz)


def _held_out_findings(trial: HeldOutTrial) -> Iterator[Finding]:
    if trial.alarms:
        yield HeldOutAlarms(trial.alarms, trial.seconds)
        return
    share, expected = trial.share_above_usual, 1.0 - USUAL_SHARE
    excessive = share > MAX_SHARE_RATIO * expected
    if excessive and share * len(trial.running) >= MIN_WINDOWS_ABOVE:
        yield HeldOutExcess(share, expected)
