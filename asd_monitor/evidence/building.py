"""What was captured of an alarm → the content of its package.  Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from asd_monitor.evidence.contents import AlarmFacts, NormalSound, PackageContent, ScoresAround
from asd_monitor.evidence.marks import Mark, marks_of
from asd_monitor.evidence.pictures import Picture, picture_of
from asd_monitor.evidence.sound_span import KeptSound, SoundContent
from asd_monitor.explanation.explain import MAX_SOUND_S
from asd_monitor.explanation.sound_analysis import SoundAnalysis, analyse, conditioned
from asd_monitor.explanation.sound_profile import SoundProfile

DEFAULT_RATE_HZ = 16_000
"""Of the pictures of a machine without a model."""


@dataclass(frozen=True, slots=True, eq=False)
class CapturedAlarm:
    """An alarm, and what was captured around it."""

    facts: AlarmFacts
    scores: ScoresAround
    sound: KeptSound | None
    content: SoundContent
    begin: datetime
    """Time of the first sample of the sound; of the alarm where there is none."""
    rate_hz: int = DEFAULT_RATE_HZ
    """Of the model: what is analysed and drawn has this rate."""
    profile: SoundProfile | None = None
    notes: tuple[str, ...] = ()

    @property
    def is_coarse(self) -> bool:
        """Whether pictures have long steps, in which speech is not intelligible."""
        return self.content is not SoundContent.FULL


def alarm_picture(captured: CapturedAlarm) -> Picture | None:
    """Return the picture of the sound of an alarm; None: it has none."""
    sound = captured.sound
    if sound is None:
        return None
    samples = conditioned(sound.samples, sound.rate_hz, captured.rate_hz)
    return picture_of(samples, captured.rate_hz, coarse=captured.is_coarse)


def content_of(
    captured: CapturedAlarm,
    picture: Picture | None,
    *,
    normal: NormalSound | None = None,
    earlier: tuple[datetime, bytes] | None = None,
) -> PackageContent:
    """Return the content of a package.

    Args:
        captured: the alarm.
        picture: of its sound.
        normal: normal sound of the machine; None: there is none.
        earlier: sound of commissioning in the span of a mean: its time, and its file.

    """
    facts, sound, profile = captured.facts, captured.sound, captured.profile
    marks: tuple[Mark, ...] = ()
    if sound is not None and profile is not None:
        marks = marks_of(facts.findings, sound, profile.rate_hz, facts.raised_sample)
    notes = list(captured.notes)
    if facts.is_slow and earlier is None:
        notes.append(
            "A mean over a longer time has raised this alarm. The sound of that time was not kept:"
            " what you see and hear is the newest."
        )
    return PackageContent(
        facts=facts,
        scores=captured.scores,
        sound=sound,
        content=captured.content,
        begin=captured.begin,
        picture=picture,
        normal=normal,
        marks=marks,
        analysis=_analysis(captured),
        profile=profile,
        earlier_begin=None if earlier is None else earlier[0],
        earlier_sound=None if earlier is None else earlier[1],
        notes=tuple(notes),
    )


def _analysis(captured: CapturedAlarm) -> SoundAnalysis | None:
    """Return the analysis of the sound before the alarm, which its reason is from."""
    sound, profile = captured.sound, captured.profile
    if sound is None or profile is None:
        return None
    past = min(len(sound.samples), max(1, captured.facts.raised_sample - sound.first))
    first = max(0, past - round(MAX_SOUND_S * sound.rate_hz))
    samples = conditioned(sound.samples[first:past], sound.rate_hz, profile.rate_hz)
    return analyse(samples, profile.rate_hz)
