"""Two supplies of sound without end, to train the encoder on: made machines and real sounds.

An **instance** is one machine, or one recording bent into another: resampled, looped, struck
in a rhythm, layered, put into a room.  It comes as several recordings of it while it is well,
and some with a fault, all as log-mel frames of the front end, without background: that is mixed
in later, differently each time (`augment`).  Instance number ``i`` of a seed is always the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asd_monitor.audio.files.recordings import read_recording
from asd_monitor.dsp.frames import PowerSpectra
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.dsp.mel import mel_filters
from asd_monitor.errors import AsdMonitorError, UsageError
from asd_monitor.features.mel_spectrogram import LOG_FLOOR
from asd_monitor.records import Samples
from asd_monitor.synthesis.factory import draw_hall, render_hall
from asd_monitor.synthesis.families import FAMILIES, draw_machine
from asd_monitor.synthesis.faults import kinds_for, with_fault
from asd_monitor.synthesis.injection import INJECTED, inject
from asd_monitor.synthesis.machine_spec import Room
from asd_monitor.synthesis.noise import Signal, decibels, noise, shape, wander
from asd_monitor.synthesis.rendering import render
from asd_monitor.synthesis.resonances import in_room

FRONT_END = FrontEnd()  # so that the encoder's steps are frames that statistics need anyway
RATE_HZ, FRAME, HOP = FRONT_END.rate_hz, FRONT_END.frame, FRONT_END.frame_hop
FRAME_PERIOD_S = HOP / RATE_HZ
BANDS = FRONT_END.mel_bands
NORMAL_S, FAULTY_S, BACKGROUND_S = 5.0, 4.0, 20.0
REFERENCE, FAULTS = 2, 3
RMS = 0.05
FADE = RATE_HZ // 20
SHORTEST_S = 0.15
STEADY_S = 1.5  # what lasts longer can be looped as it is; shorter sounds are struck in a rhythm
HELD_OUT = 3  # one recording in so many is never trained on

LogMel = npt.NDArray[np.float16]  # (steps, bands), log10 of power


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """One sound that can be heard again and again, and what it is like with something wrong."""

    kind: str  # "made" or "real"
    name: str
    reference: tuple[LogMel, ...]
    faults: tuple[LogMel, ...]
    fault_names: tuple[str, ...]
    severities: tuple[float, ...]


class SyntheticMachines:
    """Machines that do not exist, drawn from their physics (`asd_monitor.synthesis`)."""

    kind = "made"

    def __init__(self, seed: int, families: Sequence[str] = FAMILIES) -> None:
        self._seed, self._families = seed, tuple(families)

    def instance(self, index: int) -> Instance:
        """Return machine number ``index``."""
        rng = np.random.default_rng((self._seed, 1, index))
        family = str(rng.choice(self._families))
        machine = draw_machine(family, rng)
        reference = tuple(log_mel(render(machine, NORMAL_S, rng)) for _ in range(REFERENCE))
        possible = kinds_for(machine)
        chosen = rng.choice(possible, min(FAULTS, len(possible)), replace=False)
        severities = rng.uniform(0.25, 1.0, len(chosen))
        faults = tuple(
            log_mel(render(with_fault(machine, str(kind), float(much)), FAULTY_S, rng))
            for kind, much in zip(chosen, severities, strict=True)
        )
        return Instance(
            self.kind,
            f"{family} {index}",
            reference,
            faults,
            tuple(map(str, chosen)),
            tuple(severities.tolist()),
        )


class RealSounds:
    """Recordings of anything, each bent in many ways."""

    kind = "real"

    def __init__(self, seed: int, sounds: Sequence[Samples], names: Sequence[str]) -> None:
        if not sounds:
            raise UsageError(
                "no sound to train on: name more recordings with --sounds; one in three, by the "
                "letters of its name, is never trained on"
            )
        self._seed, self._sounds, self._names = seed, sounds, names
        # long recordings have more to give than short ones, but not in proportion
        weights = np.sqrt([min(len(sound) / RATE_HZ, 60.0) for sound in sounds])
        self._shares = weights / weights.sum()

    def instance(self, index: int) -> Instance:
        """Return number ``index``: some recording, bent in some way, with injected faults."""
        rng = np.random.default_rng((self._seed, 2, index))
        which = int(rng.choice(len(self._sounds), p=self._shares))
        whole = _levelled(self._bent(which, rng))
        if rng.uniform() < 0.25:
            other = _levelled(self._bent(int(rng.choice(len(self._sounds), p=self._shares)), rng))
            n = min(len(whole), len(other))
            whole = whole[:n] + float(decibels(rng.uniform(-12.0, 0.0))) * other[:n]
        if rng.uniform() < 0.4:
            room = Room(float(rng.uniform(0.01, 0.12)), float(rng.uniform(0.2, 1.2)), 30.0, 9000.0)
            whole = in_room(whole, room, RATE_HZ, int(rng.integers(2**31)))
        reference = tuple(log_mel(_take(whole, NORMAL_S, rng)) for _ in range(REFERENCE))
        kinds = [str(kind) for kind in rng.choice(INJECTED, FAULTS, replace=False)]
        severities = rng.uniform(0.2, 1.0, FAULTS)
        faults = tuple(
            log_mel(inject(_take(whole, FAULTY_S, rng), kind, float(much), rng))
            for kind, much in zip(kinds, severities, strict=True)
        )
        return Instance(
            self.kind,
            f"{self._names[which]} {index}",
            reference,
            faults,
            tuple(kinds),
            tuple(severities.tolist()),
        )

    def _bent(self, which: int, rng: np.random.Generator) -> Signal:
        """Return at least 8 s of a recording at another speed, looped or struck in a rhythm."""
        sound = self._sounds[which]
        n = 8 * RATE_HZ
        factor = float(np.exp(rng.uniform(np.log(0.6), np.log(1.7))))
        longest = int(10.0 * RATE_HZ * factor)
        if len(sound) > longest:
            start = int(rng.integers(len(sound) - longest))
            sound = sound[start : start + longest]
        at = np.arange(0.0, len(sound) - 1, factor)
        piece = np.interp(at, np.arange(len(sound)), sound)
        if len(piece) >= STEADY_S * RATE_HZ and rng.uniform() < 0.85:
            return _looped(piece, n)
        return _struck(piece[: 3 * RATE_HZ], n, rng)


class Backgrounds:
    """What else is heard: made halls, and recordings of rain, streets and halls."""

    def __init__(self, seed: int, noises: Sequence[Samples], recorded_share: float = 0.5) -> None:
        self._seed, self._noises = seed, noises
        self._recorded_share = recorded_share if noises else 0.0

    def background(self, index: int) -> LogMel:
        """Return number ``index``, of about unit RMS."""
        rng = np.random.default_rng((self._seed, 3, index))
        if rng.uniform() >= self._recorded_share:
            return log_mel(render_hall(draw_hall(rng), BACKGROUND_S, rng))
        sound = self._noises[int(rng.integers(len(self._noises)))]
        factor = float(np.exp(rng.uniform(np.log(0.75), np.log(1.33))))
        at = np.arange(0.0, len(sound) - 1, factor)
        piece = np.interp(at, np.arange(len(sound)), sound)
        n = round(BACKGROUND_S * RATE_HZ)
        piece = np.roll(_looped(piece, max(n, len(piece))), -int(rng.integers(len(piece))))[:n]
        return log_mel(_levelled(piece) / RMS)


def log_mel(sound: npt.ArrayLike) -> LogMel:
    """Return the encoder's log-mel (steps, bands) of a recording at 16 kHz."""
    power = PowerSpectra(FRAME, HOP).push(np.asarray(sound, np.float32))
    mel = power @ mel_filters(RATE_HZ, FRAME, BANDS)
    logarithms: LogMel = np.log10(np.maximum(mel, np.float32(LOG_FLOOR))).astype(np.float16)
    return logarithms


def duration_s(frames: float) -> float:
    """Return the duration of so many frames of the log-mel spectrogram, in s."""
    return frames * FRAME_PERIOD_S


def is_held_out(path: Path) -> bool:
    """Tell whether this recording is one of those, one in three, that nothing is trained on.

    The hash of the letters of its name decides: recordings that differ by a number stay together.
    """
    letters = "".join(c for c in path.stem.lower() if c.isalpha())
    return hashlib.sha256(letters.encode()).digest()[0] % HELD_OUT == 0


def read_sounds(paths: Sequence[Path], *, held_out: bool) -> tuple[list[Samples], list[str]]:
    """Read the recordings that are, or that are not, held out; return them and their names.

    What cannot be read, is silent or shorter than 0.15 s is left out.
    """
    sounds, names = [], []
    for path in paths:
        if is_held_out(path) is not held_out:
            continue
        try:
            recording = read_recording(path)
        except AsdMonitorError:
            continue
        sound = recording.samples
        if recording.rate_hz != RATE_HZ:
            import soxr  # noqa: PLC0415 - most recordings have the rate

            sound = soxr.resample(sound, recording.rate_hz, RATE_HZ)
        if len(sound) >= SHORTEST_S * RATE_HZ and float(np.sqrt(np.mean(sound**2))) > 1e-4:
            sounds.append(np.asarray(sound, np.float32))
            names.append(path.name)
    return sounds, names


def _levelled(sound: Signal) -> Signal:
    return sound * (RMS / (float(np.sqrt(np.mean(sound**2))) + 1e-9))


def _looped(piece: Signal, n: int) -> Signal:
    """Return ``n`` samples of a piece that goes round with equal-power cross-fades."""
    fade = min(FADE, len(piece) // 3)
    ramp = np.sqrt(np.linspace(0.0, 1.0, fade))
    ring = piece[: len(piece) - fade].copy()
    ring[:fade] = ring[:fade] * ramp + piece[len(piece) - fade :] * ramp[::-1]
    return np.resize(ring, n)


def _struck(piece: Signal, n: int, rng: np.random.Generator) -> Signal:
    """Return ``n`` samples in which a short sound comes again and again, as a machine's blow."""
    interval = float(np.exp(rng.uniform(np.log(0.12), np.log(1.6)))) * RATE_HZ
    jitter = float(rng.uniform(0.0, 0.03)) * interval
    piece = piece * np.minimum(1.0, (len(piece) - np.arange(len(piece))) / FADE)
    sound = 1e-4 * rng.standard_normal(n)
    for at in np.arange(float(rng.uniform()) * interval, n, interval):
        start = min(n, max(0, int(at + jitter * rng.standard_normal())))
        end = min(n, start + len(piece))
        sound[start:end] += piece[: end - start] * float(decibels(rng.normal(0.0, 1.0)))
    return sound


def _take(whole: Signal, seconds: float, rng: np.random.Generator) -> Samples:
    """Return a recording of a sound: from anywhere in it, a little different each time."""
    n = round(seconds * RATE_HZ)
    piece = np.roll(whole, -int(rng.integers(len(whole))))[:n]
    tilt = np.log2(np.maximum(np.linspace(0.0, 8.0, 257), 0.05)) * rng.normal(0.0, 0.25)
    piece = shape(piece, decibels(np.clip(tilt, -2.0, 2.0)))
    piece = piece * decibels(rng.uniform(-2.0, 2.0) + 0.5 * wander(n, RATE_HZ, 1.5, rng))
    hiss = noise(n, (1.0, 1.0), rng) * RMS * float(decibels(rng.uniform(-50.0, -36.0)))
    return np.clip(piece + hiss, -1.0, 1.0).astype(np.float32)
