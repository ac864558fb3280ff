"""Two models of a machine on what is kept of its sound: alarms of the past, and normal sound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import soundfile

from asd_monitor.alarm.budget import alarm_rule
from asd_monitor.alarm.state import AlarmRule
from asd_monitor.alarm.supported_budget import effective_budget
from asd_monitor.commissioning.sound_pieces import normal_sound
from asd_monitor.detector.detector import Detector
from asd_monitor.evidence.alarm_sound import AlarmSound, kept_alarms
from asd_monitor.evidence.package_files import PackageError
from asd_monitor.model_training.comparison import (
    INVALID,
    VALID,
    ComparedAlarm,
    ComparedLevels,
    ComparedModel,
    Comparison,
    HeldOutAlarms,
    UncomparedAlarm,
)
from asd_monitor.model_training.model_replay import replay_alarm
from asd_monitor.model_training.training_progress import Progress, no_progress
from asd_monitor.records import AlarmCriteria, Block, Samples, Stream
from asd_monitor.self_test.added_sound import MIN_SOUND_S
from asd_monitor.self_test.detected_levels import DetectedLevels
from asd_monitor.self_test.live_trial import SOUND_S, live_steps
from asd_monitor.self_test.stepping import outcome_of

MAX_ALARM_S = 600.0
"""Sound of one alarm that is monitored again, from its begin."""
MAX_TOTAL_S = 3600.0
"""Of all alarms: those labelled valid first, then the newest."""
_MAX_TRIED = 5  # pieces of normal sound
_NO_PACKAGE = "no package of it is kept"
_NO_SOUND = (
    "no sound of ten seconds without an alarm is kept of this machine: it is with `evidence: "
    "{sound: full}` during the commissioning"
)


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One of the two models."""

    version: str
    sha256: str | None  # None: it is not written yet
    detector: Detector


def compare_models(
    state: Path,
    machine: str,
    criteria: AlarmCriteria,
    before: Side,
    after: Side,
    *,
    labels: Mapping[str, str],
    held_out: HeldOutAlarms | None = None,
    notes: Sequence[str] = (),
    progress: Progress = no_progress,
) -> Comparison:
    """Monitor the kept sound of past alarms with both models, and measure what they detect.

    Args:
        state: the state folder, with the sound of alarms and of the commissioning.
        machine: id of the machine.
        criteria: when an alarm is to be raised.
        before: the model in use.
        after: the other one.
        labels: valid or invalid, by the ids of alarms.
        held_out: what the held-out trial has shown.
        notes: what else is to be known.
        progress: called with the share that is done.

    """
    rules = alarm_rule(criteria, before.detector), alarm_rule(criteria, after.detector)
    kept, problems = kept_alarms(state, machine), list(notes)
    sounds = kept.sounds
    without = {each: _NO_PACKAGE for each, label in labels.items() if label == VALID}
    without |= kept.without_sound
    alarms, total_s = [], 0.0
    chosen = sorted(sounds, key=lambda each: each.begin, reverse=True)
    chosen.sort(key=lambda each: labels.get(each.alarm_id) != VALID)
    for number, sound in enumerate(chosen):
        progress("monitoring the sound of past alarms", number / len(chosen))
        if total_s >= MAX_TOTAL_S:
            without[sound.alarm_id] = "it is beyond the hour of sound that is monitored again"
            continue
        try:
            samples = sound.read()[: round(MAX_ALARM_S * sound.rate_hz)]
        except PackageError as error:
            problems.append(str(error))
            without[sound.alarm_id] = "its sound cannot be read"
            continue
        total_s += len(samples) / sound.rate_hz
        one, other = (
            replay_alarm(side.detector, rule, samples, sound.rate_hz, sound.gaps)
            for side, rule in zip((before, after), rules, strict=True)
        )
        if not one.readings:
            without[sound.alarm_id] = "its sound is too short to be scored"
            continue
        without.pop(sound.alarm_id, None)
        alarms.append(
            ComparedAlarm(
                sound.alarm_id,
                labels.get(sound.alarm_id),
                len(samples) / sound.rate_hz,
                before=one.highest,
                after=other.highest,
                rises_before=one.rises,
                rises_after=other.rises,
            )
        )
    levels, not_measured = _levels(
        tuple(zip((before.detector, after.detector), rules, strict=True)),
        _normal_blocks(state, machine, sounds, labels),
        progress,
    )
    return Comparison(
        machine,
        _model(before, criteria),
        _model(after, criteria),
        alarms=tuple(sorted(alarms, key=lambda each: each.alarm_id)),
        uncompared=tuple(
            UncomparedAlarm(each, labels.get(each), without[each]) for each in sorted(without)
        ),
        held_out=held_out,
        levels=levels,
        not_measured=not_measured,
        notes=tuple(problems),
    )


def _model(side: Side, criteria: AlarmCriteria) -> ComparedModel:
    hours = side.detector.hours
    return ComparedModel(
        side.version, side.sha256, hours, effective_budget(criteria, hours).false_alarms
    )


def _levels(
    models: Sequence[tuple[Detector, AlarmRule]], blocks: Iterable[Block], progress: Progress
) -> tuple[ComparedLevels | None, str | None]:
    """Return the levels in the first block that alarms with neither model, or why there are none.

    Args:
        models: the two models with their alarm rules.
        blocks: normal sound, the newest first.
        progress: called with the share that is done.

    """
    reason = _NO_SOUND
    for block in islice(blocks, _MAX_TRIED):
        found: list[DetectedLevels] = []
        for detector, rule in models:
            progress("adding faults to normal sound", len(found) / len(models))
            trial = outcome_of(live_steps(detector, rule, block, None))
            if trial.levels is None:
                obstacle = trial.not_measured
                reason = reason if obstacle is None else obstacle.reason
                break
            found.append(trial.levels)
        if len(found) == len(models):
            return ComparedLevels(*found), None
    return None, reason


def _normal_blocks(
    state: Path, machine: str, sounds: Sequence[AlarmSound], labels: Mapping[str, str]
) -> Iterator[Block]:
    """Yield normal sound, the newest first: of the commissioning, then of alarms without cause."""
    for path in normal_sound(state / "commissioning" / machine / "sound"):
        try:
            samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
        except (OSError, soundfile.SoundFileError):
            continue
        yield from _usable(np.ascontiguousarray(samples[:, 0]), rate_hz)
    for sound in reversed(sounds):
        if labels.get(sound.alarm_id) == INVALID and not sound.gaps:
            try:
                yield from _usable(sound.read(), sound.rate_hz)
            except PackageError:
                continue


def _usable(samples: Samples, rate_hz: int) -> Iterator[Block]:
    if len(samples) >= MIN_SOUND_S * rate_hz:
        yield Block(Stream(rate_hz), 0, samples[: round(SOUND_S * rate_hz)])
