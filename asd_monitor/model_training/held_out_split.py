"""The last part of the recordings, held out of a first fit.

The last part and not a random one: a machine drifts, and what follows the recordings is what the
detector will score.
"""

from __future__ import annotations

from dataclasses import dataclass

from asd_monitor.model_training.recording_parts import RecordingPart
from asd_monitor.model_training.reference import Reference, Segment

HELD_OUT_SHARE = 0.2
MIN_HELD_OUT_S = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class HeldOutSplit:
    """Segments to fit to, and the parts of recordings held out."""

    kept: tuple[Segment, ...]
    parts: tuple[RecordingPart, ...]

    @property
    def held_out_s(self) -> float:
        """Seconds held out."""
        return sum(part.seconds for part in self.parts)


def hold_out(reference: Reference) -> HeldOutSplit:
    """Split off the last fifth of the sound, at least ten seconds.

    The parts also contain the sound between segments, such as dead silence.
    """
    rate_hz = reference.front_end.rate_hz
    wanted = round(max(MIN_HELD_OUT_S, HELD_OUT_SHARE * reference.usable_s) * rate_hz)
    kept = list(reference.segments)
    parts: list[RecordingPart] = []
    while wanted > 0 and kept:
        segment = kept.pop()
        begin = segment.windows[0].start
        end = begin + round(segment.seconds * rate_hz)
        cut = max(begin, end - wanted)
        before = tuple(window for window in segment.windows if window.end <= cut)
        if before:
            kept.append(Segment(segment.file, before, (cut - begin) / rate_hz))
        else:
            cut = begin
        wanted -= end - cut
        end_s = end / rate_hz
        if parts and parts[-1].file is segment.file:
            end_s = parts.pop().to_s
        parts.append(RecordingPart(segment.file, cut / rate_hz, end_s))
    return HeldOutSplit(tuple(kept), tuple(reversed(parts)))
