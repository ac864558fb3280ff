"""The profile of a model of kept sound: that of commissioning, and that of alarms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from asd_monitor.audio.files.recordings import read_recording
from asd_monitor.commissioning.blocks import BLOCK_S
from asd_monitor.commissioning.sound_pieces import sound_path, stored_sound
from asd_monitor.errors import AsdMonitorError
from asd_monitor.evidence.alarm_sound import AlarmSound
from asd_monitor.explanation.sound_profile import SoundProfile
from asd_monitor.model_training.marked_pieces import MAX_READ_S
from asd_monitor.model_training.profile_blocks import ProfileBlocks
from asd_monitor.model_training.valid_alarms import ValidAlarm, outside_of
from asd_monitor.records import Block, Samples, Stream
from asd_monitor.wording import length

MIN_BLOCKS = 6
"""Blocks of a profile: of fewer, its ranges are too narrow."""


@dataclass(frozen=True, slots=True)
class KeptProfile:
    """The profile of kept sound, and what is to be said of it."""

    profile: SoundProfile | None  # None: too little sound is kept
    notes: tuple[str, ...]


def profile_since(
    state: Path,
    machine: str,
    since: datetime,
    sounds: Sequence[AlarmSound],
    rate_hz: int,
    *,
    valid: Sequence[ValidAlarm] = (),
) -> KeptProfile:
    """Return the profile of what is kept of a machine's sound since a time.

    Args:
        state: the state folder, with the sound of commissioning.
        machine: id of the machine.
        since: the begin of the sound.
        sounds: the sound that is kept of its alarms.
        rate_hz: the rate of its model.
        valid: when alarms that are labelled valid have sounded, which is left out.

    Raises:
        PackageError: the sound of an alarm cannot be read.

    """
    folder = state / "commissioning" / machine / "sound"
    stored = [each for each in stored_sound(folder) if each.time_s >= since.timestamp()]
    pieces, left_out = outside_of(valid, stored)
    notes = [] if left_out is None else [f"sound of commissioning: {left_out} are left out"]
    of_faults = {each.alarm_id for each in valid}
    of_alarms = [each for each in sounds if each.end > since and each.alarm_id not in of_faults]
    limit = timedelta(seconds=MAX_READ_S)
    spans = [(each, max(since, each.begin)) for each in of_alarms]
    total_s = len(pieces) * BLOCK_S
    total_s += sum(sound.overlap_s(begin, begin + limit) for sound, begin in spans)
    blocks = ProfileBlocks(rate_hz, total_s)
    for piece in pieces:
        try:
            recording = read_recording(sound_path(folder, piece))
        except (AsdMonitorError, OSError) as error:  # it was deleted meanwhile, or is damaged
            notes.append(f"a piece of the sound of commissioning is left out: {error}")
            continue
        _push(blocks, recording.samples, recording.rate_hz)
    for sound, begin in spans:
        _push(blocks, sound.read(begin, begin + limit), sound.rate_hz)
    if len(blocks.analyses) >= MIN_BLOCKS:
        return KeptProfile(blocks.profile(), tuple(notes))
    notes.append(
        f"the model has no profile of the sound, since {length(total_s)} is kept to listen to: the "
        "reason of its alarms names features only; refit when more is kept, or record the machine "
        "and train again"
    )
    return KeptProfile(None, tuple(notes))


def _push(blocks: ProfileBlocks, samples: Samples, rate_hz: int) -> None:
    blocks.push(Block(Stream(rate_hz), 0, samples))
    blocks.end_segment()
