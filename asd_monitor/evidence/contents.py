"""What is in the package of an alarm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from asd_monitor.alarm.alarm_score import ScoreLevel
from asd_monitor.alarm.block_means import BlockMean
from asd_monitor.evidence.marks import Mark
from asd_monitor.evidence.pictures import Picture
from asd_monitor.evidence.score_history import ScoreTrace
from asd_monitor.evidence.sound_span import LOWPASS_RATE_HZ, KeptSound, SoundContent
from asd_monitor.explanation.sound_analysis import SoundAnalysis
from asd_monitor.explanation.sound_profile import SoundProfile
from asd_monitor.records import MicrophoneState, Thresholds
from asd_monitor.wording import rfc3339

SCHEMA = "asd.evidence/1"
SIDECAR, SOUND, PAGE = "alarm.json", "sound.flac", "index.html"
IMAGE = "spectrogram.png"
EARLIER_SOUND = "earlier.flac"
"""Sound of commissioning from the span of a mean over minutes or longer."""
_LEAST_MEANS_S = 3600.0


@dataclass(frozen=True, slots=True, eq=False)
class AlarmFacts:
    """What is known of an alarm when it is raised."""

    id: str
    machine: str
    box: str
    raised: datetime
    raised_sample: int
    onset_sample: int
    """Begin of the on-delay."""
    reason: str
    """Sentence and rule, as published."""
    alarm_score: float | None
    time_scale_s: float | None
    views: Mapping[str, float]
    """Deviations of all views in the window that raised it."""
    thresholds: Thresholds
    model: str | None
    provisional: bool
    budget: str
    budget_note: str | None
    """What the budget of a provisional model is."""
    microphone: MicrophoneState
    microphone_reason: str | None
    lost_samples: int
    is_quiet: bool = False
    """Whether sound far quieter than ever in training has raised it, which is its reason."""

    @property
    def rule(self) -> str:
        """The rule, the last part of the reason."""
        return self.reason.rpartition(" (")[2].removesuffix(")")

    @property
    def published_sentence(self) -> str:
        """What differs, as published; the rule where that was not determined."""
        sentence = self.reason.rpartition(" (")[0] or self.reason
        return f"{sentence[0].upper()}{sentence[1:]}."

    @property
    def is_slow(self) -> bool:
        """Whether a mean over more than ten seconds has raised it."""
        return self.time_scale_s is not None and self.time_scale_s > 10.0


@dataclass(frozen=True, slots=True, eq=False)
class ScoresAround:
    """The scores around an alarm, up to the end of its sound."""

    trace: ScoreTrace
    block_means: Sequence[BlockMean]
    """Of the evidence, over a day at most."""
    levels: Sequence[ScoreLevel]
    """Of the evidence at the longer time scales, with the means at the thresholds."""


@dataclass(frozen=True, slots=True, eq=False)
class NormalSound:
    """Normal sound of the machine beside that of the alarm."""

    picture: Picture
    source: str
    """Where it is from, as a caption."""


@dataclass(frozen=True, slots=True, eq=False)
class PackageContent:
    """An alarm with its evidence."""

    facts: AlarmFacts
    scores: ScoresAround
    sound: KeptSound | None
    """As captured; None: it was not there any more, or there was no room to keep it."""
    content: SoundContent
    """What of the sound is stored."""
    begin: datetime
    """Time of the first sample of the sound; of the alarm where there is none."""
    sentence: str
    """What differs, by all of the sound."""
    picture: Picture | None = None
    normal: NormalSound | None = None
    marks: tuple[Mark, ...] = ()
    analysis: SoundAnalysis | None = None
    """Of the ten seconds since the change, or before the alarm."""
    profile: SoundProfile | None = None
    earlier_sound: bytes | None = field(default=None, repr=False)
    earlier_begin: datetime | None = None
    notes: tuple[str, ...] = ()
    """What is missing, and why: one sentence each."""

    @property
    def stores_sound(self) -> bool:
        """Whether the package has the sound of the alarm."""
        return self.sound is not None and self.content is not SoundContent.NONE

    def at_s(self, sample: int) -> float:
        """Return the time of a sample index after the first sample of the sound, in s."""
        return 0.0 if self.sound is None else self.sound.at_s(sample)

    def time_of(self, sample: int) -> datetime:
        """Return the wall-clock time of a sample index."""
        if self.sound is None:
            return self.begin
        return self.begin + timedelta(seconds=self.sound.at_s(sample))


def document_of(content: PackageContent, samples: int, files: Mapping[str, str]) -> dict[str, Any]:
    """Return the sidecar of a package, without its own hash.

    Args:
        content: what is in it.
        samples: of its sound, as stored.
        files: SHA-256 of each other file, by name.

    """
    facts, scores = content.facts, content.scores
    return {
        "schema": SCHEMA,
        "alarm": {
            "id": facts.id,
            "machine": facts.machine,
            "box": facts.box,
            "severity": "alarm",
            "raised": rfc3339(facts.raised),
            "raised_sample": facts.raised_sample,
            "onset": rfc3339(content.time_of(facts.onset_sample)),
            "onset_sample": facts.onset_sample,
            "sentence": content.sentence,
            "reason": facts.reason,
            "alarm_score": _number(facts.alarm_score),
            "time_scale_s": facts.time_scale_s,
            "views": {name: _number(value) for name, value in facts.views.items()},
            "model": facts.model,
            "provisional": facts.provisional,
            "budget": facts.budget,
            "budget_note": facts.budget_note,
        },
        "sound": _sound(content, samples) if content.stores_sound else None,
        "findings": [_finding(mark) for mark in content.marks],
        "thresholds": asdict(facts.thresholds),
        "time_scales": [
            {
                "time_scale_s": level.time_scale_s,
                "mean": _number(level.mean),
                "warning": _number(level.warning),
                "alarm": _number(level.alarm),
            }
            for level in scores.levels
        ],
        "scores": _trace(scores.trace),
        "block_means": _block_means(content),
        "microphone": {"state": facts.microphone, "reason": facts.microphone_reason},
        "lost_samples": facts.lost_samples,
        "notes": list(content.notes),
        "files": dict(files),
    }


def _block_means(content: PackageContent) -> dict[str, Any]:
    """Return the means of the last hour, or of the time scale that has raised the alarm."""
    facts, sound, means = content.facts, content.sound, content.scores.block_means
    if sound is not None:
        seconds = max(_LEAST_MEANS_S, 2.0 * (facts.time_scale_s or 0.0))
        first = facts.raised_sample - round(seconds * sound.rate_hz)
        means = [block for block in means if block.begin >= first]
    return {
        "begin_sample": [block.begin for block in means],
        "mean": [_number(block.mean) for block in means],
    }


def _sound(content: PackageContent, samples: int) -> dict[str, Any]:
    sound = content.sound
    if sound is None:
        raise ValueError("no sound is stored")
    is_lowpass = content.content is SoundContent.LOWPASS
    return {
        "file": SOUND,
        "content": str(content.content),
        "rate_hz": LOWPASS_RATE_HZ if is_lowpass else sound.rate_hz,
        "begin": rfc3339(content.begin),
        "samples": samples,
        "seconds": round(sound.seconds, 3),
        "first_sample": sound.first,
        "capture_rate_hz": sound.rate_hz,
        "gaps": [
            {
                "from_s": round(sound.at_s(gap.first), 4),
                "seconds": round((gap.past - gap.first) / sound.rate_hz, 4),
            }
            for gap in sound.gaps
        ],
    }


def _finding(mark: Mark) -> dict[str, Any]:
    finding = mark.finding
    return {
        "kind": str(finding.kind),
        "text": mark.text,
        "strength": _number(finding.strength),
        "from_hz": _number(finding.from_hz),
        "to_hz": _number(finding.to_hz),
        "from_s": round(mark.from_s, 3),
        "to_s": round(mark.to_s, 3),
        "located": mark.is_located,
        "change_db": _number(finding.change_db),
        "rate_hz": _number(finding.rate_hz),
        "harmonics": finding.harmonics,
        "sideband_hz": _number(finding.sideband_hz),
        "change_percent": _number(finding.change_percent),
        "new": finding.new,
        "impacts_s": [round(at, 3) for at in mark.impacts_s],
    }


def _trace(trace: ScoreTrace) -> dict[str, Any]:
    return {
        "sample": trace.ends.tolist(),
        "score": _numbers(trace.scores),
        "alarm_score": _numbers(trace.alarm_scores),
        "by_time_scale_s": {
            f"{scale_s:g}": _numbers(trace.by_scale[:, at])
            for at, scale_s in enumerate(trace.scales_s)
        },
    }


def _numbers(values: Any) -> list[float | None]:
    return [_number(value) for value in values.tolist()]


def _number(value: float | None) -> float | None:
    """Return a number with four decimals; None for none, or one that is not finite."""
    return None if value is None or not np.isfinite(value) else round(float(value), 4)
