"""What is kept of the sound of spans that were marked as normal.

It is in live blocks, in the sound of alarms, and in a bundle that was extended with it before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np

from asd_monitor.commissioning.blocks import BLOCK_S, Layout, LiveBlock
from asd_monitor.detector.detector import Detector
from asd_monitor.evidence.alarm_sound import AlarmSound
from asd_monitor.features.windows import Window
from asd_monitor.model_store.marked_sound import MarkedPiece
from asd_monitor.pipeline import WindowExtractor
from asd_monitor.records import Block, NormalSpan, Stream

MAX_PIECES = 60
"""Pieces of ten seconds of a span; those beyond are left out, evenly spread."""
MAX_READ_S = 600.0
"""Sound of an alarm that is read of a span, from its begin."""
_MIN_WINDOWS = 2


def marked_pieces(
    span: NormalSpan,
    detector: Detector,
    blocks: Sequence[LiveBlock],
    layout: Layout,
    sounds: Sequence[AlarmSound],
    *,
    earlier: Sequence[MarkedPiece] = (),
) -> list[MarkedPiece]:
    """Return the pieces of a span's sound, the oldest first.

    Live blocks come first, then the sound of alarms where there is no block, then what a bundle
    already has where there is neither.

    Args:
        span: the span.
        detector: its front end and encoders compute the windows, and it knows idle levels.
        blocks: live blocks, with features of the same front end and encoders.
        layout: the layout of their vectors.
        sounds: the sound that is kept of alarms.
        earlier: pieces of this span in the bundle in use.

    Raises:
        PackageError: the sound of an alarm cannot be read.

    """
    half = timedelta(seconds=BLOCK_S / 2)
    first_s, past_s = (span.begin - half).timestamp(), (span.end - half).timestamp()
    rate_hz, window = detector.rate_hz, detector.front_end.window
    found = [
        MarkedPiece(span.id, block.time_s, tuple(block.windows(layout, rate_hz, window)))
        for block in blocks
        if first_s <= block.time_s < past_s
    ]
    for sound in sounds:
        if sound.overlap_s(span.begin, span.end):
            own = pieces_of_sound(span.id, sound, detector, span.begin, span.end)
            found += without_sound_of(own, [piece.time_s for piece in found])
    found += without_sound_of(earlier, [piece.time_s for piece in found])
    found.sort(key=lambda piece: piece.time_s)
    if len(found) > MAX_PIECES:
        chosen = np.linspace(0, len(found) - 1, MAX_PIECES).round().astype(int)
        found = [found[index] for index in chosen.tolist()]
    return found


def without_sound_of(pieces: Sequence[MarkedPiece], times_s: Sequence[float]) -> list[MarkedPiece]:
    """Return the pieces that share less than half of their sound with those of these times."""
    known = np.array(times_s)
    return [
        piece
        for piece in pieces
        if not len(known) or np.abs(known - piece.time_s).min() >= BLOCK_S / 2
    ]


def pieces_of_sound(
    span_id: str,
    sound: AlarmSound,
    detector: Detector,
    begin: datetime | None = None,
    end: datetime | None = None,
) -> list[MarkedPiece]:
    """Return the pieces of the sound of an alarm between two times, while the machine runs.

    Raises:
        PackageError: it cannot be read.

    """
    begin = sound.begin if begin is None else max(begin, sound.begin)
    past = begin + timedelta(seconds=MAX_READ_S)
    samples = sound.read(begin, past if end is None else min(end, past))
    extractor = WindowExtractor(detector.front_end, detector.encoders)
    windows = [*extractor.push(Block(Stream(sound.rate_hz), 0, samples)), *extractor.flush()]
    ratio = detector.rate_hz / sound.rate_hz
    by_block: dict[int, list[Window]] = {}
    end_of_newest = -math.inf
    for each in windows:
        if each.start < end_of_newest or detector.is_idle(each.rms_dbfs):
            continue
        end_of_newest = each.end
        by_block.setdefault(int(each.start / sound.rate_hz // BLOCK_S), []).append(each)
    return [
        MarkedPiece(
            span_id,
            begin.timestamp() + own[0].start / sound.rate_hz,
            tuple(
                Window(
                    round((each.start - own[0].start) * ratio),
                    round((each.end - own[0].start) * ratio),
                    each.features,
                )
                for each in own
            ),
        )
        for own in by_block.values()
        if len(own) >= _MIN_WINDOWS
    ]
