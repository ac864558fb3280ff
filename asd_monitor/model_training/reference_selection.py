"""The training windows that a bundle keeps for a refit."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from asd_monitor.detector.back_end import Floats
from asd_monitor.features.windows import Window
from asd_monitor.model_store.reference_file import StoredReference
from asd_monitor.model_training.reference import Reference

MAX_STORED_WINDOWS = 1500
"""Five megabytes with the shipped encoder."""
BLOCK_S = 10.0


def stored_reference(
    reference: Reference, max_windows: int = MAX_STORED_WINDOWS
) -> StoredReference:
    """Return all training windows, or the most distinct ones that the limit permits.

    Beyond the limit windows that overlap are left out first, as far as needed; beyond the limit
    still, blocks of `BLOCK_S` are kept that are spread evenly over the recordings.
    """
    front_end = reference.front_end
    apart = math.ceil(front_end.window_s / front_end.hop_s)  # windows that do not overlap
    total = len(reference.windows)
    stride = min(apart, max(1, -(-total // max_windows)))
    block_samples = round(BLOCK_S * front_end.rate_hz)
    chosen: list[tuple[int, float, Window]] = []  # segment, samples of sound before, window
    before = 0.0
    for number, segment in enumerate(reference.segments):
        first = segment.windows[0].start if segment.windows else 0
        chosen += [
            (number, before + window.start - first, window) for window in segment.windows[::stride]
        ]
        before += segment.seconds * front_end.rate_hz
    chosen = _spread(chosen, block_samples, max_windows)
    total_samples = max(before, 1.0)
    return StoredReference.of_windows(
        [window for *_, window in chosen],
        segments=[segment for segment, *_ in chosen],
        fractions=[at / total_samples for _, at, _ in chosen],
        times_s=_times_s(reference, chosen),
    )


def _spread(
    chosen: Sequence[tuple[int, float, Window]], block_samples: int, max_windows: int
) -> list[tuple[int, float, Window]]:
    """Return whole blocks, evenly spread, with at most ``max_windows``."""
    if len(chosen) <= max_windows:
        return list(chosen)
    blocks: dict[tuple[int, int], list[tuple[int, float, Window]]] = {}
    for segment, at, window in chosen:
        blocks.setdefault((segment, int(at // block_samples)), []).append((segment, at, window))
    found = list(blocks.values())
    longest = max(len(block) for block in found)
    count = max(1, max_windows // longest)
    indices = np.linspace(0, len(found) - 1, min(count, len(found))).round().astype(int)
    return [item for index in dict.fromkeys(indices.tolist()) for item in found[index]]


def _times_s(reference: Reference, chosen: Sequence[tuple[int, float, Window]]) -> Floats:
    """Return the time of each window; recordings of unknown time follow each other."""
    rate_hz = reference.front_end.rate_hz
    begins = [reference.begin_s(segment) for segment in reference.segments]
    times = []
    for number, at, window in chosen:
        begin = begins[number]
        first = reference.segments[number].windows[0].start
        known = (
            None if None in begins or begin is None else begin + (window.start - first) / rate_hz
        )
        times.append(at / rate_hz if known is None else known)
    return np.array(times) - min(times, default=0.0)
