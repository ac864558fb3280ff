"""The real daemon as a process: its readiness, memory and processor time."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from asd_monitor.errors import OperationError
from benchmarks.measure import plain_environment

PATIENCE_S = 120.0
CLI = (sys.executable, "-m", "asd_monitor")


def train(machine: str, recording: Path, models: Path, tree: Path | None = None) -> None:
    """Train a model with the command line, of the checkout ``tree`` or this one.

    Raises:
        OperationError: the command fails.

    """
    command = [*CLI, "train", "--machine", machine, "--normal", str(recording)]
    run_program([*command, "--models", str(models)], models.parent, tree)


def run_program(command: Sequence[str], folder: Path, tree: Path | None = None) -> None:
    """Run a program of the checkout ``tree`` or this one, in a folder, and wait for its end.

    Raises:
        OperationError: it fails.

    """
    ended = subprocess.run(
        command, capture_output=True, text=True, env=_environment_of(tree), cwd=folder, check=False
    )
    if ended.returncode:
        raise OperationError(f"{' '.join(command)} failed: {ended.stderr.strip()}")


def _environment_of(tree: Path | None) -> dict[str, str]:
    environment = plain_environment()
    return environment if tree is None else {**environment, "PYTHONPATH": str(tree)}


class DaemonProcess:
    """`asd-monitor run` with a configuration; use it with ``with``."""

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any],
        models: Path,
        *,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Write the configuration; the state of an earlier daemon is deleted.

        Args:
            folder: of the configuration, the state and the log.
            config: the configuration.
            models: folder of the models.
            options: further options of `run`.
            environment: added to the environment; an empty value removes a variable.

        """
        self._folder = folder
        self._environment = dict(environment or {})
        path, state = folder / "config.yaml", folder / "state"
        path.write_text(yaml.safe_dump(dict(config)))
        shutil.rmtree(state, ignore_errors=True)
        places = ["--models", str(models), "--state", str(state)]
        self._command = [*CLI, "run", "--config", str(path), *places, *options]
        self._process: subprocess.Popen[bytes] | None = None
        self.ready_s = float("nan")
        """Seconds from the start of the process to its notification that it is ready."""

    def __enter__(self) -> Self:
        address = self._folder / "notify"
        address.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(address))
            manager.settimeout(PATIENCE_S)
            environment = {
                name: value
                for name, value in {**plain_environment(), **self._environment}.items()
                if value or name not in self._environment
            }
            environment["NOTIFY_SOCKET"] = str(address)
            with (self._folder / "daemon.log").open("wb") as log:
                began = time.monotonic()
                self._process = subprocess.Popen(
                    self._command, env=environment, stderr=log, cwd=self._folder
                )
            try:
                while not manager.recv(65536).startswith(b"READY=1"):
                    pass
            except TimeoutError:
                self.stop()
                raise OperationError(f"not ready: see {self._folder / 'daemon.log'}") from None
            self.ready_s = time.monotonic() - began
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> int | None:
        """End the daemon by SIGTERM and wait for it; return its exit code."""
        process = self._process
        if process is None:
            return None
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(PATIENCE_S)
        return process.returncode

    @property
    def runs(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def pss_mb(self) -> float:
        """Return the proportional set size of the daemon and its children, in MB (10⁶ bytes)."""
        return sum(map(_pss_mb, self._pids()))

    def children_pss_mb(self) -> float:
        """Return the proportional set size of its children alone."""
        return sum(map(_pss_mb, self._pids()[1:]))

    def cpu_s(self) -> float:
        """Return the processor time of the daemon and its children so far."""
        return sum(_cpu_ticks(pid) for pid in self._pids()) / os.sysconf("SC_CLK_TCK")

    def minor_faults(self) -> int:
        """Return the page faults without disk access of the daemon and its children so far."""
        return sum(_minor_faults(pid) for pid in self._pids())

    def threads(self) -> int:
        """Return the number of threads of the daemon and its children."""
        return sum(len(list(Path(f"/proc/{pid}/task").glob("*"))) for pid in self._pids())

    def _pids(self) -> list[int]:
        """Return the process ids of the daemon, first, and of all its descendants."""
        if self._process is None:
            return []
        found, left = [], [self._process.pid]
        while left:
            pid = left.pop()
            found.append(pid)
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                left += [int(child) for child in _read(children).split()]
        return found


def _pss_mb(pid: int) -> float:
    lines = _read(Path(f"/proc/{pid}/smaps_rollup")).splitlines()
    kib = next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
    return kib * 1024 / 1e6


def _stat(pid: int) -> list[str]:
    return _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()


def _cpu_ticks(pid: int) -> int:
    return sum(int(field) for field in _stat(pid)[11:15])  # with children that have ended


def _minor_faults(pid: int) -> int:
    return sum(int(field) for field in _stat(pid)[7:9])  # with children that have ended


def _read(path: Path) -> str:
    """Return the text of a file, or none if the process has just ended."""
    try:
        return path.read_text()
    except OSError:
        return ""
