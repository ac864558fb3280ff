"""The page of an alarm's evidence: what differs, where, and how it compares with normal sound."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import UTC
from importlib import resources

from markupsafe import Markup

from asd_monitor.evidence.contents import PackageContent
from asd_monitor.evidence.package_names import EARLIER_SOUND, SOUND
from asd_monitor.evidence.sound_span import LOWPASS_HZ, SoundContent
from asd_monitor.reports.evidence_charts import score_plot, slow_score_plots, spectrum_plot
from asd_monitor.reports.evidence_facts import (
    USUAL_DEVIATION,
    Fact,
    ViewRow,
    alarm_facts,
    missing_scales,
    scale_names,
    utc_stamp,
    view_rows,
)
from asd_monitor.reports.marked_places import MarkedPlace, marked_places
from asd_monitor.reports.page import render
from asd_monitor.reports.plot import Plot
from asd_monitor.reports.sound_pictures import (
    alarm_plot,
    colour_range,
    columns_before,
    difference_plot,
    normal_plot,
)


@dataclass(frozen=True, slots=True)
class Player:
    """A sound that the page plays."""

    file: str
    caption: str
    onset_s: float  # of the sound
    alarm_s: float


@dataclass(frozen=True, slots=True)
class EvidencePage:
    """Everything that the template shows."""

    title: str
    subtitle: str
    sentence: str
    marks: tuple[MarkedPlace, ...]
    notes: tuple[str, ...]
    player: Player | None
    earlier: Player | None
    picture: Plot | None
    difference: Plot | None
    difference_from: str
    normal: Plot | None
    normal_source: str
    spectrum: Plot | None
    scores: Plot | None
    slow_scores: tuple[tuple[str, Plot], ...]
    scales: tuple[Fact, ...]
    missing_scales: str
    views: tuple[ViewRow, ...]
    usual_deviation: float
    facts: tuple[Fact, ...]
    privacy: str
    script: Markup
    script_hash: str


def evidence_page(content: PackageContent) -> str:
    """Return the page of a package as HTML."""
    facts = content.facts
    script = _script()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    levels = colour_range(content)
    time = facts.raised.astimezone(UTC)
    page = EvidencePage(
        title=f"Alarm of {facts.machine}",
        subtitle=f"{time:%A, %d %B %Y, %H:%M:%S} UTC · box {facts.box} · {facts.id}",
        sentence=content.sentence,
        marks=tuple(marked_places(content)),
        notes=content.notes,
        player=_player(content),
        earlier=_earlier(content),
        picture=alarm_plot(content, levels),
        difference=difference_plot(content),
        difference_from="normal" if columns_before(content) is None else "the sound before",
        normal=None if content.normal is None else normal_plot(content.normal.picture, levels),
        normal_source="" if content.normal is None else content.normal.source,
        spectrum=spectrum_plot(content.analysis, content.profile, content),
        scores=score_plot(content),
        slow_scores=tuple(slow_score_plots(content)),
        scales=tuple(scale_names(content)),
        missing_scales=missing_scales(content),
        views=tuple(view_rows(content)),
        usual_deviation=USUAL_DEVIATION,
        facts=tuple(alarm_facts(content)),
        privacy=_privacy(content),
        script=Markup(script),  # noqa: S704 - a file of this package
        script_hash=f"sha256-{digest}",
    )
    return render("evidence_page.html", page)


def _script() -> str:
    return (resources.files("asd_monitor.reports") / "templates/evidence_page.js").read_text(
        "utf-8"
    )


def _player(content: PackageContent) -> Player | None:
    sound = content.sound
    if sound is None or not content.stores_sound:
        return None
    caption = f"{sound.seconds:.0f} s of sound"
    if content.content is SoundContent.LOWPASS:
        caption += f", only what is below {LOWPASS_HZ:g} Hz"
    facts = content.facts
    onset_s = max(0.0, sound.at_s(facts.onset_sample))
    return Player(SOUND, caption, onset_s, max(0.0, sound.at_s(facts.raised_sample)))


def _earlier(content: PackageContent) -> Player | None:
    begin = content.earlier_begin
    if content.earlier_sound is None or begin is None:
        return None
    return Player(EARLIER_SOUND, f"sound of commissioning at {utc_stamp(begin)}", 0.0, 0.0)


def _privacy(content: PackageContent) -> str:
    return {
        SoundContent.FULL: "The sound is stored on this box only, and is not sent over MQTT.",
        SoundContent.LOWPASS: f"Of the sound only what is below {LOWPASS_HZ:g} Hz is stored, and "
        "pictures in steps of a quarter of a second: evidence.sound is lowpass.",
        SoundContent.NONE: "No sound is stored, and pictures in steps of a quarter of a second: "
        "evidence.sound is none.",
    }[content.content]
