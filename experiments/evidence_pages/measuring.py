"""Whether the marks of a package are at the places of the fault, what it weighs, what it costs."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from asd_monitor.evidence.building import CapturedAlarm, alarm_picture, content_of
from asd_monitor.evidence.contents import AlarmFacts, NormalSound, ScoresAround
from asd_monitor.evidence.package_files import Package, write_package
from asd_monitor.evidence.package_names import PAGE, SIDECAR, SOUND
from asd_monitor.evidence.pictures import picture_of
from asd_monitor.evidence.score_history import ScoreHistory
from asd_monitor.evidence.sound_span import KeptSound, SoundContent
from asd_monitor.model_store.bundle import Bundle
from asd_monitor.records import MicrophoneState, Thresholds
from asd_monitor.reports.evidence_page import evidence_page
from experiments.evidence_pages.cases import Case
from experiments.reasons.changes import RATE_HZ

TIME_TOLERANCE_S = 1.5
MIN_CHANGE_DB = 1.0
_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Placed:
    """A mark beside the truth."""

    text: str
    begin_error_s: float
    located: bool
    change_db: float  # mean absolute difference to the unchanged sound in the box
    change_elsewhere_db: float  # in all bands
    right: bool


def placed_marks(case: Case, package: Package) -> list[Placed]:
    """Return how the marks of a package fit the fault, the first one first."""
    sound = package.document["sound"]
    first = sound["first_sample"]
    begin_s = case.begin_s - first / RATE_HZ
    part = slice(first, first + sound["samples"])
    now, before = picture_of(case.sound[part], RATE_HZ), picture_of(case.unchanged[part], RATE_HZ)
    differences = np.abs(now.levels_db - before.levels_db)
    found = []
    for mark in package.document["findings"]:
        rows = [now.row_of(hz) * len(now.centres_hz) for hz in (mark["from_hz"], mark["to_hz"])]
        low = int(min(len(now.centres_hz) - 1, max(0, np.floor(rows[0] - 0.5))))
        bands = slice(low, max(low + 1, int(np.ceil(rows[1] + 0.5))))
        edges_s = max(begin_s, mark["from_s"]), mark["to_s"]
        within = differences[slice(*(round(at / now.step_s) for at in edges_s))]
        inside = float(within[:, bands].mean()) if within.size else 0.0
        everywhere = float(within.mean()) if within.size else 0.0
        error = mark["from_s"] - begin_s
        in_time = mark["located"] and abs(error) <= TIME_TOLERANCE_S
        if begin_s < 0.0:  # the sound begins after the fault: the begin is not in it
            in_time = not mark["located"]
        right = in_time and inside >= max(MIN_CHANGE_DB, 0.9 * everywhere)
        found.append(Placed(mark["text"], error, mark["located"], inside, everywhere, right))
    return found


def sizes(folder: Path) -> dict[str, int]:
    """Return the bytes of a package by file."""
    return {name: (folder / name).stat().st_size for name in (PAGE, SIDECAR, SOUND)}


def cost_s(case: Case, package: Package, bundle: Bundle, folder: Path) -> float:
    """Return the CPU time, in s, that a package takes beside the monitoring."""
    captured = _captured(case, package, bundle)
    spent = []
    for number in range(_ROUNDS):
        own = replace(captured.facts, id=f"{captured.facts.id}-{number}")
        each = replace(captured, facts=own)
        begun = time.thread_time()
        picture = alarm_picture(each)
        normal = None if picture is None else NormalSound(picture, "measured")
        content = content_of(each, picture, normal=normal)
        write_package(folder, content, evidence_page(content))
        spent.append(time.thread_time() - begun)
    return min(spent)


def _captured(case: Case, package: Package, bundle: Bundle) -> CapturedAlarm:
    alarm, sound = package.alarm, package.document["sound"]
    first = sound["first_sample"]
    kept = KeptSound(first, RATE_HZ, case.sound[first : first + sound["samples"]])
    return CapturedAlarm(
        facts=_facts(alarm),
        scores=ScoresAround(ScoreHistory(()).trace(), (), ()),
        sound=kept,
        content=SoundContent.FULL,
        begin=_time(sound["begin"]),
        profile=bundle.profile,
    )


def _facts(alarm: dict[str, Any]) -> AlarmFacts:
    return AlarmFacts(
        id=alarm["id"],
        machine=alarm["machine"],
        box=alarm["box"],
        raised=_time(alarm["raised"]),
        raised_sample=alarm["raised_sample"],
        onset_sample=alarm["onset_sample"],
        reason=alarm["reason"],
        alarm_score=alarm["alarm_score"],
        time_scale_s=alarm["time_scale_s"],
        views=alarm["views"],
        thresholds=Thresholds(3.0, 5.42),
        model=alarm["model"],
        provisional=alarm["provisional"],
        budget=alarm["budget"],
        budget_note=alarm["budget_note"],
        microphone=MicrophoneState.OK,
        microphone_reason=None,
        lost_samples=0,
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
