"""Gapless streams of samples → overlapping windows with their features.

Every frame is computed once, whatever the overlap; the features of a window depend on the frames
that lie wholly within it, not on how the stream is cut into blocks or which other streams are
computed together with it.

Nothing is computed before a window is complete; then the frames of many streams are computed in
one pass (`asd_monitor.features.analysis`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from weakref import WeakValueDictionary

import numpy as np

from asd_monitor.batching import each_alone, result_or_raise, run_batch
from asd_monitor.dsp.fine_spectrum import fine_frames
from asd_monitor.dsp.frames import Matrix, Vector
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.streaming import EncoderStream
from asd_monitor.features.analysis import Analysis
from asd_monitor.features.batched_encoder import uses_front_end_frames
from asd_monitor.features.stream_state import StateArrays
from asd_monitor.records import Samples

MAX_FRAMES_PER_PASS = 512  # of all streams together
MAX_FRAMES_OF_STREAM = 256  # in one pass


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """One window; ``start`` and ``end`` count samples at the front end's rate."""

    start: int
    end: int
    features: Mapping[str, Vector]
    hops: int = 1  # from the start of the previous window

    @property
    def rms_dbfs(self) -> float:
        """Level of the window, in dB relative to full scale."""
        return float(self.features["level"][0])


class Phase(NamedTuple):
    """What streams have in common that can be computed in one pass."""

    begins: bool
    fine_offset: int  # of the next window among the hops of the fine spectrum, in frames
    hops: int  # that are pending
    stride: int


class StateRow(NamedTuple):
    """The state of a stream: its row in the state of the streams of one pass."""

    arrays: StateArrays
    row: int


class WindowStream:
    """Extracts the windows of one gapless stream; after a gap, begin another one.

    Windows have the features of `asd_monitor.dsp.window_features` by name, and the vectors of the
    encoders by the names of their views.
    """

    def __init__(self, front_end: FrontEnd, encoders: Sequence[Encoder] = ()) -> None:
        """Begin; the encoders are compatible with the front end (`Encoder.incompatibility`)."""
        batched = tuple(e for e in encoders if uses_front_end_frames(e, front_end))
        self.analysis = _shared_analysis(front_end, batched)
        self._others = [EncoderStream(e) for e in encoders if e not in batched]
        self._window, self._hop = front_end.window, front_end.hop
        self._window_frames, self._hop_frames = front_end.window_frames, front_end.hop_frames
        self._fine_hop_frames = fine_frames(front_end).hop // front_end.frame_hop
        self._overlap = front_end.frame - front_end.frame_hop  # of two frames, in samples
        self._blocks: list[Samples] = []
        self._state: StateRow | None = None
        self._completed = 0  # windows so far, returned or skipped
        self._stride = 1
        self._buffered = 0  # samples in no window yet, and those in which two frames overlap
        self._needed = self._window  # buffered samples that complete a window

    def push(self, samples: Samples) -> list[Window]:
        """Return the windows that these samples (n,) float32 complete.

        Raises EncoderError where a network cannot be run.
        """
        self.append(samples)
        return result_or_raise(extract_pending([self])[0])

    def append(self, samples: Samples) -> None:
        """Buffer samples (n,) float32; `extract_pending` computes the windows."""
        if len(samples):
            self._blocks.append(samples)
            self._buffered += len(samples)
            for other in self._others:
                other.push(samples)

    def set_stride(self, stride: int) -> None:
        """Return only every ``stride``-th window from now on; all frames are still computed."""
        self._stride = stride
        if self._state is not None:
            self._needed = stride * self._hop + self._overlap

    @property
    def has_pending(self) -> bool:
        """Whether a window is complete and has not been extracted."""
        return self._buffered >= self._needed

    @property
    def missing_samples(self) -> int:
        """Samples that complete the next window, or the next one that is returned."""
        return max(0, self._needed - self._buffered)

    @property
    def phase(self) -> Phase:
        """What streams that can be computed in one pass have in common."""
        offset = self._completed * self._hop_frames % self._fine_hop_frames
        return Phase(self._state is None, offset, self._pending_hops, self._stride)

    @property
    def _pending_hops(self) -> int:
        """Hops of one pass: those that are complete, limited to MAX_FRAMES_OF_STREAM."""
        if self._state is None:
            return int(self.has_pending)
        limit = max(self._stride, MAX_FRAMES_OF_STREAM // self._hop_frames)
        hops = min(limit, (self._buffered - self._overlap) // self._hop)
        return hops // self._stride * self._stride

    @property
    def pending_frames(self) -> int:
        """Frames of the next pass."""
        return self._window_frames if self._state is None else self._pending_hops * self._hop_frames

    @property
    def pending_samples(self) -> int:
        """Samples of the next pass."""
        if self._state is None:
            return self._window
        return self._pending_hops * self._hop + self._overlap

    @property
    def next_start(self) -> int:
        """Sample at which the next window begins, skipped by the stride or not."""
        return self._completed * self._hop

    @property
    def state(self) -> StateRow | None:
        """The state after the previous windows; None before the first one."""
        return self._state

    def read_pending(self, out: Samples) -> None:
        """Copy the samples of the next pass into ``out`` (pending_samples,); they stay buffered."""
        at = 0
        for block in self._blocks:
            new = block[: len(out) - at]
            out[at : at + len(new)] = new
            at += len(new)

    def complete(self, features: Mapping[str, Matrix], state: StateRow) -> list[Window]:
        """Return the windows of a pass, of their features (q, d), and take up its state.

        Raises EncoderError where a network of its own cannot be run; the windows are then lost.
        """
        self._drop(self.pending_samples - self._overlap)
        hops = 1 if self._state is None else self._stride
        self._state = state
        self.set_stride(self._stride)
        windows = []
        for number in range(len(features["level"])):
            self._completed += hops
            start = (self._completed - 1) * self._hop
            end = start + self._window
            vectors = {name: rows[number] for name, rows in features.items()}
            for other in self._others:
                vectors |= other.between(start, end)
                other.discard(start + self._hop)
            windows.append(Window(start, end, vectors, hops))
        return windows

    def _drop(self, samples: int) -> None:
        self._buffered -= samples
        rest: list[Samples] = []
        for block in self._blocks:
            if len(block) > samples:
                rest.append(block[samples:])
            samples = max(0, samples - len(block))
        self._blocks = rest


def extract_pending(streams: Sequence[WindowStream]) -> list[list[Window] | Exception]:
    """Return the windows that the buffered samples of each stream complete.

    Streams of one front end at the same phase are computed in one pass.  An exception of one of
    them, such as an EncoderError, is returned in place of its windows.
    """
    extracted: list[list[Window]] = [[] for _ in streams]
    failed: dict[int, Exception] = {}
    while pending := [n for n, s in enumerate(streams) if s.has_pending and n not in failed]:
        passes: defaultdict[tuple[Analysis, Phase], list[int]] = defaultdict(list)
        for number in pending:
            passes[streams[number].analysis, streams[number].phase].append(number)
        for numbers in passes.values():
            size = max(1, MAX_FRAMES_PER_PASS // streams[numbers[0]].pending_frames)
            for begin in range(0, len(numbers), size):
                batch = numbers[begin : begin + size]
                results = run_batch(_run_pass, [streams[number] for number in batch])
                for number, windows in zip(batch, results, strict=True):
                    if isinstance(windows, Exception):
                        failed[number] = windows
                    else:
                        extracted[number] += windows
    return [failed.get(number, windows) for number, windows in enumerate(extracted)]


def _run_pass(streams: Sequence[WindowStream]) -> list[list[Window] | Exception]:
    """Return the windows of one pass of streams of one analysis at the same phase.

    An exception of a stream's own encoders is returned in place of its windows.  Where anything
    else raises, all streams are as before.
    """
    analysis, phase = streams[0].analysis, streams[0].phase
    sound = np.empty((len(streams), streams[0].pending_samples), np.float32)
    for row, stream in enumerate(streams):
        stream.read_pending(sound[row])
    rows = [stream.state for stream in streams if stream.state is not None]
    if not rows:
        features, state = analysis.first(sound)
    else:
        start = streams[0].next_start
        features, state = analysis.next(sound, _gathered(rows), start, phase.stride)

    def complete(row: int) -> list[Window]:
        own = {name: vectors[row] for name, vectors in features.items()}
        return streams[row].complete(own, StateRow(state, row))

    return each_alone(complete, range(len(streams)))


def _gathered(rows: Sequence[StateRow]) -> StateArrays:
    """Return the states of streams as one, in their order; uncopied where they are one already."""
    first = rows[0].arrays
    unchanged = all(state.arrays is first and state.row == row for row, state in enumerate(rows))
    if unchanged and all(len(array) == len(rows) for array in first.values()):
        return first
    return {
        # numpy's own `stack` takes several times as long
        name: np.concatenate([state.arrays[name][state.row] for state in rows]).reshape(
            len(rows), *array.shape[1:]
        )
        for name, array in first.items()
    }


_ANALYSES: WeakValueDictionary[tuple[FrontEnd, tuple[Encoder, ...]], Analysis] = (
    WeakValueDictionary()
)


def _shared_analysis(front_end: FrontEnd, encoders: tuple[Encoder, ...]) -> Analysis:
    """Return the one analysis of all streams with this front end and these encoders."""
    known = _ANALYSES.get((front_end, encoders))
    if known is None:
        known = _ANALYSES[front_end, encoders] = Analysis(front_end, encoders)
    return known
