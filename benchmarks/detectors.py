"""What the bench listens with: made sound, detectors fitted to it, streams that never end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from asd_monitor.detector.detector import Detector
from asd_monitor.detector.fit import fit_detector
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.encoders.encoder_loading import select_encoders, shipped_encoder
from asd_monitor.pipeline import Pipeline, WindowExtractor, score_batch
from asd_monitor.records import Block, Samples, WindowScore

RATE_HZ = 16_000
WINDOW_FRAMES = 61
HOP_FRAMES = {"none": 61, "75 %": 16, "95 %": 3}
"""Frames from one window to the next, by how much two windows share."""
LIVE_S, RECORDED_S = 0.1, 5.0
"""Blocks as live capture and as recordings give them."""
_FITTED = 2  # detectors fitted for each hop; the others are copies
_SOUND_S = 120.0


def synthetic_sound(seconds: float, seed: int) -> Samples:
    """Return noise with a hum whose strength wavers: one machine, whatever the seed."""
    rng = np.random.default_rng(seed)
    count = round(seconds * RATE_HZ)
    time_s = np.arange(count) / RATE_HZ
    base_hz = 49.3
    hum = sum(np.sin(2 * np.pi * base_hz * k * time_s) / k for k in (1, 2, 3, 5, 8, 13, 21))
    wavering = 1.0 + 0.3 * np.sin(2 * np.pi * 0.7 * time_s + rng.uniform(0.0, 2 * np.pi))
    sound = 0.03 * wavering * hum + 0.02 * rng.standard_normal(count)
    return np.asarray(sound, np.float32)


@cache
def _fitted(hop_frames: int, reference_s: float) -> tuple[Detector, ...]:
    front_end = FrontEnd(window_frames=WINDOW_FRAMES, hop_frames=hop_frames)
    encoders = select_encoders(shipped_encoder(), [])
    detectors = []
    for seed in range(_FITTED):
        windows = WindowExtractor(front_end, RATE_HZ, encoders)
        reference = windows.push(Block(0, synthetic_sound(reference_s, 100 + seed)))
        detectors.append(fit_detector([reference], front_end, RATE_HZ, encoders).detector)
    return tuple(detectors)


def detectors(machines: int, hop_frames: int, reference_s: float) -> list[Detector]:
    """Return so many detectors, each with arrays of its own, fitted to as many normals."""
    fitted = _fitted(hop_frames, reference_s)
    return [_copied(fitted[number % len(fitted)]) for number in range(machines)]


def _copied(detector: Detector) -> Detector:
    views = []
    for view in detector.views:
        own = {name: array.copy() for name, array in view.back_end.arrays().items()}
        views.append(replace(view, back_end=view.back_end.restore(own)))
    return replace(detector, views=tuple(views))


@cache
def _long_sound() -> Samples:
    return synthetic_sound(_SOUND_S, 7)


class _Feed:
    """One machine's stream; it begins anywhere in the made sound, and over again at its end."""

    def __init__(self, first: int) -> None:
        self._sound, self._first, self._next = _long_sound(), first, 0

    def take(self, samples: int) -> Block:
        at = (self._first + self._next) % (len(self._sound) - samples)
        block = Block(self._next, self._sound[at : at + samples])
        self._next += samples
        return block


class Machines:
    """Machines that are heard together; their windows end one after the other, as in a hall."""

    def __init__(self, fitted: Sequence[Detector]) -> None:
        self._machines = []
        hop = WINDOW_FRAMES * fitted[0].front_end.frame_hop
        for number, detector in enumerate(fitted):
            pipeline, feed = Pipeline(detector, RATE_HZ), _Feed(number * 4321)
            begin = 2 * hop + number * hop // len(fitted)
            score_batch([(pipeline, feed.take(begin))])
            self._machines.append((pipeline, feed))

    def hear(
        self,
        seconds: float,
        block_s: float,
        tell: Callable[[int, WindowScore], None] | None = None,
    ) -> int:
        """Score so much more sound of each; return how many windows there were."""
        size, windows = round(block_s * RATE_HZ), 0
        for _ in range(round(seconds / block_s)):
            work = [(pipeline, feed.take(size)) for pipeline, feed in self._machines]
            for machine, scores in enumerate(score_batch(work)):
                windows += len(scores)
                if tell is not None:
                    for score in scores:
                        tell(machine, score)
        return windows
