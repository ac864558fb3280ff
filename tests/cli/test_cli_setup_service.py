"""setup as root, where systemd runs: the whole way to a service, on folders of the test."""

import json
import os
import shutil
from pathlib import Path

import pytest

from asd_monitor.cli import setup_listening, setup_monitored, setup_service
from asd_monitor.cli.setup_answers import Answers
from asd_monitor.cli.setup_dialogue import Dialogue
from asd_monitor.cli.setup_files import give_to_service
from asd_monitor.cli.setup_run import GuidedSetup
from asd_monitor.diagnosis import subject
from asd_monitor.errors import OperationError
from asd_monitor.guided_setup.service_unit import ServiceFolders
from tests.doubles.synthetic_sounds import machine_sound, write

DEVICE = "card-id:NotThere"


@pytest.fixture
def folders(tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch) -> ServiceFolders:
    """The folders of a service that has a model and recordings, and a systemctl."""
    folders = ServiceFolders(tmp_path / "root")
    (folders.root / "run/systemd/system").mkdir(parents=True)
    state = folders.state("machines")
    shutil.copytree(trained, state / "models")
    write(state / "recordings/fan01/a.flac", machine_sound(3.0))
    (state / "recordings/fan01/a.json").write_text(json.dumps({"device": DEVICE}))
    program = tmp_path / "bin/systemctl"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\n[ "$1" = show ] && exec cat {tmp_path}/shown\n'
        f'echo "$@" >> {tmp_path}/calls\n[ "$1" != is-active ]\n'
    )
    (tmp_path / "shown").write_text("ActiveState=active\nStatusText=fan01 normal (ok)\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(setup_listening, "LISTEN_S", 0.1)
    monkeypatch.setattr(setup_monitored, "_WITHOUT_SCORE_S", 0.0)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setattr(
        setup_service, "this_program", lambda: Path("/opt/asd-monitor/bin/asd-monitor")
    )
    return folders


def run(folders: ServiceFolders, **answers) -> None:
    given = Answers(device=DEVICE, machine="fan01", broker="localhost:1", target_s=3.0, **answers)
    GuidedSetup(given, Dialogue(interactive=False), folders).run()


def test_a_service_is_set_up_with_its_password(folders, tmp_path, capsys):
    (tmp_path / "password").write_text("secret\n")
    run(folders, service=True, username="edge", password_file=tmp_path / "password")
    config = folders.configurations / "machines.yaml"
    assert "password_file" not in config.read_text()  # systemd passes it to the service
    password = folders.configurations / "machines.password"
    assert password.read_text() == "secret\n"
    assert password.stat().st_mode & 0o777 == 0o600
    assert (folders.units / "asd-monitor@.service").is_file()
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[-1] == "enable --now asd-monitor@machines.service"
    shown = capsys.readouterr()
    assert "systemctl status asd-monitor@machines.service" in shown.out
    assert f"{DEVICE}: no sound" in shown.err
    assert "the model of fan01 stays: v1" in shown.err


def test_it_ends_with_whether_the_machine_is_monitored(folders, tmp_path, monkeypatch, capsys):
    run(folders, service=True)
    assert capsys.readouterr().out.splitlines()[-1] == "fan01 is monitored: normal"
    monkeypatch.setattr(setup_monitored, "SETTLED_S", 0.0)
    (tmp_path / "shown").write_text("ActiveState=active\nStatusText=fan01 no_model (ok)\n")
    with pytest.raises(OperationError, match="the service runs but fan01 is not monitored: no_mod"):
        run(folders, service=True)
    shown = capsys.readouterr()
    assert "systemctl status asd-monitor@machines.service" in shown.out  # how to go on
    assert "not finished" not in shown.err


def test_the_user_of_the_service_can_pass_the_folder_above_its_own(folders):
    above = folders.state("machines").parent
    above.chmod(0o700)  # made with a strict umask
    run(folders, service=True)
    assert above.stat().st_mode & 0o777 == 0o755


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_files_are_given_to_the_service_while_its_daemon_removes_some(tmp_path, monkeypatch):
    folders = ServiceFolders(tmp_path)
    state = folders.state("machines")
    for number in range(3):
        (state / f"evidence/{number}").mkdir(parents=True)
        (state / f"evidence/{number}/page").touch()
    os.chown(state, 1234, 1234)
    chown = os.chown

    def while_the_daemon_runs(path, *owner, **options):
        shutil.rmtree(state / "evidence/1", ignore_errors=True)
        shutil.rmtree(state / "evidence/2", ignore_errors=True)
        chown(path, *owner, **options)

    monkeypatch.setattr(os, "chown", while_the_daemon_runs)
    give_to_service(folders, "machines")
    assert {path.lstat().st_uid for path in state.rglob("*")} == {1234}


def test_without_a_yes_no_service_is_started(folders, tmp_path, capsys):
    run(folders)
    assert not (tmp_path / "calls").exists()
    config, state = folders.configurations / "machines.yaml", folders.state("machines")
    command = f"  asd-monitor run --config {config} --models {state}/models --state {state}\n"
    assert command in capsys.readouterr().out


def test_who_has_used_sudo_is_told_to_use_it_again(folders, monkeypatch, capsys):
    monkeypatch.setenv("SUDO_USER", "ann")
    run(folders, service=True)
    shown = capsys.readouterr().out
    assert "  sudo journalctl -u asd-monitor@machines.service -f" in shown
    assert f"  sudo asd-monitor doctor --config {folders.configurations}/machines.yaml" in shown
    with pytest.raises(OperationError):
        run(folders, service=True, models=folders.state("machines") / "models")
    assert "    sudo asd-monitor setup --device" in capsys.readouterr().err


def test_other_folders_than_those_of_the_service_are_refused(folders, tmp_path):
    state = folders.state("machines")
    with pytest.raises(OperationError, match="omit --models"):
        run(folders, service=True, models=state / "models")
    assert not (tmp_path / "calls").exists()


def test_a_user_is_told_the_command_for_the_service(folders, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    state = folders.state("machines")
    own = tmp_path / "own.yaml"
    run(folders, config=own, models=state / "models", state=state)
    shown = capsys.readouterr()
    assert "sudo /opt/asd-monitor/bin/asd-monitor setup --device card-id:NotThere" in shown.err
    assert f"--config {folders.configurations}/own.yaml --recordings {state}" in shown.err
    folders_given = f"--config {own} --models {state}/models --state {state}"
    assert f"asd-monitor run {folders_given}" in shown.out
    assert f"asd-monitor doctor {folders_given}" in shown.out


def test_the_service_of_a_user_s_file_has_the_broker_of_the_file(
    folders, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    state = folders.state("machines")
    own, password = tmp_path / "own.yaml", tmp_path / "password"
    password.write_text("secret\n")
    own.write_text(
        "version: 1\nmachines: {pump02: {device: hw:2}}\n"
        f"mqtt: {{host: localhost, port: 2, username: edge, password_file: {password}}}\n"
    )
    run(folders, config=own, models=state / "models", state=state)
    shown = capsys.readouterr().err
    assert f"--broker localhost:2 --username edge --password-file {password}" in shown
    assert "add what else is in" in " ".join(shown.split())


def test_the_broker_is_tried_with_the_password_that_the_service_gets(
    folders, make_mosquitto, monkeypatch, capsys
):
    broker = make_mosquitto(users={"edge": "secret"}).start()
    monkeypatch.setattr(subject, "SERVICE_FILES", folders.configurations)
    folders.configurations.mkdir(parents=True)
    (folders.configurations / "machines.password").write_text("secret\n")
    (folders.configurations / "machines.yaml").write_text(
        "version: 1\nmachines: {pump02: {device: hw:2}}\n"
        f"mqtt: {{host: localhost, port: {broker.port}, username: edge}}\n"
    )
    run(folders, service=True)
    assert f"the broker localhost:{broker.port} accepts this box" in capsys.readouterr().err
