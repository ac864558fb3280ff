"""The challenge's baseline beside our detector: an autoencoder a type, from the same clips."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from asd_monitor.errors import OperationError
from asd_monitor.evaluation.dcase import TestedMachine


def require_torch() -> None:
    """Refuse where torch is not installed.  Raises OperationError."""
    if importlib.util.find_spec("torch") is None:
        raise OperationError(
            "--baseline trains an autoencoder, for which torch is not installed: "
            "install it with pip install 'asd-monitor[train]', or leave --baseline out"
        )


def autoencoder_scores(machines: Sequence[TestedMachine]) -> dict[Path, float]:
    """Return the score of each test clip of a type by an autoencoder of all its normals.

    Raises:
        UsageError: no clip can be heard.
        OperationError: no permission, or no torch.

    """
    require_torch()
    from asd_monitor.training.autoencoder import train_autoencoder  # noqa: PLC0415 - needs torch

    paths = [path for machine in machines for path in machine.train]
    channel = machines[0].channel or 0
    autoencoder = train_autoencoder(paths, channel=channel)
    return {clip.path: autoencoder.score(clip.path) for m in machines for clip in m.test}
