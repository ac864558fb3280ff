"""A private PulseAudio, which neither reads nor changes the computer's own sound system."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pulsectl

READY_S = 20.0


class SoundServer:
    """A PulseAudio whose files are in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = f"unix:{folder}/native"
        self._process: subprocess.Popen[bytes] | None = None
        self._control: pulsectl.Pulse | None = None

    def start(self) -> None:
        """Start it; return when it answers."""
        home = dict.fromkeys(("HOME", "PULSE_RUNTIME_PATH", "PULSE_STATE_PATH"), str(self.folder))
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *("pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no"),
                    *("--exit-idle-time=-1", "--disable-shm=yes", "--realtime=no"),
                    f"--load=module-native-protocol-unix socket={self.folder}/native "
                    "auth-anonymous=1",
                    f"--load=module-cli-protocol-unix socket={self.folder}/cli",
                    "--load=module-cli exit_on_eof=1",  # ends with this process
                ],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**os.environ, **home},
            )
        deadline = time.monotonic() + READY_S
        while self._control is None:
            try:
                self._control = pulsectl.Pulse("virtual-sound", server=self.address)
            except pulsectl.PulseError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    log_text = (self.folder / "log").read_text()
                    raise RuntimeError(f"PulseAudio does not start: {log_text}") from None
                time.sleep(0.05)

    def freeze(self) -> None:
        """Stop it: programs that record get neither sound nor an error."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it by SIGKILL; programs that record get an error."""
        if self._control:
            self._control.close()
            self._control = None
        if self._process:
            self._process.kill()
            self._process.communicate()

    def restart(self) -> None:
        """Start it after `kill`."""
        (self.folder / "native").unlink(missing_ok=True)
        (self.folder / "cli").unlink(missing_ok=True)
        self.start()

    def end(self) -> None:
        """End it, also one that is frozen or was not started."""
        self.thaw()
        self.kill()

    def _signal(self, number: signal.Signals) -> None:
        if self._process:
            self._process.send_signal(number)

    @property
    def control(self) -> pulsectl.Pulse:
        """The connection that controls the server."""
        if self._control is None:
            raise RuntimeError("not started")
        return self._control

    def load(self, module: str, arguments: str) -> int:
        """Load a module of PulseAudio; return its index."""
        return int(self.control.module_load(module, arguments))

    def unload(self, module: int) -> None:
        """Unload a module of PulseAudio."""
        self.control.module_unload(module)

    def streams(self, name: str) -> list[int]:
        """Return the indices of the streams that record from a microphone."""
        source = self.control.get_source_by_name(name).index
        return [each.index for each in self.control.source_output_list() if each.source == source]

    def kill_streams(self, name: str) -> None:
        """End the streams that record from a microphone with an error."""
        for stream in self.streams(name):
            with contextlib.closing(
                pulsectl.connect_to_cli(f"{self.folder}/cli", as_file=False)
            ) as cli:
                cli.settimeout(READY_S)
                cli.sendall(f"kill-source-output {stream}\n".encode())
                cli.shutdown(socket.SHUT_WR)
                while cli.recv(4096):
                    pass

    def move_streams(self, name: str, other: str) -> None:
        """Move the streams of one microphone to another."""
        target = self.control.get_source_by_name(other).index
        for stream in self.streams(name):
            self.control.source_output_move(stream, target)
