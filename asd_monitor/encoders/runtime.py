"""ONNX Runtime: the execution provider and the threads of this process.

It is imported on first use, so that a process without networks does not load it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Literal

from asd_monitor.errors import UsageError

Provider = Literal["cpu", "cuda"]

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"

# the defaults are faster, but scores would differ from those of training: TF32 has 10 bits of
# precision, and the search selects other algorithms for other numbers of streams
_CUDA_OPTIONS = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}


@dataclass(frozen=True, slots=True)
class Runtime:
    """How sessions are created."""

    provider: Provider = "cpu"
    threads: int = 1
    """Threads on the processor for one operator."""

    @property
    def providers(self) -> list[Any]:
        """Execution providers in order; operators that one lacks run on the next."""
        return [CPU] if self.provider == "cpu" else [(CUDA, _CUDA_OPTIONS), CPU]


def import_onnxruntime() -> Any:
    """Return the module; the first call takes a third of a second."""
    # since 1.29 it sends telemetry for each session unless this is set
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime  # noqa: PLC0415

    return onnxruntime


def check_provider(provider: str) -> None:
    """Check that the installed onnxruntime has this provider.

    Whether a GPU can be used is found out when a session is created.  Raises UsageError.
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
