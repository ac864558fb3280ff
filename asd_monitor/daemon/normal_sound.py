"""Normal sound of a machine for the evidence of an alarm: of its commissioning, or its training.

It is read in the thread of the evidence.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import structlog

from asd_monitor.audio.files.recordings import read_recording
from asd_monitor.commissioning.blocks import BAND_DB, SoundPiece
from asd_monitor.commissioning.sound_pieces import MAX_SOUND_BYTES, sound_path, stored_sound
from asd_monitor.errors import AsdMonitorError
from asd_monitor.evidence.building import CapturedAlarm
from asd_monitor.evidence.contents import NormalSound
from asd_monitor.evidence.normal_sound import distances, nearest_run, usual_levels
from asd_monitor.evidence.pictures import Picture, picture_of, picture_of_windows
from asd_monitor.explanation.sound_analysis import conditioned
from asd_monitor.limited_reading import read_limited
from asd_monitor.model_store.bundle import Bundle, load_reference
from asd_monitor.model_store.versions import BundleError

log = structlog.get_logger()

_COMPARED_PIECES = 6
_SPECTRUM = "spectrum"  # the feature that is the mean log-mel spectrum of a window


class NormalSounds:
    """Finds normal sound beside that of alarms.

    Args:
        models: The folder of models.
        state: The state folder.

    """

    def __init__(self, models: Path, state: Path) -> None:
        self._models = models
        self._state = state

    def beside(
        self, captured: CapturedAlarm, picture: Picture, bundle: Bundle | None
    ) -> NormalSound | None:
        """Return the normal sound that is nearest to that of an alarm; None: there is none."""
        found = self._of_commissioning(captured, picture)
        return found or self._of_training(captured, picture, bundle)

    def earlier(self, captured: CapturedAlarm) -> tuple[datetime, bytes] | None:
        """Return sound of commissioning in the span of the mean that has raised an alarm.

        Its time, and its file; None: there is none.
        """
        facts = captured.facts
        if not facts.is_slow or facts.time_scale_s is None or captured.is_coarse:
            return None
        end_s = facts.raised.timestamp()
        middle_s = end_s - facts.time_scale_s / 2
        inside = [
            piece
            for piece in stored_sound(self._folder(facts.machine))
            if end_s - facts.time_scale_s <= piece.time_s <= end_s
        ]
        if not inside:
            return None
        piece = min(inside, key=lambda each: abs(each.time_s - middle_s))
        try:
            path = sound_path(self._folder(facts.machine), piece)
            return datetime.fromtimestamp(piece.time_s, UTC), read_limited(path, MAX_SOUND_BYTES)
        except (OSError, ValueError):  # it was deleted meanwhile
            return None

    def _folder(self, machine: str) -> Path:
        return self._state / "commissioning" / machine / "sound"

    def _of_commissioning(self, captured: CapturedAlarm, picture: Picture) -> NormalSound | None:
        sound, machine = captured.sound, captured.facts.machine
        pieces = [each for each in stored_sound(self._folder(machine)) if not _in_alarm(each)]
        if sound is None or not pieces:
            return None
        lost = sum(gap.past - gap.first for gap in sound.gaps)  # silent in it
        energy = float(np.sum(np.square(sound.samples, dtype=np.float64)))
        mean_square = energy / max(1, len(sound.samples) - lost)
        band = 10.0 * np.log10(mean_square + 1e-12) / BAND_DB
        pieces.sort(key=lambda each: abs(each.mode.band + 0.5 - band))
        levels, least = usual_levels(picture), np.inf
        nearest: NormalSound | None = None
        for piece in pieces[:_COMPARED_PIECES]:
            other = self._picture(captured, piece)
            if other is None:
                continue
            distance = float(distances(levels, usual_levels(other)))
            if distance < least:
                time = datetime.fromtimestamp(piece.time_s, UTC)
                source = f"commissioning, {time:%Y-%m-%d %H:%M} UTC"
                least, nearest = distance, NormalSound(other, source)
        return nearest

    def _picture(self, captured: CapturedAlarm, piece: SoundPiece) -> Picture | None:
        path = sound_path(self._folder(captured.facts.machine), piece)
        try:
            recording = read_recording(path)
        except (AsdMonitorError, OSError) as error:  # it was deleted meanwhile, or is damaged
            log.warning("sound of commissioning cannot be read", file=str(path), reason=str(error))
            return None
        samples = conditioned(recording.samples, recording.rate_hz, captured.rate_hz)
        return picture_of(samples, captured.rate_hz, coarse=captured.is_coarse)

    def _of_training(
        self, captured: CapturedAlarm, picture: Picture, bundle: Bundle | None
    ) -> NormalSound | None:
        if bundle is None or "files" not in bundle.manifest:
            return None
        try:
            reference = load_reference(self._models, bundle)
        except BundleError:  # an earlier model has none; a damaged one is reported elsewhere
            return None
        spectra = reference.features.get(_SPECTRUM)
        if spectra is None or not len(spectra) or spectra.shape[1] != picture.levels_db.shape[1]:
            return None
        starts, segments = reference.starts, reference.segments
        length = int(reference.ends[0] - starts[0])
        follows = [False, *((np.diff(starts) <= 2 * length) & (np.diff(segments) == 0)).tolist()]
        levels = 10.0 * spectra.astype(np.float32)
        run = nearest_run(usual_levels(picture), levels, follows)
        steps = np.diff(starts[run])
        step_s = (float(np.median(steps)) if len(steps) else length) / captured.rate_hz
        return NormalSound(
            picture_of_windows(spectra[run], captured.rate_hz, step_s),
            f"training, mean spectra of the {run.stop - run.start} consecutive windows that are"
            " nearest",
        )


def _in_alarm(piece: SoundPiece) -> bool:
    return piece.mode.alarm_active
