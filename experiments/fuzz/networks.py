"""Networks of unknown origin, tried as `train --encoder` tries them.

A case changes operators, attributes, constants, connections or bytes of a small valid network.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import yaml
from onnx import AttributeProto, ModelProto, TensorProto, helper, load_from_string, numpy_helper

from asd_monitor.encoders.encoder_loading import parse_card
from asd_monitor.encoders.network_trial import try_network
from asd_monitor.encoders.onnx_graph import OPERATORS
from asd_monitor.encoders.session import EncoderError
from experiments.fuzz.bundles import change_bytes, shipped

_INTEGERS = (0, 1, -1, 2, 3, 7, 64, 1000, 10**5, 10**7, 10**9, 2**31, 2**40, 2**62, -(2**63))
_OTHER_OPERATORS = ("Loop", "If", "Scan", "RandomNormal", "StringConcat", "Optional", "Unknown")


class StrangeNetworks:
    """Networks, validated in a child process with its own limits."""

    name = "networks"

    def prepare(self) -> None:
        """Find the shipped network."""
        shipped()

    def write_case(self, rng: np.random.Generator, folder: Path) -> str:
        """Write a changed network and its card."""
        onnx, card = shipped().onnx, shipped().card
        (folder / "card.yaml").write_text(yaml.safe_dump(card.to_json()))
        if rng.random() < 0.3:
            (folder / "network.onnx").write_bytes(change_bytes(rng, onnx))
            return "bytes"
        model = load_from_string(onnx)
        changes = [_CHANGES[rng.integers(len(_CHANGES))] for _ in range(rng.integers(1, 4))]
        for change in changes:
            change(rng, model)
        (folder / "network.onnx").write_bytes(model.SerializeToString())
        return ", ".join(change.__name__.strip("_").replace("_", " ") for change in changes)

    def run_case(self, folder: Path) -> str:
        """Try it."""
        card = parse_card((folder / "card.yaml").read_bytes(), "card.yaml")
        try:
            try_network((folder / "network.onnx").read_bytes(), card)
        except EncoderError as error:
            if "\n" in str(error) or len(str(error)) > 1000:
                raise AssertionError(f"not one line: {str(error)[:2000]!r}") from error
            if "Traceback" in str(error) or "Error:" in str(error).split("(")[0]:
                raise AssertionError(str(error)) from error
            return "refused"
        return "used"


def _integer(rng: np.random.Generator) -> int:
    return _INTEGERS[rng.integers(len(_INTEGERS))]


def _another_operator(rng: np.random.Generator, model: ModelProto) -> None:
    node = model.graph.node[rng.integers(len(model.graph.node))]
    names = sorted(OPERATORS) if rng.random() < 0.8 else _OTHER_OPERATORS
    node.op_type = names[rng.integers(len(names))]


def _another_attribute(rng: np.random.Generator, model: ModelProto) -> None:
    nodes = [node for node in model.graph.node if node.attribute]
    node = nodes[rng.integers(len(nodes))]
    attribute = node.attribute[rng.integers(len(node.attribute))]
    if attribute.type == AttributeProto.INTS and attribute.ints:
        attribute.ints[rng.integers(len(attribute.ints))] = min(_integer(rng), 2**63 - 1)
    else:
        attribute.i, attribute.type = _integer(rng), AttributeProto.INT


def _another_integer(rng: np.random.Generator, model: ModelProto) -> None:
    """Change a constant of sizes or axes."""
    tensors = [t for t in model.graph.initializer if t.data_type == TensorProto.INT64] or [
        model.graph.initializer[0]
    ]
    tensor = tensors[rng.integers(len(tensors))]
    place = 8 * int(rng.integers(max(1, len(tensor.raw_data) // 8)))
    value = _integer(rng).to_bytes(8, "little", signed=True)
    tensor.raw_data = tensor.raw_data[:place] + value + tensor.raw_data[place + 8 :]


def _another_constant(rng: np.random.Generator, model: ModelProto) -> None:
    tensor = model.graph.initializer[rng.integers(len(model.graph.initializer))]
    match rng.integers(4):
        case 0:
            tensor.dims.append(_integer(rng))
        case 1:
            tensor.data_type = int(rng.integers(24))
        case 2:
            tensor.raw_data = tensor.raw_data[: rng.integers(len(tensor.raw_data) + 1)]
        case _:
            size = tuple(int(n) for n in rng.integers(1, 40, rng.integers(4)))
            values = rng.normal(size=size).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _another_connection(rng: np.random.Generator, model: ModelProto) -> None:
    one, other = (
        model.graph.node[rng.integers(len(model.graph.node))],
        model.graph.node[rng.integers(len(model.graph.node))],
    )
    if one.input:
        one.input[rng.integers(len(one.input))] = other.output[0]


def _expansion(rng: np.random.Generator, model: ModelProto) -> None:
    """Let a step take much memory or time: expand, tile or pad an output by a constant."""
    graph = model.graph
    last = graph.node[-1]
    name, last.output[0] = last.output[0], "before"
    size = int(10 ** rng.uniform(1, 11))
    number = len(graph.node)
    graph.initializer.append(numpy_helper.from_array(np.array([size]), f"size{number}"))
    graph.initializer.append(numpy_helper.from_array(np.array([side := size % 4000, side]), "side"))
    nodes = [
        helper.make_node("ReduceMax", ["before"], ["one"], keepdims=0),
        helper.make_node("Expand", ["one", f"size{number}"], ["large"]),
        helper.make_node("Expand", ["one", "side"], ["square"]),
        helper.make_node("MatMul", ["square", "square"], ["product"]),
        helper.make_node("ReduceMean", ["large"], ["mean"], keepdims=0),
        helper.make_node("ReduceMean", ["product"], ["mean2"], keepdims=0),
        helper.make_node("Sum", ["before", "mean", "mean2"], [name]),
    ]
    graph.node.extend(nodes)


def _another_input(rng: np.random.Generator, model: ModelProto) -> None:
    shape = model.graph.input[0].type.tensor_type.shape
    shape.dim[rng.integers(len(shape.dim))].dim_value = _integer(rng)


_Change = Callable[[np.random.Generator, ModelProto], None]
_CHANGES: tuple[_Change, ...] = (
    _another_operator,
    _another_attribute,
    _another_attribute,
    _another_integer,
    _another_integer,
    _another_constant,
    _another_connection,
    _expansion,
    _another_input,
)
