"""A program on a pseudo-terminal: what it shows is read, and answers are typed."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Mapping, Sequence

PATIENCE_S = 90.0
_CONTROL = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\r")


class PseudoTerminal:
    """Runs a command whose terminal it is; use it with ``with``.

    Args:
        command: The program and its arguments.
        environment: Its environment.
        columns, rows: The size of the terminal.

    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        *,
        columns: int = 120,
        rows: int = 40,
    ) -> None:
        self._control, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(
            command,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env={**os.environ, "TERM": "xterm-256color", **(environment or {})},
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509 - a test without threads of its own
        )
        os.close(terminal)
        self._output = bytearray()
        self._changed = threading.Condition()
        self._is_read = threading.Event()
        self._is_read.set()
        self._reader = threading.Thread(target=self._read, name="terminal", daemon=True)
        self._reader.start()

    def __enter__(self) -> PseudoTerminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.resume()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        os.close(self._control)

    @property
    def raw(self) -> bytes:
        """All that was written to the terminal so far."""
        with self._changed:
            return bytes(self._output)

    @property
    def text(self) -> str:
        """What was written so far, without control sequences."""
        return _CONTROL.sub(b"", self.raw).decode(errors="replace")

    def wait_for(self, text: str, *, after: int = 0) -> int:
        """Wait until ``text`` is shown beyond this position of `text`; return its end there."""
        deadline = time.monotonic() + PATIENCE_S
        with self._changed:
            while (at := self.text.find(text, after)) < 0:
                left_s = deadline - time.monotonic()
                ended = not self._reader.is_alive()
                assert left_s > 0 and not ended, f"{text!r} is not in {self.text[after:][-3000:]}"  # noqa: PT018
                self._changed.wait(min(left_s, 1.0))
        return at + len(text)

    def type(self, text: str) -> None:
        """Type text, as ``"fan01\\n"``."""
        os.write(self._control, text.encode())

    def press_ctrl_c(self) -> None:
        """Press Ctrl-C."""
        self.type("\x03")

    def pause(self) -> None:
        """Take no more output, as after Ctrl-S: the program cannot write when buffers are full."""
        self._is_read.clear()

    def resume(self) -> None:
        """Take output again."""
        self._is_read.set()

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    def end(self) -> int:
        """Wait for the end of the program; return its exit code."""
        code = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        return code

    @property
    def modes(self) -> list[object]:
        """The modes of the terminal (termios(3)), without its characters."""
        return list(termios.tcgetattr(self._control)[:4])

    def _read(self) -> None:
        while True:
            self._is_read.wait()
            try:
                data = os.read(self._control, 65536)
            except OSError:  # no process has the terminal any more
                data = b""
            with self._changed:
                self._output += data
                self._changed.notify_all()
            if not data:
                return


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
