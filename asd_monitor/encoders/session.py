"""A network in ONNX format: its bytes, and the session that runs it, created on first use."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from asd_monitor.dsp.frames import Matrix
from asd_monitor.encoders.card import Card, LogMel, Output
from asd_monitor.encoders.onnx_graph import GraphError, check_graph
from asd_monitor.encoders.runtime import CUDA, Runtime, import_onnxruntime
from asd_monitor.errors import UsageError

MAX_NETWORK_BYTES = 512 * 2**20
MAX_PATCHES = 16  # in one call, so that memory is bounded
MAX_STEPS = 256
"""Steps of several streams in one call: more take no less time each, and more memory."""


class EncoderError(UsageError):
    """A network cannot be used, or does not match its card."""


class GpuError(EncoderError):
    """The GPU cannot be used, whatever the network."""


@dataclass(frozen=True, slots=True)
class InputLayout:
    """The input of a network."""

    name: str
    rank: int
    steps: int | None  # length of the time axis where it is fixed: the network takes patches
    batch: int | None  # size of the batch where it is fixed


class Network:
    """A network; within a process, equal bytes with one runtime share an object and a session.

    ``runtime`` is how the session is created.
    """

    def __init__(self, onnx: bytes, sha256: str, runtime: Runtime) -> None:
        self.onnx = onnx
        self.sha256 = sha256
        self.runtime = runtime
        self._session: Any = None

    @staticmethod
    def from_bytes(onnx: bytes, runtime: Runtime) -> Network:
        """Return the network of these bytes, the same object while any is in use.

        Not for concurrent calls.
        """
        sha256 = hashlib.sha256(onnx).hexdigest()
        known = _NETWORKS.get((sha256, runtime))
        if known is None:
            known = _NETWORKS[sha256, runtime] = Network(onnx, sha256, runtime)
        return known

    @property
    def session(self) -> Any:
        """The session of ONNX Runtime, created by the first call, which is not concurrent.

        Raises EncoderError where it cannot be created.
        """
        if self._session is None:
            self._session = _create_session(self.onnx, self.runtime)
        return self._session

    def layout(self, card: Card) -> InputLayout:
        """Return the layout of the input.

        Raises EncoderError where the bytes are no network, or where its inputs or outputs do not
        match the card.
        """
        inputs = self.session.get_inputs()
        if len(inputs) != 1:
            raise EncoderError(
                f"{len(inputs)} inputs, {', '.join(i.name for i in inputs)}: export it with one"
            )
        [taken] = inputs
        names = [output.name for output in self.session.get_outputs()]
        for output in card.outputs:
            if output.name not in names:
                raise EncoderError(
                    f"no output {output.name!r}, it has {', '.join(names)}: write one of these "
                    "under outputs, or export it with that"
                )
        shape, bands = taken.shape, card.input.bands if isinstance(card.input, LogMel) else None
        ranks = {2} if bands is None else {3, 4}
        matches = taken.type == "tensor(float)" and len(shape) in ranks
        if bands is not None and matches and isinstance(shape[-1], int):
            matches = shape[-1] == bands
        if not matches or (len(shape) == 4 and shape[1] not in {1, None}):
            expected = "(batch, samples)" if bands is None else f"(batch, steps, {bands})"
            alternative = "" if bands is None else f" or (batch, 1, steps, {bands})"
            raise EncoderError(
                f"the input {taken.name} is {taken.type} {shape}, while the card requires float "
                f"{expected}{alternative}: export it so, or correct the card"
            )
        steps = shape[-1] if bands is None else shape[-2]
        layout = InputLayout(
            taken.name,
            len(shape),
            steps if isinstance(steps, int) else None,
            shape[0] if isinstance(shape[0], int) else None,
        )
        _check_fixed_axes(layout, card)
        return layout

    def run_each(self, layout: InputLayout, outputs: Sequence[str], steps: Matrix) -> list[Matrix]:
        """Return the outputs, each (m, frames, channels), of the steps (m, steps, d) of m streams.

        One call for streams of MAX_STEPS together, or one for each batch where its size is fixed.
        Raises EncoderError.
        """
        size = layout.batch or max(1, MAX_STEPS // steps.shape[1])
        parts = [
            self.run(layout, outputs, steps[begin : begin + size])
            for begin in range(0, len(steps), size)
        ]
        whole = parts[0] if len(parts) == 1 else map(np.concatenate, zip(*parts, strict=True))
        return [frames.reshape(len(steps), -1, frames.shape[1]) for frames in whole]

    def run(self, layout: InputLayout, outputs: Sequence[str], steps: Matrix) -> list[Matrix]:
        """Return the outputs, each (batch · frames, channels), of a batch of steps (batch, n, d).

        Raises EncoderError where the runtime fails.
        """
        shape = (len(steps), 1, *steps.shape[1:]) if layout.rank == 4 else steps.shape
        if layout.rank == 2:
            shape = steps.shape[:2]
        values = np.ascontiguousarray(steps.reshape(shape), np.float32)
        try:
            arrays: list[Any] = self.session.run(list(outputs), {layout.name: values})
        except Exception as error:  # the runtime's errors have no common base
            raise EncoderError(
                f"it cannot be run on {values.shape} ({_first_line(error)}): correct reach in the "
                "card, and export no outputs that the card does not name"
            ) from error
        return [_frames(name, array) for name, array in zip(outputs, arrays, strict=True)]


_NETWORKS: WeakValueDictionary[tuple[str, Runtime], Network] = WeakValueDictionary()


def check_frame_count(output: Output, frames: int, steps: int) -> None:
    """Raise EncoderError where an output has not the frames that its card gives for the steps."""
    expected = (steps - output.receptive_field) // output.stride + 1
    if frames != expected:
        raise EncoderError(
            f"the output {output.name!r} has {frames} frames for {steps} steps, while reach "
            f"{output.receptive_field} and stride {output.stride} give {expected}: correct them "
            "in the card"
        )


def _check_fixed_axes(layout: InputLayout, card: Card) -> None:
    if layout.batch not in {None, 1}:
        raise EncoderError(
            f"it takes {layout.batch} patches at once: export it with a batch of 1 or of any size"
        )
    if layout.steps is None:
        return
    first = card.outputs[0]
    for output in card.outputs:
        if output.receptive_field != layout.steps:
            raise EncoderError(
                f"the output {output.name!r} has reach {output.receptive_field}, while the network "
                f"takes {layout.steps} steps at once: write reach: {layout.steps} into the card"
            )
        if output.stride != first.stride:
            raise EncoderError(
                f"the outputs {first.name!r} and {output.name!r} have strides {first.stride} and "
                f"{output.stride}, while all outputs of a network that takes {layout.steps} steps "
                "at once have one stride: correct the card"
            )


def _frames(name: str, array: Any) -> Matrix:
    if not isinstance(array, np.ndarray) or array.dtype != np.float32 or array.ndim not in {2, 3}:
        shape = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else "no array"
        raise EncoderError(
            f"the output {name!r} is {shape}: export it as float32 (batch, frames, channels)"
        )
    return array.reshape(-1, array.shape[-1])


def _create_session(onnx: bytes, runtime: Runtime) -> Any:
    try:
        check_graph(onnx)
    except GraphError as error:
        raise EncoderError(str(error)) from error
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = runtime.threads
    options.inter_op_num_threads = 1
    # threads that spin between calls would occupy the processor
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.enable_cpu_mem_arena = False  # the arena never shrinks
    options.enable_mem_pattern = False
    options.log_severity_level = 4  # its errors are raised, and reported from there
    cuda = runtime.provider == "cuda"
    try:
        if cuda and hasattr(onnxruntime, "preload_dlls"):  # since 1.21
            onnxruntime.preload_dlls()  # CUDA and cuDNN, where they are Python packages
        session = onnxruntime.InferenceSession(
            onnx, options, providers=runtime.providers, enable_fallback=0
        )
    except Exception as error:  # the runtime's errors have no common base
        if cuda:
            raise _gpu_error(onnxruntime.__version__, _first_line(error)) from error
        raise EncoderError(
            f"onnxruntime {onnxruntime.__version__} cannot read it ({_first_line(error)}): export "
            "it again, with standard operators only"
        ) from error
    if cuda and CUDA not in session.get_providers():  # it continues without a missing provider
        raise _gpu_error(onnxruntime.__version__, "its CUDA provider cannot be loaded")
    return session


def _gpu_error(version: str, reason: str) -> GpuError:
    return GpuError(
        f"onnxruntime {version} cannot run it on the GPU ({reason}): check that `nvidia-smi` shows "
        "the GPU and that CUDA and cuDNN are installed (docs/encoders.md), or write `provider: "
        "cpu` under inference and restart"
    )


def _first_line(error: Exception) -> str:
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return (line or type(error).__name__)[:200]
