"""`--learn`: from nothing to a model, while the daemon runs.

Normal sound is recorded into `<state>/learning/<machine>/` as FLAC, one file a minute and
one after each gap, so that a restart loses less than a minute of it and goes on counting.
When there is enough, `asd-monitor train` makes a model of it in a process of its own; the
daemon itself never trains.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import structlog

from asd_monitor.errors import OperationError
from asd_monitor.records import Block, Samples

log = structlog.get_logger()

_FILE_S = 60.0
_SHORTEST_PIECE_S = 2.0
_BEYOND_WINDOW_S = 0.1  # a window is rounded to frames, and resampling costs a few samples
_TRAINING_S = 3600.0
_PATIENCE_S = 10.0  # for a training that is told to end
_NICENESS = 10
_VERDICT_BYTES = 4000


def shortest_piece_s(window_s: float) -> float:
    """Return how long sound without a gap must be, so that training gets windows from it."""
    return max(_SHORTEST_PIECE_S, window_s + _BEYOND_WINDOW_S)


class LearningSound:
    """The normal sound recorded so far; for one thread at a time.

    Only what training can use is counted: a piece between two gaps counts once it is long
    enough, and then stays.  So `complete` never becomes false again, whatever is flushed.

    Its methods write to the disk and raise OperationError where that fails.
    """

    def __init__(
        self, folder: Path, wanted_s: float, *, shortest_s: float = _SHORTEST_PIECE_S
    ) -> None:
        """`shortest_s`: shorter pieces hold not even one window."""
        self.folder = folder
        self.wanted_s = wanted_s
        self._shortest_s = shortest_s
        self._rate_hz: int | None = None
        self._stored = 0  # samples on the disk
        self._number = 0
        self._parts: list[Samples] = []
        self._held = 0  # samples in `_parts`
        self._end: int | None = None

    @property
    def heard_s(self) -> float:
        """Usable seconds recorded, those not yet on the disk included."""
        return self._usable / self._rate_hz if self._rate_hz else 0.0

    @property
    def begun(self) -> bool:
        """Whether `begin` was called."""
        return self._rate_hz is not None

    @property
    def complete(self) -> bool:
        """Whether there is as much as was wanted."""
        return self._rate_hz is not None and self._usable >= self.wanted_s * self._rate_hz

    @property
    def _usable(self) -> int:
        return self._stored + (self._held if self._is_long(self._held) else 0)

    def _is_long(self, samples: float) -> bool:
        return self._rate_hz is not None and samples >= self._shortest_s * self._rate_hz

    def begin(self, rate_hz: int) -> None:
        """Take up what an earlier run recorded at this rate; other sound is thrown away."""
        self._rate_hz = rate_hz
        self._stored = self._number = 0
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for left in self.folder.glob("*.part"):
                left.unlink()
            for path in sorted(self.folder.glob("*.flac")):
                samples = _samples_in(path, rate_hz)
                if samples is None:
                    log.warning(
                        "learning starts anew: this recording is damaged or of another rate",
                        file=str(path),
                    )
                    path.unlink()
                    continue
                self._stored += samples if self._is_long(samples) else 0
                self._number = max(self._number, int(path.stem))
        except (OSError, ValueError) as error:
            raise OperationError(f"{self.folder}: cannot be used for learning: {error}") from error

    def push(self, block: Block) -> None:
        """Record a block; what is too much is left out."""
        rate_hz = self._rate_hz
        if rate_hz is None or self.complete:
            return
        if self._end is not None and block.start != self._end:
            self.flush()
        self._end = block.end
        self._parts.append(block.samples)
        self._held += len(block.samples)
        missing = self.wanted_s * rate_hz - self._usable
        if missing <= 0 or (self._held >= _FILE_S * rate_hz and self._is_long(missing)):
            self.flush()  # never so that what is missing is too little for a piece of its own

    def flush(self) -> None:
        """Write what is held; a gap follows."""
        rate_hz, held = self._rate_hz, self._held
        parts, self._parts, self._held, self._end = self._parts, [], 0, None
        if rate_hz is None or not self._is_long(held):
            return
        path = self.folder / f"{self._number + 1:06}.flac"
        partial = path.with_suffix(".part")
        try:
            # by name: an open file would need a callback in writable and executable memory,
            # which the service forbids itself
            soundfile.write(partial, np.concatenate(parts), rate_hz, "PCM_16", format="FLAC")
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            partial.replace(path)
        except (OSError, soundfile.SoundFileError) as error:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
            raise OperationError(
                f"{path}: the sound for learning cannot be written ({error}): free some space, or "
                "choose another folder with --state"
            ) from error
        self._number += 1
        self._stored += held


def _samples_in(path: Path, rate_hz: int) -> int | None:
    try:
        info = soundfile.info(path)
    except soundfile.SoundFileError:
        return None
    if info.samplerate != rate_hz or not path.stem.isdecimal():
        return None
    return int(info.frames)


@dataclass(frozen=True, slots=True)
class Training:
    """How a training ended."""

    failure: str | None  # None: there is a model now


async def train(
    machine: str,
    sound: Path,
    models: Path,
    *,
    config: Path | None = None,
    program: tuple[str, ...] = (sys.executable, "-m", "asd_monitor"),
) -> Training:
    """Train in a process of its own, which ends when this is cancelled.

    `config` is where the machine's window and budgets stand.
    """
    options = ["--machine", machine, "--normal", str(sound), "--models", str(models)]
    options += ["--config", str(config)] if config else []
    try:
        process = await asyncio.create_subprocess_exec(
            *program,
            "train",
            *options,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the daemon, which ends it
        )
    except OSError as error:
        return Training(f"training could not be started: {error}")
    with contextlib.suppress(OSError):  # listening comes first; where that cannot be said, so be it
        os.setpriority(os.PRIO_PROCESS, process.pid, _NICENESS)
    try:
        async with asyncio.timeout(_TRAINING_S):
            last = await _last_line(process)
            code = await process.wait()
    except TimeoutError:
        return Training(f"training did not end within {_TRAINING_S / 60:g} minutes")
    finally:
        if process.returncode is None:
            await _end(process)
    if code == 0:
        return Training(None)
    if code < 0:
        return Training(f"training was killed by {signal.Signals(-code).name}")
    return Training(last.removeprefix("asd-monitor: ") or f"training ended with code {code}")


async def _last_line(process: asyncio.subprocess.Process) -> str:
    """Read what the training says until it ends; its last line is its verdict."""
    if process.stderr is None:
        return ""
    tail = b""
    while data := await process.stderr.read(1 << 16):
        tail = (tail + data)[-_VERDICT_BYTES:]
    lines = tail.decode("utf-8", "replace").replace("\r", "\n").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


async def _end(process: asyncio.subprocess.Process) -> None:
    process.terminate()
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
