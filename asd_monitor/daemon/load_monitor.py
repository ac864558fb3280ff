"""Whether the box keeps up with its machines; where not, windows are passed over, and told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog

from asd_monitor.daemon.load_shedding import Load, LoadShedder
from asd_monitor.daemon.monitor_session import MonitorSession
from asd_monitor.daemon.scoring_thread import Scoring
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.pipeline import widest
from asd_monitor.publish import messages

log = structlog.get_logger()

EVERY_S = 1.0


class LoadMonitor:
    """Looks every second at how the scoring keeps up, and sets which windows are scored."""

    def __init__(
        self,
        scoring: Scoring,
        listeners: Callable[[], Sequence[MonitorSession]],
        *,
        every_s: float = EVERY_S,
    ) -> None:
        self._scoring = scoring
        self._listeners = listeners
        self._every_s = every_s
        self._carries: int | None = None
        self._load = Load(0.0, 0.0)

    @property
    def message(self) -> messages.Scoring:
        """What the status of the box tells."""
        return messages.Scoring(
            busy=round(self._load.busy, 3),
            behind_s=round(self._load.behind_s, 2),
            every=self._scoring.every,
            carries=self._carries,
        )

    async def try_how_many(self) -> None:
        """Tell how many machines the box carries; where it has more, pass over from the start."""
        detectors = [each.detector for each in self._listeners() if each.detector]
        if not detectors:
            return
        try:
            self._carries = await self._scoring.carries(detectors)
        except Exception as error:  # noqa: BLE001 - what fails there, its machine tells itself
            log.warning(
                "how many microphones this box carries could not be tried",
                reason=f"{type(error).__name__}: {error}",
            )
            return
        log.info(f"this box carries about {self._carries} microphones at these settings")
        if len(detectors) > self._carries:
            log.warning(
                "these are more machines than the box carries",
                machines=len(detectors),
                carries=self._carries,
                hint="spread them over more boxes, or train anew with a larger hop_s",
            )
            self._set(min(_most_over(self._front_ends()), -(-len(detectors) // self._carries)))

    async def run(self) -> None:
        """Watch for ever."""
        widening = LoadShedder(1)
        before_s, busy_before_s = time.monotonic(), self._scoring.busy_s
        while True:
            await asyncio.sleep(self._every_s)
            now_s, busy_s = time.monotonic(), self._scoring.busy_s
            self._load = Load(
                busy=(busy_s - busy_before_s) / (now_s - before_s),
                behind_s=max((each.behind_s for each in self._listeners()), default=0.0),
            )
            before_s, busy_before_s = now_s, busy_s
            widening.most, widening.every = _most_over(self._front_ends()), self._scoring.every
            if widening.watch(self._load, now_s):
                self._set(widening.every)

    def _front_ends(self) -> list[FrontEnd]:
        return [each.detector.front_end for each in self._listeners() if each.detector]

    def _set(self, every: int) -> None:
        if every > self._scoring.every:
            log.warning(
                "the box is too slow for all its machines: windows are passed over",
                scored=f"1 of {every}",
                behind_s=round(self._load.behind_s, 1),
                hint="end what else takes processor time, or spread machines over more boxes",
            )
        elif every < self._scoring.every:
            log.info("the box keeps up: fewer windows are passed over", scored=f"1 of {every}")
        self._scoring.every = every


def _most_over(front_ends: Sequence[FrontEnd]) -> int:
    return max(map(widest, front_ends), default=1)
