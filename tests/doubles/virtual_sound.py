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
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.doubles.sound_server import SoundServer
from tests.doubles.virtual_microphone import VirtualMicrophone

STEP_S = 0.02

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


class VirtualSound(contextlib.AbstractContextManager["VirtualSound"]):
    """All microphones and their sound server; ``microphones`` maps names to card numbers."""

    def __init__(
        self, microphones: Mapping[str, int], *, rate_hz: int = 16000, channels: int = 1
    ) -> None:
        self.rate_hz = rate_hz
        self.channels = channels
        self.folder = Path(tempfile.mkdtemp(prefix="virtual-sound-"))
        self._server = SoundServer(self.folder)
        self._microphones = {
            name: VirtualMicrophone(self._server, name, card, rate_hz=rate_hz, channels=channels)
            for name, card in microphones.items()
        }
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
            "PULSE_SERVER": self._server.address,
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
            self._server.start()
            self._plug_all()
            self._feeder.start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._end()

    def _plug_all(self) -> None:
        for microphone in self._microphones.values():
            microphone.plug()

    def _configure(self) -> None:
        pcms = [
            _MIC_PCM.format(name=each.name, card=each.card, server=self._server.address)
            for each in self._microphones.values()
        ]
        pcms += [
            _PLAIN_PCM.format(pcm=pcm, server=self._server.address) for pcm in ("default", "pulse")
        ]
        (self.folder / "asound.conf").write_text("".join(pcms))

    def freeze(self) -> None:
        """Stop the sound server: programs that record get neither sound nor an error."""
        self._server.freeze()

    def thaw(self) -> None:
        """Let the sound server go on."""
        self._server.thaw()

    def kill_server(self) -> None:
        """End the sound server by SIGKILL; programs that record get an error."""
        self._server.kill()
        for microphone in self._microphones.values():
            microphone.forget()

    def restart_server(self) -> None:
        """Start the sound server after `kill_server`, with all microphones."""
        self._server.restart()
        self._plug_all()

    def _end(self) -> None:
        self._stop.set()
        if self._feeder.ident:
            self._feeder.join()
        self._server.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _feed(self) -> None:
        while not self._stop.wait(STEP_S):
            now = time.monotonic()
            for microphone in self._microphones.values():
                microphone.feed(now)


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
