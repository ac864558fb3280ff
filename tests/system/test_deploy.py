"""The service unit and the example configuration in `deploy/`."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pydantic
import pytest

from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.config.credentials import KEY_CREDENTIAL, PASSWORD_CREDENTIAL
from asd_monitor.config.loading import read_config
from asd_monitor.config.settings import Config
from tests.doubles import unit_sandbox

DEPLOY = Path(__file__).parents[2] / "deploy"
UNIT = DEPLOY / "asd-monitor@.service"
EXAMPLE = DEPLOY / "example.yaml"

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


def keys(model: type[pydantic.BaseModel]) -> Iterator[str]:
    """Yield every key of the configuration that has an effect, including those of sections."""
    for name, field in model.model_fields.items():
        if field.exclude:
            continue
        yield name
        for part in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(part, type) and issubclass(part, pydantic.BaseModel):
                yield from keys(part)


def test_example_is_valid_without_a_notice():
    file = read_config(EXAMPLE, parse_device)
    assert set(file.config.machines) == {"fan01", "pump02"}
    assert file.notices == ()


def test_example_has_every_setting_that_has_an_effect_and_no_other():
    text = EXAMPLE.read_text()
    every = set(keys(Config)) | {"device", "channel", "fan01", "pump02"}
    assert {"cert", "learn", "false_alarms"} <= every
    shown = set(re.findall(r"(?:^[\s#]*|\{)([a-z0-9_]+):(?:\s|$)", text, re.MULTILINE))
    assert shown == every


def test_example_shows_the_defaults():
    config = read_config(EXAMPLE, parse_device).config
    assert config.defaults == type(config.defaults)()
    assert config.inference == type(config.inference)()
    assert config.mqtt == type(config.mqtt)()


def test_unit_agrees_with_the_program():
    text = UNIT.read_text()
    assert f"LoadCredential={PASSWORD_CREDENTIAL}:/etc/asd-monitor/%i.password" in text
    assert f"LoadCredential={KEY_CREDENTIAL}:/etc/asd-monitor/%i.key" in text
    assert "Environment=ASD_MONITOR_INSTANCE=%i" in text
    assert "run --config /etc/asd-monitor/%i.yaml --log-format text" in text


def test_unit_names_programs_that_each_debian_has():
    """`/bin/kill` is of procps, which a minimal Debian lacks: `systemctl reload` would fail."""
    programs = re.findall(r"^Exec\w+=[-+!@:]*(\S+)", UNIT.read_text(), re.MULTILINE)
    assert set(programs) == {"/opt/asd-monitor/bin/asd-monitor", "/bin/sh"}


@pytest.fixture
def installed(tmp_path):
    """Return an instance of the unit, with a program that exists."""
    unit = tmp_path / "asd-monitor@hall.service"
    unit.write_text(UNIT.read_text().replace("/opt/asd-monitor/bin/asd-monitor", "/bin/true"))
    return unit


@needs_systemd
def test_unit_is_valid_for_systemd(installed):
    done = run("systemd-analyze", "verify", "--man=no", str(installed))
    messages = [line for line in done.stderr.splitlines() if "asd-monitor" in line]
    assert (done.returncode, messages) == (0, [])


@needs_systemd
def test_unit_is_hardened(installed):
    limit = ("--threshold=25", "--offline=yes", "--no-pager")  # 2.5 of 10
    done = run("systemd-analyze", "security", *limit, str(installed))
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze cannot analyse a unit offline")
    assert done.returncode == 0, done.stdout[-300:]


@needs_systemd
def test_sandbox_refuses_what_the_unit_refuses(tmp_path):
    code = """
import ctypes, mmap, os, socket, sys
def refused(what):
    try:
        what()
    except OSError:
        return True
assert refused(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
assert refused(lambda: os.chown(sys.argv[1], 0, 0))
assert refused(lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC))
assert refused(lambda: os.setgroups([]))
assert ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512)) >= 0
"""
    run_sandboxed([sys.executable, "-c", code, str(tmp_path)])


@needs_systemd
def test_libraries_of_the_daemon_work_in_the_sandbox(tmp_path):
    code = """
import sys
import numpy, onnxruntime, soundfile, soxr, sqlite3, ssl, sounddevice, pulsectl
from pathlib import Path
from asd_monitor.daemon.training_recording import TrainingRecording
from asd_monitor.records import Block, Stream
numpy.fft.rfft(numpy.ones(1024)); numpy.ones((300, 300)) @ numpy.ones((300, 300))
soxr.resample(numpy.ones(4800, numpy.float32), 48000, 16000)
onnxruntime.SessionOptions(); ssl.create_default_context()
recording = TrainingRecording(Path(sys.argv[1]), 2)
recording.begin(16000)
recording.push(Block(Stream(16000), 0, numpy.zeros(32000, numpy.float32)))
assert soundfile.read(Path(sys.argv[1]) / "000001.flac")[0].shape == (32000,)
"""
    run_sandboxed([sys.executable, "-c", code, str(tmp_path)])


def run_sandboxed(command: list[str]) -> None:
    done = run(sys.executable, unit_sandbox.__file__, str(UNIT), *command)
    if "libseccomp" in done.stderr or "PR_SET_MDWE" in done.stderr:
        pytest.skip(f"no sandbox here: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)
