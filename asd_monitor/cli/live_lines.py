"""The machines of a running daemon as lines of text, one each, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from rich.text import Text

from asd_monitor.alarm.state import UNACKNOWLEDGED, AlarmCondition
from asd_monitor.daemon.overview import MachineOverview, Overview
from asd_monitor.journal.alarm_records import AlarmRecord
from asd_monitor.records import MachineState, MicrophoneState
from asd_monitor.wording import count, printable

_COLOURS = {
    MachineState.NORMAL: "green",
    MachineState.IDLE: "cyan",
    MachineState.LEARNING: "cyan",
    MachineState.WARNING: "yellow",
    MachineState.ALARM: "bold red",
    MachineState.UNAVAILABLE: "red",
    MachineState.NO_MODEL: "yellow",
}
_SHAPES = {
    MachineState.ALARM: "▲",
    MachineState.WARNING: "▲",
    MachineState.UNAVAILABLE: "✖",
    MachineState.IDLE: "○",
    MachineState.NO_MODEL: "?",
}
_FIRST = (MachineState.ALARM, MachineState.UNAVAILABLE, MachineState.WARNING)
_STATE_CHARS = max(map(len, MachineState))
_MACHINE_CHARS = 20
_BAR_CELLS = 12
_MIN_DBFS = -80.0


def live_lines(overview: Overview, rows: int) -> list[Text]:
    """Return a line for each machine, with a second one for its alarm, and one with the broker.

    The machines have ``rows`` lines at most; where there are more, those that need attention are
    shown.
    """
    machines = overview.machines
    shown: Sequence[MachineOverview] = machines
    if sum(map(_rows_of, machines)) > rows:
        ordered = sorted(machines, key=_urgency)
        ends = accumulate(map(_rows_of, ordered))
        shown = [each for each, end in zip(ordered, ends, strict=True) if end <= rows]
        shown = shown or ordered[:1]  # of a terminal that is very low
    width = min(_MACHINE_CHARS, max((len(each.machine) for each in shown), default=0))
    lines = []
    for each in shown:
        lines.append(_machine_line(each, width))
        if each.alarm is not None:
            lines.append(_alarm_line(each.alarm))
    last = Text(no_wrap=True)
    if len(shown) < len(machines):
        last.append(f"{count(len(machines) - len(shown), 'more machine')} · ")
    last.append("level, alarm score / threshold · ", "dim")
    if overview.is_connected:
        last.append("broker connected", "dim")
    else:
        last.append("no connection to the broker", "red")
    return [*lines, last]


def _urgency(machine: MachineOverview) -> int:
    """Return the place of a machine: an alarm that nobody has acknowledged is never cut off."""
    if machine.alarm is not None and machine.alarm.condition in UNACKNOWLEDGED:
        return 0
    return 1 if machine.state in _FIRST else 2


def _rows_of(machine: MachineOverview) -> int:
    return 1 if machine.alarm is None else 2


def _machine_line(machine: MachineOverview, width: int) -> Text:
    line = Text(no_wrap=True)
    line.append(f"{machine.machine[:width]:<{width}} ", "bold")
    if machine.is_starting:
        return line.append(f"○ {'starting':<{_STATE_CHARS}}", "dim")
    colour = _COLOURS.get(machine.state, "")
    line.append(f"{_SHAPES.get(machine.state, '●')} {machine.state:<{_STATE_CHARS}} ", colour)
    line.append(_bar(machine.level_dbfs))
    line.append(_score(machine))
    if machine.microphone is not MicrophoneState.OK:
        line.append(f" microphone {machine.microphone}", "red")
    if machine.last_evaluated is not None:
        local = machine.last_evaluated.astimezone()
        line.append(f" evaluated {local:%H:%M:%S}", "dim")
    if machine.reason is not None:
        line.append(f"  {printable(machine.reason)}", "dim")
    return line


def _alarm_line(alarm: AlarmRecord) -> Text:
    """Return what a person needs to act on an alarm: its id, and why it was raised."""
    line = Text("  ", no_wrap=True)
    line.append(f"{alarm.id} ", "bold")
    if alarm.shelved_until is not None:
        line.append(f"shelved until {alarm.shelved_until.astimezone():%a %H:%M}", "yellow")
    else:
        style = "bold red" if alarm.condition is AlarmCondition.UNACKNOWLEDGED else "yellow"
        line.append(alarm.condition.replace("_", " "), style)
    return line.append("" if alarm.reason is None else f": {printable(alarm.reason)}")


def _bar(level_dbfs: float | None) -> Text:
    if level_dbfs is None:
        return Text("·" * _BAR_CELLS, "dim").append("   no sound ")
    share = min(1.0, max(0.0, (level_dbfs - _MIN_DBFS) / -_MIN_DBFS))
    cells = round(_BAR_CELLS * share)
    bar = Text("█" * cells, "green").append("·" * (_BAR_CELLS - cells), "dim")
    return bar.append(f" {level_dbfs:4.0f} dBFS ")


def _score(machine: MachineOverview) -> Text:
    score, thresholds = machine.alarm_score, machine.thresholds
    if score is None or thresholds is None:
        return Text(f"{'':>11}")
    style = "green"
    if score >= thresholds.warning:
        style = "yellow" if score < thresholds.alarm else "bold red"
    return Text(f"{score:5.1f}", style).append(f" / {thresholds.alarm:.1f}", "dim")
