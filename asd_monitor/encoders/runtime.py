"""ONNX Runtime: on what and with how many threads this process runs its networks.

It is imported only when it is asked for, so that whoever has no network does not pay for it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Literal

from asd_monitor.errors import UsageError

Provider = Literal["cpu", "cuda"]

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"

# both are for speed, and would make scores differ from those that training saw: TF32 keeps
# 10 bits of a number, and the search tries algorithms anew for each number of streams
_CUDA_OPTIONS = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}


@dataclass(frozen=True, slots=True)
class Runtime:
    """How sessions are made."""

    provider: Provider = "cpu"
    threads: int = 1
    """That share the work of one operator on the processor."""

    @property
    def providers(self) -> list[Any]:
        """As the runtime takes them, the first first: operators that one lacks go to the next."""
        return [CPU] if self.provider == "cpu" else [(CUDA, _CUDA_OPTIONS), CPU]


def import_onnxruntime() -> Any:
    """Return the module; the first time it takes a third of a second."""
    # since 1.29 it tells its makers of each session, over the network, unless it is told not to
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime  # noqa: PLC0415

    return onnxruntime


def check_provider(provider: str) -> None:
    """See that the onnxruntime that is installed here has this provider.

    Whether there is a GPU that it can use shows only when a session is made.  Raises UsageError.
    """
    if provider == "cpu":
        return
    onnxruntime = import_onnxruntime()
    if CUDA not in onnxruntime.get_available_providers():
        raise UsageError(
            f"'cuda' is not possible here, since onnxruntime {onnxruntime.__version__} is built "
            "without CUDA: install onnxruntime-gpu in its place (docs/encoders.md), or write "
            "`provider: cpu`"
        )
