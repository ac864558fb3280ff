"""The end of the demonstration: the alarm, the files, and commands to try."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

from rich.console import Console

from asd_monitor.demo.files import (
    CONFIG,
    DISPLAY,
    MACHINE,
    MODELS,
    MONITORED,
    MQTT_LOG,
    RUN_LOG,
    STATE,
    TRAINING,
)
from asd_monitor.demo.scenario import FAULT_START_S
from asd_monitor.demo.timeline import Timeline
from asd_monitor.publish.messages import Alarm


def print_summary(
    timeline: Timeline,
    folder: Path,
    console: Console,
    duration_s: float,
) -> None:
    """Print the alarm, the files in `folder`, and commands to try next."""
    console.print()
    if timeline.alarm is not None and timeline.alarm_at_s is not None:
        _print_alarm(timeline, timeline.alarm, timeline.alarm_at_s, console)
    console.print(f"\nDuration: {duration_s:.0f} s.  Files in {folder}:", highlight=False)
    report = next((folder / MODELS / MACHINE).glob("v*/report.html"), folder / MODELS)
    for path, what in (
        (TRAINING, "recordings that the model was trained on"),
        (str(report.relative_to(folder)), "report of the training; open it in a browser"),
        (MONITORED, f"monitored recording; the fault grows from {FAULT_START_S:g} s on"),
        (DISPLAY, "picture of the scores and the alarm"),
        (CONFIG, "configuration of the daemon"),
        (MQTT_LOG, "all messages that the daemon published"),
        (RUN_LOG, "log of the daemon"),
    ):
        console.print(f"  {path:<30} {what}", highlight=False, soft_wrap=True)
    console.print("\nCommands to try next:", highlight=False)
    program = _program()
    alarm = timeline.alarm.id if timeline.alarm is not None and timeline.alarm.id else "ID"
    model = f"--machine {MACHINE} --models {MODELS}"
    for command in (
        f"cd {shlex.quote(str(folder))}",
        f"{program} backtest {MONITORED} {model}",
        f"{program} alarms list --state {STATE}",
        f"{program} alarms show {alarm} --open --state {STATE}",
        f"{program} alarms ack {alarm} --state {STATE}",
        f"{program} score {MONITORED} {model}",
        f"{program} devices",
    ):
        console.print(f"  {command}", style="cyan", highlight=False, soft_wrap=True)


def _print_alarm(timeline: Timeline, alarm: Alarm, alarm_at_s: float, console: Console) -> None:
    console.print(
        f"ALARM at {alarm_at_s:.0f} s of sound, {alarm_at_s - FAULT_START_S:.0f} s after the "
        f"start of the fault: the alarm score reached the threshold of "
        f"{timeline.scores[-1].thresholds.alarm:.1f}.",
        style="bold red",
        highlight=False,
        soft_wrap=True,
    )
    console.print(f"Reason: {alarm.reason}.", highlight=False)
    console.print(
        "Its sound and pictures are kept (`alarms show`, below).  The alarm is active until it is"
        " acknowledged (`alarms ack`).",
        highlight=False,
    )


def _program() -> str:
    """Return the command that starts this program in the user's shell."""
    if shutil.which("asd-monitor"):
        return "asd-monitor"
    return shlex.quote(str(Path(sys.executable).with_name("asd-monitor")))
