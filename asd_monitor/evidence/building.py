"""What was captured of an alarm → the content of its package.  Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from asd_monitor.evidence.contents import AlarmFacts, NormalSound, PackageContent, ScoresAround
from asd_monitor.evidence.marks import Mark, marks_of
from asd_monitor.evidence.pictures import Picture, picture_of
from asd_monitor.evidence.sound_span import KeptSound, SoundContent
from asd_monitor.explanation.explain import MAX_SOUND_S, Explanation, explain
from asd_monitor.explanation.sound_analysis import SoundAnalysis, analyse, conditioned
from asd_monitor.explanation.sound_profile import SoundProfile
from asd_monitor.records import MachineGeometry

DEFAULT_RATE_HZ = 16_000
"""Of the pictures of a machine without a model."""
_BESIDE_S, _LEAST_EXPLAINED_S = 0.25, 3.0


@dataclass(frozen=True, slots=True, eq=False)
class CapturedAlarm:
    """An alarm, and what was captured around it."""

    facts: AlarmFacts
    scores: ScoresAround
    sound: KeptSound | None
    content: SoundContent
    begin: datetime
    """Time of the first sample of the sound, by the clock of the raise; of the alarm where there is
    none."""
    rate_hz: int = DEFAULT_RATE_HZ
    """Of the model: what is analysed and drawn has this rate."""
    profile: SoundProfile | None = None
    geometry: MachineGeometry | None = None
    notes: tuple[str, ...] = ()

    @property
    def is_coarse(self) -> bool:
        """Whether pictures and times have long steps, in which speech is not intelligible."""
        return self.content is not SoundContent.FULL


def alarm_picture(captured: CapturedAlarm) -> Picture | None:
    """Return the picture of the sound of an alarm; None: it has none."""
    sound = captured.sound
    if sound is None:
        return None
    samples = conditioned(sound.samples, sound.rate_hz, captured.rate_hz)
    picture = picture_of(samples, captured.rate_hz, coarse=captured.is_coarse)
    gaps_s = [(sound.at_s(gap.first), sound.at_s(gap.past)) for gap in sound.gaps]
    return picture.with_gaps(gaps_s)


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
    explained = None if profile is None else _explained_sound(captured, profile)
    explanation, analysis = None, None
    marks: tuple[Mark, ...] = ()
    if explained is not None and profile is not None:
        analysis = _analysis(explained, profile)
        if sound is not None and not facts.is_quiet:
            explanation = _explain(captured, profile, explained)
            marks = _marks(captured, profile, explanation, sound, explained)
    if captured.is_coarse:
        marks = tuple(replace(mark, impacts_s=()) for mark in marks)
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
        sentence=facts.published_sentence if explanation is None else explanation.sentence,
        marks=marks,
        analysis=analysis,
        profile=profile,
        earlier_begin=None if earlier is None else earlier[0],
        earlier_sound=None if earlier is None else earlier[1],
        notes=tuple(notes),
    )


def _explained_sound(captured: CapturedAlarm, profile: SoundProfile) -> KeptSound | None:
    """Return the sound since the change, ten seconds at most; None: there is no sound.

    The reason of an alarm is from the ten seconds before it, which begin before the change.  Here
    the sound after the alarm is known too, so that what is explained begins with the change.
    Where no begin is found, it is the sound before the alarm.
    """
    facts, sound = captured.facts, captured.sound
    before = _sound_before(captured)
    if sound is None or before is None or facts.is_quiet:
        return before
    marks = _marks(captured, profile, _explain(captured, profile, before), sound, before)
    located = next((mark for mark in marks if mark.is_located), None)
    if located is None:
        return before
    begin_s = located.from_s + _BESIDE_S
    end_s = min(located.to_s, begin_s + MAX_SOUND_S)
    if end_s - begin_s < _LEAST_EXPLAINED_S:
        return before
    begin, past = (round(at * sound.rate_hz) for at in (begin_s, end_s))
    return KeptSound(sound.first + begin, sound.rate_hz, sound.samples[begin:past])


def _marks(
    captured: CapturedAlarm,
    profile: SoundProfile,
    explanation: Explanation,
    sound: KeptSound,
    explained: KeptSound,
) -> tuple[Mark, ...]:
    """Return the places of what differs, in the gapless sound in which the alarm was raised.

    A gap is no change of the sound: measures that change at it locate nothing.
    """
    raised = captured.facts.raised_sample
    part = sound.gapless_at(raised)
    span = explained.first, explained.past
    found = marks_of(explanation.findings, part, profile.rate_hz, raised, span)
    begin_s = sound.at_s(part.first)
    return tuple(
        replace(mark, from_s=mark.from_s + begin_s, to_s=mark.to_s + begin_s) for mark in found
    )


def _explain(captured: CapturedAlarm, profile: SoundProfile, sound: KeptSound) -> Explanation:
    """Return what differs in a part of the sound."""
    facts = captured.facts
    found = explain(
        profile,
        sound.samples,
        sound.rate_hz,
        facts.views,
        time_scale_s=facts.time_scale_s,
        geometry=captured.geometry,
    )
    begin_s = 0.0 if captured.sound is None else captured.sound.at_s(sound.first)
    moved = tuple(
        replace(each, times_s=tuple(at + begin_s for at in each.times_s)) for each in found.findings
    )
    return replace(found, findings=moved)


def _sound_before(captured: CapturedAlarm) -> KeptSound | None:
    """Return the ten seconds before the alarm, or what there is of them without a gap."""
    if captured.sound is None:
        return None
    sound = captured.sound.gapless_at(captured.facts.raised_sample)
    past = min(len(sound.samples), max(1, captured.facts.raised_sample - sound.first))
    first = max(0, past - round(MAX_SOUND_S * sound.rate_hz))
    return KeptSound(sound.first + first, sound.rate_hz, sound.samples[first:past])


def _analysis(sound: KeptSound, profile: SoundProfile) -> SoundAnalysis:
    """Return the analysis of a part of the sound."""
    samples = conditioned(sound.samples, sound.rate_hz, profile.rate_hz)
    return analyse(samples, profile.rate_hz)
