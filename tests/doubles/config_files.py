"""Configuration files of tests and what loading reports of them."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.config.loading import ConfigError, load_config, read_config
from asd_monitor.config.settings import Config

SMALLEST = "version: 1\nmachines: {fan01: {device: 'hw:1'}}\n"
HOST = "edge-07"


@contextlib.contextmanager
def limited_memory(extra_bytes: int) -> Iterator[None]:
    """Run the block with so much address space beside what this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + extra_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def load(file: Path, text: str | bytes, **environ: str) -> Config:
    """Write the file and load it on the host `HOST`."""
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_config(file, parse_device, environ, host=HOST)


def errors(file: Path, text: str | bytes, host: str = HOST) -> list[str]:
    """Write the file and return the errors of loading it, without the name of the file."""
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigError) as caught:
        load_config(file, parse_device, {}, host=host)
    assert caught.value.exit_code == 2
    assert all(problem in str(caught.value) for problem in caught.value.problems)
    return [problem.removeprefix(f"{file}:") for problem in caught.value.problems]


def notices(file: Path, text: str) -> list[str]:
    """Write the file and return the notices about it, without the name of the file."""
    file.write_text(text)
    read = read_config(file, parse_device, {}, host=HOST)
    return [notice.removeprefix(f"{file}:") for notice in read.notices]
