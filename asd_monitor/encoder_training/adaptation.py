"""`train --adapt`: the encoder learns to tell this machine from others, and from itself spoilt.

The machine's own sound shall sound alike, apart from that of other machines (the user's
recordings of them, else made ones) and from itself with injected faults: outlier exposure, and
the contrastive loss with pseudo-faults as negatives.

Nobody knows beforehand whether that helps, so it is tried: the last fifth of the normals is
held out, detectors are fitted to the rest with the frozen and with the adapted encoder, and
both listen to what was held out, as it is and with faults of other kinds than those trained
on.  The adapted one is kept only where it hears them clearly better and finds no more in the
normals.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.encoder_training.adaptation_trial import (
    TRAINED_FAULTS,
    listen,
    trial_pieces,
    with_encoder,
)
from asd_monitor.encoder_training.export import encoder_of, network_of
from asd_monitor.encoder_training.fine_tuning import FAULTY, Batch, Tuning, tune
from asd_monitor.encoder_training.sound_supply import LogMel, SyntheticMachines, log_mel
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.errors import UsageError
from asd_monitor.model_training.adaptation_result import Adaptation
from asd_monitor.model_training.encoder_vectors import (
    RATE_HZ,
    part_of_segment,
    read_parts,
    replace_encoder,
)
from asd_monitor.model_training.held_out_trial import RecordingPart, hold_out
from asd_monitor.model_training.reference import (
    Progress,
    Reference,
    Segment,
    SoundFile,
    expand_paths,
    inspect_recording,
    no_progress,
    require_duration,
)
from asd_monitor.records import Samples
from asd_monitor.synthesis.injection import inject

TRAINED_SEVERITY = (0.2, 1.0)
MADE = 20  # machines, where the user has no others
FAULTS, FAULT_S = 80, 4.0  # pieces with a fault to train on
LONG_S = 60.0  # a recording of this length is a condition of its own; shorter ones are one
SHORTEST_S = 0.5
OTHER_S, OTHER_FILES = 120.0, 24  # heard of each other machine, at most
MOST_OWN_S, TAKEN_S = 1200.0, 20.0  # of longer sound, pieces of the latter are trained on
OWN_WINDOWS, FAULTS_A_BATCH, OTHERS_A_BATCH = 8, 6, 12


@dataclass(frozen=True, slots=True, eq=False)
class _Sound:
    """What shall sound alike."""

    clips: tuple[LogMel, ...]
    machine: int


def adaptable(encoders: Iterable[Encoder]) -> Encoder:
    """Return the first of the networks that can be trained further.

    Raises:
        UsageError: there is none.

    """
    refusals = []
    for encoder in encoders:
        try:
            network_of(encoder)
        except UsageError as error:
            refusals.append(error)
        else:
            return encoder
    raise UsageError(
        "there is no network to adapt: name one with --encoder, or leave out --adapt"
        if not refusals
        else str(refusals[0])
    )


def adapt(
    reference: Reference,
    others: Sequence[str | Path] = (),
    channel: int | None = None,
    *,
    tuning: Tuning | None = None,
    progress: Progress = no_progress,
) -> tuple[Reference, Adaptation]:
    """Adapt the encoder to these normals and try it; return them as they are to be learned.

    They have the adapted encoder's vectors where it is kept, and are the same as before where
    it is not.  Each of ``others``, a file or a folder, is one other machine.  200 steps take
    about a minute on one core.

    Raises:
        UsageError: less than 60 s of sound, no encoder to adapt, or other machines that are
            this one or cannot be heard.
        OperationError: no permission to read them.

    """
    begun, tuning = time.monotonic(), tuning or Tuning()
    require_duration(reference)
    frozen = adaptable(reference.encoders)
    machines = [_files_of(given, reference, channel) for given in others]
    split = hold_out(reference)
    progress("listening to the machines", 0.0)
    own = _heard(_learned_parts(split.kept, reference.front_end), channel)
    rng = np.random.default_rng((tuning.seed, 7))
    sounds = _conditions(own, 0)
    strange = [
        sound
        for number, files in enumerate(machines, 1)
        for sound in _conditions(_of_other(files, channel), number)
    ] or _made(tuning.seed, progress)
    network = network_of(frozen)
    tune(
        network,
        _Draw(sounds, _spoilt([piece for _, piece in own], rng), strange),
        len(machines) + 1 if len(machines) > 1 else 0,
        tuning,
        progress=progress,
        what="adapting the encoder",
    )
    encoder = encoder_of(
        network, frozen.card.views, f"{frozen.name[:56]}-adapted", frozen.card.licence
    )
    anew = replace_encoder(reference, frozen, encoder, channel)
    progress("trying the encoder on what was held out", 0.0)
    held_out = [piece for pieces in read_parts(split.parts, channel) for piece in pieces]
    pieces = trial_pieces(held_out, reference, tuning.seed)
    before = listen(reference, pieces, encoder.view_names)
    after = listen(anew, with_encoder(pieces, encoder, reference), encoder.view_names)
    seconds = time.monotonic() - begun
    found = Adaptation(encoder, before, after, len(machines), tuning.steps, tuning.seed, seconds)
    return (anew if found.kept else reference), found


def _files_of(given: str | Path, reference: Reference, channel: int | None) -> list[SoundFile]:
    own = {file.sha256: file.path for file in reference.files}
    found = [inspect_recording(path, channel) for path in expand_paths([given])]
    for file in found:
        if file.sha256 in own:
            raise UsageError(
                f"{file.path}: the same recording as {own[file.sha256]}, one of this machine: "
                "name only recordings of other machines with --others"
            )
    if not any(file.rate_hz >= RATE_HZ and file.seconds >= SHORTEST_S for file in found):
        raise UsageError(
            f"{given}: no recording of {RATE_HZ} Hz or more that can be learned from: leave it out"
        )
    return found


def _learned_parts(kept: Sequence[Segment], front_end: FrontEnd) -> list[RecordingPart]:
    """Return what of the kept stretches is trained on: pieces taken evenly where it is long."""
    parts = [part_of_segment(segment, front_end) for segment in kept]
    pieces = [
        RecordingPart(part.file, begin_s, min(part.to_s, begin_s + TAKEN_S))
        for part in parts
        for begin_s in np.arange(part.from_s, part.to_s, TAKEN_S).tolist()
    ]
    every = -(-len(pieces) // round(MOST_OWN_S / TAKEN_S))
    return pieces[::every] if every > 1 else parts


def _heard(parts: Sequence[RecordingPart], channel: int | None) -> list[tuple[SoundFile, Samples]]:
    """Return the pieces of sound in the parts that are long enough, each with its file."""
    sounds = read_parts(parts, channel)
    return [
        (part.file, piece)
        for part, pieces in zip(parts, sounds, strict=True)
        for piece in pieces
        if len(piece) >= SHORTEST_S * RATE_HZ
    ]


def _of_other(files: Sequence[SoundFile], channel: int | None) -> list[tuple[SoundFile, Samples]]:
    """Read the middle of each recording, two minutes in all."""
    usable = [f for f in files if f.rate_hz >= RATE_HZ and f.seconds >= SHORTEST_S]
    usable = usable[:: -(-len(usable) // OTHER_FILES)]
    each_s = OTHER_S / len(usable)
    parts = []
    for file in usable:
        begin_s = max(0.0, (file.seconds - each_s) / 2)
        parts.append(RecordingPart(file, begin_s, min(file.seconds, begin_s + each_s)))
    return _heard(parts, channel)


def _conditions(heard: Sequence[tuple[SoundFile, Samples]], machine: int) -> list[_Sound]:
    of_file: dict[Path | None, list[LogMel]] = {}
    for file, piece in heard:
        key = file.path if file.seconds >= LONG_S else None
        of_file.setdefault(key, []).append(log_mel(piece))
    return [_Sound(tuple(clips), machine) for clips in of_file.values()]


def _made(seed: int, progress: Progress) -> list[_Sound]:
    supply = SyntheticMachines(seed)
    found = []
    for number in range(MADE):
        progress("making other machines", number / MADE)
        found.append(_Sound(supply.instance(number).reference, number + 1))
    return found


def _spoilt(pieces: Sequence[Samples], rng: np.random.Generator) -> list[_Sound]:
    """Return pieces of the machine's own sound with a fault, each a sound of its own."""
    shares = np.array([len(piece) for piece in pieces], float)
    found = []
    for number in range(FAULTS):
        piece = pieces[int(rng.choice(len(pieces), p=shares / shares.sum()))]
        n = min(len(piece), round(FAULT_S * RATE_HZ))
        start = int(rng.integers(len(piece) - n + 1))
        kind = TRAINED_FAULTS[number % len(TRAINED_FAULTS)]
        severity = float(rng.uniform(*TRAINED_SEVERITY))
        spoilt = inject(piece[start : start + n], kind, severity, rng)
        found.append(_Sound((log_mel(spoilt),), FAULTY))
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Draw:
    """Batches: the machine in a condition or some, itself spoilt, and others."""

    own: Sequence[_Sound]
    spoilt: Sequence[_Sound]
    others: Sequence[_Sound]

    def __call__(self, rng: np.random.Generator) -> Batch:
        """Draw one."""
        conditions = _some(self.own, 4, rng)
        each = max(2, OWN_WINDOWS // len(conditions))
        chosen = [(sound, each) for sound in conditions]
        chosen += [(sound, 2) for sound in _some(self.spoilt, FAULTS_A_BATCH, rng)]
        others = _some(self.others, OTHERS_A_BATCH, rng)
        chosen += [(sound, 2 if len(others) > 4 else 4) for sound in others]
        return Batch(
            [s.clips[int(rng.integers(len(s.clips)))] for s, n in chosen for _ in range(n)],
            [label for label, (_, n) in enumerate(chosen) for _ in range(n)],
            [sound.machine for sound, n in chosen for _ in range(n)],
        )


def _some(sounds: Sequence[_Sound], most: int, rng: np.random.Generator) -> list[_Sound]:
    chosen = rng.choice(len(sounds), min(most, len(sounds)), replace=False)
    return [sounds[index] for index in chosen.tolist()]
