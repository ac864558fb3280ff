"""Gapless streams of samples → overlapping windows with their features.

Every frame is computed once, whatever the overlap; a window's vectors are made from the
frames that lie wholly within it.  How a stream is cut into pieces does not matter, nor
which other streams are listened to in the same go.

Nothing is computed before it completes a window: then the frames of many streams are made
together (`asd_monitor.features.analysis`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from weakref import WeakValueDictionary

import numpy as np

from asd_monitor.batching import result_or_raise, run_batch
from asd_monitor.dsp.frames import Matrix, Vector
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.streaming import EncoderStream
from asd_monitor.features.analysis import Analysis
from asd_monitor.features.batched_encoder import uses_front_end_frames
from asd_monitor.features.decimated_spectrum import FINE_HOPS
from asd_monitor.features.stream_state import StateArrays
from asd_monitor.records import Samples

FRAMES_AT_ONCE = 256  # fit into a processor's second cache


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """One window; ``start`` and ``end`` count samples at the front end's rate."""

    start: int
    end: int
    features: Mapping[str, Vector]
    hops: int = 1  # since the window before that was made

    @property
    def rms_dbfs(self) -> float:
        """Level of the window."""
        return float(self.features["level"][0])


class Phase(NamedTuple):
    """How far a stream is; equal for those that can be listened to in one go."""

    begins: bool
    place: int  # among the frames of the fine spectrum
    hops: int  # due
    every: int  # so-manieth window is made


class Slot(NamedTuple):
    """What a stream carries on: its row of what streams that went together carry."""

    carried: StateArrays
    row: int


class WindowStream:
    """Makes the windows of one gapless stream; after a gap, begin a new one.

    Their features have the statistics by name, and each encoder's vectors by its views'.
    """

    def __init__(self, front_end: FrontEnd, encoders: Sequence[Encoder] = ()) -> None:
        """Begin; the encoders fit the front end (`Encoder.misfit`)."""
        sharing = tuple(e for e in encoders if uses_front_end_frames(e, front_end))
        self.analysis = _analysis(front_end, sharing)
        self._others = [EncoderStream(e) for e in encoders if e not in sharing]
        self._window, self._hop = front_end.window, front_end.hop
        self._window_frames, self._hop_frames = front_end.window_frames, front_end.hop_frames
        self._overlap = front_end.frame - front_end.frame_hop  # of two frames, in samples
        self._pending: list[Samples] = []
        self._carried: Slot | None = None
        self._made = 0  # windows so far, or passed over
        self._every = 1
        self.held = 0
        """Samples that are in no window yet, but for those in which two frames overlap."""
        self.wanted = self._window
        """Samples that complete a window when they are held."""

    def push(self, samples: Samples) -> list[Window]:
        """Return the windows that these samples complete.

        Raises EncoderError where a network cannot be run.
        """
        self.append(samples)
        return result_or_raise(extract_pending([self])[0])

    def append(self, samples: Samples) -> None:
        """Append samples; `extract_pending` makes the windows."""
        if len(samples):
            self._pending.append(samples)
            self.held += len(samples)
            for other in self._others:
                other.push(samples)

    def set_stride(self, every: int) -> None:
        """Make only every so-manieth window from now on; the frames are made all the same."""
        self._every = every
        if self._carried is not None:
            self.wanted = every * self._hop + self._overlap

    @property
    def is_due(self) -> bool:
        """Whether a window is complete."""
        return self.held >= self.wanted

    def due(self) -> int:
        """Return how many hops can be gone on at once, at most as many as fit into memory."""
        if self._carried is None:
            return int(self.held >= self.wanted)
        most = max(self._every, FRAMES_AT_ONCE // self._hop_frames)
        hops = min(most, (self.held - self._overlap) // self._hop)
        return hops // self._every * self._every

    def phase(self) -> Phase:
        """Return what streams share that can be taken together."""
        place = self._made * self._hop_frames % FINE_HOPS[0]
        return Phase(self._carried is None, place, self.due(), self._every)

    def frames_due(self) -> int:
        """Return how many frames these windows need."""
        return self._window_frames if self._carried is None else self.due() * self._hop_frames

    @property
    def start(self) -> int:
        """Sample at which the next window begins, be it passed over or not."""
        return self._made * self._hop

    @property
    def carried(self) -> Slot | None:
        """What goes on from the windows before; None where there are none."""
        return self._carried

    def taken(self) -> int:
        """Return how many samples the windows that are due need."""
        return self.wanted if self._carried is None else self.due() * self._hop + self._overlap

    def give(self, sound: Samples) -> None:
        """Write the samples that were taken (`taken`,) into an array; they are not used up."""
        at = 0
        for block in self._pending:
            new = block[: len(sound) - at]
            sound[at : at + len(new)] = new
            at += len(new)

    def accept(self, features: Mapping[str, Matrix], carried: Slot) -> list[Window]:
        """Return the windows of these features, each (q, d), made of what was given."""
        self._use_up(self.taken() - self._overlap)
        hops = 1 if self._carried is None else self._every
        self._carried = carried
        self.set_stride(self._every)
        windows = []
        for number in range(len(features["level"])):
            self._made += hops
            start = (self._made - 1) * self._hop
            end = start + self._window
            vectors = {name: each[number] for name, each in features.items()}
            for other in self._others:
                vectors |= other.between(start, end)
                other.forget(start + self._hop)
            windows.append(Window(start, end, vectors, hops))
        return windows

    def _use_up(self, samples: int) -> None:
        self.held -= samples
        rest: list[Samples] = []
        for block in self._pending:
            if len(block) > samples:
                rest.append(block[samples:])
            samples = max(0, samples - len(block))
        self._pending = rest


def extract_pending(streams: Sequence[WindowStream]) -> list[list[Window] | Exception]:
    """Return the windows of each stream that the samples taken complete.

    Streams that are equally far are listened to in one go.  What one of them raises, such as
    an EncoderError, comes in the place of its windows.
    """
    made: list[list[Window]] = [[] for _ in streams]
    failed: dict[int, Exception] = {}
    while waiting := [
        n for n, each in enumerate(streams) if each.held >= each.wanted and n not in failed
    ]:
        alike: defaultdict[tuple[Analysis, Phase], list[int]] = defaultdict(list)
        for number in waiting:
            alike[streams[number].analysis, streams[number].phase()].append(number)
        for numbers in alike.values():
            size = max(1, FRAMES_AT_ONCE // streams[numbers[0]].frames_due())
            for begin in range(0, len(numbers), size):
                some = numbers[begin : begin + size]
                found = run_batch(_advance, [streams[number] for number in some])
                for number, windows in zip(some, found, strict=True):
                    if isinstance(windows, Exception):
                        failed[number] = windows
                    else:
                        made[number] += windows
    return [failed.get(number, windows) for number, windows in enumerate(made)]


def _advance(streams: Sequence[WindowStream]) -> list[list[Window] | Exception]:
    """Make the windows that are due of streams that are equally far.

    What a stream's own networks raise comes in the place of its windows; where anything else
    raises, all streams are as they were.
    """
    analysis, phase = streams[0].analysis, streams[0].phase()
    sound = np.empty((len(streams), streams[0].taken()), np.float32)
    for row, stream in enumerate(streams):
        stream.give(sound[row])
    slots = [stream.carried for stream in streams if stream.carried is not None]
    if not slots:
        features, carried = analysis.first(sound)
    else:
        start = streams[0].start
        features, carried = analysis.next(sound, _gathered(slots), start, phase.every)
    outcomes: list[list[Window] | Exception] = []
    for row, stream in enumerate(streams):
        own = {name: rows[row] for name, rows in features.items()}
        try:
            outcomes.append(stream.accept(own, Slot(carried, row)))
        except Exception as error:  # noqa: BLE001 - the others were made, and go on
            outcomes.append(error)
    return outcomes


def _gathered(slots: Sequence[Slot]) -> StateArrays:
    """Return what streams carry as one, a row each; at once where they went together before."""
    first = slots[0].carried
    together_before = all(
        slot.carried is first and slot.row == row for row, slot in enumerate(slots)
    )
    if together_before and all(len(rows) == len(slots) for rows in first.values()):
        return first
    return {
        # numpy's own `stack` takes several times as long
        name: np.concatenate([slot.carried[name][slot.row] for slot in slots]).reshape(
            len(slots), *rows.shape[1:]
        )
        for name, rows in first.items()
    }


_KNOWN: WeakValueDictionary[tuple[FrontEnd, tuple[Encoder, ...]], Analysis] = WeakValueDictionary()


def _analysis(front_end: FrontEnd, encoders: tuple[Encoder, ...]) -> Analysis:
    """Return the one analysis of all streams that are listened to in the same way."""
    found = _KNOWN.get((front_end, encoders))
    if found is None:
        found = _KNOWN[front_end, encoders] = Analysis(front_end, encoders)
    return found
