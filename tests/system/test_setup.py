"""`setup` on a terminal and on a virtual microphone: from nothing to a machine that is scored."""

import json
import re
import shlex
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.doubles.mosquitto import Subscriber
from tests.doubles.pseudo_terminal import PseudoTerminal
from tests.doubles.run_process import BrokerMessages, RunProcess, asd_monitor
from tests.doubles.synthetic_sounds import machine_sound, write

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
PROGRAM = [sys.executable, "-m", "asd_monitor", "setup"]
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/first-machine.md"


def documented(begin: str) -> list[str]:
    """Return the arguments of the only command on the page that begins like this."""
    page = PAGE.read_text().replace("\\\n", " ")
    [found] = re.findall(rf"^ *\$ (?:sudo )?asd-monitor ({begin}[^\n]*)", page, re.MULTILINE)
    return [str(Path(each).expanduser()) if "~" in each else each for each in shlex.split(found)]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A new user, in an empty folder."""
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_from_nothing_to_a_machine_that_is_scored(home, virtual_sound, mosquitto):
    """The commands of docs/first-machine.md, with answers typed on a terminal."""
    sound = virtual_sound({"fan": 1}, channels=2)
    fan = machine_sound(30.0, seed=1)
    sound["fan"].play(np.stack([np.zeros_like(fan), fan], axis=1), loop=True)
    assert documented("setup$") == ["setup"]
    run = documented("run")
    config = Path(run[-1])
    # on a computer with systemd root's would be in /etc
    options = ["--minutes", "61s", "--no-service", "--config", str(config)]
    with PseudoTerminal([*PROGRAM, *options]) as terminal:
        modes = terminal.modes
        terminal.wait_for("Then press Enter")
        terminal.type("\n")
        at = terminal.wait_for("Which one")
        assert "dead: constant samples" in terminal.text
        terminal.type("1\n")  # the wrong channel
        at = terminal.wait_for("choose #1", after=at)
        terminal.type("n\n")
        at = terminal.wait_for("Then press Enter", after=at)
        terminal.type("\n")
        at = terminal.wait_for("Which one", after=at)
        assert "[2]" in terminal.text[at:]  # the only channel with sound
        terminal.type("\n")
        terminal.wait_for("Id of the machine")
        terminal.type("fan 01\n")
        terminal.wait_for("cannot be an id")
        terminal.type("fan01\n")
        terminal.wait_for("MQTT broker")
        terminal.type(f"localhost:{mosquitto.port}\n")
        terminal.wait_for("User of the broker")
        terminal.type("\n")
        terminal.wait_for("False alarms")
        terminal.type("\n")
        terminal.wait_for("accepts this box")
        terminal.wait_for("of 61 s")
        began = terminal.wait_for("Record more?")
        terminal.type("0\n")
        terminal.wait_for("trained on 1.0 minutes", after=began)
        terminal.wait_for("it would detect")
        assert terminal.end() == 0
        assert terminal.modes == modes
        text = terminal.text
    assert "Traceback" not in text
    assert f"wrote {config}" in " ".join(text.split())  # a long path has a line of its own
    assert 'device: "hw:1,0#1"' in config.read_text()
    with (
        Subscriber(mosquitto.port) as subscriber,
        RunProcess(home, *run[1:]) as process,
    ):
        messages = BrokerMessages(subscriber)
        score = messages.until("fan01/score", lambda message: message["score"] is not None, process)
        assert score["state"] == "normal"


def test_sigterm_leaves_the_terminal_as_it_was(tmp_path, virtual_sound):
    virtual_sound({"fan": 1})
    with PseudoTerminal([*PROGRAM, "--config", str(tmp_path / "c.yaml")]) as terminal:
        modes = terminal.modes
        terminal.wait_for("Then press Enter")
        assert terminal.modes != modes  # without echo
        terminal.terminate()
        assert terminal.end() == 130
        assert terminal.modes == modes
        assert "nothing was written" in terminal.text


def test_a_terminal_that_cannot_draw_has_the_question_and_the_level(tmp_path, virtual_sound):
    sound = virtual_sound({"fan": 1})
    sound["fan"].play(machine_sound(30.0, seed=1), loop=True)
    options = ["--machine", "fan01", "--config", str(tmp_path / "c.yaml")]
    options += ["--state", str(tmp_path / "state"), "--broker", "localhost:1"]
    options += ["--false-alarms", "1 per day"]
    with PseudoTerminal([*PROGRAM, *options], {"TERM": "dumb"}) as terminal:
        terminal.wait_for("Then press Enter")
        terminal.type("\n")
        terminal.wait_for("[1]")
        terminal.type("\n")
        terminal.wait_for("Try again?")
        terminal.type("n\n")
        terminal.wait_for("s of 600 s")
        terminal.press_ctrl_c()
        assert terminal.end() == 130
        assert b"\x1b" not in terminal.raw


def test_an_interrupted_recording_goes_on(tmp_path, virtual_sound):
    sound = virtual_sound({"fan": 1})
    sound["fan"].play(machine_sound(30.0, seed=1), loop=True)
    state = tmp_path / "state"
    options = ["--device", "hw:1", "--machine", "fan01", "--config", str(tmp_path / "c.yaml")]
    options += ["--models", str(tmp_path / "models"), "--state", str(state), "--broker", "x:1"]
    with PseudoTerminal([*PROGRAM, *options, "--yes"]) as terminal:
        terminal.wait_for("3 of 600 s")
        terminal.press_ctrl_c()
        assert terminal.end() == 130
        assert "setup interrupted; kept: recordings in" in terminal.text.replace("\n", " ")
        assert "Traceback" not in terminal.text
    [recording] = (state / "recordings/fan01").glob("*.flac")
    before_s = soundfile.info(recording).duration
    assert before_s > 2
    assert not (tmp_path / "c.yaml").exists()
    begun_s = time.monotonic()
    more = ["--minutes", f"{before_s + 4:.0f}s", "--yes"]
    with PseudoTerminal([*PROGRAM, *options, *more]) as terminal:
        terminal.wait_for("minutes were recorded earlier")
        assert terminal.end() == 1
        text = terminal.text.replace("\n", " ")
    assert "are too little" in text
    assert time.monotonic() - begun_s < 60
    assert len(list((state / "recordings/fan01").glob("*.flac"))) == 2


def test_the_command_without_questions_sets_up_recordings(home):
    write(home / "recordings/fan01/normal.flac", machine_sound(62.0, seed=1))
    command = documented("setup --device file")
    out = asd_monitor(*command, timeout_s=300)
    assert f"asd-monitor run --config {home}/test.yaml" in out
    assert f'device: "file:{home}/recordings/fan01"' in (home / "test.yaml").read_text()
    models = home / ".local/share/asd-monitor/models"
    assert json.loads(asd_monitor("models", "list", "--models", models, "--json"))
    before = (home / "test.yaml").read_bytes()
    again = asd_monitor(*command)  # the model stays, and so does the file
    assert again == out
    assert (home / "test.yaml").read_bytes() == before
