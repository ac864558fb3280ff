"""A network in the form of ONNX: bytes, and a session that runs them when it is needed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from weakref import WeakValueDictionary

import numpy as np

from asd_monitor.dsp.frames import Matrix
from asd_monitor.encoders.card import Card, LogMel
from asd_monitor.encoders.runtime import CUDA, Runtime, import_onnxruntime
from asd_monitor.errors import UsageError

MAX_NETWORK_BYTES = 512 * 2**20  # bytes
MAX_PATCHES = 16  # run at once, so that memory stays bounded

# a key of ONNX's external tensors: field 1, eight bytes long
_EXTERNAL_DATA = b"\n\x08location"


class EncoderError(UsageError):
    """A network that cannot be used, or does not do what its card says."""


class GpuError(EncoderError):
    """The GPU cannot be used; nothing is said of the network."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How the network takes its steps."""

    input: str
    rank: int
    steps: int | None  # of its time axis where that is fixed: the network takes patches
    batch: int | None  # None: any


class Network:
    """The bytes of a network; within a process one object, and one session, for equal bytes."""

    runtime: ClassVar[Runtime] = Runtime()
    """How this process makes sessions; set it before the first one is made."""

    def __init__(self, onnx: bytes, sha256: str) -> None:
        self.onnx = onnx
        self.sha256 = sha256
        self._session: Any = None

    @staticmethod
    def of(onnx: bytes) -> Network:
        """Return the network of these bytes, made at most once for all who hold it."""
        sha256 = hashlib.sha256(onnx).hexdigest()
        found = _KNOWN.get(sha256)
        if found is None:
            found = _KNOWN[sha256] = Network(onnx, sha256)
        return found

    @property
    def session(self) -> Any:
        """The runtime's session, as `runtime` says.  Raises EncoderError."""
        if self._session is None:
            self._session = _session_of(self.onnx, self.runtime)
        return self._session

    def layout(self, card: Card) -> Layout:
        """Return how it takes what the card describes.

        Raises:
            EncoderError: it is no network, or takes or gives something else.

        """
        inputs = self.session.get_inputs()
        if len(inputs) != 1:
            raise EncoderError(
                f"{len(inputs)} inputs, {', '.join(i.name for i in inputs)}: export it with one"
            )
        [taken] = inputs
        given = [output.name for output in self.session.get_outputs()]
        for output in card.outputs:
            if output.name not in given:
                raise EncoderError(
                    f"no output {output.name!r}, it has {', '.join(given)}: write one of these "
                    "under outputs, or export it with that"
                )
        shape, bands = taken.shape, card.input.bands if isinstance(card.input, LogMel) else None
        wanted = {2} if bands is None else {3, 4}
        fits = taken.type == "tensor(float)" and len(shape) in wanted
        fits = fits and (bands is None or shape[-1] == bands or not isinstance(shape[-1], int))
        if not fits or (len(shape) == 4 and shape[1] not in {1, None}):
            told = "(batch, samples)" if bands is None else f"(batch, steps, {bands})"
            or_so = "" if bands is None else f" or (batch, 1, steps, {bands})"
            raise EncoderError(
                f"the input {taken.name} is {taken.type} {shape}, while the card says float "
                f"{told}{or_so}: export it so, or correct the card"
            )
        steps = shape[-1] if bands is None else shape[-2]
        layout = Layout(
            taken.name,
            len(shape),
            steps if isinstance(steps, int) else None,
            shape[0] if isinstance(shape[0], int) else None,
        )
        _check_batch(layout, card)
        return layout

    def run_each(self, layout: Layout, outputs: Sequence[str], steps: Matrix) -> list[Matrix]:
        """Return the outputs, each (m, frames, channels), of the steps (m, steps, numbers) of m.

        In one go, unless the network takes one at a time.  Raises EncoderError as `run`.
        """
        size = layout.batch or len(steps)
        parts = [
            self.run(layout, outputs, steps[begin : begin + size])
            for begin in range(0, len(steps), size)
        ]
        joined = [np.concatenate(each) for each in zip(*parts, strict=True)]
        return [frames.reshape(len(steps), -1, frames.shape[1]) for frames in joined]

    def run(self, layout: Layout, outputs: Sequence[str], steps: Matrix) -> list[Matrix]:
        """Return the outputs (frames, channels) of a batch of steps (batch, steps, numbers).

        Raises EncoderError where the runtime fails.
        """
        shape = (len(steps), 1, *steps.shape[1:]) if layout.rank == 4 else steps.shape
        if layout.rank == 2:
            shape = steps.shape[:2]
        fed = np.ascontiguousarray(steps.reshape(shape), np.float32)
        try:
            found: list[Any] = self.session.run(list(outputs), {layout.input: fed})
        except Exception as error:  # the runtime's errors have no common base
            raise EncoderError(
                f"it cannot be run on {fed.shape} ({_first_line(error)}): correct reach in the "
                "card, and export no outputs that the card does not name"
            ) from error
        return [_frames_of(name, got) for name, got in zip(outputs, found, strict=True)]


_KNOWN: WeakValueDictionary[str, Network] = WeakValueDictionary()


def _check_batch(layout: Layout, card: Card) -> None:
    if layout.batch not in {None, 1}:
        raise EncoderError(
            f"it takes {layout.batch} pieces at once: export it with a batch of 1 or of any size"
        )
    if layout.steps is None:
        return
    first = card.outputs[0]
    for output in card.outputs:
        if output.reach != layout.steps:
            raise EncoderError(
                f"the output {output.name!r} has reach {output.reach}, while the network takes "
                f"{layout.steps} steps at once: write reach: {layout.steps} into the card"
            )
        if output.stride != first.stride:
            raise EncoderError(
                f"the outputs {first.name!r} and {output.name!r} have strides {first.stride} and "
                f"{output.stride}: of a network that takes {layout.steps} steps at once all have "
                "one stride: correct the card"
            )


def _frames_of(name: str, got: Any) -> Matrix:
    if not isinstance(got, np.ndarray) or got.dtype != np.float32 or got.ndim not in {2, 3}:
        shape = f"{got.dtype} {got.shape}" if isinstance(got, np.ndarray) else "no array"
        raise EncoderError(
            f"the output {name!r} is {shape}: export it as float32 (batch, frames, channels)"
        )
    return got.reshape(-1, got.shape[-1])


def _session_of(onnx: bytes, runtime: Runtime) -> Any:
    if _EXTERNAL_DATA in onnx:
        raise EncoderError(
            "its weights lie in another file: export it with all in one file "
            "(torch.onnx.export: external_data=False)"
        )
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = runtime.threads
    options.inter_op_num_threads = 1
    # else they would keep the processor busy while they wait for the next call
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.enable_cpu_mem_arena = False  # it would keep the most that was ever needed
    options.enable_mem_pattern = False
    options.log_severity_level = 4  # its errors are raised, and told by us
    cuda = runtime.provider == "cuda"
    try:
        if cuda and hasattr(onnxruntime, "preload_dlls"):  # since 1.21
            onnxruntime.preload_dlls()  # of CUDA and cuDNN, where they came as Python packages
        session = onnxruntime.InferenceSession(
            onnx, options, providers=runtime.providers, enable_fallback=0
        )
    except Exception as error:  # the runtime's errors have no common base
        if cuda:
            raise _no_gpu(onnxruntime.__version__, _first_line(error)) from error
        raise EncoderError(
            f"onnxruntime {onnxruntime.__version__} cannot read it ({_first_line(error)}): export "
            "it again, with standard operators only"
        ) from error
    if cuda and CUDA not in session.get_providers():  # it goes on without what it cannot load
        raise _no_gpu(onnxruntime.__version__, "its CUDA provider cannot be loaded")
    return session


def _no_gpu(version: str, why: str) -> GpuError:
    return GpuError(
        f"onnxruntime {version} cannot run it on the GPU ({why}): see that `nvidia-smi` shows the "
        "GPU and that CUDA and cuDNN are there (docs/encoders.md), or write `provider: cpu` under "
        "inference and restart"
    )


def _first_line(error: Exception) -> str:
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return (line or type(error).__name__)[:200]
