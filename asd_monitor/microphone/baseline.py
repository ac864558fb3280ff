"""What a microphone has captured in training: the range of the spectra of ten seconds.

A cover, or another microphone, multiplies everything captured by one transfer function: the
machine in each operating mode, and the background in its pauses.  So the range is kept for each
operating mode, and the sound of a machine that is off is a mode as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from asd_monitor.dsp.fine_spectrum import fine_frames
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.microphone.recent_spectra import (
    SpectralStatistics,
    Spectrum,
    blocks_of_span,
)
from asd_monitor.microphone.sample_counter import SampleFaults

MAX_MODES = 8
OFF = -1
"""Number of the mode of a machine that is off."""
NEW_MODE_DB = 6.0
"""Mean absolute difference from every mode beyond which sound is of a further mode."""

Integers = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class TrainingPiece:
    """The n windows of a gapless piece of training sound."""

    starts: Sequence[int]  # first sample of each
    ends: Sequence[int]  # one past the last sample
    spectra: Spectrum  # (n, b), log10 of power: mean log-mel spectra
    lines: Spectrum  # (n, l), log10 of power: lines of the fine spectrum up to 500 Hz
    modes: Integers  # (n,): number of the operating mode, or `OFF`


@dataclass(frozen=True, slots=True, eq=False)
class MicrophoneBaseline:
    """The ranges that training has shown: of b bands in each of k modes, in dB."""

    front_end: FrontEnd
    typical: Spectrum  # (k, b): median over the blocks of their medians
    lowest: Spectrum  # (k, b): of the medians
    highest: Spectrum  # (k, b)
    quietest: Spectrum  # (k, b): lowest of the lower quartiles
    lines: Spectrum  # (1, l): highest of the lines' medians, over all modes
    samples: SampleFaults  # counts in the samples
    has_pause: bool = False  # whether the machine was off in a part of the training sound

    def arrays(self) -> dict[str, Spectrum]:
        """Return the arrays that a bundle stores, by name."""
        return {name: getattr(self, name) for name in ("typical", *_RANGES, "lines")}

    @classmethod
    def restore(
        cls,
        arrays: Mapping[str, Spectrum],
        front_end: FrontEnd,
        samples: SampleFaults,
        *,
        has_pause: bool,
    ) -> Self:
        """Return the baseline with these arrays.

        Raises:
            KeyError: one is missing.
            ValueError: one has another shape than the front end requires, or there are others.

        """
        own = {name: arrays[name] for name in ("typical", *_RANGES, "lines")}
        if len(arrays) > len(own):
            raise ValueError("arrays that do not belong to a microphone")
        shape = own["typical"].shape
        same = all(own[name].shape == shape for name in _RANGES)
        if not same or len(shape) != 2 or not 1 <= shape[0] <= MAX_MODES:
            raise ValueError("ranges of different shapes")
        if shape[1] != front_end.mel_bands or own["lines"].shape != (1, line_count(front_end)):
            raise ValueError("ranges of another front end")
        return cls(front_end=front_end, samples=samples, has_pause=has_pause, **own)

    def extended(self, pieces: Sequence[TrainingPiece]) -> MicrophoneBaseline:
        """Return the baseline with the ranges of further sound of the same front end.

        Sound that resembles a mode widens its ranges; other sound is a further mode, as long as
        there are fewer than `MAX_MODES`.
        """
        found = self
        for piece in pieces:
            for block in _blocks(piece, self.front_end):
                found = found._with(block)
        return found

    def _with(self, block: _Block) -> MicrophoneBaseline:
        median = block.bands.median
        distances = np.abs(median - self.typical).mean(1)
        row = int(distances.argmin())
        lines = np.maximum(self.lines, block.lines)
        if distances[row] > NEW_MODE_DB and len(self.typical) < MAX_MODES:
            return replace(
                self,
                typical=np.vstack([self.typical, median]),
                lowest=np.vstack([self.lowest, median]),
                highest=np.vstack([self.highest, median]),
                quietest=np.vstack([self.quietest, block.bands.lower_quartile]),
                lines=lines,
            )
        lowest, highest, quietest = (each.copy() for each in self._ranges)
        np.minimum(lowest[row], median, out=lowest[row])
        np.maximum(highest[row], median, out=highest[row])
        np.minimum(quietest[row], block.bands.lower_quartile, out=quietest[row])
        return replace(self, lowest=lowest, highest=highest, quietest=quietest, lines=lines)

    @property
    def _ranges(self) -> tuple[Spectrum, ...]:
        return tuple(getattr(self, name) for name in _RANGES)


_RANGES = ("lowest", "highest", "quietest")


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """Ten seconds of training sound."""

    bands: SpectralStatistics
    lines: Spectrum  # (l,), medians in dB
    mode: int


def fit_baseline(
    pieces: Sequence[TrainingPiece], front_end: FrontEnd, samples: SampleFaults
) -> MicrophoneBaseline | None:
    """Return the baseline of training sound; None: no piece lasts for half of ten seconds.

    Args:
        pieces: the windows of the training sound.
        front_end: the front end that they were computed with.
        samples: the counts in its samples.

    """
    by_mode: dict[int, list[_Block]] = {}
    for piece in pieces:
        for block in _blocks(piece, front_end):
            by_mode.setdefault(block.mode, []).append(block)
    if not by_mode:
        return None
    groups = [by_mode[mode] for mode in sorted(by_mode)]
    medians = [np.stack([block.bands.median for block in group]) for group in groups]
    quartiles = [np.stack([block.bands.lower_quartile for block in group]) for group in groups]
    return MicrophoneBaseline(
        front_end,
        typical=np.stack([np.median(rows, axis=0) for rows in medians]),
        lowest=np.stack([rows.min(0) for rows in medians]),
        highest=np.stack([rows.max(0) for rows in medians]),
        quietest=np.stack([rows.min(0) for rows in quartiles]),
        lines=np.max([block.lines for group in groups for block in group], axis=0)[None],
        samples=samples,
        has_pause=OFF in by_mode,
    )


def line_count(front_end: FrontEnd) -> int:
    """Return how many lines the fine spectrum of a front end has."""
    lines = fine_frames(front_end).lines
    return int(lines.stop - lines.start)


def _blocks(piece: TrainingPiece, front_end: FrontEnd) -> list[_Block]:
    found = []
    for block in blocks_of_span(piece.starts, piece.ends, front_end.rate_hz):
        numbers, counts = np.unique(piece.modes[block], return_counts=True)
        found.append(
            _Block(
                SpectralStatistics.of(piece.spectra[block]),
                SpectralStatistics.of(piece.lines[block]).median,
                int(numbers[counts.argmax()]),
            )
        )
    return found
