"""The recording of one source to disk, with a level meter: for `record` and `setup`."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from asd_monitor.audio.devices.device_strings import DeviceSpec, parse_device
from asd_monitor.audio.files.levels import LevelDefect, level_defects
from asd_monitor.audio.files.recorder import Recorder, RecordingOrigin, WrittenRecording
from asd_monitor.audio.opening import open_source
from asd_monitor.audio.sharing.client import SharedSource, connect
from asd_monitor.audio.sharing.protocol import SharingRefusedError
from asd_monitor.audio.source import Opened, Outage, Source
from asd_monitor.cli.level_meter import LevelMeter, Meter
from asd_monitor.errors import OperationError
from asd_monitor.records import Block


class RecordingSession:
    """Records one source; a receiver of its blocks.

    Args:
        spec: The device; None: the sound of this machine, from the daemon that monitors it.
        machine: Id of the machine, for names and sidecars of the files.
        total_s: Sound to be recorded, in s.
        folder: Where the files are written.
        listen: Called with each block that is recorded.
        meter: Shows the level; None: one for this duration.

    """

    def __init__(
        self,
        spec: DeviceSpec | None,
        machine: str,
        total_s: float,
        folder: Path,
        *,
        listen: Callable[[Block], None] = lambda _: None,
        meter: Meter | None = None,
    ) -> None:
        self._spec = spec
        self._machine = machine
        self._total_s = total_s
        self._folder = folder
        self._recorder: Recorder | None = None
        self._source: Source
        self._shown: Meter = meter or LevelMeter(total_s)
        self._meter: Meter | None = None  # while it captures
        self._listen = listen
        self._finished = asyncio.Event()
        self._failure: OperationError | None = None
        self._through_daemon = False
        self._rate_hz = 0
        self._recorded = 0
        self._end: int | None = None  # sample index after the last block
        self._warned: set[LevelDefect] = set()
        self.ended_by: signal.Signals | None = None  # not SIGINT, which asyncio handles

    async def run(self, socket: Path) -> None:
        """Record; when cancelled or ended by a signal, complete the files."""
        task = asyncio.current_task()
        for each in (signal.SIGTERM, signal.SIGHUP):
            if task and signal.getsignal(each) != signal.SIG_IGN:  # nohup
                asyncio.get_running_loop().add_signal_handler(each, self._end_by, each, task)
        with self._shown as meter:
            self._source = await self._open(socket, meter)
            try:
                await self._capture(meter)
            finally:
                if self._recorder:
                    self._recorder.finish(datetime.now(UTC))
                await self._source.close()

    def _end_by(self, number: signal.Signals, task: asyncio.Task[None]) -> None:
        if self.ended_by is None:
            self.ended_by = number
            task.cancel()

    @property
    def written(self) -> list[WrittenRecording]:
        """The completed files."""
        return self._recorder.written if self._recorder else []

    @property
    def _is_file(self) -> bool:
        return self._spec is not None and self._spec.is_file and not self._through_daemon

    async def _open(self, socket: Path, meter: Meter) -> Source:
        if self._spec is None:
            return await self._open_shared(socket)
        if not self._spec.is_file:
            try:
                shared = await connect(socket, device=str(self._spec))
            except SharingRefusedError:
                shared = None  # the daemon captures other devices
            if shared:
                self._through_daemon = True
                meter.print_line(f"{self._spec}: recorded through the daemon that captures it")
                return shared
        return open_source(self._spec, notice=meter.print_line)

    async def _open_shared(self, socket: Path) -> SharedSource:
        shared = await connect(socket, machine=self._machine)
        if shared is None:
            raise OperationError(
                f"no daemon runs with the state folder {socket.parent}: start it, or name the "
                "device with --device"
            )
        self._through_daemon = True
        found = shared.shared
        self._spec = replace(parse_device(found.device), channel=found.channel)
        return shared

    async def _capture(self, meter: Meter) -> None:
        self._meter = meter
        running = asyncio.create_task(self._source.run(self), name="capture")
        finished = asyncio.create_task(self._finished.wait(), name="finished")
        try:
            await asyncio.wait((running, finished), return_when=asyncio.FIRST_COMPLETED)
        finally:
            finished.cancel()
            await self._source.close()
            await asyncio.wait((running,))
        running.result()
        if self._failure is not None:
            raise self._failure
        if self._finished.is_set():
            return
        if self._spec is not None and self._is_file:
            meter.print_line(
                f"{self._spec.path}: ended after {self._recorded / max(1, self._rate_hz):.0f} s "
                f"of the {self._total_s:.0f} s requested"
            )
        if self._through_daemon:
            raise OperationError(
                "the daemon ended; the recording until then is kept: record the rest"
            )

    def interrupted(self, outage: Outage) -> None:
        """End the recording where nothing was captured yet; note the outage otherwise."""
        if self._recorder is None and not self._is_file:
            self._failure = OperationError(outage.reason)
            self._finished.set()
        elif self._meter is not None:
            self._meter.print_line(f"capture interrupted: {outage.reason}")

    async def room(self, samples: int) -> None:
        """Return at once: each block is recorded when it is written."""

    def opened(self, opened: Opened) -> None:
        """Begin the recording with the format of the first opening."""
        self._rate_hz = opened.rate_hz
        self._recorder = self._recorder or Recorder(
            self._folder,
            RecordingOrigin(
                machine=self._machine,
                device=str(self._spec),
                name=opened.name,
                channel=(self._spec and self._spec.channel) or 0,
                channels=opened.channels,
                rate_hz=opened.rate_hz,
                through_daemon=self._through_daemon,
            ),
            subtype="PCM_24" if self._is_file else "PCM_16",
        )

    def write(self, block: Block) -> None:
        """Record a block, up to the duration requested."""
        meter = self._meter
        if self._recorder is None or meter is None or self._finished.is_set():
            return
        now = datetime.now(UTC)
        if self._end is not None and block.start > self._end:
            self._recorder.finish(now)
            meter.print_line(f"{(block.start - self._end) / self._rate_hz:.1f} s lost: new file")
        left = round(self._total_s * self._rate_hz) - self._recorded
        samples = block.samples[:left]
        self._recorder.write(
            samples,
            began=now - timedelta(seconds=len(block.samples) / self._rate_hz),
            lost_before=self._source.stream.lost_samples,
        )
        self._end = block.end
        self._recorded += len(samples)
        self._listen(block.part(block.start, block.start + len(samples)))
        meter.show(samples, self._rate_hz, self._recorded / self._rate_hz)
        self._warn(meter)
        if self._recorded >= self._total_s * self._rate_hz:
            self._finished.set()

    def _warn(self, meter: Meter) -> None:
        """Print a warning at once, each once, when the recording becomes unusable."""
        if self._recorder is None:
            return
        is_level_settled = self._recorded > 2 * self._rate_hz
        for defect, text in level_defects(self._recorder.levels).items():
            if defect is LevelDefect.QUIET and not is_level_settled:
                continue
            if defect not in self._warned:
                self._warned.add(defect)
                meter.print_line(text)
