"""Virtual microphones: what PortAudio takes for sound cards, without sound hardware.

A private PulseAudio holds one pipe source a microphone; a private ALSA configuration lets
PortAudio see each as ``mic.NAME: Virtual (hw:CARD,0)``, besides ``default`` and ``pulse``.
Nothing of the machine's own sound is read or changed.

    with VirtualSound({"fan": 1, "pump": 10}) as sound:
        sound["fan"].play(samples)              # float32 at sound.rate_hz
        daemon = subprocess.Popen([...], env=sound.environment)
        sound["fan"].unplug()

As a fixture: ``virtual_sound({"fan": 1})`` makes them, puts `VirtualSound.variables` into the
environment of the test and takes all away after it.

A microphone that plays nothing gives faint noise of its own, since real ones do.  While
nobody records, PulseAudio takes nothing out of the pipe and what is played goes unheard.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
import pulsectl
import pytest

STEP_S = 0.02
PIPE_BYTES = 16384  # for each channel
READY_S = 20.0
NOISE_RMS = 1e-3
NEEDED = ("pulseaudio",)

# A PCM's name ends where its arguments begin, at the colon: so `mic.fan: Virtual (hw:1,0)`
# is looked up as mic.fan with two arguments, which must be declared though none is used.
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
# PortAudio 19.6 aborts where no PCM is called default.
_PLAIN_PCM = 'pcm.{pcm} {{ type pulse server "{server}" }}\n'


class VirtualMicrophone:
    """One microphone; its methods change what the program under test meets."""

    def __init__(self, sound: VirtualSound, name: str, card: int) -> None:
        self.name = name
        self.card = card
        self.delivered = 0  # samples PulseAudio took
        self.unheard = 0  # samples that were due and found no taker
        self._sound = sound
        self._channels = sound.channels
        self._noise = np.random.default_rng(card)
        self._lock = threading.Lock()
        self._playing: Iterator[npt.NDArray[np.float32]] | None = None
        self._rest = self._nothing()
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
        """Let it hear these samples (full scale ±1, at the rate of all) from now on.

        Their axes are (samples, channels), or they are mono, for all channels alike.
        """
        sound = np.asarray(samples, np.float32)
        if sound.ndim == 1:
            sound = np.repeat(sound[:, np.newaxis], self._channels, axis=1)

        def pieces() -> Iterator[npt.NDArray[np.float32]]:
            yield sound
            while loop:
                yield sound

        with self._lock:
            self._playing, self._rest = pieces(), self._nothing()

    def _nothing(self) -> npt.NDArray[np.float32]:
        return np.zeros((0, self._channels), np.float32)

    @property
    def is_playing(self) -> bool:
        """Whether something is still to be heard of what was played."""
        return self._playing is not None

    def mute(self, *, muted: bool = True) -> None:
        """Give exact zeros, as a switched-off microphone does."""
        self._muted = muted

    def pause(self) -> None:
        """Stall: the device is there, and gives nothing."""
        with self._lock:
            self._paused_at = time.monotonic()

    def resume(self) -> None:
        """Go on after `pause`; what was due meanwhile was never made."""
        with self._lock:
            if self._paused_at is not None:
                self._began += time.monotonic() - self._paused_at
                self._paused_at = None

    def unplug(self) -> None:
        """Pull it out: whoever records from it gets an error."""
        self._take_away(kill=True)

    def move_away(self) -> None:
        """Pull it out as PulseAudio does it: whoever records hears another one, untold."""
        self._take_away(kill=False)

    def plug(self) -> None:
        """Put it (back) in."""
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

    def move_to(self, other: VirtualMicrophone) -> None:
        """Let whoever records from this one hear another, as a person at a mixer may."""
        self._sound.move(self.name, other.name)

    def _take_away(self, *, kill: bool) -> None:
        with self._lock:
            if self._module is None:
                return
            if kill:
                self._sound.kill_listeners(self.name)
            os.close(self._pipe)
            self._sound.unload(self._module)
            self._module, self._pipe = None, -1

    def give(self, now: float) -> None:
        """Hand over what is due by now; the feeding thread calls this."""
        with self._lock:
            if self._paused_at is not None:
                return
            count = int((now - self._began) * self._sound.rate_hz) - self._due
            self._due += count
            pcm = np.clip(np.rint(self._make(count) * 32768), -32768, 32767).astype("<i2")
            taken = 0
            if self._pipe >= 0:
                try:
                    taken = os.write(self._pipe, pcm.tobytes()) // (2 * self._channels)
                except OSError as error:
                    if error.errno not in (errno.EAGAIN, errno.EPIPE):
                        raise
            self.delivered += taken
            self.unheard += count - taken

    def _make(self, count: int) -> npt.NDArray[np.float32]:
        made = self._noise.normal(0, NOISE_RMS, (count, self._channels)).astype(np.float32)
        filled = 0
        while self._playing is not None and filled < count:
            if not len(self._rest):
                self._rest = next(self._playing, self._rest)
                if not len(self._rest):
                    self._playing = None
                    break
            part = self._rest[: count - filled]
            made[filled : filled + len(part)] = part
            self._rest = self._rest[len(part) :]
            filled += len(part)
        return np.zeros_like(made) if self._muted else made


class VirtualSound(contextlib.AbstractContextManager["VirtualSound"]):
    """All microphones and the sound server behind them; ``microphones``: name → card number."""

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
        """Return what must be installed first, if anything."""
        absent = [program for program in NEEDED if not shutil.which(program)]
        return f"apt install {' '.join(absent)} libasound2-plugins" if absent else None

    def __getitem__(self, name: str) -> VirtualMicrophone:
        return self._microphones[name]

    @property
    def variables(self) -> dict[str, str]:
        """What a program's environment needs to see these microphones, and no others."""
        return {
            "ALSA_CONFIG_PATH": str(self.folder / "asound.conf"),
            "PULSE_SERVER": self.server,
            "PULSE_RUNTIME_PATH": str(self.folder),
            "PULSE_COOKIE": str(self.folder / "cookie"),
        }

    @property
    def environment(self) -> dict[str, str]:
        """`variables` within the environment of this process."""
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
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
                    "--load=module-cli exit_on_eof=1",  # it ends when the tests do
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

    def _end(self) -> None:
        self._stop.set()
        if self._feeder.ident:
            self._feeder.join()
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
                microphone.give(now)

    @property
    def control(self) -> pulsectl.Pulse:
        """The connection by which the tests steer the server."""
        if self._control is None:
            raise RuntimeError("not started")
        return self._control

    def load(self, module: str, arguments: str) -> int:
        """Load a module of PulseAudio; return its number."""
        return int(self.control.module_load(module, arguments))

    def unload(self, module: int) -> None:
        """Unload it."""
        self.control.module_unload(module)

    def listeners(self, name: str) -> list[int]:
        """Return the numbers of the streams that hear this microphone."""
        source = self.control.get_source_by_name(name).index
        return [each.index for each in self.control.source_output_list() if each.source == source]

    def kill_listeners(self, name: str) -> None:
        """End the streams that hear this microphone."""
        for stream in self.listeners(name):
            with contextlib.closing(
                pulsectl.connect_to_cli(f"{self.folder}/cli", as_file=False)
            ) as cli:
                cli.settimeout(READY_S)
                cli.sendall(f"kill-source-output {stream}\n".encode())
                cli.shutdown(socket.SHUT_WR)
                while cli.recv(4096):
                    pass

    def move(self, name: str, other: str) -> None:
        """Move the streams of one microphone to another."""
        target = self.control.get_source_by_name(other).index
        for stream in self.listeners(name):
            self.control.source_output_move(stream, target)


@pytest.fixture
def virtual_sound(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., VirtualSound]]:
    """Return a function that starts virtual microphones and shows them to this process."""
    if missing := VirtualSound.missing():
        pytest.skip(f"no virtual microphones here: {missing}")
    with contextlib.ExitStack() as stack:

        def make(
            microphones: Mapping[str, int], *, rate_hz: int = 16000, channels: int = 1
        ) -> VirtualSound:
            sound = stack.enter_context(
                VirtualSound(microphones, rate_hz=rate_hz, channels=channels)
            )
            for name, value in sound.variables.items():
                monkeypatch.setenv(name, value)
            return sound

        yield make
