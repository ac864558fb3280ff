"""A virtual microphone: a pipe source of a sound server, which PortAudio lists as a sound card.

A microphone that plays nothing delivers faint noise, as real ones do.  While no program records,
PulseAudio does not read the pipe, and what is played is lost.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from asd_monitor.audio.pcm import encode_pcm
from tests.doubles.sound_server import SoundServer

PIPE_BYTES = 16384  # for each channel
NOISE_RMS = 1e-3


class VirtualMicrophone:
    """One microphone; its methods do what happens to real ones."""

    def __init__(
        self, server: SoundServer, name: str, card: int, *, rate_hz: int, channels: int
    ) -> None:
        self.name = name
        self.card = card
        self.delivered = 0  # samples that PulseAudio has read
        self.undelivered = 0  # samples that were due and that PulseAudio has not read
        self._server = server
        self._rate_hz = rate_hz
        self._channels = channels
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
                self._server.kill_streams(self.name)
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
            fifo = self._server.folder / f"{self.name}.pipe"
            self._module = self._server.load(
                "module-pipe-source",
                f"source_name={self.name} file={fifo} format=s16le "
                f"channels={self._channels} rate={self._rate_hz}",
            )
            self._pipe = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
            fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES * self._channels)

    def _unload(self, module: int) -> None:
        os.close(self._pipe)
        self._server.unload(module)
        self._module, self._pipe = None, -1

    def forget(self) -> None:
        """Forget the source of a sound server that has ended."""
        with self._lock:
            if self._module is not None:
                os.close(self._pipe)
                self._module, self._pipe = None, -1
            (self._server.folder / f"{self.name}.pipe").unlink(missing_ok=True)

    def move_to(self, other: VirtualMicrophone) -> None:
        """Move the streams to another microphone, as a user of a mixer program may."""
        self._server.move_streams(self.name, other.name)

    def feed(self, now: float) -> None:
        """Write the samples that are due by ``now`` to the pipe; called by the feeding thread."""
        with self._lock:
            if self._paused_at is not None:
                return
            count = int((now - self._began) * self._rate_hz) - self._due
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
