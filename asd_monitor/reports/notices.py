"""Findings of a training or an evaluation as text for the user."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from asd_monitor.alarm.supported_budget import provisional_text
from asd_monitor.model_training.adaptation_result import EVIDENCE_LEVELS, MIN_AUC_GAIN, Adaptation
from asd_monitor.model_training.findings import (
    ChangedSound,
    CoverNotRecognised,
    DriftingLevel,
    EncoderNotAdapted,
    Finding,
    HeldOutAlarms,
    HeldOutExcess,
    LevelFinding,
    NoPause,
    NothingHeldOut,
    ProvisionalBudget,
    ShortReference,
    UnusualSound,
)
from asd_monitor.model_training.level_trend import LevelTrend
from asd_monitor.model_training.operating_modes import OperatingMode
from asd_monitor.model_training.outliers import Outlier
from asd_monitor.model_training.sensitivity import FaultDetection
from asd_monitor.model_training.sound_change import SoundChange
from asd_monitor.self_test.added_sound import FAULT_S
from asd_monitor.synthesis.added_faults import FaultKind
from asd_monitor.wording import clock, count, printable, short_duration

if TYPE_CHECKING:
    from asd_monitor.evaluation.results import Results
    from asd_monitor.model_training.training_run import TrainingResult

_OUTLIERS_LISTED = 5
_PATHS_LISTED = 3


def training_notices(result: TrainingResult) -> list[str]:
    """Return what the user should know of a training: notices on recordings, then findings."""
    return [*result.reference.notices, *map(finding_text, result.findings)]


def cover_text(cut_off_hz: float | None) -> str:
    """Return why a cover of the microphone is not recognised."""
    if cut_off_hz is None:
        return (
            "a cover of the microphone is not recognised: the sampling rate is too low; record at "
            "8 kHz or more"
        )
    return (
        f"a cover of the microphone is not recognised: it captures nothing above "
        f"{cut_off_hz / 1000:.1f} kHz; use another microphone or another mode of it"
    )


def finding_text(finding: Finding) -> str:
    """Return a finding as one sentence, with its remedy where there is one."""
    match finding:
        case EncoderNotAdapted(adaptation):
            text = adaptation_text(adaptation)
        case ShortReference(usable_s):
            text = (
                f"{short_duration(usable_s)} is little: ten minutes or more, in all operating "
                "conditions of the machine, make alarms more reliable"
            )
        case LevelFinding(file, defect):
            text = f"{printable(file.path)}: {defect}"
        case ChangedSound(change):
            text = _change_text(change)
        case DriftingLevel(trend):
            text = _trend_text(trend)
        case NoPause():
            text = (
                "the recordings contain no pause of the machine: switching it off will raise an "
                "alarm; if it is ever off, record it off as well (a tenth of the duration)"
            )
        case CoverNotRecognised(cut_off_hz):
            text = cover_text(cut_off_hz)
        case NothingHeldOut():
            text = (
                "too little sound to hold a part out: the model was not tested on sound that it "
                "was not trained on; record more"
            )
        case HeldOutAlarms(alarms, seconds):
            text = (
                f"{count(alarms, 'alarm')} in the {seconds:.0f} s held out: the machine sounds "
                "different there; if that is normal too, record more of it"
            )
        case HeldOutExcess(share, expected):
            text = (
                f"{100 * share:.0f} % of the held-out windows have higher evidence than usual, "
                f"where {100 * expected:.0f} % are expected: the machine sounds different there; "
                "if that is normal too, record more of it"
            )
        case ProvisionalBudget(budget, configured, commissioning):
            text = provisional_text(budget, configured, commissioning)
        case UnusualSound(outliers):
            listed = "; ".join(outlier_text(outlier) for outlier in outliers[:_OUTLIERS_LISTED])
            more = len(outliers) - _OUTLIERS_LISTED
            text = (
                "unusual sound in the recordings (check it, and leave it out if it "
                f"is not normal): {listed}" + (f"; and {more} more" if more > 0 else "")
            )
    return text


def _trend_text(trend: LevelTrend) -> str:
    """Return how the level drifts, and the remedy."""
    direction = "rose" if trend.change_db > 0 else "fell"
    begin = f"{trend.file.name} at {clock(trend.from_s)}"
    end = clock(trend.to_s)
    if trend.to_file is not trend.file:
        end = f"{trend.to_file.name} at {end}"
    return (
        f"the level {direction} by {abs(trend.change_db):.0f} dB during training (from {begin} to "
        f"{end}): record again after run-in, or let commissioning do it"
    )


def _change_text(change: SoundChange) -> str:
    """Return where the recordings change, and what that means."""
    same = change.file is change.to_file
    first = f"{change.file.name} at {clock(change.from_s)}"
    last = clock(change.to_s) if same else f"{change.to_file.name} at {clock(change.to_s)}"
    return (
        f"the machine sounds different from {first} to {last} ({100 * change.share:.0f} % of the "
        f"recordings, {change.change_db:+.0f} dB in the bands that differ most): if that is a "
        "fault or another sound, leave that part out; if it is a condition of its own, record "
        "each condition as often as it occurs"
    )


def adaptation_text(adaptation: Adaptation) -> str:
    """Return the figures of both encoders, and which one is used."""
    frozen, adapted = adaptation.frozen, adaptation.adapted
    figures = (
        f"AUC {adapted.auc:.3f} after {frozen.auc:.3f} on injected faults, "
        f"{100 * adapted.above[0]:.1f} % after {100 * frozen.above[0]:.1f} % of the normal "
        f"windows with evidence above {EVIDENCE_LEVELS[0]:g}, on the part held out"
    )
    if adaptation.kept:
        return f"the encoder was adapted to this machine ({figures})"
    return (
        "the encoder was not adapted, the frozen one is kept: adapting did not improve it "
        f"clearly ({figures}; required: {MIN_AUC_GAIN:g} and no more high evidence in normal sound)"
    )


def detection_text(detection: FaultDetection) -> str:
    """Return a fault, and how fast it would be detected: ``an added tone 6 dB above …: 9 s``."""
    match detection.kind:
        case FaultKind.TONE:
            fault = f"an added tone {detection.severity_db:g} dB above its third-octave band"
        case FaultKind.IMPACTS:
            fault = f"bearing impacts at {_signed(detection.severity_db, 'g')} dB"
    delay_s = detection.detected_after_s
    return f"{fault}: " + (f"not within {FAULT_S:g} s" if delay_s is None else f"{delay_s:.0f} s")


def undetected_text(detections: Sequence[FaultDetection]) -> str | None:
    """Return of which kinds no fault would be detected, and the remedy; None: of each kind some."""
    missed = {each.kind for each in detections}
    missed -= {each.kind for each in detections if each.detected_after_s is not None}
    if not missed:
        return None
    match [kind for kind in FaultKind if kind in missed]:
        case [FaultKind.TONE]:
            faults = "added tones"
        case [FaultKind.IMPACTS]:
            faults = "bearing impacts"
        case _:
            faults = "faults"
    return (
        f"none of these {faults} would be detected: record more of the normal sound, or put the "
        "microphone closer to the machine (docs/placement.md), and run setup again"
    )


def _signed(value: float, form: str) -> str:
    return format(value, form).replace("-", "−")


def modes_text(modes: Sequence[OperatingMode]) -> str:
    """Return the number of the operating modes, and level and share of each."""
    each = "; ".join(
        f"{_signed(mode.level_dbfs, '.0f')} dBFS in {100 * mode.share:.0f} % of the sound"
        for mode in modes
    )
    return f"{count(len(modes), 'operating mode')}: {each}"


def outlier_text(outlier: Outlier) -> str:
    """Return where in the recordings an outlier is."""
    span = f"{clock(outlier.start_s)} to {clock(outlier.end_s)}"
    return f"{outlier.file.name}, {span} (by its {outlier.view})"


def evaluation_notices(results: Results) -> list[str]:
    """Return what the user should know of an evaluation, see `merge_notices`."""
    notices = [*results.notices]
    for result in results.machines:
        notices += result.notices
        if result.adaptation is not None:
            notices.append(f"{result.machine.name}: {adaptation_text(result.adaptation)}")
    return merge_notices(notices)


def merge_notices(notices: Iterable[str]) -> list[str]:
    """Return each notice once; one that applies to many files names the first and their number.

    A notice is ``FILE: TEXT``.
    """
    places_of_text: dict[str, list[str]] = {}
    for notice in dict.fromkeys(notices):
        where, _, text = notice.partition(": ")
        places_of_text.setdefault(text, []).append(where)
    merged = []
    for text, places in places_of_text.items():
        if len(places) <= _PATHS_LISTED:
            merged += [f"{where}: {text}" for where in places]
        else:
            merged.append(f"{places[0]} and {len(places) - 1} more recordings: {text}")
    return merged
