"""The live lines of `run`: what they say, and that a terminal that stands delays nobody."""

import os
import pty
import select
import termios
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from rich.text import Text

from asd_monitor.alarm.state import AlarmCondition
from asd_monitor.cli.live_lines import live_lines
from asd_monitor.cli.terminal_display import MAX_LINES, STOP_S, TerminalDisplay
from asd_monitor.daemon.overview import MachineOverview, Overview
from asd_monitor.journal.alarm_records import AlarmRecord
from asd_monitor.records import MachineState, MicrophoneState, Thresholds

AT = datetime(2026, 3, 2, 10, 15, 7, tzinfo=UTC)


def machine(name: str = "fan01", state: MachineState = MachineState.NORMAL, **changes):
    values = {
        "microphone": MicrophoneState.OK,
        "reason": None,
        "level_dbfs": -27.0,
        "alarm_score": 1.2,
        "thresholds": Thresholds(4.0, 5.42),
        "last_evaluated": AT,
        **changes,
    }
    return MachineOverview(name, state, **values)


def alarm(machine: str, condition: AlarmCondition) -> AlarmRecord:
    return AlarmRecord(
        id=f"{machine}-20260302T101500Z",
        machine=machine,
        severity="alarm",
        condition=condition,
        raised=AT,
        cleared=None,
        acknowledged_at=None,
        who=None,
        why=None,
        peak_score=7.0,
        model="v1",
        reason="impacts 12 a second at 2.9 kHz",
    )


def overview(*machines: MachineOverview, is_connected: bool = True) -> Overview:
    return Overview(machines, is_connected=is_connected)


def test_a_line_has_state_level_score_and_time():
    line, last = (each.plain for each in live_lines(overview(machine()), 5))
    local = AT.astimezone()
    for text in ("fan01 ", "normal", "-27 dBFS", "1.2 / 5.4", f"evaluated {local:%H:%M:%S}"):
        assert text in line
    assert "microphone" not in line
    assert last.endswith("broker connected")
    assert live_lines(overview(is_connected=False), 5)[0].plain.endswith(
        "no connection to the broker"
    )


def test_a_machine_without_sound_has_its_reason_in_one_line():
    absent = machine(
        state=MachineState.UNAVAILABLE,
        microphone=MicrophoneState.NO_DEVICE,
        reason="not plugged in:\n\x1b[2Jplug it in",
        level_dbfs=None,
        alarm_score=None,
        thresholds=None,
        last_evaluated=None,
    )
    line = live_lines(overview(absent), 5)[0].plain
    assert "no sound" in line
    assert "microphone no_device" in line
    assert "\n" not in line
    assert "\x1b" not in line


def test_an_alarm_has_its_id_and_its_reason_below_the_machine():
    record = alarm("fan01", AlarmCondition.UNACKNOWLEDGED)
    pump = replace(
        alarm("pump02", AlarmCondition.SHELVED), shelved_until=AT + timedelta(hours=2), reason=None
    )
    lines = live_lines(
        overview(
            machine(state=MachineState.ALARM, alarm=record),
            machine("pump02", MachineState.ALARM, alarm=pump),
        ),
        4,
    )
    _, fan, _, shelved, _ = (each.plain for each in lines)
    assert fan == "  fan01-20260302T101500Z unacknowledged: impacts 12 a second at 2.9 kHz"
    local = (AT + timedelta(hours=2)).astimezone()
    assert shelved == f"  pump02-20260302T101500Z shelved until {local:%a %H:%M}"


def test_lines_of_alarms_count_where_there_is_little_room():
    machines = [machine(f"fan{number:02}") for number in range(4)]
    record = alarm("fan03", AlarmCondition.ACKNOWLEDGED)
    machines[3] = machine("fan03", MachineState.ALARM, alarm=record)
    lines = [each.plain for each in live_lines(overview(*machines), 4)]
    assert [line[:5] for line in lines[:4]] == ["fan03", "  fan", "fan00", "fan01"]
    assert lines[4].startswith("1 more machine ")
    assert len(live_lines(overview(*machines), 1)) == 3


def test_an_alarm_that_nobody_has_acknowledged_is_shown_before_all_others():
    machines = [machine(f"fan{number:02}", MachineState.WARNING) for number in range(4)]
    over = machine("pump02", alarm=alarm("pump02", AlarmCondition.RETURNED))
    lines = [each.plain for each in live_lines(overview(*machines, over), 3)]
    assert [line[:5] for line in lines[:3]] == ["pump0", "  pum", "fan00"]


def test_a_machine_that_starts_is_no_machine_without_a_microphone():
    starts = machine(
        state=MachineState.UNAVAILABLE, microphone=MicrophoneState.NO_DEVICE, is_starting=True
    )
    line = live_lines(overview(starts), 1)[0]
    assert line.plain.split() == ["fan01", "○", "starting"]
    assert not any("red" in str(span.style) for span in line.spans)


def test_of_too_many_machines_those_that_need_attention_are_shown():
    many = [machine(f"fan{number:02}") for number in range(20)]
    many[17] = machine("fan17", MachineState.ALARM)
    lines = [each.plain for each in live_lines(overview(*many), 3)]
    assert len(lines) == 4
    assert lines[0].startswith("fan17")
    assert lines[-1].startswith("17 more machines")


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """The controlling side and the terminal of 80 columns."""
    control, terminal = pty.openpty()
    yield control, terminal
    os.close(control)
    os.close(terminal)


def read_until(control: int, text: bytes, limit_s: float = 20.0) -> bytes:
    output, deadline = b"", time.monotonic() + limit_s
    while text not in output:
        assert select.select([control], [], [], deadline - time.monotonic())[0], output
        output += os.read(control, 65536)
    return output


def drawn(shown: Overview, rows: int) -> list[Text]:
    return [Text(f"display {each.machine}") for each in shown.machines]


def test_lines_scroll_above_the_display_which_is_erased_at_the_end(terminal):
    control, program = terminal
    with TerminalDisplay(program, drawn) as display:
        display.observe(overview(machine("a"), machine("b")))
        read_until(control, b"display b")
        display.print_line("first\nsecond")
        output = read_until(control, b"display b")
        assert output.startswith(b"\r\x1b[1A\x1b[Jfirst\r\nsecond\r\n")
        display.observe(overview(machine("c")))
        assert read_until(control, b"display c").startswith(b"\r\x1b[1A\x1b[J")
    assert read_until(control, b"\x1b[J") == b"\r\x1b[J"


@pytest.mark.parametrize("stop", [False, True], ids=["nobody reads", "Ctrl-S"])
def test_a_terminal_that_stands_delays_nobody(terminal, stop):
    control, program = terminal
    if stop:
        termios.tcflow(program, termios.TCOOFF)  # what Ctrl-S does, at once
    begun_s = time.monotonic()
    with TerminalDisplay(program, drawn) as display:
        for number in range(3 * MAX_LINES):
            display.print_line(f"line {number} " + 100 * "x")
            display.observe(overview(machine(f"m{number}")))
        printed_s = time.monotonic() - begun_s
        if stop:
            assert not select.select([control], [], [], 0.2)[0]
        else:
            # the newest lines and the newest overview remain, and the number of the others
            output = read_until(control, f"display m{3 * MAX_LINES - 1}".encode())
            assert f"line {3 * MAX_LINES - 1} ".encode() in output
            assert display.dropped_lines >= MAX_LINES  # one batch is being written
            assert b"lines of the log were not printed" in output
    assert printed_s < 5.0
    assert time.monotonic() - begun_s < printed_s + 3 * STOP_S + 5.0


def test_a_terminal_that_is_closed_delays_nobody():
    control, program = pty.openpty()
    with TerminalDisplay(program, drawn) as display:
        display.observe(overview(machine()))
        read_until(control, b"display")
        os.close(control)
        for number in range(100):
            display.print_line(f"line {number}")
    os.close(program)


def test_what_is_printed_after_the_end_is_on_stderr(terminal, capsys):
    with TerminalDisplay(terminal[1], drawn) as display:
        pass
    display.print_line("late")
    assert capsys.readouterr().err == "late\n"
