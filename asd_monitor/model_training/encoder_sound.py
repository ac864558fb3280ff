"""Recordings → gapless sound without DC at the sampling rate of the encoders, 16 kHz."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from asd_monitor.audio.files.recordings import RecordingReader
from asd_monitor.dsp.front_end import MAX_RATE_HZ
from asd_monitor.dsp.signal_conditioning import SignalConditioner
from asd_monitor.model_training.recording_parts import RecordingPart
from asd_monitor.records import Block, Samples

RATE_HZ = MAX_RATE_HZ


class GaplessSound:
    """Joins the blocks of a stream to gapless pieces without DC at the encoders' rate."""

    def __init__(self, from_hz: int) -> None:
        self._from_hz = from_hz
        self._conditioner = SignalConditioner(from_hz, RATE_HZ)
        self._pieces: list[list[Samples]] = []
        self._expected: int | None = None

    def push(self, block: Block) -> None:
        """Append the next block; a gap before it begins a new piece.

        As in `pipeline.WindowExtractor`, what the conditioner still holds is lost at a gap.
        """
        if block.start != self._expected:
            self._conditioner = SignalConditioner(self._from_hz, RATE_HZ)
            self._pieces.append([])
        self._pieces[-1].append(self._conditioner.push(block.samples))
        self._expected = block.end

    def flush(self) -> list[Samples]:
        """End the stream and return its pieces, each (n,) float32."""
        if self._pieces:
            self._pieces[-1].append(self._conditioner.flush())
        return [np.concatenate(piece) for piece in self._pieces]


def read_gapless(path: Path, channel: int | None = None) -> list[Samples]:
    """Return the gapless pieces of a whole recording, each (n,) float32 at 16 kHz.

    Raises UsageError and OperationError, as `RecordingReader`.
    """
    with RecordingReader(path, channel) as reader:
        sound = GaplessSound(reader.rate_hz)
        for block in reader.blocks():
            sound.push(block)
    return sound.flush()


def read_parts(parts: Sequence[RecordingPart], channel: int | None) -> list[list[Samples]]:
    """Return the gapless pieces of each part, (n,) float32 at 16 kHz.

    Successive parts of one recording are read in one pass.

    Raises:
        UsageError, OperationError: as `RecordingReader`.

    """
    found: list[list[Samples]] = []
    for path, group in groupby(parts, lambda part: part.file.path):
        of_file = list(group)
        spans = [part.span for part in of_file]
        sounds = [GaplessSound(part.file.rate_hz) for part in of_file]
        end = max(past for _, past in spans)
        with RecordingReader(path, channel) as reader:
            for block in reader.blocks(from_sample=min(first for first, _ in spans)):
                if block.start >= end:
                    break
                for (first, past), sound in zip(spans, sounds, strict=True):
                    if max(first, block.start) < min(past, block.end):
                        sound.push(block.part(first, past))
        found += [sound.flush() for sound in sounds]
    return found
