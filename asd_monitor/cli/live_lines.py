"""The machines of a running daemon as lines of text, one each, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from asd_monitor.daemon.overview import MachineOverview, Overview
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
    """Return a line for each machine, ``rows`` at most, and one with the broker.

    Where there are more machines, those that need attention are shown.
    """
    machines = overview.machines
    shown: Sequence[MachineOverview] = machines
    if len(machines) > rows:
        shown = sorted(machines, key=lambda each: each.state not in _FIRST)[:rows]
    width = min(_MACHINE_CHARS, max((len(each.machine) for each in shown), default=0))
    lines = [_machine_line(each, width) for each in shown]
    last = Text(no_wrap=True)
    if len(shown) < len(machines):
        last.append(f"{count(len(machines) - len(shown), 'more machine')} · ")
    last.append("level, alarm score / threshold · ", "dim")
    if overview.is_connected:
        last.append("broker connected", "dim")
    else:
        last.append("no connection to the broker", "red")
    return [*lines, last]


def _machine_line(machine: MachineOverview, width: int) -> Text:
    colour = _COLOURS.get(machine.state, "")
    line = Text(no_wrap=True)
    line.append(f"{machine.machine[:width]:<{width}} ", "bold")
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
