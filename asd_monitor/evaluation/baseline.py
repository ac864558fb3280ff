"""The challenge's baseline for comparison: one autoencoder for each machine type."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from asd_monitor.evaluation.dcase_data_set import DcaseMachine
from asd_monitor.extras import TORCH, require_extra


def require_baseline() -> None:
    """Check that torch is installed; raises OperationError where it is not."""
    require_extra("--baseline", TORCH, "omit --baseline")


def autoencoder_scores(machines: Sequence[DcaseMachine]) -> dict[Path, float]:
    """Return the score of each test clip of a type; the autoencoder is trained on all its ids.

    Raises:
        UsageError: no clip can be read.
        OperationError: no permission, or no torch.

    """
    require_baseline()
    from asd_monitor.encoder_training.autoencoder import train_autoencoder  # noqa: PLC0415 - needs torch

    paths = [path for machine in machines for path in machine.train]
    autoencoder = train_autoencoder(paths, channel=machines[0].channel or 0)
    return {clip.path: autoencoder.score(clip.path) for m in machines for clip in m.test}
