"""`run` on a terminal: its live lines, a terminal that stands, and how it leaves the terminal."""

import sys

import pytest

from tests.doubles.mosquitto import Subscriber
from tests.doubles.pseudo_terminal import PseudoTerminal

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
CTRL_S, CTRL_Q = "\x13", "\x11"


@pytest.fixture
def command(trained, tmp_path, mosquitto) -> list[str]:
    return [
        *(sys.executable, "-m", "asd_monitor", "run", "--machine", "fan01"),
        *("--device", f"file:{trained}/calm.flac?loop", "--models", str(trained / "models")),
        *("--state", str(tmp_path / "state"), "--broker", f"localhost:{mosquitto.port}"),
    ]


def test_monitoring_goes_on_while_the_terminal_stands(command, mosquitto):
    with Subscriber(mosquitto.port) as subscriber, PseudoTerminal(command) as terminal:
        modes = terminal.modes
        terminal.wait_for("fan01 ● normal")
        terminal.wait_for("broker connected")
        terminal.type(CTRL_S)
        subscriber.wait_for("asd/fan01/score", times=len(subscriber.messages) + 20)  # 10 s
        terminal.terminate()
        assert terminal.end() == 0
        assert subscriber.wait_for("asd/fan01/state")[-1].retain is False
        assert terminal.modes == modes


def test_the_display_goes_on_after_ctrl_q_and_is_gone_at_the_end(command):
    with PseudoTerminal(command) as terminal:
        terminal.wait_for("fan01 ● normal")
        terminal.type(CTRL_S)
        stopped = len(terminal.text)
        terminal.type(CTRL_Q)
        terminal.wait_for("fan01 ●", after=stopped)
        terminal.press_ctrl_c()
        assert terminal.end() == 130
        assert terminal.raw.endswith(b"\x1b[J")
        assert "stopping" in terminal.text


@pytest.mark.parametrize("more", [("--no-live",), ("--log-format", "json")], ids=str)
def test_the_live_lines_can_be_switched_off(command, more):
    with PseudoTerminal([*command, *more]) as terminal:
        terminal.wait_for("ready")
        terminal.wait_for("capacity")
        terminal.terminate()
        assert terminal.end() == 0
        assert "fan01 ●" not in terminal.text
