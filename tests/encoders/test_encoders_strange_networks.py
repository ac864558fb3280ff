"""Networks of unknown origin: checked before the runtime reads them, and tried within limits."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, load_from_string, numpy_helper

from asd_monitor.encoders import network_trial
from asd_monitor.encoders.card import CardError, card_from_values
from asd_monitor.encoders.encoder_loading import load_encoder
from asd_monitor.encoders.network_trial import try_network
from asd_monitor.encoders.onnx_graph import OPERATORS, GraphError, check_graph
from asd_monitor.encoders.session import EncoderError
from tests.doubles.synthetic_networks import (
    ENCODERS,
    FAR,
    NEAR,
    maps_card,
    maps_network,
    wave_card,
    write_network,
)

CARD = card_from_values(maps_card(), "card")


def _changed(change: Callable[[Any], object]) -> bytes:
    model = load_from_string(maps_network())
    change(model)
    return bytes(model.SerializeToString())


def _with_location(model: ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")


def _in_an_attribute(model: ModelProto) -> None:
    tensor = helper.make_tensor("t", TensorProto.FLOAT, [1], [0.0])
    tensor.external_data.add(key="location", value="weights.bin")
    model.graph.node.append(helper.make_node("Constant", [], ["k"], value=tensor))


def _loop(model: ModelProto) -> None:
    body = helper.make_graph([], "body", [], [])
    model.graph.node.append(helper.make_node("Loop", [], ["y"], body=body))


def _graph_in_a_known_operator(model: ModelProto) -> None:
    body = helper.make_graph([], "body", [], [])
    model.graph.node.append(helper.make_node("Relu", ["near"], ["y"], body=body))


def _many_integers(model: ModelProto) -> None:
    model.graph.initializer.append(
        helper.make_tensor("k", TensorProto.INT64, [1_200_000], [1] * 1_200_000)
    )


def _claimed(dims: list[int], raw: bytes = b"") -> Callable[[ModelProto], None]:
    def change(model: ModelProto) -> None:
        model.graph.initializer.append(
            TensorProto(dims=dims, data_type=TensorProto.FLOAT, name="k", raw_data=raw)
        )

    return change


def _text(model: ModelProto) -> None:
    model.graph.initializer.append(
        TensorProto(dims=[1], data_type=TensorProto.STRING, name="k", string_data=[b"x"])
    )


def _sparse(model: ModelProto) -> None:
    values = helper.make_tensor("v", TensorProto.FLOAT, [1], [1.0])
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [10**9]))


def _functions(model: ModelProto) -> None:
    model.functions.append(helper.make_function("own", "F", ["x"], ["y"], [], []))


def _node(operator: str, domain: str = "") -> Callable[[ModelProto], None]:
    return lambda model: model.graph.node.append(
        helper.make_node(operator, ["near"], ["y"], domain=domain)
    )


STRANGE = {
    "weights in another file": (_changed(_with_location), "lie in another file"),
    "a constant in another file": (_changed(_in_an_attribute), "lie in another file"),
    "Loop": (_changed(_loop), "'Loop', which is not allowed"),
    "If": (_changed(_node("If")), "'If', which is not allowed"),
    "random numbers": (_changed(_node("RandomNormalLike")), "'RandomNormalLike'"),
    "an operator of the runtime": (_changed(_node("Relu", "com.microsoft")), "'com.microsoft'"),
    "a graph": (_changed(_graph_in_a_known_operator), "runs a graph of its own"),
    "a million integers": (_changed(_many_integers), "integers as constants"),
    "terabytes declared": (_changed(_claimed([2**20, 2**20])), "not as large as its shape"),
    "more bytes than declared": (_changed(_claimed([1], bytes(8))), "not as large as its shape"),
    "a negative size": (_changed(_claimed([-1])), "unknown shape"),
    "text": (_changed(_text), "constants of text"),
    "sparse": (_changed(_sparse), "sparse constants"),
    "functions": (_changed(_functions), "functions of its own"),
    "no graph": (b"", "0 graphs"),
    "two graphs": (maps_network() + maps_network(1), "2 graphs"),
    "cut": (maps_network()[:-5], "ends too early"),
    "a group": (b"\x3b" + maps_network(), "no protobuf"),
    "a field of another type": (b"\x38\x01" + maps_network(), "another type"),
    "an endless number": (b"\xff" * 20, "ends too early"),
    "field zero": (b"\x00\x00" + maps_network(), "without number"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_a_network_that_is_not_allowed_is_refused_before_the_runtime_reads_it(name: str) -> None:
    onnx, reason = STRANGE[name]
    with pytest.raises(GraphError) as refused:
        check_graph(onnx)
    assert reason in str(refused.value)
    assert ": export it" in str(refused.value)


def test_the_documentation_lists_the_operators() -> None:
    text = (Path(__file__).parents[2] / "docs/encoders.md").read_text()
    listed = text.split("**Operators.**")[1].split("\n\n")[1]
    assert sorted(listed.replace("`", "").replace(",", "").split()) == sorted(OPERATORS)


def test_weights_elsewhere_are_recognised_in_any_encoding() -> None:
    """The same field with a length of another form, which a search for bytes does not find."""
    tensor = TensorProto(dims=[1], data_type=TensorProto.FLOAT, name="k")
    for encoded in (b"\x6a\x0a\x0a\x08location", b"\x6a\x8a\x00\x0a\x08location", b"\x70\x81\x00"):
        with pytest.raises(GraphError, match="lie in another file"):
            check_graph(_model_with(tensor.SerializeToString() + encoded))


def _model_with(initializer: bytes) -> bytes:
    graph = b"\x2a" + bytes([len(initializer)]) + initializer
    return b"\x3a" + bytes([len(graph)]) + graph


def test_constants_of_all_types_and_encodings_are_accepted() -> None:
    def change(model: ModelProto) -> None:
        for number, kind in enumerate((np.float16, np.float64, np.int8, np.int64, np.bool_)):
            model.graph.initializer.append(
                numpy_helper.from_array(np.zeros((2, 3), kind), f"raw{number}")
            )
        for typed in (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT32, TensorProto.UINT64):
            model.graph.initializer.append(
                helper.make_tensor(f"typed{typed}", typed, [3], [1, 2, 3])
            )
        model.graph.initializer.append(helper.make_tensor("empty", TensorProto.INT64, [0], []))

    check_graph(_changed(change))


@pytest.mark.parametrize("name", ENCODERS)
def test_the_synthetic_networks_are_allowed(name: str) -> None:
    check_graph(ENCODERS[name].onnx)


def test_the_trial_accepts_a_valid_network(tmp_path: Path) -> None:
    load_encoder(write_network(tmp_path, maps_network(), maps_card()))


def test_the_trial_reports_what_is_invalid(tmp_path: Path) -> None:
    card = maps_card(outputs=[NEAR, {**FAR, "stride": 4}])
    path = write_network(tmp_path, maps_network(), card)
    with pytest.raises(EncoderError, match=r"toy\.onnx: the output 'far' has .* correct them"):
        load_encoder(path)


def _of_gigabytes(model: ModelProto) -> None:
    """Expand one number to four gigabytes and add its sum to an output."""
    graph = model.graph
    graph.node[-1].output[0] = "small"
    graph.initializer.append(numpy_helper.from_array(np.array([2**30]), "many"))
    graph.initializer.append(numpy_helper.from_array(np.array([0]), "axis"))
    graph.node.extend(
        [
            helper.make_node("ReduceMax", ["small"], ["highest"], keepdims=0),
            helper.make_node("Expand", ["highest", "many"], ["large"]),
            helper.make_node("ReduceMean", ["large"], ["mean"], keepdims=0),
            helper.make_node("Add", ["small", "mean"], ["far"]),
        ]
    )


@pytest.mark.slow
def test_the_trial_of_a_network_of_gigabytes_ends_with_the_limit() -> None:
    with pytest.raises(EncoderError, match=r"takes more than 192 MiB of memory: give outputs"):
        try_network(_changed(_of_gigabytes), CARD)


@pytest.mark.slow
def test_the_trial_of_a_slow_network_ends_with_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(model: ModelProto) -> None:
        graph = model.graph
        graph.node[-1].output[0] = "t0_"
        side = numpy_helper.from_array(np.array([1500, 1500]), "side")
        graph.initializer.append(side)
        graph.node.append(helper.make_node("ReduceMax", ["t0_"], ["highest"], keepdims=0))
        graph.node.append(helper.make_node("Expand", ["highest", "side"], ["m0"]))
        for number in range(500):
            taken = [f"m{number}", f"m{number}"]
            graph.node.append(helper.make_node("MatMul", taken, [f"m{number + 1}"]))
        graph.node.append(helper.make_node("ReduceMean", ["m500"], ["mean"], keepdims=0))
        graph.node.append(helper.make_node("Add", ["t0_", "mean"], ["far"]))

    monkeypatch.setattr(network_trial, "PROCESSOR_S", 3)
    with pytest.raises(EncoderError, match="its trial took more than 3 s"):
        try_network(_changed(slow), CARD)


def test_a_trial_that_ends_the_process_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_trial, "MEMORY_BYTES", 0)
    monkeypatch.setattr(network_trial, "MEMORY_PER_BYTE", 0)
    with pytest.raises(EncoderError, match="its trial"):
        try_network(maps_network(), CARD)


def _reaching(reach: int, stride: int = 1) -> dict[str, Any]:
    return {"name": "map", "reach": reach, "stride": stride}


ENDLESS = {
    "reach": (wave_card() | {"outputs": [_reaching(10**7)]}, "has a reach of 625 s"),
    "stride": (wave_card() | {"outputs": [_reaching(400, 10**6)]}, "has a stride of 62.5 s"),
    "strides together": (
        wave_card()
        | {"outputs": [_reaching(400, 7919), {"name": "b", "reach": 400, "stride": 7907}]},
        "coincide every",
    ),
    "frames": (
        maps_card(
            input=maps_card()["input"] | {"hop": 1, "fft": 65_536}, outputs=[_reaching(9999)]
        ),
        "more than a computer for monitoring",
    ),
    "bands": (
        maps_card(input=maps_card()["input"] | {"bands": 1024, "fft": 65_536}),
        "more than a computer for monitoring",
    ),
    "outputs": (maps_card(outputs=[_reaching(1)] * 65), "more items"),
    "name": (maps_card(outputs=[_reaching(1) | {"name": "x" * 201}]), "too long"),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_a_card_that_would_take_much_memory_is_refused(name: str) -> None:
    values, reason = ENDLESS[name]
    with pytest.raises(CardError) as refused:
        card_from_values(values, "card")
    assert reason in str(refused.value)


def test_a_number_of_thousands_of_digits_is_refused() -> None:
    """Python refuses to write it as text."""
    values = wave_card() | {"input": {"kind": "waveform", "rate_hz": 16**5000}}
    with pytest.raises(CardError, match="this number is out of range"):
        card_from_values(values, "card")
