"""A trial of a device: a few seconds of sound, from the daemon where one captures it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from asd_monitor.audio.devices.device_strings import DeviceSpec
from asd_monitor.audio.files.levels import LevelAccumulator, LevelSummary
from asd_monitor.audio.opening import open_source
from asd_monitor.audio.sharing.client import connect
from asd_monitor.audio.sharing.protocol import SOCKET_NAME, SharingRefusedError
from asd_monitor.audio.source import Opened, Outage, Source
from asd_monitor.diagnosis.levels import hum_share
from asd_monitor.errors import AsdMonitorError
from asd_monitor.records import Block, Samples

TRIAL_S = 4.0
"""Sound that is captured."""
LIMIT_S = 25.0
"""Within which it has to arrive."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What a device has delivered; without ``levels`` it has delivered nothing."""

    problem: str | None  # why it delivers nothing: one line, with the remedy
    rate_hz: int | None = None
    channels: int | None = None
    levels: LevelSummary | None = None
    hum: float = 0.0  # share of the power
    through_daemon: bool = False  # which has the device open
    lost_samples: int = 0


def try_device(spec: DeviceSpec, state: Path) -> Trial:
    """Capture some seconds; the sound of a daemon on this state folder is received from it."""
    return asyncio.run(_try(spec, state))


async def _try(spec: DeviceSpec, state: Path) -> Trial:
    try:
        source, through_daemon = await _open(spec, state)
    except AsdMonitorError as error:
        return Trial(str(error))
    listener = _Listener(TRIAL_S)
    running = asyncio.create_task(source.run(listener), name="doctor.capture")
    finished = asyncio.create_task(listener.finished.wait(), name="doctor.finished")
    try:
        await asyncio.wait(
            (running, finished), timeout=LIMIT_S, return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        finished.cancel()
        await source.close()
        await asyncio.wait((running,))
    problem = None
    try:
        running.result()
    except AsdMonitorError as error:
        problem = str(error)
    except OSError as error:  # of the capture process
        problem = (
            f"the capture cannot be started ({error.strerror or error}): raise the limits of "
            "processes, open files and memory"
        )
    return replace(listener.trial(problem), through_daemon=through_daemon)


async def _open(spec: DeviceSpec, state: Path) -> tuple[Source, bool]:
    """Return the source of the sound, and whether it is a daemon.  Raises `OperationError`."""
    if not spec.is_file:
        try:
            shared = await connect(state / SOCKET_NAME, device=str(spec))
        except SharingRefusedError:  # it captures other devices
            shared = None
        if shared is not None:
            return shared, True
    return open_source(spec, speed=0.0, notice=_ignore), False


def _ignore(_: str) -> None:
    pass


class _Listener:
    """Receives sound until there is enough, or the reason why there is none."""

    def __init__(self, enough_s: float) -> None:
        self.finished = asyncio.Event()
        self._enough_s = enough_s
        self._opened: Opened | None = None
        self._outage: Outage | None = None
        self._levels: LevelAccumulator | None = None
        self._blocks: list[Samples] = []
        self._samples = 0
        self._end: int | None = None
        self._lost = 0

    def opened(self, opened: Opened) -> None:
        self._opened, self._end = opened, None
        self._levels = self._levels or LevelAccumulator(opened.rate_hz)

    def write(self, block: Block) -> None:
        if self._levels is None or self.finished.is_set():
            return
        if self._end is not None:
            self._lost += block.start - self._end
        self._end = block.end
        self._levels.push(block.samples)
        self._blocks.append(block.samples)
        self._samples += len(block.samples)
        if self._samples >= self._enough_s * block.rate_hz:
            self.finished.set()

    def interrupted(self, outage: Outage) -> None:
        self._outage = outage
        self.finished.set()

    async def room(self, samples: int) -> None:  # noqa: ARG002 - the protocol's
        await asyncio.sleep(0)

    def trial(self, problem: str | None) -> Trial:
        """Return what was received."""
        if self._outage is not None:
            problem = self._outage.reason
        elif self._opened is None or self._levels is None or not self._samples:
            problem = problem or (
                f"it has delivered no sound within {LIMIT_S:g} s: unplug it and plug it in again, "
                "and look at `dmesg`"
            )
        if self._opened is None or self._levels is None or not self._samples:
            return Trial(problem)
        return Trial(
            problem,
            self._opened.rate_hz,
            self._opened.channels,
            self._levels.summary(),
            hum_share(np.concatenate(self._blocks), self._opened.rate_hz),
            lost_samples=self._lost,
        )
