"""What is shown on a terminal that cannot draw, or whose user wants no colours."""

import io

import pytest

from asd_monitor.cli.terminal_abilities import has_colours, moves_cursor


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environ", "moves", "colours"),
    [
        ({"TERM": "xterm-256color"}, True, True),
        ({}, True, True),
        ({"TERM": "dumb"}, False, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, True),
    ],
)
def test_a_terminal(environ: dict[str, str], moves: bool, colours: bool) -> None:
    assert moves_cursor(Terminal(), environ) is moves
    assert has_colours(Terminal(), environ) is colours
    assert not moves_cursor(io.StringIO(), environ)
