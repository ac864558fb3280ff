"""The challenge's baseline beside our detector: an autoencoder a type, from the same clips."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from asd_monitor.errors import OperationError
from asd_monitor.evaluation.dcase import TestedMachine

NEEDED_TO_EXPORT = ("onnx", "onnxscript")  # of the extra `train`, besides torch


def require_torch(
    what: str = "--baseline trains an autoencoder",
    instead: str = "leave --baseline out",
    also: Sequence[str] = (),
) -> None:
    """Refuse where torch is not installed, or what else is needed.  Raises OperationError."""
    missing = [name for name in ("torch", *also) if importlib.util.find_spec(name) is None]
    if missing:
        raise OperationError(
            f"{what}, for which {missing[0]} is not installed: "
            f"install it with pip install 'asd-monitor[train]', or {instead}"
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
