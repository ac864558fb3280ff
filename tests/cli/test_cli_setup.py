"""setup: what it refuses, the files that it writes, the service."""

import io
import os
import stat
import sys
import threading
from pathlib import Path

import pytest
from paho.mqtt import publish

from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.cli import setup_listening
from asd_monitor.cli.setup_answers import Answers
from asd_monitor.cli.setup_broker import why_not_connected
from asd_monitor.cli.setup_dialogue import Dialogue
from asd_monitor.cli.setup_files import (
    changing,
    install_password,
    install_service,
    prepare_configuration,
    unit_source,
    write_configuration,
)
from asd_monitor.cli.setup_next import subscription_command
from asd_monitor.cli.setup_recording import kept_recordings, recording_of
from asd_monitor.cli.setup_run import GuidedSetup
from asd_monitor.config.loading import ConfigError, machine_from_options
from asd_monitor.config.settings import Mqtt, Tls
from asd_monitor.errors import OperationError, UsageError
from asd_monitor.extras import Extra
from asd_monitor.guided_setup.configuration_edit import BrokerEntry, MachineEntry
from asd_monitor.guided_setup.service_unit import ServiceFolders
from asd_monitor.publish.broker_connection import Connection
from tests.doubles.command_line import CommandLine
from tests.doubles.mosquitto import Mosquitto, Subscriber
from tests.doubles.synthetic_sounds import machine_sound, write

ENTRY = MachineEntry("fan01", "hw:1")
PROGRAM = Path("/opt/asd-monitor/bin/asd-monitor")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "--device DEVICE, --machine ID and --yes"),
        (("--device", "hw:1", "--machine", "fan01"), "needs a terminal"),
        (("--yes",), "give --device DEVICE and --machine ID"),
        (("--yes", "--device", "hw:1", "--machine", "a/b"), "cannot be an id"),
        (("--yes", "--device", "hw:1", "--machine", "fan01", "--minutes", "x"), "such as 10"),
        (("--yes", "--device", "file:none.wav", "--machine", "fan01"), "no such file"),
    ],
)
def test_wrong_usage_is_refused_in_one_line(command_line: CommandLine, arguments, text) -> None:
    result = command_line("setup", *arguments)
    assert result.code == 2
    assert text in result.message
    assert "setup not finished" not in result.err


def test_a_new_configuration_is_written_for_all_to_read(tmp_path: Path) -> None:
    path = tmp_path / "etc/machines.yaml"
    assert write_configuration(prepare_configuration(path, ENTRY, BrokerEntry())) is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [each.name for each in path.parent.iterdir()] == ["machines.yaml"]
    again = prepare_configuration(path, ENTRY, BrokerEntry("other"))
    assert not again.is_changed
    assert write_configuration(again) is None


@pytest.mark.parametrize("is_there", [True, False])
def test_a_new_configuration_has_the_page_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    extra = Extra("web", ("sys" if is_there else "no_such",))
    monkeypatch.setattr("asd_monitor.cli.setup_files.WEB", extra)
    prepared = prepare_configuration(tmp_path / "machines.yaml", ENTRY, BrokerEntry())
    assert (prepared.config.http is not None) is is_there


def test_a_changed_configuration_keeps_its_mode_and_a_backup(tmp_path: Path) -> None:
    path = tmp_path / "machines.yaml"
    before = "version: 1  # ours\nmachines:\n  pump02: {device: hw:2}\n"
    path.write_text(before)
    path.chmod(0o640)
    backup = write_configuration(prepare_configuration(path, ENTRY, BrokerEntry()))
    assert backup is not None
    assert backup.read_text() == before
    assert path.read_text().startswith(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_changed_configuration_is_complete_when_it_appears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service may read it at any instant, and setup may be killed at any."""
    path = tmp_path / "machines.yaml"
    path.write_text("version: 1\nmachines:\n  pump02: {device: hw:2}\n")
    path.chmod(0o644)
    if os.geteuid() == 0:
        os.chown(path, 1234, 1234)
    owner = path.stat()
    appearing = []
    rename = Path.replace

    def note(partial: Path, target: Path) -> Path:
        appearing.append(partial.stat())
        return rename(partial, target)

    monkeypatch.setattr(Path, "replace", note)
    write_configuration(prepare_configuration(path, ENTRY, BrokerEntry()))
    [found] = appearing
    assert stat.S_IMODE(found.st_mode) == 0o644
    assert (found.st_uid, found.st_gid) == (owner.st_uid, owner.st_gid)


def test_a_link_to_a_configuration_stays_one(tmp_path: Path) -> None:
    real, link = tmp_path / "real.yaml", tmp_path / "machines.yaml"
    real.write_text("version: 1\nmachines:\n  pump02: {device: hw:2}\n")
    link.symlink_to(real)
    write_configuration(prepare_configuration(link, ENTRY, BrokerEntry()))
    assert link.is_symlink()
    assert "fan01" in real.read_text()


def test_of_two_setups_at_once_none_loses_its_machine(tmp_path: Path) -> None:
    path = tmp_path / "machines.yaml"
    held, done = threading.Event(), threading.Event()

    def other() -> None:
        held.set()
        with changing(path):
            write_configuration(prepare_configuration(path, ENTRY, BrokerEntry()))
        done.set()

    with changing(path):
        thread = threading.Thread(target=other)
        thread.start()
        held.wait(10)
        assert not done.wait(0.2)
        pump = MachineEntry("pump02", "hw:2")
        write_configuration(prepare_configuration(path, pump, BrokerEntry()))
    thread.join(10)
    assert done.is_set()
    text = path.read_text()
    assert "fan01" in text
    assert "pump02" in text


def test_a_configuration_that_changes_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "machines.yaml"
    prepared = prepare_configuration(path, ENTRY, BrokerEntry())
    path.write_text("version: 1\n")
    with pytest.raises(OperationError, match="changed meanwhile"):
        write_configuration(prepared)
    assert path.read_text() == "version: 1\n"


def test_a_configuration_that_run_would_refuse_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "machines.yaml"
    path.write_text("version: 1\nmachines: {}\nmqtt: {host: -, port: 0}\n")
    with pytest.raises(ConfigError) as refused:
        prepare_configuration(path, ENTRY, BrokerEntry())
    assert all(line.startswith(f"{path}:") for line in refused.value.problems)
    assert "fan01" not in path.read_text()
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A systemctl that notes how it is called; the file `active` makes services active."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "systemctl"
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {folder}/calls\n'
        f'[ "$1" = is-active ] && {{ [ -e {folder}/active ]; exit; }}\n'
        f"[ -e {folder}/fails ] && {{ echo Failed to start >&2; exit 1; }}\nexit 0\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def test_a_service_is_installed_once_and_reloaded_then(tmp_path: Path, systemctl: Path) -> None:
    folders = ServiceFolders(tmp_path)
    unit = folders.units / "asd-monitor@.service"
    done = install_service(folders, "hall", PROGRAM)
    assert done == [f"wrote {unit}", "enabled and started asd-monitor@hall.service"]
    assert unit.read_text() == unit_source().read_text()
    assert (systemctl / "calls").read_text().splitlines() == [
        "daemon-reload",
        "is-active --quiet asd-monitor@hall.service",
        "enable --now asd-monitor@hall.service",
    ]
    (systemctl / "active").touch()
    assert install_service(folders, "hall", PROGRAM) == [
        "reloaded asd-monitor@hall.service, which was active"
    ]


def test_a_unit_that_differs_is_left_as_it_is(tmp_path: Path, systemctl: Path) -> None:
    folders = ServiceFolders(tmp_path)
    unit = folders.units / "asd-monitor@.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\n")
    assert "differs" in install_service(folders, "hall", PROGRAM)[0]
    assert unit.read_text() == "[Service]\n"


def test_a_service_that_does_not_start_is_an_error_with_the_remedy(
    tmp_path: Path, systemctl: Path
) -> None:
    (systemctl / "fails").touch()
    with pytest.raises(OperationError, match="Failed to start"):
        install_service(ServiceFolders(tmp_path), "hall", PROGRAM)


def test_a_password_is_copied_for_its_owner_and_not_over_another(tmp_path: Path) -> None:
    folders, source = ServiceFolders(tmp_path), tmp_path / "password"
    source.write_text("secret\n")
    copy = install_password(folders, "hall", source)
    assert copy == tmp_path / "etc/asd-monitor/hall.password"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert install_password(folders, "hall", source) == copy
    source.write_text("another\n")
    with pytest.raises(OperationError, match="another password"):
        install_password(folders, "hall", source)
    assert copy.read_text() == "secret\n"


def test_recordings_of_another_device_are_not_taken(tmp_path: Path) -> None:
    for name, device in (("a", "hw:1"), ("b", "hw:2"), ("c", "hw:1")):
        (tmp_path / f"{name}.json").write_text(f'{{"device": "{device}"}}')
    for name in ("a", "b", "d"):
        (tmp_path / f"{name}.flac").touch()
    (tmp_path / "d.json").write_text("[")
    assert kept_recordings(tmp_path, "hw:1") == (tmp_path / "a.flac",)


def test_a_recording_has_a_coverage(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", machine_sound(5.0))
    sound = recording_of(parse_device(f"file:{path}"))
    assert (sound.paths, sound.seconds) == ((path,), 5.0)


def test_the_broker_is_tried_with_its_password(make_mosquitto, tmp_path: Path) -> None:
    broker: Mosquitto = make_mosquitto(users={"edge": "secret"}).start()
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text("secret\n")
    wrong.write_text("guess\n")

    def reason(file: Path | None, port: int = broker.port) -> str | None:
        mqtt = Mqtt(host="localhost", port=port, username="edge", password_file=file)
        config = machine_from_options("hw:1", "fan01", box="edge-07")
        return why_not_connected(config.model_copy(update={"mqtt": mqtt}))

    assert reason(right) is None
    for refused in (reason(wrong), reason(tmp_path / "none"), reason(right, 1)):
        assert refused is not None
        assert ": " in refused
    broker.stop()
    assert not any("offline" in line for line in broker.log)


def test_a_machine_with_another_device_is_refused_before_anything_is_recorded(
    tmp_path: Path,
) -> None:
    write(tmp_path / "a.wav", machine_sound(5.0))
    (tmp_path / "machines.yaml").write_text("version: 1\nmachines:\n  fan01: {device: hw:1}\n")
    answers = Answers(
        device=f"file:{tmp_path}/a.wav", machine="fan01", config=tmp_path / "machines.yaml"
    )
    with pytest.raises(UsageError, match="has a machine fan01 already"):
        GuidedSetup(answers, Dialogue(interactive=False)).run()
    assert {each.name for each in tmp_path.iterdir()} == {"a.wav", "machines.yaml"}


def test_an_id_that_is_taken_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    write(tmp_path / "a.wav", machine_sound(5.0))
    path = tmp_path / "machines.yaml"
    path.write_text(
        "version: 1\nmqtt: {host: localhost, port: 1}\nmachines:\n  fan01: {device: hw:1}\n"
    )
    typed = ("fan01", "fan02", "1 per day", "n")
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(typed) + "\n"))
    with pytest.raises(OperationError, match="give longer ones"):
        GuidedSetup(
            Answers(device=f"file:{tmp_path}/a.wav", config=path), Dialogue(interactive=True)
        ).run()
    assert "it has a machine fan01 already" in capsys.readouterr().err


def test_a_try_that_is_cut_off_does_not_take_the_daemon_offline(
    make_mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker: Mosquitto = make_mosquitto().start()
    config = machine_from_options(
        "hw:1", "fan01", check_device=parse_device, mqtt=Mqtt(port=broker.port)
    )
    topic = f"asd/box/{config.box}/availability"
    with Subscriber(broker.port) as subscriber:
        publish.single(topic, "online", qos=1, retain=True, port=broker.port)
        subscriber.wait_for(topic)
        monkeypatch.setattr(Connection, "disconnect", lambda *_: None)  # setup is killed here
        assert why_not_connected(config) is None
        will = subscriber.wait_for(topic, times=2)[-1]
        assert b"asd.probe/1" in will.payload
    with Subscriber(broker.port) as later:
        assert later.wait_for(topic)[0].payload == b"online"


def test_the_address_of_the_broker_can_be_corrected(
    make_mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    broker: Mosquitto = make_mosquitto().start()
    write(tmp_path / "a.wav", machine_sound(5.0))
    answers = Answers(
        device=f"file:{tmp_path}/a.wav", machine="fan01", config=tmp_path / "machines.yaml"
    )
    typed = ("localhost:1", "", "1 per day", "y", f"localhost:{broker.port}", "")
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(typed) + "\n"))
    with pytest.raises(OperationError, match="give longer ones"):
        GuidedSetup(answers, Dialogue(interactive=True)).run()
    err = capsys.readouterr().err
    assert "no broker listens on localhost:1" in err
    assert f"the broker localhost:{broker.port} accepts this box" in err


def test_the_user_of_the_broker_is_kept_where_only_the_address_is_corrected(
    make_mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    broker: Mosquitto = make_mosquitto(users={"edge": "right"}).start()
    write(tmp_path / "a.wav", machine_sound(5.0))
    password = tmp_path / "password"
    password.write_text("right\n")
    answers = Answers(
        device=f"file:{tmp_path}/a.wav", machine="fan01", config=tmp_path / "machines.yaml"
    )
    first = ("localhost:1", "edge", "right", str(password), "1 per day")
    again = ("y", f"localhost:{broker.port}")
    for corrected, accepted in ((("", ""), True), (("-", "n"), False)):
        typed = (*first, *again, *corrected)
        monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(typed) + "\n"))
        with pytest.raises(OperationError, match="give longer ones"):
            GuidedSetup(answers, Dialogue(interactive=True)).run()
        err = capsys.readouterr().err
        assert (f"the broker localhost:{broker.port} accepts this box" in err) is accepted
        assert ("(no user name," in err) is not accepted
        words = " ".join(err.split())
        assert "no such file: correct the path, or make one in another terminal" in words
        assert (f"edit `mqtt` in {tmp_path}/machines.yaml" in words) is not accepted


def test_a_broker_that_is_not_that_of_the_file_is_reported(tmp_path: Path, capsys) -> None:
    write(tmp_path / "a.wav", machine_sound(5.0))
    path = tmp_path / "machines.yaml"
    path.write_text(
        "version: 1\nmqtt: {host: localhost, port: 1}\nmachines: {pump02: {device: hw:2}}\n"
    )
    for given, reported in (("localhost:2", True), ("localhost:1", False)):
        answers = Answers(
            device=f"file:{tmp_path}/a.wav", machine="fan01", config=path, broker=given
        )
        with pytest.raises(OperationError, match="too little"):
            GuidedSetup(answers, Dialogue(interactive=False)).run()
        assert ("--broker is not applied" in capsys.readouterr().err) is reported


def test_nothing_is_said_to_be_kept_where_nothing_was_recorded(
    tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup_listening, "LISTEN_S", 0.1)
    monkeypatch.setattr(setup_listening, "_OPEN_LIMIT_S", 0.1)
    answers = Answers(
        device="card-id:NotThere",
        machine="fan01",
        broker="localhost:1",
        config=tmp_path / "c.yaml",
        state=tmp_path / "state",
    )
    with pytest.raises(OperationError):
        GuidedSetup(answers, Dialogue(interactive=False)).run()
    assert "kept" not in capsys.readouterr().err


def test_a_password_of_root_is_read_by_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("SUDO_USER", "ann")
    command = subscription_command(Mqtt(username="edge"), Path("/etc/asd-monitor/a.password"))
    assert command.endswith('-P "$(sudo cat /etc/asd-monitor/a.password)"')


def test_the_command_that_shows_what_is_published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)
    assert subscription_command(Mqtt(), None) == (
        "mosquitto_sub -h localhost -p 1883 -v -t 'asd/#'"
    )
    mqtt = Mqtt(host="plant", port=8883, username="edge", tls=Tls(ca=Path("/ca.pem")))
    assert subscription_command(mqtt, Path("/a b")) == (
        "mosquitto_sub -h plant -p 8883 --cafile /ca.pem -u edge -v -t 'asd/#' -P \"$(cat '/a b')\""
    )


def test_the_command_that_goes_on_has_every_answer() -> None:
    answers = Answers(device="name:USB Mic", machine="fan01", minutes="30")
    assert answers.command(Path("/etc/a b.yaml")) == (
        "setup --device 'name:USB Mic' --machine fan01 --minutes 30 --config '/etc/a b.yaml'"
    )
