"""How sessions are created: on the processor or the GPU, and with how many threads."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from asd_monitor.encoders.runtime import CPU, CUDA, Runtime, check_provider
from asd_monitor.encoders.session import EncoderError, Network
from asd_monitor.errors import UsageError
from tests.doubles.synthetic_networks import BANDS, ENCODERS

ONNX = ENCODERS["maps"].onnx


class FakeOnnxruntime(SimpleNamespace):
    """An onnxruntime that is built with CUDA, and records how its sessions are created.

    ``loaded`` are the providers that a session then has; ``fault`` is what it fails with.
    """

    def __init__(self, loaded: tuple[str, ...] = (CUDA, CPU), fault: str | None = None) -> None:
        self.calls: list[Any] = []
        self.entries: dict[str, str] = {}
        super().__init__(
            __version__="9.9",
            ExecutionMode=SimpleNamespace(ORT_SEQUENTIAL="sequential"),
            SessionOptions=lambda: SimpleNamespace(
                add_session_config_entry=self.entries.__setitem__
            ),
            get_available_providers=lambda: [CUDA, CPU],
            preload_dlls=lambda: self.calls.append("preload"),
        )
        self.loaded, self.fault = loaded, fault

    def InferenceSession(self, onnx: bytes, options: Any, **given: Any) -> Any:  # noqa: N802
        self.calls.append((onnx, options, given))
        if self.fault:
            raise RuntimeError(self.fault)
        return SimpleNamespace(get_providers=lambda: list(self.loaded))


Installed = Callable[[FakeOnnxruntime], FakeOnnxruntime]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Installed:
    def install(fake: FakeOnnxruntime) -> FakeOnnxruntime:
        monkeypatch.setitem(sys.modules, "onnxruntime", fake)
        return fake

    return install


def session(runtime: Runtime) -> Any:
    return Network(ONNX, "another, so that no session of it is there", runtime).session


def test_a_session_requests_the_gpu_first_and_the_processor_next(installed: Installed) -> None:
    fake = installed(FakeOnnxruntime())
    assert session(Runtime("cuda", 3)).get_providers() == [CUDA, CPU]
    preloaded, (onnx, options, given) = fake.calls
    assert preloaded == "preload"
    assert onnx == ONNX
    (first, options_of_cuda), second = given["providers"]
    assert (first, second) == (CUDA, CPU)
    assert options_of_cuda["use_tf32"] == "0"  # else scores would differ from those of training
    assert not given["enable_fallback"]
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 1)
    assert fake.entries["session.intra_op.allow_spinning"] == "0"


def test_a_session_on_the_processor_requests_no_gpu(installed: Installed) -> None:
    fake = installed(FakeOnnxruntime(loaded=(CPU,)))
    session(Runtime())
    [(_, options, given)] = fake.calls
    assert given["providers"] == [CPU]
    assert options.intra_op_num_threads == 1


def test_a_session_without_the_requested_gpu_is_refused(installed: Installed) -> None:
    installed(FakeOnnxruntime(loaded=(CPU,)))
    with pytest.raises(EncoderError, match=r"9\.9 cannot run it on the GPU \(its CUDA provider"):
        session(Runtime("cuda"))


def test_a_gpu_failure_is_reported_with_the_remedy(installed: Installed) -> None:
    installed(FakeOnnxruntime(fault="CUDA failure 100: no device\nat x.cc"))
    with pytest.raises(EncoderError) as refused:
        session(Runtime("cuda"))
    assert "(CUDA failure 100: no device): check that `nvidia-smi` shows the GPU" in str(
        refused.value
    )
    assert "write `provider: cpu` under inference" in str(refused.value)


@pytest.mark.parametrize(
    ("fault", "reason"), [("\n  bad graph\nat x.cc", "bad graph"), ("\n", "RuntimeError")]
)
def test_a_fault_of_the_runtime_is_reported_in_a_line(
    installed: Installed, fault: str, reason: str
) -> None:
    installed(FakeOnnxruntime(fault=fault))
    with pytest.raises(EncoderError) as refused:
        session(Runtime())
    assert f"9.9 cannot read it ({reason}): export it again" in str(refused.value)


def test_the_installed_runtime_without_cuda_is_refused() -> None:
    check_provider("cpu")
    with pytest.raises(UsageError, match="is built without CUDA: install onnxruntime-gpu") as error:
        check_provider("cuda")
    assert error.value.exit_code == 2
    with (
        pytest.warns(UserWarning, match="CUDAExecutionProvider"),
        pytest.raises(EncoderError, match="cannot run it on the GPU"),
    ):
        session(Runtime("cuda"))


def test_a_runtime_with_cuda_is_accepted(installed: Installed) -> None:
    installed(FakeOnnxruntime())
    check_provider("cuda")


def test_results_do_not_depend_on_threads() -> None:
    fed = {"log_mel": np.random.default_rng(1).normal(size=(1, 60, BANDS)).astype(np.float32)}
    expected = session(Runtime()).run(None, fed)
    several = session(Runtime(threads=2))
    assert several.get_session_options().intra_op_num_threads == 2
    for one, other in zip(expected, several.run(None, fed), strict=True):
        assert one == pytest.approx(other, abs=1e-5)
