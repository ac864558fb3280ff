"""Operations and size of an ONNX network, from the shapes of its graph."""

from __future__ import annotations

from math import lcm, prod
from typing import Any

import onnx
from onnx import numpy_helper, shape_inference

from asd_monitor.encoders.card import Card, LogMel
from asd_monitor.errors import UsageError


def parameters(network: bytes) -> int:
    """Return the number of trained weights: the floating-point constants."""
    return sum(prod(shape) for shape in weight_shapes(network))


def weight_shapes(network: bytes) -> list[tuple[int, ...]]:
    """Return the shapes of the floating-point constants."""
    graph = onnx.load_model_from_string(network).graph
    tensors = [*graph.initializer]
    for node in graph.node:
        if node.op_type == "Constant":
            tensors += [part.t for part in node.attribute if part.name == "value"]
    arrays = [numpy_helper.to_array(tensor) for tensor in tensors]
    return [array.shape for array in arrays if array.dtype.kind == "f"]


def multiply_adds_per_s(network: bytes, card: Card) -> float:
    """Return the multiplications of convolutions and matrix products per second of sound.

    For a free time axis they are those of a stream without its begin; for patches, all of each
    patch.  Raises UsageError as `multiply_adds`.
    """
    step_s = card.input.hop / card.input.rate_hz
    stride = lcm(*(output.stride for output in card.outputs))
    fixed = _fixed_steps(network, card)
    if fixed is not None:
        return multiply_adds(network, card, fixed) / (stride * step_s)
    # beyond the receptive field of every layer, in whole strides
    steps = stride * (1 + max(output.receptive_field for output in card.outputs) // stride)
    more = multiply_adds(network, card, 2 * steps) - multiply_adds(network, card, steps)
    return more / (steps * step_s)


def multiply_adds(network: bytes, card: Card, steps: int) -> int:
    """Return the multiplications for so many input steps.

    Raises:
        UsageError: a shape in the graph depends on more than the number of steps.

    """
    model = onnx.load_model_from_string(network)
    [model_input] = model.graph.input
    shape = model_input.type.tensor_type.shape.dim
    if not shape[0].HasField("dim_value"):
        shape[0].dim_value = 1
    shape[_time_axis(card, len(shape))].dim_value = steps
    # the exporter's shapes are of any number of steps
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
    product, left, right = (shapes.get(name, ()) for name in names)
    if not product or not left or not right or 0 in (*product, *left, *right):
        raise UsageError(
            f"the shape of {node.output[0]} cannot be inferred from the graph: export the network "
            "without computed sizes other than the number of steps"
        )
    if node.op_type == "Conv":
        return prod(product) * prod(right[1:])
    transposed = any(part.name == "transA" and part.i for part in node.attribute)
    return prod(product) * left[0 if transposed else -1]


def _fixed_steps(network: bytes, card: Card) -> int | None:
    [model_input] = onnx.load_model_from_string(network).graph.input
    shape = model_input.type.tensor_type.shape.dim
    axis = shape[_time_axis(card, len(shape))]
    return int(axis.dim_value) if axis.HasField("dim_value") else None


def _time_axis(card: Card, rank: int) -> int:
    return rank - 2 if isinstance(card.input, LogMel) else rank - 1
