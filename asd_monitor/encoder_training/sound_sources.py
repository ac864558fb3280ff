"""Unlimited sources of sound to train the encoder on: synthetic machines and recordings.

An **instance** is one synthetic machine, or one recording varied into a sound of its own:
other speed, looped or repeated as impacts, layered, reverberated.  It consists of several
recordings without a fault and some with a simulated fault, as log-mel spectrograms without a
background; backgrounds are mixed in during training (`augmentation`).  Instance number ``i`` of
a seed is always the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asd_monitor.encoder_training.log_mel_frames import RATE_HZ, LogMel, log_mel
from asd_monitor.encoder_training.sound_variation import (
    RMS,
    at_other_speed,
    at_unit_rms,
    loop,
    repeat_as_impacts,
    take_recording,
)
from asd_monitor.errors import UsageError
from asd_monitor.records import Samples
from asd_monitor.synthesis.families import FAMILIES, draw_machine
from asd_monitor.synthesis.faults import kinds_for, with_fault
from asd_monitor.synthesis.filtering import Signal, db_to_amplitude
from asd_monitor.synthesis.hall import draw_hall, render_hall
from asd_monitor.synthesis.injection import INJECTED, inject
from asd_monitor.synthesis.machine_spec import Room
from asd_monitor.synthesis.rendering import render
from asd_monitor.synthesis.room import apply_room

REFERENCE_CLIPS, FAULTY_CLIPS = 2, 3  # of an instance
LOOPED_FROM_S = 1.5  # shorter sounds are repeated as impacts


@dataclass(frozen=True, slots=True)
class ClipLengths:
    """Durations of the clips, in s."""

    reference: float = 5.0
    faulty: float = 4.0
    background: float = 20.0


CLIP_LENGTHS = ClipLengths()


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """A sound without a fault, and the same sound with simulated faults."""

    source: str  # "synthetic" or "recorded"
    name: str
    reference: tuple[LogMel, ...]
    faults: tuple[LogMel, ...]
    fault_names: tuple[str, ...]
    severities: tuple[float, ...]  # 0 … 1


class SyntheticMachines:
    """Machines drawn at random from the models of `asd_monitor.synthesis`."""

    source = "synthetic"

    def __init__(
        self, seed: int, families: Sequence[str] = FAMILIES, lengths: ClipLengths = CLIP_LENGTHS
    ) -> None:
        self._seed, self._families, self._lengths = seed, tuple(families), lengths

    def instance(self, index: int) -> Instance:
        """Return machine number ``index``."""
        rng = np.random.default_rng((self._seed, 1, index))
        family = str(rng.choice(self._families))
        machine = draw_machine(family, rng)
        reference = tuple(
            log_mel(render(machine, self._lengths.reference, rng)) for _ in range(REFERENCE_CLIPS)
        )
        possible = kinds_for(machine)
        chosen = rng.choice(possible, min(FAULTY_CLIPS, len(possible)), replace=False)
        severities = rng.uniform(0.25, 1.0, len(chosen))
        faults = tuple(
            log_mel(
                render(with_fault(machine, str(kind), float(severity)), self._lengths.faulty, rng)
            )
            for kind, severity in zip(chosen, severities, strict=True)
        )
        return Instance(
            self.source,
            f"{family} {index}",
            reference,
            faults,
            tuple(map(str, chosen)),
            tuple(severities.tolist()),
        )


class RecordedSounds:
    """Recordings of any kind, each varied in many ways."""

    source = "recorded"

    def __init__(
        self,
        seed: int,
        sounds: Sequence[Samples],
        names: Sequence[str],
        lengths: ClipLengths = CLIP_LENGTHS,
    ) -> None:
        """Take sounds (n,) at 16 kHz and their names.

        Raises:
            UsageError: there is none.

        """
        if not sounds:
            raise UsageError(
                "no sound to train on: name more recordings with --sounds; one in three, by the "
                "letters of its name, is never trained on"
            )
        self._seed, self._sounds, self._names, self._lengths = seed, sounds, names, lengths
        # in proportion to the square root of the duration, up to a minute
        weights = np.sqrt([min(len(sound) / RATE_HZ, 60.0) for sound in sounds])
        self._probabilities = weights / weights.sum()

    def instance(self, index: int) -> Instance:
        """Return number ``index``: a random recording, varied, with injected faults."""
        rng = np.random.default_rng((self._seed, 2, index))
        number = self._draw(rng)
        sound = RMS * at_unit_rms(self._varied(number, rng))
        if rng.uniform() < 0.25:
            other = RMS * at_unit_rms(self._varied(self._draw(rng), rng))
            n = min(len(sound), len(other))
            sound = sound[:n] + float(db_to_amplitude(rng.uniform(-12.0, 0.0))) * other[:n]
        if rng.uniform() < 0.4:
            room = Room(float(rng.uniform(0.01, 0.12)), float(rng.uniform(0.2, 1.2)), 30.0, 9000.0)
            sound = apply_room(sound, room, RATE_HZ, int(rng.integers(2**31)))
        reference = tuple(
            log_mel(take_recording(sound, self._lengths.reference, rng))
            for _ in range(REFERENCE_CLIPS)
        )
        kinds = [str(kind) for kind in rng.choice(INJECTED, FAULTY_CLIPS, replace=False)]
        severities = rng.uniform(0.2, 1.0, FAULTY_CLIPS)
        faults = tuple(
            log_mel(
                inject(take_recording(sound, self._lengths.faulty, rng), kind, float(severity), rng)
            )
            for kind, severity in zip(kinds, severities, strict=True)
        )
        return Instance(
            self.source,
            f"{self._names[number]} {index}",
            reference,
            faults,
            tuple(kinds),
            tuple(severities.tolist()),
        )

    def _draw(self, rng: np.random.Generator) -> int:
        return int(rng.choice(len(self._sounds), p=self._probabilities))

    def _varied(self, number: int, rng: np.random.Generator) -> Signal:
        """Return 8 s of a recording at another speed, looped or repeated as impacts."""
        sound = self._sounds[number]
        n = 8 * RATE_HZ
        speed = float(np.exp(rng.uniform(np.log(0.6), np.log(1.7))))
        longest = int(10.0 * RATE_HZ * speed)
        if len(sound) > longest:
            start = int(rng.integers(len(sound) - longest))
            sound = sound[start : start + longest]
        piece = at_other_speed(sound, speed)
        if len(piece) >= LOOPED_FROM_S * RATE_HZ and rng.uniform() < 0.85:
            return loop(piece, n)
        return repeat_as_impacts(piece[: 3 * RATE_HZ], n, rng)


class Backgrounds:
    """Background sound: synthetic halls, and recordings of rain, streets and halls."""

    def __init__(
        self,
        seed: int,
        recordings: Sequence[Samples],
        recorded_share: float = 0.5,
        lengths: ClipLengths = CLIP_LENGTHS,
    ) -> None:
        self._seed, self._recordings, self._length_s = seed, recordings, lengths.background
        self._recorded_share = recorded_share if recordings else 0.0

    def background(self, index: int) -> LogMel:
        """Return background number ``index`` (T, F), of about unit RMS."""
        rng = np.random.default_rng((self._seed, 3, index))
        if rng.uniform() >= self._recorded_share:
            return log_mel(render_hall(draw_hall(rng), self._length_s, rng))
        sound = self._recordings[int(rng.integers(len(self._recordings)))]
        piece = at_other_speed(sound, float(np.exp(rng.uniform(np.log(0.75), np.log(1.33)))))
        n = round(self._length_s * RATE_HZ)
        looped = loop(piece, max(n, len(piece)))
        return log_mel(at_unit_rms(np.roll(looped, -int(rng.integers(len(piece))))[:n]))
