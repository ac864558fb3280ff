"""Pictures of `setup` and of the live lines of `run`, for the documents.

    python -m experiments.terminal_pictures --output docs

Writes setup.svg and run.svg.  They are drawn by the functions of the commands themselves, on
synthetic sound, and refer to no font or file on the web.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.text import Text

from asd_monitor.alarm.state import AlarmCondition
from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.audio.files.levels import dbfs
from asd_monitor.audio.source import Opened
from asd_monitor.cli.level_meter import LevelMeter
from asd_monitor.cli.live_lines import live_lines
from asd_monitor.cli.setup_listening import ListenedChannel, channel_table
from asd_monitor.daemon.overview import MachineOverview, Overview
from asd_monitor.demo.picture import save_picture
from asd_monitor.guided_setup.coverage import CoverageMeter, coverage_text
from asd_monitor.journal.alarm_records import AlarmRecord
from asd_monitor.records import Block, MachineState, MicrophoneState, Samples, Stream, Thresholds
from asd_monitor.synthesis.families import draw_machine
from asd_monitor.synthesis.rendering import render
from experiments.command_line import add_output, parser_of

RATE_HZ = 16_000
SECONDS = 8.0
SEED = 5


def fan(seconds: float, seed: int = SEED) -> Samples:
    """Return the sound of a synthetic fan."""
    rng = np.random.default_rng(seed)
    return np.asarray(render(draw_machine("fan", rng), seconds, rng), np.float32)


def listened(device: str, name: str, channel: int, sound: Samples) -> ListenedChannel:
    """Return a channel of a stereo device that has heard this sound."""
    own = ListenedChannel(parse_device(device), name, channel)
    stream = Stream(RATE_HZ)
    own.opened(Opened(stream, 2, name))
    for at in range(0, len(sound), RATE_HZ // 10):
        own.write(Block(stream, at, sound[at : at + RATE_HZ // 10]))
    return own


def microphones() -> Sequence[ListenedChannel]:
    """Return a microphone at a machine that was tapped, its empty channel, and one further away."""
    near = fan(SECONDS)
    near = near * np.float32(0.05 / near.std())
    noise = np.random.default_rng(SEED).normal(0, 0.002, len(near)).astype(np.float32)
    far = (0.1 * near + noise).astype(np.float32)
    tap = len(near) - RATE_HZ
    near[tap : tap + 200] += np.hanning(200).astype(np.float32) * 0.8
    far[tap : tap + 200] += np.hanning(200).astype(np.float32) * 0.02
    silence = (0.01 * noise).astype(np.float32)
    return (
        listened("usb-path:1-1.4", "USB Audio Device", 0, near),
        listened("usb-path:1-1.4", "USB Audio Device", 1, silence),
        listened("card-id:Webcam", "HD Webcam", 0, far),
    )


def setup_picture() -> RenderableType:
    """Return what `setup` shows while it listens and records."""
    meter = CoverageMeter(RATE_HZ)
    sound = fan(60.0)
    sound = sound * np.float32(0.05 / sound.std())
    meter.push(sound)
    meter.push(np.diff(sound, prepend=np.float32(0.0)))
    quiet = np.random.default_rng(SEED).normal(0, 3e-4, 20 * RATE_HZ)
    meter.interrupt()
    meter.push(quiet.astype(np.float32))
    level = LevelMeter(600.0)
    block = sound[-RATE_HZ:]
    peak = float(np.abs(block).max())
    return Group(
        Rule(Text("1 of 5: the microphone", "bold"), align="left", style="dim"),
        channel_table(microphones()),
        Text("Which one is at the machine? (number, r: listen again) [1]", "bold"),
        Text(),
        Rule(Text("3 of 5: the normal sound", "bold"), align="left", style="dim"),
        level.bar(dbfs(float(block.std())), peak, peak, meter.seconds),
        Text(coverage_text(meter.coverage(), 600.0)),
    )


def run_picture() -> RenderableType:
    """Return what `run` shows below its log."""
    at = datetime(2026, 3, 2, 10, 15, tzinfo=UTC)
    thresholds = Thresholds(3.98, 5.42)

    alarm = AlarmRecord(
        id="pump02-20260302T101431Z",
        machine="pump02",
        severity="alarm",
        condition=AlarmCondition.UNACKNOWLEDGED,
        raised=at,
        cleared=None,
        acknowledged_at=None,
        who=None,
        why=None,
        peak_score=7.9,
        model="v1",
        reason="impacts 12 a second, 9 dB above normal at 2.9 kHz",
    )

    def machine(
        name: str, state: MachineState, level: float | None, score: float | None, reason: str | None
    ) -> MachineOverview:
        microphone = MicrophoneState.NO_DEVICE if level is None else MicrophoneState.OK
        return MachineOverview(
            name,
            state,
            microphone,
            reason,
            level,
            score,
            thresholds if score else None,
            at,
            alarm if state is MachineState.ALARM else None,
        )

    overview = Overview(
        (
            machine("fan01", MachineState.NORMAL, -27.0, 1.2, None),
            machine("pump02", MachineState.ALARM, -21.0, 7.9, None),
            machine("press3", MachineState.IDLE, -58.0, 0.3, None),
            machine("mixer4", MachineState.UNAVAILABLE, None, None, "not plugged in: plug it in"),
        ),
        is_connected=True,
    )
    return Group(
        Text("10:14:31 [warning  ] alarm: normal → unacknowledged   machine=pump02"),
        Text("           why=impacts 12 a second, 9 dB above normal at 2.9 kHz"),
        *live_lines(overview, 10),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the pictures."""
    os.environ["TZ"] = "UTC"  # the lines show local time
    time.tzset()
    parser = parser_of("terminal_pictures", __doc__)
    add_output(parser)
    options = parser.parse_args(arguments)
    folder: Path = options.output
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in (("setup", setup_picture()), ("run", run_picture())):
        save_picture(picture, folder / f"{name}.svg", title=f"asd-monitor {name}")
        sys.stdout.write(f"{folder / name}.svg\n")


if __name__ == "__main__":
    main()
