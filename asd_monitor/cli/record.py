"""`asd-monitor record`: recordings of normal sound, for training."""

from __future__ import annotations

import asyncio
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asd_monitor.cli.options import Machine, StateDir
from asd_monitor.errors import OperationError

if TYPE_CHECKING:
    from asd_monitor.audio.devices.device_strings import DeviceSpec
    from asd_monitor.audio.files.levels import LevelDefect
    from asd_monitor.audio.files.recorder import Recorder
    from asd_monitor.audio.source import Opened, Outage, Source
    from asd_monitor.cli.level_meter import LevelMeter
    from asd_monitor.records import Block


def command(
    *,
    device: Annotated[
        str,
        typer.Option(
            "--device",
            "-d",
            metavar="DEVICE",
            help="Input device; `asd-monitor devices` lists them.",
            show_default=False,
        ),
    ],
    machine: Machine,
    minutes: Annotated[
        str,
        typer.Option(
            "--minutes",
            metavar="MINUTES",
            help="Duration of the recording: minutes, such as 30, or with a unit, such as 90s.",
            show_default=False,
        ),
    ],
    state: StateDir,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Folder of the recordings.",
            show_default="recordings/MACHINE",
            readable=False,
        ),
    ] = None,
) -> None:
    """Record a machine's normal sound as FLAC files.

    Ctrl-C, SIGTERM and SIGHUP end it early and keep the recording (exit codes 130, 143, 129).
    """
    from asd_monitor.audio.devices.device_strings import parse_device
    from asd_monitor.audio.sharing.protocol import SOCKET_NAME
    from asd_monitor.cli.recordings_check import check_recordings

    spec = parse_device(device)
    total_s = _duration_s(minutes)
    if spec.is_file:
        check_recordings(spec.path, spec.channel)
    session = _Session(spec, machine, total_s, output or Path("recordings") / machine)
    try:
        asyncio.run(session.run(state / SOCKET_NAME))
    except asyncio.CancelledError as error:
        if session.ended_by is None:
            raise
        raise typer.Exit(128 + session.ended_by) from error
    finally:
        session.report()


def _duration_s(text: str) -> float:
    """Return the duration of ``30`` (minutes), ``30m`` or ``90s``.

    Raises:
        UsageError: it is neither, or not above 0.

    """
    from asd_monitor.config.quantities import parse_duration
    from asd_monitor.errors import UsageError
    from asd_monitor.wording import quoted

    try:
        seconds = 60 * float(text)
    except ValueError:
        try:
            seconds = parse_duration(text).seconds
        except UsageError as error:
            raise UsageError(
                f"--minutes {quoted(text)}: write minutes or a duration, such as 10, 90s or 2h"
            ) from error
    if not 0 < seconds < float("inf"):
        raise UsageError(f"--minutes {text}: write a number above 0, such as 10")
    return seconds


class _Session:
    def __init__(self, spec: DeviceSpec, machine: str, total_s: float, folder: Path) -> None:
        self._spec = spec
        self._machine = machine
        self._total_s = total_s
        self._folder = folder
        self._recorder: Recorder | None = None
        self._source: Source
        self._meter: LevelMeter | None = None
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
        from asd_monitor.cli.level_meter import LevelMeter

        task = asyncio.current_task()
        for each in (signal.SIGTERM, signal.SIGHUP):
            if task and signal.getsignal(each) != signal.SIG_IGN:  # nohup
                asyncio.get_running_loop().add_signal_handler(each, self._end_by, each, task)
        with LevelMeter(self._total_s) as meter:
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

    def report(self) -> None:
        """Print the files written, their warnings, and whether they suffice for a training."""
        from asd_monitor.config.field_types import MIN_TRAINING_S
        from asd_monitor.model_training.findings import RECOMMENDED_S, ShortReference
        from asd_monitor.model_training.reference import too_short
        from asd_monitor.reports.notices import finding_text
        from asd_monitor.wording import printable

        written = self._recorder.written if self._recorder else []
        for each in written:
            path = printable(each.path)
            typer.echo(f"{path}  {each.seconds:.1f} s  {each.levels.rms_dbfs:.1f} dBFS")
            for warning in each.warnings:
                typer.echo(f"{path}: {warning}", err=True)
        total_s = sum(each.seconds for each in written)
        if written and total_s < MIN_TRAINING_S:
            typer.echo(f"for a training, {too_short(total_s, MIN_TRAINING_S)}", err=True)
        elif written and total_s < RECOMMENDED_S:
            typer.echo(f"for a training, {finding_text(ShortReference(total_s))}", err=True)

    async def _open(self, socket: Path, meter: LevelMeter) -> Source:
        from asd_monitor.audio.opening import open_source
        from asd_monitor.audio.sharing.client import connect
        from asd_monitor.audio.sharing.protocol import SharingRefusedError

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

    async def _capture(self, meter: LevelMeter) -> None:
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
        if self._spec.is_file:
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
        if self._recorder is None and not self._spec.is_file:
            self._failure = OperationError(outage.reason)
            self._finished.set()
        elif self._meter is not None:
            self._meter.print_line(f"capture interrupted: {outage.reason}")

    async def room(self, samples: int) -> None:
        """Return at once: each block is recorded when it is written."""

    def opened(self, opened: Opened) -> None:
        """Begin the recording with the format of the first opening."""
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
        meter.show(samples, self._rate_hz, self._recorded / self._rate_hz)
        self._warn(meter)
        if self._recorded >= self._total_s * self._rate_hz:
            self._finished.set()

    def _warn(self, meter: LevelMeter) -> None:
        """Print a warning at once, each once, when the recording becomes unusable."""
        from asd_monitor.audio.files.levels import LevelDefect, level_defects

        if self._recorder is None:
            return
        is_level_settled = self._recorded > 2 * self._rate_hz
        for defect, text in level_defects(self._recorder.levels).items():
            if defect is LevelDefect.QUIET and not is_level_settled:
                continue
            if defect not in self._warned:
                self._warned.add(defect)
                meter.print_line(text)
