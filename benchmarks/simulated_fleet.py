"""Synthetic sound, detectors fitted to it, and fleets of machines with endless streams."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from asd_monitor.detector.detector import Detector
from asd_monitor.detector.fit import fit_detector
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.encoder_loading import shipped_encoder
from asd_monitor.pipeline import Pipeline, WindowExtractor, score_batch
from asd_monitor.records import Block, Samples, Stream, WindowScore

RATE_HZ = 16_000
WINDOW_FRAMES = 61
HOP_FRAMES = {"none": 61, "75 %": 16, "95 %": 3}
"""Frames from one window to the next, by the overlap of windows."""
LIVE_BLOCK_S, RECORDED_BLOCK_S = 0.1, 5.0
_FITTED = 2  # detectors that are fitted for each hop; the others are copies
_SOUND_S = 120.0

OnScore = Callable[[int, WindowScore], None]
"""Called with the number of the machine and a score."""


def synthetic_sound(seconds: float, seed: int) -> Samples:
    """Return noise with a hum of fluctuating level, (n,) at 16 kHz; one machine for all seeds."""
    rng = np.random.default_rng(seed)
    count = round(seconds * RATE_HZ)
    time_s = np.arange(count) / RATE_HZ
    base_hz = 49.3
    hum = sum(np.sin(2 * np.pi * base_hz * k * time_s) / k for k in (1, 2, 3, 5, 8, 13, 21))
    level = 1.0 + 0.3 * np.sin(2 * np.pi * 0.7 * time_s + rng.uniform(0.0, 2 * np.pi))
    sound = 0.03 * level * hum + 0.02 * rng.standard_normal(count)
    return np.asarray(sound, np.float32)


def shipped_encoders() -> tuple[Encoder, ...]:
    """Return the shipped encoder, if there is one."""
    encoder = shipped_encoder()
    return () if encoder is None else (encoder,)


def fitted_detectors(machines: int, hop_frames: int, training_s: float) -> list[Detector]:
    """Return so many detectors, each with arrays of its own, fitted to so much sound."""
    fitted = _fit(hop_frames, training_s)
    return [_copy(fitted[number % len(fitted)]) for number in range(machines)]


@cache
def _fit(hop_frames: int, training_s: float) -> tuple[Detector, ...]:
    front_end = FrontEnd(window_frames=WINDOW_FRAMES, hop_frames=hop_frames)
    encoders = shipped_encoders()
    detectors = []
    for seed in range(_FITTED):
        extractor = WindowExtractor(front_end, encoders)
        windows = extractor.push(Block(Stream(RATE_HZ), 0, synthetic_sound(training_s, 100 + seed)))
        detectors.append(fit_detector([windows], front_end, RATE_HZ, encoders).detector)
    return tuple(detectors)


def _copy(detector: Detector) -> Detector:
    views = []
    for view in detector.views:
        arrays = {name: array.copy() for name, array in view.back_end.arrays().items()}
        views.append(replace(view, back_end=type(view.back_end)(**arrays)))
    return replace(detector, views=tuple(views))


@cache
def _long_sound() -> Samples:
    return synthetic_sound(_SOUND_S, 7)


class _Stream:
    """The sound of one machine, from some position of the synthetic sound on, repeated."""

    def __init__(self, first: int) -> None:
        self._stream = Stream(RATE_HZ)
        self._sound, self._first, self._next = _long_sound(), first, 0

    def take(self, samples: int) -> Block:
        begin = (self._first + self._next) % (len(self._sound) - samples)
        block = Block(self._stream, self._next, self._sound[begin : begin + samples])
        self._next += samples
        return block


class SimulatedFleet:
    """Machines whose blocks arrive together and whose windows end at different times."""

    def __init__(self, detectors: Sequence[Detector]) -> None:
        self._machines = []
        hop = WINDOW_FRAMES * detectors[0].front_end.frame_hop
        for number, detector in enumerate(detectors):
            pipeline, stream = Pipeline(detector), _Stream(number * 4321)
            begin = 2 * hop + number * hop // len(detectors)
            score_batch([(pipeline, stream.take(begin))])
            self._machines.append((pipeline, stream))

    def score(self, seconds: float, block_s: float, on_score: OnScore | None = None) -> int:
        """Score the next sound of each machine; return the number of windows."""
        size, windows = round(block_s * RATE_HZ), 0
        for _ in range(round(seconds / block_s)):
            work = [(pipeline, stream.take(size)) for pipeline, stream in self._machines]
            for machine, scores in enumerate(score_batch(work)):
                windows += len(scores)
                if on_score is not None:
                    for score in scores:
                        on_score(machine, score)
        return windows
