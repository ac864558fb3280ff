"""The demonstration's display on a terminal: sound, fault severity, alarm score, state.

All rows share one time axis, from the start of the recording on the left to its end.
"""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Group
from rich.panel import Panel
from rich.text import Text

from asd_monitor.demo.scenario import MONITORED_S, severity_at
from asd_monitor.demo.terminal_spectrogram import Picture, palette
from asd_monitor.demo.timeline import Timeline
from asd_monitor.publish.messages import Score
from asd_monitor.records import MachineState

BLOCKS = " ▁▂▃▄▅▆▇█"
MARGIN = 16  # columns on the right, for labels
COLOURS = {
    MachineState.NORMAL: "green",
    MachineState.WARNING: "yellow",
    MachineState.ALARM: "bold red",
}


class Screen:
    """Draws a timeline below the spectrogram (bands, columns) of the sound.

    `descriptions` are those of the views, by name; `rows` is the height of the score chart.
    """

    def __init__(
        self, title: str, picture: Picture, descriptions: Mapping[str, str], rows: int
    ) -> None:
        self._title = title
        self._picture = picture
        self._descriptions = descriptions
        self._width: int = picture.shape[1]
        self._rows = rows

    def draw(self, timeline: Timeline) -> Panel:
        """Return the display of the present state of the timeline."""
        parts: list[Text] = [*self._sound(timeline), self._fault(timeline), *self._scores(timeline)]
        parts += [self._axis(timeline), Text(), self._views(timeline)]
        parts += self._changes(timeline)
        colour = COLOURS.get(timeline.state or MachineState.NORMAL, "white")
        return Panel(Group(*parts), title=self._title, border_style=colour, expand=False)

    def _column(self, at_s: float) -> int:
        return min(self._width - 1, int(at_s / MONITORED_S * self._width))

    def _sound(self, timeline: Timeline) -> list[Text]:
        scored = self._column(timeline.at_s) if timeline.scores else -1
        lines = []
        for row in range(0, len(self._picture) - 1, 2):
            line = Text(no_wrap=True)
            for column in range(self._width):
                if column <= scored:
                    upper, lower = self._picture[row : row + 2, column]
                    line.append("▀", f"{palette(float(upper))} on {palette(float(lower))}")
                else:
                    line.append(" ")
            lines.append(line)
        labels = (" 7.5 kHz", "", " sound")
        for line, label in zip(lines, labels, strict=False):
            line.append(label, "dim")
        lines[-1].append(" 60 Hz", "dim")
        return lines

    def _fault(self, timeline: Timeline) -> Text:
        scored = self._column(timeline.at_s) if timeline.scores else -1
        line = Text(no_wrap=True)
        for column in range(self._width):
            severity = severity_at((column + 0.5) / self._width * MONITORED_S)
            shown = BLOCKS[round(severity * 8)] if column <= scored else " "
            line.append(shown, "magenta")
        line.append(f" fault {100 * severity_at(timeline.at_s):.0f} %", "magenta")
        return line

    def _scores(self, timeline: Timeline) -> list[Text]:
        heights = [0.0] * self._width
        for score in timeline.scores:
            column = self._column(timeline.end_s(score))
            heights[column] = max(heights[column], score.alarm_score or 0.0)
        newest = timeline.scores[-1] if timeline.scores else None
        top = max(1.5 * newest.thresholds.alarm, 1.1 * max(heights)) if newest else 10.0
        step = top / self._rows
        lines = []
        for row in reversed(range(self._rows)):
            line, low = Text(no_wrap=True), row * step
            label, dash = _threshold(newest, low, low + step)
            for height in heights:
                filled = min(8, max(0, round((height - low) / step * 8)))
                if filled:
                    line.append(BLOCKS[filled], _colour(height, newest))
                else:
                    line.append("╌" if dash else " ", dash)
            line.append(label, dash or "dim")
            lines.append(line)
        return lines

    def _axis(self, timeline: Timeline) -> Text:
        line = Text("└" + "─" * (self._width - 1), "dim", no_wrap=True)
        line.append(f" {_clock(timeline.at_s)} of {_clock(MONITORED_S)}", "bold")
        return line

    def _views(self, timeline: Timeline) -> Text:
        if not timeline.scores:
            return Text("waiting for the first window …", "dim")
        newest = timeline.scores[-1]
        state = str(newest.state)
        line = Text(no_wrap=True)
        line.append(f" {state.upper()} ", f"reverse {COLOURS.get(newest.state, 'white')}")
        line.append(f"  alarm score {newest.alarm_score or 0.0:4.1f}", "bold")
        line.append(f" (threshold {newest.thresholds.alarm:.1f})")
        name, description = highest_view(newest, self._descriptions)
        if newest.state in {MachineState.WARNING, MachineState.ALARM} and name:
            line.append(f"   {name}: {description}", "italic")
        line.truncate(self._width + MARGIN, overflow="ellipsis")
        return line

    def _changes(self, timeline: Timeline) -> list[Text]:
        lines = [
            Text(f"{_clock(change.at_s)}  {change.text}", COLOURS.get(change.state, "white"))
            for change in timeline.changes[-3:]
        ]
        return lines + [Text()] * (3 - len(lines))


def status_line(timeline: Timeline) -> str:
    """Return the newest score as one line of text."""
    newest = timeline.scores[-1]
    return (
        f"{_clock(timeline.at_s)}  {newest.state:<8} score {newest.score or 0.0:4.1f}  "
        f"alarm score {newest.alarm_score or 0.0:4.1f} "
        f"(threshold {newest.thresholds.alarm:.1f})  "
        f"fault {100 * severity_at(timeline.at_s):3.0f} %"
    )


def highest_view(score: Score, descriptions: Mapping[str, str]) -> tuple[str, str]:
    """Return the view with the highest deviation, and what it responds to."""
    views = {name: value for name, value in score.views.items() if value is not None}
    if not views:
        return "", ""
    name = max(views, key=lambda view: views[view])
    return name, descriptions.get(name, "deviation in the outputs of the encoder")


def _threshold(newest: Score | None, low: float, high: float) -> tuple[str, str]:
    """Return label and colour of the threshold within a row; empty where there is none."""
    if newest is not None:
        if low <= newest.thresholds.alarm < high:
            return f" alarm {newest.thresholds.alarm:.1f}", "red"
        if low <= newest.thresholds.warning < high:
            return f" warning {newest.thresholds.warning:.1f}", "yellow"
    return (" score", "") if low == 0.0 else ("", "")


def _colour(height: float, newest: Score | None) -> str:
    if newest is None or height < newest.thresholds.warning:
        return "green"
    return "yellow" if height < newest.thresholds.alarm else "red"


def _clock(at_s: float) -> str:
    return f"{round(at_s) // 60}:{round(at_s) % 60:02d}"
