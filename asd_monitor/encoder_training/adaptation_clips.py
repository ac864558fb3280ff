"""The clips that `adaptation` trains on: the machine, the machine with faults, other machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.encoder_training.adaptation_trial import TRAINED_FAULTS
from asd_monitor.encoder_training.fine_tuning import NO_MACHINE, LabelledClips
from asd_monitor.encoder_training.log_mel_frames import LogMel, log_mel
from asd_monitor.encoder_training.sound_sources import SyntheticMachines
from asd_monitor.errors import UsageError
from asd_monitor.model_training.encoder_sound import RATE_HZ, read_parts
from asd_monitor.model_training.recording_parts import RecordingPart
from asd_monitor.model_training.recording_paths import expand_paths
from asd_monitor.model_training.reference import Reference, Segment
from asd_monitor.model_training.sound_files import SoundFile, inspect_recording
from asd_monitor.model_training.training_progress import Progress
from asd_monitor.records import Samples
from asd_monitor.synthesis.injection import inject

MIN_CLIP_S = 0.5
MIN_CONDITION_S = 60.0
"""A recording of this length counts as an operating condition; all shorter ones together as one."""
MAX_OWN_S, EXCERPT_S = 1200.0, 20.0  # of more sound, evenly spaced excerpts are used
MAX_OTHER_S, MAX_OTHER_FILES = 120.0, 24  # of each other machine
FAULT_S = 4.0
FAULT_SEVERITY = (0.2, 1.0)
CONDITIONS_PER_BATCH, OWN_WINDOWS, FAULTS_PER_BATCH, OTHERS_PER_BATCH = 4, 8, 6, 12

FileSound = tuple[SoundFile, Samples]
"""A gapless piece of sound at 16 kHz, with its file."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelClips:
    """All clips of one label of the contrastive loss."""

    clips: tuple[LogMel, ...]
    machine: int


@dataclass(frozen=True, slots=True, eq=False)
class AdaptationBatches:
    """Draws batches: some operating conditions of the machine, of its faults, of others."""

    own: Sequence[LabelClips]
    faults: Sequence[LabelClips]
    others: Sequence[LabelClips]

    def __call__(self, rng: np.random.Generator) -> LabelledClips:
        """Return the clips of a batch."""
        conditions = _draw_some(self.own, CONDITIONS_PER_BATCH, rng)
        windows = max(2, OWN_WINDOWS // len(conditions))
        chosen = [(label, windows) for label in conditions]
        chosen += [(label, 2) for label in _draw_some(self.faults, FAULTS_PER_BATCH, rng)]
        others = _draw_some(self.others, OTHERS_PER_BATCH, rng)
        chosen += [(label, 2 if len(others) > 4 else 4) for label in others]
        return LabelledClips(
            [
                label.clips[int(rng.integers(len(label.clips)))]
                for label, n in chosen
                for _ in range(n)
            ],
            [number for number, (_, n) in enumerate(chosen) for _ in range(n)],
            [label.machine for label, n in chosen for _ in range(n)],
        )


def files_of_other(path: str | Path, reference: Reference, channel: int | None) -> list[SoundFile]:
    """Return the usable recordings of another machine, a file or those of a folder.

    Raises:
        UsageError: none is usable, or one is a recording of this machine.
        OperationError: no permission.

    """
    own = {file.sha256: file.path for file in reference.files}
    found = [inspect_recording(each, channel) for each in expand_paths([path])]
    for file in found:
        if file.sha256 in own:
            raise UsageError(
                f"{file.path}: the same recording as {own[file.sha256]}, one of this machine: "
                "name only recordings of other machines with --others"
            )
    usable = [file for file in found if file.rate_hz >= RATE_HZ and file.seconds >= MIN_CLIP_S]
    if not usable:
        raise UsageError(
            f"{path}: no recording of {RATE_HZ} Hz or more that can be used: leave it out"
        )
    return usable


def own_sound(
    segments: Sequence[Segment], front_end: FrontEnd, channel: int | None
) -> list[FileSound]:
    """Return the sound of these segments, or evenly spaced excerpts where it is long."""
    parts = [RecordingPart.of_segment(segment, front_end) for segment in segments]
    excerpts = [
        RecordingPart(part.file, begin_s, min(part.to_s, begin_s + EXCERPT_S))
        for part in parts
        for begin_s in np.arange(part.from_s, part.to_s, EXCERPT_S).tolist()
    ]
    stride = -(-len(excerpts) // round(MAX_OWN_S / EXCERPT_S))
    return _read(excerpts[::stride] if stride > 1 else parts, channel)


def sound_of_other(files: Sequence[SoundFile], channel: int | None) -> list[FileSound]:
    """Return the middle of each recording, two minutes in all."""
    files = files[:: -(-len(files) // MAX_OTHER_FILES)]
    each_s = MAX_OTHER_S / len(files)
    parts = []
    for file in files:
        begin_s = max(0.0, (file.seconds - each_s) / 2)
        parts.append(RecordingPart(file, begin_s, min(file.seconds, begin_s + each_s)))
    return _read(parts, channel)


def conditions_of(sounds: Sequence[FileSound], machine: int) -> list[LabelClips]:
    """Return the clips of each operating condition of a machine."""
    clips_of_file: dict[Path | None, list[LogMel]] = {}
    for file, piece in sounds:
        key = file.path if file.seconds >= MIN_CONDITION_S else None
        clips_of_file.setdefault(key, []).append(log_mel(piece))
    return [LabelClips(tuple(clips), machine) for clips in clips_of_file.values()]


def synthetic_others(seed: int, count: int, progress: Progress) -> list[LabelClips]:
    """Return the clips of so many synthetic machines, numbered from 1."""
    machines = SyntheticMachines(seed)
    found = []
    for number in range(count):
        progress("making other machines", number / count)
        found.append(LabelClips(machines.instance(number).reference, number + 1))
    return found


def with_injected_faults(
    sounds: Sequence[FileSound], count: int, rng: np.random.Generator
) -> list[LabelClips]:
    """Return so many random excerpts with an injected fault, each a label of its own."""
    pieces = [piece for _, piece in sounds]
    lengths = np.array([len(piece) for piece in pieces], float)
    found = []
    for number in range(count):
        piece = pieces[int(rng.choice(len(pieces), p=lengths / lengths.sum()))]
        n = min(len(piece), round(FAULT_S * RATE_HZ))
        start = int(rng.integers(len(piece) - n + 1))
        kind = TRAINED_FAULTS[number % len(TRAINED_FAULTS)]
        severity = float(rng.uniform(*FAULT_SEVERITY))
        faulty = inject(piece[start : start + n], kind, severity, rng)
        found.append(LabelClips((log_mel(faulty),), NO_MACHINE))
    return found


def _read(parts: Sequence[RecordingPart], channel: int | None) -> list[FileSound]:
    """Return the gapless pieces of the parts that are long enough."""
    return [
        (part.file, piece)
        for part, pieces in zip(parts, read_parts(parts, channel), strict=True)
        for piece in pieces
        if len(piece) >= MIN_CLIP_S * RATE_HZ
    ]


def _draw_some(
    labels: Sequence[LabelClips], most: int, rng: np.random.Generator
) -> list[LabelClips]:
    chosen = rng.choice(len(labels), min(most, len(labels)), replace=False)
    return [labels[index] for index in chosen.tolist()]
