"""Facts: what is read of /proc, /sys, the disk and the sound."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asd_monitor.audio.devices.cards import Cards
from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.audio.inputs import InputListing
from asd_monitor.diagnosis.capture_trial import Trial, try_device
from asd_monitor.diagnosis.config_files import read_config_files, with_service_credentials
from asd_monitor.diagnosis.disk_reading import mount_of, read_state_folder
from asd_monitor.diagnosis.findings import Result
from asd_monitor.diagnosis.load_reading import read_limits, read_load
from asd_monitor.diagnosis.presence import list_inputs_now
from asd_monitor.diagnosis.service import ServiceFacts
from asd_monitor.diagnosis.sound import SoundFacts, check_sound
from asd_monitor.diagnosis.sound_reading import SoundReader
from asd_monitor.diagnosis.subject import ConfigurationRead, unit_of
from asd_monitor.diagnosis.versions_reading import read_versions
from tests.doubles.card_tree import add_card
from tests.doubles.command_line import without_privileges
from tests.doubles.synthetic_sounds import machine_sound, write


def bad(findings: Any) -> list[tuple[str, Result]]:
    return [(each.check, each.result) for each in findings if each.result is not Result.OK]


def put(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_limits_of_the_control_groups_above_count(tmp_path: Path) -> None:
    put(tmp_path, "proc/17/cgroup", "0::/system.slice/asd.service\n")
    put(tmp_path, "proc/17/limits", "Limit   Soft Hard Units\nMax open files   256   512   files\n")
    put(tmp_path, "sys/fs/cgroup/cpu.max", "max 100000\n")
    put(tmp_path, "sys/fs/cgroup/system.slice/cpu.max", "50000 100000\n")
    put(tmp_path, "sys/fs/cgroup/system.slice/asd.service/memory.max", "300000000\n")
    limits = read_limits(17, tmp_path)
    assert (limits.cores, limits.memory_bytes, limits.descriptors) == (0.5, 300_000_000, 256)
    assert limits.address_space_bytes is None


def test_governor_memory_and_voltage(tmp_path: Path) -> None:
    put(tmp_path, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n")
    put(tmp_path, "proc/meminfo", "MemTotal:  1000 kB\nMemAvailable:  600 kB\n")
    put(tmp_path, "proc/loadavg", "1.50 1.0 1.0 1/100 5\n")
    put(tmp_path, "sys/class/hwmon/hwmon1/name", "rpi_volt\n")
    put(tmp_path, "sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n")
    facts = read_load([], 3, pid=None, root=tmp_path)
    assert (facts.governor, facts.load, facts.memory_bytes) == ("powersave", 1.5, 1_024_000)
    assert facts.throttled is not None
    assert facts.capacity is None


def test_the_file_system_is_that_of_the_longest_mount(tmp_path: Path) -> None:
    folder = tmp_path / "a b"
    folder.mkdir()
    mounts = tmp_path / "mounts"
    octal = str(folder.resolve()).replace(" ", "\\040")
    mounts.write_text(
        f"1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 8:2 / {octal} rw shared:1 - tmpfs none rw\n"
        f"3 1 8:2 / {octal}c rw - nfs server rw\n"
    )
    assert mount_of(folder, mounts) == ("tmpfs", "none")
    assert mount_of(Path("/"), mounts) == ("ext4", "/dev/sda1")


def test_the_state_folder_is_left_as_it_was(tmp_path: Path) -> None:
    facts = read_state_folder(tmp_path)
    assert (facts.exists, facts.write_error) == (True, None)
    assert list(tmp_path.iterdir()) == []
    missing = read_state_folder(tmp_path / "a/b")
    assert (missing.exists, missing.write_error) == (False, None)
    assert not (tmp_path / "a").exists()


def test_a_state_folder_that_cannot_be_written_or_looked_at(open_folder: Path) -> None:
    (open_folder / "closed/state").mkdir(parents=True)
    (open_folder / "closed").chmod(0o700)
    with without_privileges():
        assert "Permission denied" in str(read_state_folder(open_folder).write_error)
        hidden = read_state_folder(open_folder / "closed/state")
        assert read_versions(
            open_folder / "closed/state",
            portaudio_problem=None,
            needs_portaudio=True,
            service_program=None,
        ).journal_problem
    assert hidden.exists
    assert "Permission denied" in str(hidden.write_error)


def test_a_file_in_place_of_the_state_folder(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    assert read_state_folder(tmp_path / "state").write_error == "it is not a folder"


def test_models_of_another_owner(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    (tmp_path / "models/fan01").mkdir(parents=True)
    os.chown(tmp_path / "models/fan01", 4711, 4711)
    models = read_state_folder(tmp_path).models
    assert models is not None
    assert (models.owner, models.folder_owner) == (4711, tmp_path.stat().st_uid)


def test_the_credentials_of_a_service_are_used(
    tmp_path: Path, make_config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asd_monitor.diagnosis.subject.SERVICE_FILES", tmp_path)
    (tmp_path / "hall.password").write_text("secret\n")
    path = tmp_path / "hall.yaml"
    config = with_service_credentials(make_config(username="u"), path)
    assert config.mqtt.password_file == tmp_path / "hall.password"
    assert with_service_credentials(make_config(), path).mqtt.password_file is None
    elsewhere = tmp_path / "x" / "hall.yaml"
    assert with_service_credentials(make_config(username="u"), elsewhere).mqtt.password_file is None
    path.write_text("")
    files = read_config_files(ConfigurationRead(path, config))
    assert [(each.path.name, each.is_credential) for each in files][:2] == [
        ("hall.yaml", False),
        ("hall.password", True),
    ]
    assert unit_of(path) == "asd-monitor@hall.service"


NO_INPUTS = InputListing((), ())
SOUND = Trial(None, 48_000, 1)


def read_sound(
    root: Path, make_config: Any, device: str, *, runs: bool = False,
    service: ServiceFacts | None = None, listing: InputListing = NO_INPUTS,
) -> SoundFacts:  # fmt: skip
    def list_inputs(_: Cards) -> InputListing:
        return listing

    reader = SoundReader(
        root, service, daemon_runs=runs, try_device=lambda _spec, _state: SOUND,
        list_inputs=list_inputs, root=root,
    )  # fmt: skip
    return reader.read(make_config(settings={"device": device}).machines)


@pytest.fixture
def computer(tmp_path: Path) -> Callable[..., Path]:
    (tmp_path / "proc/asound").mkdir(parents=True)
    (tmp_path / "proc/4700").mkdir()

    def make(**options: Any) -> Path:
        add_card(tmp_path, 1, "Device", usb_id="0d8c:0014", usb_path="1-1.4", **options)
        return tmp_path

    return make


def test_a_device_that_is_free_is_tried(computer, make_config) -> None:
    facts = read_sound(computer(), make_config, "usb-path:1-1.4#0")
    assert facts.devices[0].trials == (("fan01", SOUND),)
    assert facts.cards == ("usb-path:1-1.4",)


def test_a_device_that_another_process_holds_is_not_opened(computer, make_config) -> None:
    facts = read_sound(computer(held_by=(4711, "arecord")), make_config, "hw:1", runs=True)
    (device,) = facts.devices
    assert device.trials == ()
    found = dict(bad(check_sound(facts)))
    assert (found["use"], found["sound"]) == (Result.FAILED, Result.NOT_CHECKED)


def test_a_device_that_the_daemon_holds_is_heard_through_it(computer, make_config) -> None:
    root = computer(held_by=(4711, "python3"))
    put(root, "proc/4711/status", "PPid:\t4700\n")
    put(root, "proc/4700/cmdline", "asd-monitor\0run\0--config\0x")
    (device,) = read_sound(root, make_config, "hw:1", runs=True).devices
    assert device.held_by_daemon
    assert device.trials
    (other,) = read_sound(root, make_config, "hw:1", runs=False).devices
    assert not other.held_by_daemon


def test_an_unknown_device_is_named_with_those_that_exist(computer, make_config) -> None:
    facts = read_sound(computer(), make_config, "usb-path:1-1.9")
    (found,) = [each for each in check_sound(facts) if each.check == "device"]
    assert found.result is Result.FAILED
    assert "usb-path:1-1.4" in (found.remedy or "")


def test_a_usb_device_that_may_be_suspended(computer, make_config) -> None:
    root = computer()
    put(root, "sys/bus/usb/devices/1-1.4/power/control", "auto\n")
    assert ("power", Result.WARNING) in bad(check_sound(read_sound(root, make_config, "hw:1")))
    put(root, "sys/bus/usb/devices/1-1.4/power/control", "on\n")
    assert ("power", Result.WARNING) not in bad(check_sound(read_sound(root, make_config, "hw:1")))


def service(**properties: str) -> ServiceFacts:
    groups = tuple(properties.pop("groups", "").split())
    return ServiceFacts("asd-monitor@x.service", properties, None, None, None, (), groups)


def test_a_service_without_the_group_of_the_devices(computer, make_config) -> None:
    root = computer()
    put(root, "dev/snd/pcmC1D0c", "")
    (root / "dev/snd/pcmC1D0c").chmod(0o660)
    without = read_sound(root, make_config, "hw:1", service=service())
    assert ("permissions", Result.FAILED) in bad(check_sound(without))
    group = without.nodes[0].group
    with_group = read_sound(root, make_config, "hw:1", service=service(groups=group))
    assert ("permissions", Result.FAILED) not in bad(check_sound(with_group))


@pytest.mark.parametrize("device", ["pulse:alsa_input.x", "default"])
def test_a_service_has_no_sound_server(computer, make_config, device) -> None:
    facts = read_sound(computer(), make_config, device, service=service())
    assert ("sound_server", Result.FAILED) in bad(check_sound(facts))


def test_portaudio_that_is_missing(computer, make_config) -> None:
    listing = InputListing((), ("PortAudio is not installed: apt install libportaudio2",))
    facts = read_sound(computer(), make_config, "hw:1", listing=listing)
    (found,) = [each for each in check_sound(facts) if each.check == "inputs"]
    assert (found.result, found.remedy) == (Result.FAILED, "apt install libportaudio2")


@pytest.mark.parametrize(
    "problems", [(), ("PortAudio is not installed: apt install libportaudio2",)]
)
def test_recordings_need_no_microphone(tmp_path: Path, make_config, problems) -> None:
    write(tmp_path / "a.wav", machine_sound(6.0))
    listing = InputListing((), problems)
    facts = read_sound(tmp_path, make_config, f"file:{tmp_path}/a.wav", listing=listing)
    (found,) = [each for each in check_sound(facts) if each.check == "inputs"]
    assert "the devices are recordings" in found.what
    assert found.result is (Result.NOT_CHECKED if problems else Result.OK)
    assert found.remedy is None


def test_a_recording_is_tried_as_a_device_is(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", machine_sound(6.0))
    trial = try_device(parse_device(f"file:{path}"), tmp_path)
    assert (trial.problem, trial.rate_hz, trial.channels) == (None, 16_000, 1)
    assert trial.levels is not None
    assert not trial.levels.is_dead


def test_a_recording_without_the_channel(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", machine_sound(2.0))
    trial = try_device(parse_device(f"file:{path}#3"), tmp_path)
    assert trial.levels is None
    assert "channel" in (trial.problem or "")


def test_what_is_installed_is_as_required(tmp_path: Path) -> None:
    facts = read_versions(
        tmp_path, portaudio_problem=None, needs_portaudio=True, service_program=None
    )
    assert {each.requirement.name for each in facts.libraries} >= {"numpy", "paho-mqtt"}
    assert all(each.installed for each in facts.libraries)
    assert facts.sndfile


def test_a_capture_that_cannot_be_started_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    listing = list_inputs_now(Cards(tmp_path))
    assert "no capture process can be started" in " ".join(listing.problems)
