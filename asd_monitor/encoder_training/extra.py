"""The extra `train`: torch and what exports networks, which a plain installation lacks."""

from __future__ import annotations

import importlib.util

from asd_monitor.errors import OperationError

TORCH = ("torch",)
TORCH_AND_EXPORT = ("torch", "onnx", "onnxscript")


def require_extra(what: str, instead: str = "", packages: tuple[str, ...] = TORCH) -> None:
    """Refuse what needs packages that are not installed.

    ``what`` says who needs them, such as "--adapt trains the encoder"; ``instead`` how to do
    without.

    Raises:
        OperationError: one is missing.

    """
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise OperationError(
            f"{what}, for which {missing[0]} is not installed: in the clone, install it with "
            f"pip install -c constraints.txt '.[train]'{f', or {instead}' if instead else ''}"
        )
