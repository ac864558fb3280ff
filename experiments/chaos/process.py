"""A process with its descendants: memory, descriptors, signals, and its end in every case."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

PATIENCE_S = 60.0
_ENDS_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL")


class ChaosProcess:
    """A process in a group of its own, which ends with this one; use it with ``with``.

    ``log`` gets its stderr.
    """

    def __init__(
        self, command: Sequence[str], log: Path, *, environment: Mapping[str, str]
    ) -> None:
        self.log_path = log
        self.started_s = time.monotonic()
        with log.open("wb") as stderr:
            self._process = subprocess.Popen(
                [*_ENDS_WITH_PARENT, *command],
                env=dict(environment),
                stderr=stderr,
                start_new_session=True,
            )

    def __enter__(self) -> ChaosProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    @property
    def log(self) -> str:
        """The log so far."""
        return self.log_path.read_text(errors="replace")

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process alone."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def kill(self) -> None:
        """Kill the process and its descendants, and wait for it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait(PATIENCE_S)

    def wait(self, timeout_s: float = PATIENCE_S) -> int | None:
        """Wait for the end; return the exit code, None at the timeout."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def peak_mb(self) -> float:
        """Return the largest resident set of the process so far, in MB (10⁶ bytes)."""
        return self._status("VmHWM") * 1024 / 1e6

    def resident_mb(self) -> float:
        """Return the resident set of the process."""
        return self._status("VmRSS") * 1024 / 1e6

    def threads(self) -> int:
        """Return the number of threads of the process."""
        return self._status("Threads")

    def descriptors(self) -> int:
        """Return the number of open descriptors of the process."""
        try:
            return len(os.listdir(f"/proc/{self.pid}/fd"))  # noqa: PTH208 - of a kernel's folder
        except OSError:
            return 0

    def _status(self, key: str) -> int:
        try:
            text = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return 0
        found = (line for line in text.splitlines() if line.startswith(f"{key}:"))
        return next((int(line.split()[1]) for line in found), 0)
