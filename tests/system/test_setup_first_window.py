"""setup with a service whose daemon is a real one: its end says whether it monitors."""

import os
import signal
import sys
from pathlib import Path

import pytest

from asd_monitor.cli import setup_monitored, setup_service
from asd_monitor.cli.setup_answers import Answers
from asd_monitor.cli.setup_dialogue import Dialogue
from asd_monitor.cli.setup_run import GuidedSetup
from asd_monitor.errors import OperationError
from asd_monitor.guided_setup.service_unit import ServiceFolders
from tests.doubles.synthetic_sounds import machine_sound, write
from tests.doubles.unmeasured_sensitivity import unmeasured_sensitivity

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

# instead of systemd: `enable` starts the daemon, `show` says that it runs
SYSTEMCTL = """#!/bin/sh
case "$1" in
    enable) setsid {python} -m asd_monitor run --config {config} \\
        --models {state}/models --state {state} > {folder}/log 2>&1 & echo $! > {folder}/pid ;;
    show) echo ActiveState=active ;;
    is-active) exit 1 ;;
esac
"""


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """The folders of a computer on which a service can be started."""
    folders = ServiceFolders(tmp_path / "root")
    (folders.root / "run/systemd/system").mkdir(parents=True)
    program = tmp_path / "bin/systemctl"
    program.parent.mkdir()
    program.write_text(
        SYSTEMCTL.format(
            folder=tmp_path,
            python=sys.executable,
            config=folders.configurations / "machines.yaml",
            state=folders.state("machines"),
        )
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(setup_service, "obstacle", lambda *_: None)  # the folders of a test
    yield folders
    kill(tmp_path)


def kill(folder):
    """End the daemon so that its retained messages stay as they are."""
    if (folder / "pid").exists():
        os.killpg(int((folder / "pid").read_text()), signal.SIGKILL)
        (folder / "pid").unlink()


def test_it_says_whether_the_machine_is_monitored(
    folders, tmp_path, mosquitto, monkeypatch, capsys
):
    write(tmp_path / "normal.flac", machine_sound(62.0, seed=1))
    answers = Answers(
        device=f"file:{tmp_path}/normal.flac",
        machine="fan01",
        broker=f"localhost:{mosquitto.port}",
        service=True,
    )
    with unmeasured_sensitivity():
        GuidedSetup(answers, Dialogue(interactive=False), folders).run()
    [*_, last] = capsys.readouterr().out.splitlines()
    assert last.startswith("fan01 is monitored: normal, alarm score ")
    assert last.endswith(" (provisional)")
    assert " of " in last
    kill(tmp_path)
    [manifest] = folders.state("machines").glob("models/fan01/v1/manifest.json")
    manifest.write_text("{}")
    monkeypatch.setattr(setup_monitored, "SETTLED_S", 3.0)
    with pytest.raises(OperationError, match="runs but fan01 is not monitored: no_m") as failed:
        GuidedSetup(answers, Dialogue(interactive=False), folders).run()
    assert "train again" in str(failed.value)
