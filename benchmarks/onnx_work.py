"""What a network in the form of ONNX computes, read off the shapes of its graph."""

from __future__ import annotations

from math import lcm, prod
from typing import Any

import onnx
from onnx import numpy_helper, shape_inference

from asd_monitor.encoders.card import Card, LogMel
from asd_monitor.errors import UsageError


def parameters(network: bytes) -> int:
    """Return how many numbers it has learned: its constants of floating point."""
    return sum(prod(shape) for shape in weight_shapes(network))


def weight_shapes(network: bytes) -> list[tuple[int, ...]]:
    """Return the shapes of its constants of floating point."""
    graph = onnx.load_model_from_string(network).graph
    tensors = [*graph.initializer]
    for node in graph.node:
        if node.op_type == "Constant":
            tensors += [part.t for part in node.attribute if part.name == "value"]
    arrays = [numpy_helper.to_array(tensor) for tensor in tensors]
    return [array.shape for array in arrays if array.dtype.kind == "f"]


def multiply_adds_per_s(network: bytes, card: Card) -> float:
    """Return the multiplications of its convolutions and matrix products a second of sound.

    Of a network whose time axis is free, those of a stream without its beginning; of one that
    takes patches, all of each patch.  Raises UsageError as `multiply_adds`.
    """
    step_s = card.input.hop / card.input.rate_hz
    stride = lcm(*(output.stride for output in card.outputs))
    fixed = _fixed_steps(network, card)
    if fixed is not None:
        return multiply_adds(network, card, fixed) / (stride * step_s)
    # far enough in that every layer has begun, and whole strides from there on
    steps = stride * (1 + max(output.receptive_field for output in card.outputs) // stride)
    more = multiply_adds(network, card, 2 * steps) - multiply_adds(network, card, steps)
    return more / (steps * step_s)


def multiply_adds(network: bytes, card: Card, steps: int) -> int:
    """Return the multiplications for so many steps at once.

    Raises:
        UsageError: a shape in the graph depends on more than the number of steps.

    """
    model = onnx.load_model_from_string(network)
    [taken] = model.graph.input
    shape = taken.type.tensor_type.shape.dim
    if not shape[0].HasField("dim_value"):
        shape[0].dim_value = 1
    shape[_time_axis(card, len(shape))].dim_value = steps
    # what the exporter wrote down holds for any number of steps: here it is one
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    graph = shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        shapes[value.name] = tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
    return sum(_work(node, shapes) for node in graph.node)


def _work(node: Any, shapes: dict[str, tuple[int, ...]]) -> int:
    if node.op_type not in {"Conv", "MatMul", "Gemm"}:
        return 0
    names = (node.output[0], node.input[0], node.input[1])
    made, left, right = (shapes.get(name, ()) for name in names)
    if not made or not left or not right or 0 in (*made, *left, *right):
        raise UsageError(
            f"the shape of {node.output[0]} cannot be told from the graph: export the network "
            "with no sizes that are computed, but for the number of steps"
        )
    if node.op_type == "Conv":
        return prod(made) * prod(right[1:])
    transposed = any(part.name == "transA" and part.i for part in node.attribute)
    return prod(made) * left[0 if transposed else -1]


def _fixed_steps(network: bytes, card: Card) -> int | None:
    [taken] = onnx.load_model_from_string(network).graph.input
    shape = taken.type.tensor_type.shape.dim
    axis = shape[_time_axis(card, len(shape))]
    return int(axis.dim_value) if axis.HasField("dim_value") else None


def _time_axis(card: Card, rank: int) -> int:
    return rank - 2 if isinstance(card.input, LogMel) else rank - 1
