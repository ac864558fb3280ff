"""`asd-monitor record`: recordings of normal sound, to train on."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asd_monitor.cli.options import Machine, StateDir

if TYPE_CHECKING:
    from asd_monitor.audio.devices.device_strings import DeviceSpec
    from asd_monitor.audio.files.recorder import Recorder
    from asd_monitor.audio.source import Opened, Source
    from asd_monitor.cli.level_meter import LevelMeter
    from asd_monitor.records import Block


def command(
    *,
    device: Annotated[
        str,
        typer.Option("--device", "-d", help="See `asd-monitor devices`.", show_default=False),
    ],
    machine: Machine,
    minutes: Annotated[
        float, typer.Option("--minutes", help="How much sound to record.", show_default=False)
    ],
    state: StateDir,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder.", show_default="recordings/MACHINE"),
    ] = None,
) -> None:
    """Record a machine's normal sound as FLAC.

    Ctrl-C keeps what was recorded (exit code 130); so do SIGTERM (143) and SIGHUP (129).
    """
    from asd_monitor.audio.devices.device_strings import parse_device
    from asd_monitor.audio.sharing.client import SOCKET_NAME
    from asd_monitor.cli.recordings_check import look_at_all
    from asd_monitor.errors import UsageError
    from asd_monitor.names import check_id

    check_id(machine)
    spec = parse_device(device)
    if not 0 < minutes < float("inf"):
        raise UsageError(f"--minutes {minutes:g}: write how many, such as 10")
    if spec.is_file:
        look_at_all(spec.path, spec.channel)
    session = _Session(spec, machine, minutes * 60, output or Path("recordings") / machine)
    try:
        asyncio.run(session.run(state / SOCKET_NAME))
    except asyncio.CancelledError as error:
        if session.ended_by is None:
            raise
        raise typer.Exit(128 + session.ended_by) from error
    finally:
        session.report()


class _Session:
    def __init__(self, spec: DeviceSpec, machine: str, total_s: float, folder: Path) -> None:
        self._spec = spec
        self._machine = machine
        self._total_s = total_s
        self._folder = folder
        self._recorder: Recorder | None = None
        self._source: Source
        self._through_daemon = False
        self._rate_hz = 0
        self._recorded = 0
        self._end: int | None = None  # sample index after the last block
        self._lost_told = 0
        self._warned: set[str] = set()
        self.ended_by: signal.Signals | None = None  # beside Ctrl-C, which asyncio handles

    async def run(self, socket: Path) -> None:
        """Record; when cancelled or ended by a signal, complete what was recorded."""
        from asd_monitor.cli.level_meter import LevelMeter

        task = asyncio.current_task()
        for each in (signal.SIGTERM, signal.SIGHUP):
            if task and signal.getsignal(each) != signal.SIG_IGN:  # nohup
                asyncio.get_running_loop().add_signal_handler(each, self._end_by, each, task)
        with LevelMeter(self._total_s) as meter:
            self._source = await self._open(socket, meter)
            try:
                await self._listen(meter)
            finally:
                if self._recorder:
                    self._recorder.finish(datetime.now(UTC))
                await self._source.close()

    def _end_by(self, number: signal.Signals, task: asyncio.Task[None]) -> None:
        if self.ended_by is None:
            self.ended_by = number
            task.cancel()

    def report(self) -> None:
        """Print what was written."""
        for each in self._recorder.written if self._recorder else ():
            typer.echo(f"{each.path}  {each.seconds:.1f} s  {each.levels.rms_dbfs:.1f} dBFS")
            for warning in each.warnings:
                typer.echo(f"{each.path}: {warning}", err=True)

    async def _open(self, socket: Path, meter: LevelMeter) -> Source:
        from asd_monitor.audio.opening import open_source
        from asd_monitor.audio.sharing.client import SharingRefusedError, connect

        if not self._spec.is_file:
            try:
                shared = await connect(socket, device=str(self._spec))
            except SharingRefusedError:
                shared = None  # a daemon that listens to other devices
            if shared:
                self._through_daemon = True
                meter.tell(f"{self._spec}: heard through the daemon that holds it")
                return shared
        return open_source(self._spec, notice=meter.tell)

    async def _listen(self, meter: LevelMeter) -> None:
        from asd_monitor.audio.source import Opened, Outage
        from asd_monitor.errors import OperationError

        async with contextlib.aclosing(self._source.events()) as events:
            async for event in events:
                match event:
                    case Outage():
                        if self._recorder is None and not self._spec.is_file:
                            raise OperationError(event.reason)
                        meter.tell(f"nothing is heard: {event.reason}")
                    case Opened():
                        self._begin(event)
                    case block:
                        self._write(block, meter)
                        if self._recorded >= self._total_s * self._rate_hz:
                            return
        if self._through_daemon:
            raise OperationError(
                "the daemon ended; what it gave until then is kept: record the rest"
            )

    def _begin(self, opened: Opened) -> None:
        from asd_monitor.audio.files.recorder import Recorder, RecordingOrigin

        self._rate_hz = opened.rate_hz
        self._recorder = self._recorder or Recorder(
            self._folder,
            RecordingOrigin(
                machine=self._machine,
                device=str(self._spec),
                name=opened.name,
                channel=self._spec.channel or 0,
                channels=opened.channels,
                rate_hz=opened.rate_hz,
                through_daemon=self._through_daemon,
            ),
            subtype="PCM_24" if self._spec.is_file else "PCM_16",
        )

    def _write(self, block: Block, meter: LevelMeter) -> None:
        if self._recorder is None:
            return
        now = datetime.now(UTC)
        if self._end is not None and block.start > self._end:
            self._recorder.finish(now)
            meter.tell(
                f"{(block.start - self._end) / self._rate_hz:.1f} s were not heard: new file"
            )
        left = round(self._total_s * self._rate_hz) - self._recorded
        samples = block.samples[:left]
        self._recorder.write(
            samples,
            began=now - timedelta(seconds=len(block.samples) / self._rate_hz),
            lost_before=self._source.lost_samples,
        )
        self._end = block.end
        self._recorded += len(samples)
        meter.show(samples, self._recorded / self._rate_hz)
        self._warn(meter)

    def _warn(self, meter: LevelMeter) -> None:
        """Tell at once what spoils a recording, each thing once."""
        if self._recorder is None:
            return
        levels = self._recorder.levels
        for name, is_so, text in (
            (
                "clipping",
                levels.is_clipping,
                "clipping: lower the gain, or move the microphone away",
            ),
            ("dead", levels.is_dead, "all samples alike: is the microphone muted or unplugged?"),
            (
                "quiet",
                levels.is_quiet and self._recorded > 2 * self._rate_hz,
                "very quiet: raise the gain, or move the microphone nearer",
            ),
        ):
            if is_so and name not in self._warned:
                self._warned.add(name)
                meter.tell(text)
