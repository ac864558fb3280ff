"""Shared libraries are found without other programs."""

from __future__ import annotations

import ctypes.util
import subprocess
import sys

import pytest

from asd_monitor.audio.devices.shared_libraries import found_by_loader

REPORT_STARTED_PROGRAMS = """
import sys
started = []
programs = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system", "os.fork")
sys.addaudithook(lambda event, arguments: started.append(arguments) if event in programs else None)
import {module}
if started:
    sys.exit(f"{{started}}")
"""


@pytest.mark.parametrize(
    "module",
    ["asd_monitor.audio.capture.child", "asd_monitor.daemon.service", "asd_monitor.cli.app"],
)
def test_an_import_starts_no_other_program(module: str) -> None:
    code = REPORT_STARTED_PROGRAMS.format(module=module)
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_only_the_named_libraries_are_found_and_only_meanwhile() -> None:
    original = ctypes.util.find_library
    with found_by_loader({"portaudio": "libportaudio.so.2"}):
        assert ctypes.util.find_library("portaudio") == "libportaudio.so.2"
        assert ctypes.util.find_library("m") is None
    assert ctypes.util.find_library is original
