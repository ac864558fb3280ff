"""Embeddings of windows by one encoder, for sound whose other features are known already.

The same as the encoder's features by `pipeline.WindowExtractor`, but without the statistics,
which take most of the time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from asd_monitor.dsp.frames import Vector
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.streaming import EncoderStream
from asd_monitor.features.windows import Window
from asd_monitor.model_training.encoder_sound import read_parts
from asd_monitor.model_training.recording_parts import RecordingPart
from asd_monitor.model_training.reference import Reference, Segment
from asd_monitor.records import Samples

PIECE_S = 10.0
"""Sound that passes the network at a time."""


def encode_windows(
    sound: Samples, encoder: Encoder, front_end: FrontEnd
) -> list[dict[str, Vector]]:
    """Return the embeddings of each window of gapless sound (n,) at the front end's rate, by view.

    The windows are those that `features.windows` extracts.
    """
    stream = EncoderStream(encoder)
    found: list[dict[str, Vector]] = []
    piece, begin = round(PIECE_S * front_end.rate_hz), 0
    for first in range(0, len(sound), piece):
        stream.push(sound[first : first + piece])
        while begin + front_end.window <= min(first + piece, len(sound)):
            found.append(stream.between(begin, begin + front_end.window))
            begin += front_end.hop
        stream.discard(begin)
    return found


def with_vectors(
    windows: Sequence[Window], vectors: Sequence[Mapping[str, Vector]]
) -> tuple[Window, ...]:
    """Return windows with these vectors among their features, as many as the shorter list has."""
    return tuple(
        Window(window.start, window.end, {**window.features, **new})
        for window, new in zip(windows, vectors, strict=False)
    )


def replace_encoder(
    reference: Reference, before: Encoder, encoder: Encoder, channel: int | None = None
) -> Reference:
    """Return the reference with the embeddings of ``encoder`` in place of those of ``before``.

    Both have the same views.  The result is that of reading the recordings with ``encoder``.

    Raises UsageError and OperationError, as `RecordingReader`.
    """
    segments: list[Segment] = []
    for _, group in groupby(reference.segments, lambda segment: segment.file.path):
        of_file = list(group)
        parts = [RecordingPart.of_segment(each, reference.front_end) for each in of_file]
        for segment, pieces in zip(of_file, read_parts(parts, channel), strict=True):
            vectors = encode_windows(pieces[0], encoder, reference.front_end)
            windows = with_vectors(segment.windows, vectors)
            if windows:  # rounding to the recording's rate may cost the last sample
                segments.append(Segment(segment.file, windows, segment.seconds))
    encoders = tuple(encoder if each is before else each for each in reference.encoders)
    return replace(reference, segments=tuple(segments), encoders=encoders)
