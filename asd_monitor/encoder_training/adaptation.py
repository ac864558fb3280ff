"""`train --adapt`: fine-tune the encoder to one machine, and keep it only if that helps.

The encoder is trained to map the machine's own sound to one region, apart from other machines
(outlier exposure; the user's recordings of them, or synthetic machines) and from the machine
with injected faults (pseudo-anomalies as negatives of the contrastive loss).

The result is tested on the last fifth of the training recordings, which is held out of the
fine-tuning: see `adaptation_trial`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from asd_monitor.encoder_training.adaptation_clips import (
    AdaptationBatches,
    conditions_of,
    files_of_other,
    own_sound,
    sound_of_other,
    synthetic_others,
    with_injected_faults,
)
from asd_monitor.encoder_training.adaptation_trial import reencode_pieces, run_trial, trial_pieces
from asd_monitor.encoder_training.export import export_encoder, import_network
from asd_monitor.encoder_training.fine_tuning import FineTuningConfig, fine_tune
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.errors import UsageError
from asd_monitor.model_training.adaptation_result import Adaptation
from asd_monitor.model_training.encoder_sound import read_parts
from asd_monitor.model_training.encoder_vectors import replace_encoder
from asd_monitor.model_training.held_out_split import hold_out
from asd_monitor.model_training.reference import Reference, require_duration
from asd_monitor.model_training.training_progress import Progress, no_progress


@dataclass(frozen=True, slots=True)
class AdaptationConfig:
    """Settings of the adaptation."""

    fine_tuning: FineTuningConfig = field(default_factory=FineTuningConfig)
    synthetic_others: int = 20  # machines, if the user gives none
    faults: int = 80  # excerpts with an injected fault


def first_trainable(encoders: Iterable[Encoder]) -> Encoder:
    """Return the first of the encoders that can be trained further.

    Raises:
        UsageError: there is none.

    """
    refusals = []
    for encoder in encoders:
        try:
            import_network(encoder)
        except UsageError as error:
            refusals.append(error)
        else:
            return encoder
    raise UsageError(
        "there is no encoder to adapt: name one with --encoder, or leave out --adapt"
        if not refusals
        else str(refusals[0])
    )


def adapt(
    reference: Reference,
    others: Sequence[str | Path] = (),
    channel: int | None = None,
    *,
    config: AdaptationConfig | None = None,
    progress: Progress = no_progress,
) -> tuple[Reference, Adaptation]:
    """Adapt the encoder to the machine of these recordings, and test it.

    200 gradient steps take about a minute on one core.

    Args:
        reference: the training recordings, with the encoder to adapt.
        others: recordings of other machines; each file or folder is one machine.
        channel: of the recordings.
        config: the settings.
        progress: called with each step of the calculation.

    Returns:
        The reference to fit the model to, and the result of the test.  The reference has the
        adapted encoder if it is kept, else it is unchanged.

    Raises:
        UsageError: less than 60 s of sound, no encoder to adapt, or recordings of other
            machines that cannot be used or are of this machine.
        OperationError: no permission to read them.

    """
    began, config = time.monotonic(), config or AdaptationConfig()
    seed = config.fine_tuning.seed
    require_duration(reference)
    frozen = first_trainable(reference.encoders)
    machines = [files_of_other(path, reference, channel) for path in others]
    split = hold_out(reference)
    progress("reading the machines", 0.0)
    own = own_sound(split.kept, reference.front_end, channel)
    rng = np.random.default_rng((seed, 7))
    of_others = [
        label
        for number, files in enumerate(machines, 1)
        for label in conditions_of(sound_of_other(files, channel), number)
    ] or synthetic_others(seed, config.synthetic_others, progress)
    network = import_network(frozen)
    fine_tune(
        network,
        AdaptationBatches(
            conditions_of(own, 0), with_injected_faults(own, config.faults, rng), of_others
        ),
        len(machines) + 1 if len(machines) > 1 else 0,
        config.fine_tuning,
        progress=progress,
        step_name="adapting the encoder",
    )
    encoder = export_encoder(
        network, frozen.card.views, f"{frozen.name[:56]}-adapted", frozen.card.licence
    )
    adapted = replace_encoder(reference, frozen, encoder, channel)
    progress("testing the encoder on the held-out part", 0.0)
    held_out = [piece for pieces in read_parts(split.parts, channel) for piece in pieces]
    pieces = trial_pieces(held_out, reference, seed)
    before = run_trial(reference, pieces, encoder.view_names)
    after = run_trial(adapted, reencode_pieces(pieces, encoder, reference), encoder.view_names)
    result = Adaptation(
        encoder,
        before,
        after,
        len(machines),
        config.fine_tuning.steps,
        seed,
        time.monotonic() - began,
    )
    return (adapted if result.kept else reference), result
