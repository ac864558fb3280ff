"""Parts of recordings, read without decoding what lies before and after them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from asd_monitor.audio.files.recordings import RecordingReader
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.model_training.reference import Segment
from asd_monitor.model_training.sound_files import SoundFile
from asd_monitor.records import Block


@dataclass(frozen=True, slots=True, eq=False)
class RecordingPart:
    """A part of a recording."""

    file: SoundFile
    from_s: float
    to_s: float

    @staticmethod
    def of_segment(segment: Segment, front_end: FrontEnd) -> RecordingPart:
        """Return the part of the recording that a segment of windows covers."""
        begin_s = segment.windows[0].start / front_end.rate_hz
        return RecordingPart(segment.file, begin_s, begin_s + segment.seconds)

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.to_s - self.from_s

    @property
    def span(self) -> tuple[int, int]:
        """First sample and the sample after the last, at the recording's rate."""
        rate_hz = self.file.rate_hz
        return round(self.from_s * rate_hz), round(self.to_s * rate_hz)

    def blocks(self, channel: int | None = None) -> Iterator[Block]:
        """Yield the sound of the part; sample indices count from the start of the recording.

        Raises UsageError and OperationError, as `RecordingReader`.
        """
        first, past = self.span
        with RecordingReader(self.file.path, channel) as reader:
            for block in reader.blocks(from_sample=first):
                if block.start >= past:
                    break
                if block.end > first:
                    yield block.part(first, past)
