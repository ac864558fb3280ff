"""Virtual microphones: inputs that PortAudio lists as sound cards, without sound hardware.

A private PulseAudio has one pipe source for each microphone.  A private ALSA configuration lets
PortAudio list each as ``mic.NAME: Virtual (hw:CARD,0)``, besides ``default`` and ``pulse``.  The
computer's own sound system is neither read nor changed.

    with VirtualSound({"fan": 1, "pump": 10}) as sound:
        sound["fan"].play(samples)              # float32 at sound.rate_hz
        daemon = subprocess.Popen([...], env=sound.environment)
        sound["fan"].unplug()

The fixture ``virtual_sound({"fan": 1})`` starts them, sets `VirtualSound.variables` in the
environment of the test, and removes both after it.

A microphone that plays nothing delivers faint noise, as real ones do.  While no program records,
PulseAudio does not read the pipe, and what is played is lost.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pulsectl
import pytest

from asd_monitor.audio.pcm import encode_pcm

STEP_S = 0.02
PIPE_BYTES = 16384  # for each channel
READY_S = 20.0
NOISE_RMS = 1e-3

# The name of a PCM ends at the colon, where its arguments begin: `mic.fan: Virtual (hw:1,0)` is
# looked up as mic.fan with two arguments, which must be declared although none is used.
_MIC_PCM = """
mic.{name} {{
    @args [ REST MORE ]
    @args.REST {{ type string default "" }}
    @args.MORE {{ type string default "" }}
    type pulse
    server "{server}"
    device "{name}"
}}
pcm."mic.{name}: Virtual (hw:{card},0)" {{ type pulse }}
"""
# PortAudio 19.6 aborts if no PCM is called default.
_PLAIN_PCM = 'pcm.{pcm} {{ type pulse server "{server}" }}\n'


class VirtualMicrophone:
    """One microphone; its methods do what happens to real ones."""

    def __init__(self, sound: VirtualSound, name: str, card: int) -> None:
        self.name = name
        self.card = card
        self.delivered = 0  # samples that PulseAudio has read
        self.undelivered = 0  # samples that were due and that PulseAudio has not read
        self._sound = sound
        self._channels = sound.channels
        self._noise = np.random.default_rng(card)
        self._lock = threading.Lock()
        self._playing: Iterator[npt.NDArray[np.float32]] | None = None
        self._rest = self._no_samples()
        self._paused_at: float | None = None
        self._muted = False
        self._module: int | None = None
        self._pipe = -1
        self._began = time.monotonic()
        self._due = 0

    @property
    def device(self) -> str:
        """Its name in PortAudio."""
        return f"mic.{self.name}: Virtual (hw:{self.card},0)"

    def play(self, samples: npt.ArrayLike, *, loop: bool = False) -> None:
        """Deliver these samples from now on: full scale ±1, at the rate of all microphones.

        Shape (samples, channels), or (samples,) for the same on all channels.
        """
        sound = np.asarray(samples, np.float32)
        if sound.ndim == 1:
            sound = np.repeat(sound[:, np.newaxis], self._channels, axis=1)

        def pieces() -> Iterator[npt.NDArray[np.float32]]:
            yield sound
            while loop:
                yield sound

        with self._lock:
            self._playing, self._rest = pieces(), self._no_samples()

    def _no_samples(self) -> npt.NDArray[np.float32]:
        return np.zeros((0, self._channels), np.float32)

    @property
    def is_playing(self) -> bool:
        """Whether samples of `play` remain to be delivered."""
        return self._playing is not None

    def mute(self, *, muted: bool = True) -> None:
        """Deliver exact zeros, as a muted microphone does."""
        self._muted = muted

    def pause(self) -> None:
        """Stall: the device is present and delivers nothing."""
        with self._lock:
            self._paused_at = time.monotonic()

    def resume(self) -> None:
        """Continue after `pause`; the samples of the pause do not exist."""
        with self._lock:
            if self._paused_at is not None:
                self._began += time.monotonic() - self._paused_at
                self._paused_at = None

    def unplug(self) -> None:
        """Remove the microphone; programs that record from it get an error."""
        with self._lock:
            if self._module is not None:
                self._sound.kill_streams(self.name)
                self._unload(self._module)

    def unplug_rerouted(self) -> None:
        """Remove the microphone; PulseAudio moves the streams to another one without notice."""
        with self._lock:
            if self._module is not None:
                self._unload(self._module)

    def plug(self) -> None:
        """Add the microphone (again)."""
        with self._lock:
            if self._module is not None:
                return
            fifo = self._sound.folder / f"{self.name}.pipe"
            self._module = self._sound.load(
                "module-pipe-source",
                f"source_name={self.name} file={fifo} format=s16le "
                f"channels={self._channels} rate={self._sound.rate_hz}",
            )
            self._pipe = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
            fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES * self._channels)

    def _unload(self, module: int) -> None:
        os.close(self._pipe)
        self._sound.unload(module)
        self._module, self._pipe = None, -1

    def forget(self) -> None:
        """Forget the source of a sound server that has ended."""
        with self._lock:
            if self._module is not None:
                os.close(self._pipe)
                self._module, self._pipe = None, -1
            (self._sound.folder / f"{self.name}.pipe").unlink(missing_ok=True)

    def move_to(self, other: VirtualMicrophone) -> None:
        """Move the streams to another microphone, as a user of a mixer program may."""
        self._sound.move_streams(self.name, other.name)

    def feed(self, now: float) -> None:
        """Write the samples that are due by ``now`` to the pipe; called by the feeding thread."""
        with self._lock:
            if self._paused_at is not None:
                return
            count = int((now - self._began) * self._sound.rate_hz) - self._due
            self._due += count
            pcm = encode_pcm(self._next(count))
            delivered = 0
            if self._pipe >= 0:
                try:
                    delivered = os.write(self._pipe, pcm) // (2 * self._channels)
                except OSError as error:
                    if error.errno not in (errno.EAGAIN, errno.EPIPE):
                        raise
            self.delivered += delivered
            self.undelivered += count - delivered

    def _next(self, count: int) -> npt.NDArray[np.float32]:
        """Return the next samples, (count, channels)."""
        samples = self._noise.normal(0, NOISE_RMS, (count, self._channels)).astype(np.float32)
        filled = 0
        while self._playing is not None and filled < count:
            if not len(self._rest):
                self._rest = next(self._playing, self._rest)
                if not len(self._rest):
                    self._playing = None
                    break
            part = self._rest[: count - filled]
            samples[filled : filled + len(part)] = part
            self._rest = self._rest[len(part) :]
            filled += len(part)
        return np.zeros_like(samples) if self._muted else samples


class VirtualSound(contextlib.AbstractContextManager["VirtualSound"]):
    """All microphones and their sound server; ``microphones`` maps names to card numbers."""

    def __init__(
        self, microphones: Mapping[str, int], *, rate_hz: int = 16000, channels: int = 1
    ) -> None:
        self.rate_hz = rate_hz
        self.channels = channels
        self.folder = Path(tempfile.mkdtemp(prefix="virtual-sound-"))
        self.server = f"unix:{self.folder}/native"
        self._microphones = {
            name: VirtualMicrophone(self, name, card) for name, card in microphones.items()
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._control: pulsectl.Pulse | None = None
        self._stop = threading.Event()
        self._feeder = threading.Thread(target=self._feed, name="virtual-sound", daemon=True)

    @staticmethod
    def missing() -> str | None:
        """Return the command that installs what is missing; None: nothing."""
        if shutil.which("pulseaudio"):
            return None
        return "apt install pulseaudio libasound2-plugins"

    def __getitem__(self, name: str) -> VirtualMicrophone:
        return self._microphones[name]

    @property
    def variables(self) -> dict[str, str]:
        """Environment variables by which a program finds these microphones and no others."""
        return {
            "ALSA_CONFIG_PATH": str(self.folder / "asound.conf"),
            "PULSE_SERVER": self.server,
            "PULSE_RUNTIME_PATH": str(self.folder),
            "PULSE_COOKIE": str(self.folder / "cookie"),
        }

    @property
    def environment(self) -> dict[str, str]:
        """The environment of this process with `variables`."""
        return {**os.environ, **self.variables}

    def __enter__(self) -> VirtualSound:
        try:
            self._configure()
            self._start_server()
            for microphone in self._microphones.values():
                microphone.plug()
            self._feeder.start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._end()

    def _configure(self) -> None:
        pcms = [
            _MIC_PCM.format(name=each.name, card=each.card, server=self.server)
            for each in self._microphones.values()
        ]
        pcms += [_PLAIN_PCM.format(pcm=pcm, server=self.server) for pcm in ("default", "pulse")]
        (self.folder / "asound.conf").write_text("".join(pcms))

    def _start_server(self) -> None:
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
                self._control = pulsectl.Pulse("virtual-sound", server=self.server)
            except pulsectl.PulseError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    log_text = (self.folder / "log").read_text()
                    raise RuntimeError(f"PulseAudio does not start: {log_text}") from None
                time.sleep(0.05)

    def freeze(self) -> None:
        """Stop the sound server: programs that record get neither sound nor an error."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let the sound server go on."""
        self._signal(signal.SIGCONT)

    def kill_server(self) -> None:
        """End the sound server by SIGKILL; programs that record get an error."""
        if self._control:
            self._control.close()
            self._control = None
        if self._process:
            self._process.kill()
            self._process.communicate()
        for microphone in self._microphones.values():
            microphone.forget()

    def restart_server(self) -> None:
        """Start the sound server after `kill_server`, with all microphones."""
        (self.folder / "native").unlink(missing_ok=True)
        (self.folder / "cli").unlink(missing_ok=True)
        self._start_server()
        for microphone in self._microphones.values():
            microphone.plug()

    def _signal(self, number: signal.Signals) -> None:
        if self._process:
            self._process.send_signal(number)

    def _end(self) -> None:
        self._stop.set()
        if self._feeder.ident:
            self._feeder.join()
        self.thaw()  # a frozen one would not answer
        if self._control:
            self._control.close()
        if self._process:
            self._process.kill()
            self._process.communicate()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _feed(self) -> None:
        while not self._stop.wait(STEP_S):
            now = time.monotonic()
            for microphone in self._microphones.values():
                microphone.feed(now)

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


@pytest.fixture
def virtual_sound(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., VirtualSound]]:
    """Return a function that starts virtual microphones and sets the environment for them."""
    if missing := VirtualSound.missing():
        pytest.skip(f"virtual microphones are not available: {missing}")
    with contextlib.ExitStack() as stack:

        def start(
            microphones: Mapping[str, int], *, rate_hz: int = 16000, channels: int = 1
        ) -> VirtualSound:
            sound = stack.enter_context(
                VirtualSound(microphones, rate_hz=rate_hz, channels=channels)
            )
            for name, value in sound.variables.items():
                monkeypatch.setenv(name, value)
            return sound

        yield start
