"""The reason of an alarm: sound and profile → one sentence and the findings behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from asd_monitor.detector.views import VIEW_KINDS
from asd_monitor.explanation.comparison import Comparison
from asd_monitor.explanation.findings import Finding, FindingKind
from asd_monitor.explanation.impacts import impact_findings
from asd_monitor.explanation.level_changes import gap_finding, level_findings
from asd_monitor.explanation.level_step import step_time_s
from asd_monitor.explanation.rhythm import rhythm_finding
from asd_monitor.explanation.sentence import band_text, joined, sentence_of
from asd_monitor.explanation.sound_analysis import analyse, conditioned
from asd_monitor.explanation.sound_profile import SoundProfile
from asd_monitor.explanation.speed_change import speed_finding, speed_ratio
from asd_monitor.explanation.tones import missing_tone, tone_findings
from asd_monitor.records import MachineGeometry, Samples

MAX_SOUND_S = 10.0
"""Of longer sound the end is explained."""
_NAMED_VIEWS = 2
_STRONGER = 1.3
_MUCH = 4.0


@dataclass(frozen=True, slots=True)
class Explanation:
    """What differs from the training sound, as a sentence and as data."""

    sentence: str
    findings: tuple[Finding, ...]  # the most telling first; the sentence has the first three
    views: tuple[str, ...]  # names of the views that deviate, the most deviating first


def explain(
    profile: SoundProfile | None,
    sound: Samples,
    rate_hz: int,
    views: Mapping[str, float],
    *,
    time_scale_s: float | None = None,
    geometry: MachineGeometry | None = None,
) -> Explanation:
    """Return the reason of an alarm.

    Args:
        profile: of the training sound; None: the model has none, and the views are the reason.
        sound: (n,) float32 before the alarm, as captured; the last `MAX_SOUND_S` are used,
            and of these what follows an abrupt change of the level, where that is long enough.
        rate_hz: its rate.
        views: deviations by view (`WindowScore.views`).
        time_scale_s: the time scale whose evidence raised the alarm.
        geometry: speed of the shaft and bearing of the machine; None: not known.

    """
    ranked = ranked_views(views)
    if profile is None or len(sound) == 0:
        return Explanation(joined([_views_text(ranked)], time_scale_s), (), ranked)
    last = sound[-round(MAX_SOUND_S * rate_hz) :]
    samples = conditioned(last, rate_hz, profile.rate_hz)
    comparison, begin_s = _compared(samples, profile)
    findings = tuple(
        replace(each, times_s=tuple(at + begin_s for at in each.times_s))
        for each in ranked_findings(comparison)
    )
    if findings:
        return Explanation(sentence_of(findings, time_scale_s, geometry), findings, ranked)
    place = _largest_difference(comparison)
    text = f"{_views_text(ranked)}, most {band_text(place.from_hz, place.to_hz)}"
    return Explanation(joined([text], time_scale_s), (place,), ranked)


def _compared(samples: Samples, profile: SoundProfile) -> tuple[Comparison, float]:
    """Return the sound since an abrupt change of its level, or all of it, and its begin in s."""
    whole = Comparison(analyse(samples, profile.rate_hz), profile)
    begin_s = step_time_s(whole)
    if begin_s is None:
        return whole, 0.0
    after = samples[round(begin_s * profile.rate_hz) :]
    return Comparison(analyse(after, profile.rate_hz), profile), begin_s


def ranked_views(views: Mapping[str, float]) -> tuple[str, ...]:
    """Return the views that deviate, the most deviating first."""
    deviating = [name for name, value in views.items() if np.isfinite(value) and value > 0.0]
    return tuple(sorted(deviating, key=lambda name: -views[name]))


def ranked_findings(comparison: Comparison) -> tuple[Finding, ...]:
    """Return all findings, the most telling first; those that another one explains are left out."""
    found_ratio = speed_ratio(comparison)
    speed = speed_finding(comparison, found_ratio)
    ratio = found_ratio.ratio if speed or abs(found_ratio.ratio - 1.0) < 0.01 else 1.0
    candidates: list[Finding | None] = [
        speed,
        *tone_findings(comparison, ratio),
        missing_tone(comparison, ratio),
        *impact_findings(comparison, ratio),
        *level_findings(comparison),
        gap_finding(comparison),
        rhythm_finding(comparison),
    ]
    ordered = sorted((each for each in candidates if each), key=lambda each: -each.strength)
    return tuple(
        each
        for each in ordered
        if not any(_explains(other, each) for other in ordered if other is not each)
    )


def _explains(other: Finding, finding: Finding) -> bool:
    """Return whether a finding follows from another one, which is not much weaker."""
    if other.strength * _MUCH < finding.strength:
        return False
    overlap = min(other.to_hz, finding.to_hz) - max(other.from_hz, finding.from_hz)
    inside = overlap >= 0.4 * (finding.to_hz - finding.from_hz)
    impacts = (FindingKind.IMPACTS, FindingKind.IRREGULAR_IMPACTS)
    if other.kind in impacts and finding.kind is FindingKind.LOUD_BAND:
        return inside
    if other.kind in impacts and finding.kind in (FindingKind.TONE, FindingKind.MISSING_TONE):
        return inside and other.strength > _STRONGER * finding.strength
    if other.kind is FindingKind.TONE and finding.kind in (*impacts, FindingKind.MODULATION):
        within = finding.from_hz <= other.place_hz <= finding.to_hz
        return within and _STRONGER * other.strength >= finding.strength
    if other.kind is FindingKind.SPEED:
        return finding.kind in (
            FindingKind.TONE,
            FindingKind.MISSING_TONE,
            FindingKind.MODULATION,
            FindingKind.RHYTHM,
        )
    return False


def _largest_difference(comparison: Comparison) -> Finding:
    """Return the third-octave band that differs most from its range in training."""
    now, training = comparison.sound.thirds, comparison.training("thirds")
    spread = np.maximum((training.high - training.low) / 2.0, 0.5)
    deviation = np.abs(now - training.usual) / spread
    at = int(deviation.argmax())
    low_hz, high_hz = comparison.layout.thirds_hz[at]
    return Finding(
        FindingKind.UNSPECIFIC,
        strength=0.0,
        from_hz=low_hz,
        to_hz=high_hz,
        change_db=float(now[at] - training.usual[at]),
    )


def _views_text(ranked: tuple[str, ...]) -> str:
    descriptions = {kind.name: kind.description for kind in VIEW_KINDS}
    if not ranked:
        return "sound without a precedent in the training sound"
    named = [
        descriptions.get(name, f"shapes without a precedent in training (view {name})")
        for name in ranked[:_NAMED_VIEWS]
    ]
    return "; ".join(named)
