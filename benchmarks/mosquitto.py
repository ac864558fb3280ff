"""A mosquitto process on a free port of loopback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from asd_monitor.errors import OperationError

PATIENCE_S = 30.0
ANONYMOUS = ("allow_anonymous true", "log_type none", "persistence false")
_POLL_S = 0.05


def find_program(name: str) -> str | None:
    """Return the path of a program; Debian installs mosquitto outside the PATH of users."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    return shutil.which(name, path=path)


def free_port() -> int:
    """Return a TCP port of loopback that is not in use."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class MosquittoProcess:
    """A broker that can be stopped and started again on its port; use it with ``with``."""

    def __init__(
        self,
        folder: Path,
        settings: Sequence[str] = ANONYMOUS,
        *,
        log: int = subprocess.DEVNULL,
    ) -> None:
        """Write the configuration into a folder.

        Args:
            folder: is created.
            settings: lines of the configuration, without the listener.
            log: where its stderr goes, as for `subprocess.Popen`.

        """
        self.port = free_port()
        self._log = log
        self._config = folder / "mosquitto.conf"
        lines = [f"listener {self.port} 127.0.0.1", *settings]
        if os.geteuid() == 0:
            lines.append("user root")  # by default it becomes a user who cannot read the folder
        folder.mkdir(parents=True, exist_ok=True)
        self._config.write_text("\n".join([*lines, ""]))
        self._process: subprocess.Popen[str] | None = None

    @property
    def runs(self) -> bool:
        """Whether it was started and not stopped."""
        return self._process is not None

    def start(self) -> subprocess.Popen[str]:
        """Start the process, without waiting for its listener.

        Raises:
            OperationError: mosquitto is not installed.

        """
        program = find_program("mosquitto")
        if program is None:
            raise OperationError("mosquitto is not installed: apt-get install mosquitto")
        self._process = subprocess.Popen(
            [program, "-c", str(self._config)], stderr=self._log, text=True
        )
        return self._process

    def wait_until_listening(self) -> None:
        """Block until it accepts connections.

        Raises:
            OperationError: it does not within `PATIENCE_S`.

        """
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1.0).close()
            except OSError:
                time.sleep(_POLL_S)  # a listener cannot be awaited
            else:
                return
        raise OperationError(f"mosquitto does not listen on port {self.port}")

    def stop(self) -> None:
        """End the process by SIGTERM and wait for it; without effect if it does not run."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.wait(PATIENCE_S)

    def kill(self) -> None:
        """End the process by SIGKILL; without effect if it does not run."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(PATIENCE_S)

    def __enter__(self) -> Self:
        self.start()
        self.wait_until_listening()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
