"""Which blocks of live sound are kept: spread over time and operating conditions.

Pure: time is that of the windows, and the choice depends on the seed and the sound only.  Sound is
divided into blocks of `BLOCK_S`.  One block of every stretch is kept, at a random place in it; the
stretches grow longer with the age of the commissioning.  A block of a rare operating condition is
kept beyond that, so that a pump that runs for minutes a day is not missed.

No sound is kept in a fault of the microphone, nor where its spectrum suggests another response:
the model would learn a cover.  Such a change is recognised some time after it began, so blocks are
taken `CONFIRMED_S` later.  Louder sound and clipping are kept, since a machine explains them.
Dropouts discard the block that they are in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from statistics import median

import numpy as np

from asd_monitor.commissioning.blocks import (
    BLOCK_S,
    Floats,
    Layout,
    LiveBlock,
    Stratum,
)
from asd_monitor.detector.detector import Detector
from asd_monitor.features.windows import Window
from asd_monitor.monitor import Reading
from asd_monitor.records import MachineState, WindowScore
from asd_monitor.wording import DAY_S

HOUR_S = 3600.0

MAX_BLOCKS_PER_HOUR = 150
"""Of evaluated sound; 16 kB each with the shipped encoder."""
CONFIRMED_S = 20.0
"""After this time nothing that began in a block is still to be recognised: ten seconds of spectra,
which are a suspicion for some more."""
RARE_BLOCKS = 3
"""An operating condition with fewer blocks is rare."""

_STRETCHES = ((HOUR_S, 30.0), (DAY_S, 300.0), (7 * DAY_S, 600.0))  # up to this age: length, in s
_LAST_STRETCH_S = 1200.0


def stretch_s(age_s: float) -> float:
    """Return the length of the stretches of which one block each is kept, in s."""
    return next((length for until, length in _STRETCHES if age_s < until), _LAST_STRETCH_S)


class BlockSampler:
    """Divides the windows of one machine into blocks, and keeps some.

    Args:
        detector: the detector in use.
        rate_hz: sampling rate of the windows' sample indices.
        seed: of the random places within the stretches.
        age_s: sound that was evaluated in the commissioning before, in s.
        kept: how many blocks of each operating condition are kept already.

    """

    def __init__(
        self,
        detector: Detector,
        rate_hz: int,
        *,
        seed: str,
        age_s: float = 0.0,
        kept: Mapping[Stratum, int] | None = None,
    ) -> None:
        self.age_s = age_s
        """Sound that was evaluated in the commissioning, idle or not, in s."""
        self._rate_hz = rate_hz
        self._hop_s = detector.hop_s
        self._max_hop = round(detector.hop_s * rate_hz) * 1.5  # between windows without a gap
        self._seed = seed
        self._kept = Counter(kept or {})
        length = stretch_s(age_s)
        self._due_s = self._place(length, int(age_s // length) + (1 if age_s > 0 else 0))
        self._hour = -1
        self._kept_this_hour = 0
        self._layout: Layout | None = None
        self._block: _OpenBlock | None = None
        self._blocks: list[_KeptBlock] = []
        self._newest_end: int | None = 0  # of the windows; None: the sound has ended
        self.newest_samples: tuple[int, int] | None = None
        """First sample index, and one past the last, of the newest block that was kept."""

    @property
    def layout(self) -> Layout | None:
        """The layout of the vectors; None before the first window."""
        return self._layout

    def push(
        self,
        windows: Sequence[Window],
        readings: Sequence[Reading | None],
        time_of: Callable[[int], float],
    ) -> None:
        """Process windows with the readings of the same windows, in order.

        A window without a reading was not evaluated, as one with dropouts.  ``time_of`` returns
        the Unix time of a sample index, in s.
        """
        for window, reading in zip(windows, readings, strict=True):
            if reading is None or reading.window is None or reading.may_be_changed:
                self._block = None
                self.age_s += window.hops * self._hop_s
            if reading is not None and reading.may_be_changed:
                self.discard_unconfirmed()
            elif reading is not None and reading.window is not None:
                self._push(window, reading, reading.window, time_of)

    def discard_unconfirmed(self) -> None:
        """Discard the newest blocks: the microphone may have been another while they lasted."""
        self._block = None
        while self._blocks and not self._is_confirmed(self._blocks[-1]):
            self._kept[self._blocks.pop().live.stratum] -= 1

    def _push(
        self, window: Window, reading: Reading, score: WindowScore, time_of: Callable[[int], float]
    ) -> None:
        block = self._block
        if block is not None:
            gap = window.start - block.newest_start > self._max_hop * window.hops
            if gap or window.start - block.start >= BLOCK_S * self._rate_hz:
                self._close(block)
                block = None
        if block is None:
            if self._layout is None:
                self._layout = Layout.of(window.features)
            time_s = time_of(window.start)
            block = self._block = _OpenBlock(window.start, time_s, self.age_s)
            if not _is_idle(reading, score) and self._has_room():
                block.due = self.age_s >= self._due_s
                block.wanted = block.due or self._is_rare(
                    Stratum.of(time_s, score.rms_dbfs, alarm_active=_alarm_active(reading))
                )
        block.push(window, reading, score, self._layout)
        self._newest_end = window.end
        self.age_s += window.hops * self._hop_s

    def take(self) -> list[LiveBlock]:
        """Return the blocks that were kept since the last call, up to `CONFIRMED_S` ago."""
        taken = [block for block in self._blocks if self._is_confirmed(block)]
        self._blocks = self._blocks[len(taken) :]
        return [block.live for block in taken]

    def _is_confirmed(self, block: _KeptBlock) -> bool:
        if self._newest_end is None:
            return True
        return self._newest_end - block.end >= CONFIRMED_S * self._rate_hz

    def end(self) -> None:
        """End the block that is open: the sound or the model ends here."""
        if self._block is not None:
            self._close(self._block)
            self._block = None
        self._newest_end = None

    @property
    def pending(self) -> int:
        """Blocks that are kept and were not taken yet."""
        return len(self._blocks)

    @property
    def newest(self) -> LiveBlock | None:
        """The newest block that is kept and was not taken yet."""
        return self._blocks[-1].live if self._blocks else None

    def _place(self, length_s: float, number: int) -> float:
        """Return the age at which a block is due: a random place in the stretch of this number."""
        place = Random(f"{self._seed} {length_s:g} {number}").random()  # noqa: S311
        return (number + place) * length_s

    def _place_next(self) -> None:
        length = stretch_s(self.age_s)
        number = max(int(self._due_s // length) + 1, int(self.age_s // length))
        self._due_s = self._place(length, number)

    def _has_room(self) -> bool:
        """Return whether another block may be kept in this hour."""
        hour = int(self.age_s // HOUR_S)
        if hour != self._hour:
            self._hour, self._kept_this_hour = hour, 0
        return self._kept_this_hour < MAX_BLOCKS_PER_HOUR

    def _is_rare(self, stratum: Stratum) -> bool:
        return self._kept[stratum] < RARE_BLOCKS

    def _close(self, block: _OpenBlock) -> None:
        enough = block.hops * self._hop_s >= BLOCK_S / 2
        if not (block.wanted and enough and block.vectors):
            return
        live = block.live_block(self._rate_hz)
        # its first window may have had a level that is rare, and the block has not
        if not (block.due or self._is_rare(live.stratum)):
            return
        self._blocks.append(_KeptBlock(live, block.end))
        self.newest_samples = block.start, block.end
        self._kept[live.stratum] += 1
        self._kept_this_hour += 1
        if self.age_s >= self._due_s:
            self._place_next()


@dataclass(frozen=True, slots=True)
class _KeptBlock:
    """A block that is kept and was not taken yet."""

    live: LiveBlock
    end: int  # sample index one past the last window


class _OpenBlock:
    """A block that is not complete yet."""

    def __init__(self, start: int, time_s: float, age_s: float) -> None:
        self.start, self.time_s, self.age_s = start, time_s, age_s
        self.end = start  # of the newest window
        self.newest_start = start
        self.due = False  # by its turn, whatever its operating condition
        self.wanted = False  # whether its vectors are collected; not where the machine was idle
        self.hops = 0
        self.vectors: list[Floats] = []
        self._starts: list[int] = []
        self._kept_levels: list[float] = []
        self._kept_end = start
        self._levels: list[float] = []
        self._alarm_active = False  # at the newest window

    def push(
        self, window: Window, reading: Reading, score: WindowScore, layout: Layout | None
    ) -> None:
        self.newest_start, self.end = window.start, window.end
        self._alarm_active = _alarm_active(reading)
        self.hops += window.hops
        if _is_idle(reading, score):
            self.wanted, self.vectors = False, []
            return
        self._levels.append(score.rms_dbfs)
        if self.wanted and layout is not None and window.start >= self._kept_end:
            self._kept_end = window.end
            self.vectors.append(layout.join(window.features))
            self._starts.append(window.start)
            self._kept_levels.append(score.rms_dbfs)

    def live_block(self, rate_hz: int) -> LiveBlock:
        starts = (np.array(self._starts) - self.start) / rate_hz
        return LiveBlock(
            time_s=self.time_s,
            age_s=self.age_s,
            alarm_active=self._alarm_active,
            level_dbfs=float(median(self._levels)),
            starts_s=starts.astype(np.float32),
            levels_dbfs=np.array(self._kept_levels, np.float32),
            vectors=Layout.pack(self.vectors),
        )


def _is_idle(reading: Reading, score: WindowScore) -> bool:
    """Return whether the machine is off or may be: the user says what silence means."""
    return score.idle or score.quiet or reading.state is MachineState.IDLE


def _alarm_active(reading: Reading) -> bool:
    return reading.alarm is not None and reading.alarm.active
