"""Recordings as the encoders hear them: gapless sound at 16 kHz, and vectors of its windows.

What `pipeline.WindowExtractor` gives, but with one encoder alone and without the statistics, which
take most of the time: for sound whose windows are there already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np

from asd_monitor.audio.files.recordings import RecordingReader
from asd_monitor.dsp.frames import Vector
from asd_monitor.dsp.front_end import MAX_RATE_HZ, FrontEnd
from asd_monitor.dsp.resampling import Resampler
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.streaming import EncoderStream
from asd_monitor.features.windows import Window
from asd_monitor.model_training.held_out_trial import RecordingPart
from asd_monitor.model_training.reference import Reference, Segment
from asd_monitor.records import Block, Samples

RATE_HZ = MAX_RATE_HZ
PIECE_S = 10.0  # of sound, at a time through the network


class GaplessResampler:
    """Joins the blocks of a stream to gapless pieces at the encoders' rate."""

    def __init__(self, from_hz: int) -> None:
        self._resampler = Resampler(from_hz, RATE_HZ)
        self._pieces: list[list[Samples]] = []
        self._expected: int | None = None

    def push(self, block: Block) -> None:
        """Take the next block."""
        if block.start != self._expected:
            self._resampler = Resampler(self._resampler.from_hz, RATE_HZ)
            self._pieces.append([])
        self._pieces[-1].append(self._resampler.push(block.samples))
        self._expected = block.end

    def pieces(self) -> list[Samples]:
        """Return what there is; the stream ends here."""
        if self._pieces:
            self._pieces[-1].append(self._resampler.flush())
        return [np.concatenate(piece) for piece in self._pieces]


def read_parts(parts: Sequence[RecordingPart], channel: int | None) -> list[list[Samples]]:
    """Return the gapless pieces of sound in each part of a recording, at 16 kHz.

    Parts of one recording stand together, and it is read once.

    Raises:
        UsageError, OperationError: as the recordings' reader.

    """
    found: list[list[Samples]] = []
    for path, group in groupby(parts, lambda part: part.file.path):
        of_file = list(group)
        rate_hz = of_file[0].file.rate_hz
        spans = [(round(part.from_s * rate_hz), round(part.to_s * rate_hz)) for part in of_file]
        joined = [GaplessResampler(rate_hz) for _ in of_file]
        with RecordingReader(path, channel) as reader:
            for block in reader.blocks():
                for (first, past), each in zip(spans, joined, strict=True):
                    low, high = max(first, block.start), min(past, block.end)
                    if low < high:
                        samples = block.samples[low - block.start : high - block.start]
                        each.push(Block(low, samples))
        found += [each.pieces() for each in joined]
    return found


def encode_windows(sound: Samples, encoder: Encoder, front_end: FrontEnd) -> list[dict[str, Vector]]:
    """Return an encoder's vectors of each window of gapless sound at the front end's rate.

    The windows are those that `features.windows` makes of it.
    """
    stream = EncoderStream(encoder)
    found: list[dict[str, Vector]] = []
    piece, begin = round(PIECE_S * front_end.rate_hz), 0
    for first in range(0, len(sound), piece):
        stream.push(sound[first : first + piece])
        while begin + front_end.window <= min(first + piece, len(sound)):
            found.append(stream.between(begin, begin + front_end.window))
            begin += front_end.hop
        stream.forget(begin)
    return found


def with_vectors(
    windows: Sequence[Window], vectors: Sequence[Mapping[str, Vector]]
) -> tuple[Window, ...]:
    """Return windows with these vectors among their features; the shorter list ends it."""
    return tuple(
        Window(window.start, window.end, {**window.features, **new})
        for window, new in zip(windows, vectors, strict=False)
    )


def part_of_segment(segment: Segment, front_end: FrontEnd) -> RecordingPart:
    """Return where a stretch lies in its recording."""
    begin_s = segment.windows[0].start / front_end.rate_hz
    return RecordingPart(segment.file, begin_s, begin_s + segment.seconds)


def replace_encoder(
    reference: Reference, before: Encoder, encoder: Encoder, channel: int | None = None
) -> Reference:
    """Return the normals with another encoder's vectors in the place of one's.

    It has the same views.  As if they had been read with it, but without that time.
    """
    segments: list[Segment] = []
    for _, group in groupby(reference.segments, lambda segment: segment.file.path):
        of_file = list(group)
        sounds = read_parts([part_of_segment(each, reference.front_end) for each in of_file], channel)
        for segment, pieces in zip(of_file, sounds, strict=True):
            vectors = encode_windows(pieces[0], encoder, reference.front_end)
            windows = with_vectors(segment.windows, vectors)
            if windows:  # the last one may miss a sample that was rounded away
                segments.append(Segment(segment.file, windows, segment.seconds))
    encoders = tuple(encoder if each is before else each for each in reference.encoders)
    return replace(reference, segments=tuple(segments), encoders=encoders)
