"""The challenge's baseline beside our detector: an autoencoder a type, from the same clips."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from asd_monitor.evaluation.dcase_layouts import TestedMachine
from asd_monitor.extras import TORCH, require_extra


def require_baseline() -> None:
    """Check that torch is installed; raises OperationError where it is not."""
    require_extra("--baseline", TORCH, "omit --baseline")


def autoencoder_scores(machines: Sequence[TestedMachine]) -> dict[Path, float]:
    """Return the score of each test clip of a type by an autoencoder of all its normals.

    Raises:
        UsageError: no clip can be heard.
        OperationError: no permission, or no torch.

    """
    require_baseline()
    from asd_monitor.encoder_training.autoencoder import train_autoencoder  # noqa: PLC0415 - needs torch

    paths = [path for machine in machines for path in machine.train]
    channel = machines[0].channel or 0
    autoencoder = train_autoencoder(paths, channel=channel)
    return {clip.path: autoencoder.score(clip.path) for m in machines for clip in m.test}
