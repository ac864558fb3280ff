"""The structure of a network in ONNX format, checked before ONNX Runtime reads it.

ONNX is a protobuf message (onnx.proto of https://github.com/onnx/onnx; wire format:
https://protobuf.dev/programming-guides/encoding).  Read here are the parts that decide what a
network can do to the computer: its operators, where its constants lie, and how much memory they
take.  A field that occurs twice is checked each time, so it does not matter which one counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

MAX_NODES = 20_000
MAX_FIELDS = 2_000_000  # of protobuf; a network of a thousand nodes has thirty thousand
MAX_VARINT_CONSTANTS = 2**20
"""Integers stored as varints, together: one byte of the file becomes eight in memory."""

_NAMES = """
Abs Add And ArgMax ArgMin Attention AveragePool BatchNormalization BlackmanWindow Cast CastLike
Ceil Celu Clip Concat Constant ConstantOfShape Conv ConvInteger ConvTranspose Cos CumSum DFT
DepthToSpace DequantizeLinear Div Dropout DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand
Flatten Floor GRU Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalLpPool
GlobalMaxPool Greater GreaterOrEqual GroupNormalization HammingWindow HannWindow HardSigmoid
HardSwish Identity InstanceNormalization IsInf IsNaN LRN LSTM LayerNormalization LeakyRelu Less
LessOrEqual Log LogSoftmax LpNormalization LpPool MatMul MatMulInteger Max MaxPool Mean
MeanVarianceNormalization MelWeightMatrix Min Mish Mod Mul Neg Not Or PRelu Pad Pow QLinearConv
QLinearMatMul QuantizeLinear RMSNormalization RNN Range Reciprocal ReduceL1 ReduceL2
ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum
ReduceSumSquare Relu Reshape Resize RotaryEmbedding Round STFT ScatterElements ScatterND Selu
Shape Sigmoid Sign Sin Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub
Sum Swish Tanh ThresholdedRelu Tile TopK Transpose Trilu Unsqueeze Where Xor
"""

OPERATORS = frozenset(_NAMES.split())
"""Operators of ONNX itself (domain ``ai.onnx``) that common encoders are exported to.

Left out are those that run other graphs (If, Loop, Scan, SequenceMap), draw random numbers, hold
text, or are not defined by ONNX.
"""

Bytes = memoryview

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_GRAPHS = (6, 11)  # fields of an attribute: graphs
_SPARSE = (22, 23)  # fields of an attribute: sparse tensors
_TENSOR_SIZES = {  # bytes of an element by data type; the others cannot be constants of an encoder
    1: 4,  # float
    2: 1,  # uint8
    3: 1,  # int8
    4: 2,  # uint16
    5: 2,  # int16
    6: 4,  # int32
    7: 8,  # int64
    9: 1,  # bool
    10: 2,  # float16
    11: 8,  # double
    12: 4,  # uint32
    13: 8,  # uint64
    16: 2,  # bfloat16
}


class GraphError(Exception):
    """A network is malformed or not allowed; the message has the remedy."""


@dataclass(slots=True)
class _Totals:
    """What has been counted of a network."""

    fields: int = 0
    nodes: int = 0
    varints: int = 0


def check_graph(onnx: bytes) -> None:
    """Check operators and constants of a network.

    Raises GraphError where it is no network, where a constant lies in another file or is not as
    large as it declares, or where an operator is not allowed.
    """
    graphs = 0
    totals = _Totals()
    for number, value in _fields(Bytes(onnx), totals, {7: _BYTES, 8: _BYTES, 25: _BYTES}):
        if number == 7:
            graphs += 1
            _check_graph(_message(value), totals)
        elif number == 25:
            raise GraphError(
                "it defines functions of its own: export it with functions inlined "
                "(onnx.inliner.inline_local_functions)"
            )
    if graphs != 1:
        raise _malformed(f"{graphs} graphs")


def _check_graph(graph: Bytes, totals: _Totals) -> None:
    for number, value in _fields(graph, totals, {1: _BYTES, 5: _BYTES, 15: _BYTES}):
        if number == 1:
            totals.nodes += 1
            if totals.nodes > MAX_NODES:
                raise GraphError(f"it has more than {MAX_NODES} nodes: export a smaller network")
            _check_node(_message(value), totals)
        elif number == 5:
            _check_tensor(_message(value), totals)
        elif number == 15:
            raise _sparse()


def _check_node(node: Bytes, totals: _Totals) -> None:
    operators = 0
    for number, value in _fields(node, totals, {4: _BYTES, 5: _BYTES, 7: _BYTES}):
        if number == 4:
            operators += 1
            _check_operator(_text(value))
        elif number == 5:
            _check_attribute(_message(value), totals)
        elif number == 7 and _text(value) not in {"", "ai.onnx"}:
            raise GraphError(
                f"it uses operators of {_text(value)[:60]!r}: export it with operators of ONNX only"
            )
    if operators != 1:
        raise _malformed(f"a node with {operators} operators")


def _check_operator(name: str) -> None:
    if name not in OPERATORS:
        raise GraphError(
            f"it uses the operator {name[:60]!r}, which is not allowed (docs/encoders.md has the "
            "list): export it without"
        )


def _check_attribute(attribute: Bytes, totals: _Totals) -> None:
    taken = dict.fromkeys((5, 10, *_GRAPHS, *_SPARSE), _BYTES)
    for number, value in _fields(attribute, totals, taken, repeated={7: 4, 8: 0}):
        if number in {5, 10}:
            _check_tensor(_message(value), totals)
        elif number in _GRAPHS:
            raise GraphError("a node runs a graph of its own: export it without control flow")
        elif number in _SPARSE:
            raise _sparse()
        elif number == 8:
            totals.varints += _varint_count(value)
    _check_varints(totals)


def _check_tensor(tensor: Bytes, totals: _Totals) -> None:
    """Check that a constant lies in the file and is as large as its dimensions say."""
    dims: list[int] = []
    kinds: set[int] = set()
    stored: dict[str, int] = {}  # elements, by the way that they are stored
    raw = 0
    taken = {2: _VARINT, 6: _BYTES, 9: _BYTES, 13: _BYTES, 14: _VARINT}
    for number, value in _fields(
        tensor, totals, taken, repeated={1: 0, 4: 4, 5: 0, 7: 0, 10: 8, 11: 0}
    ):
        if number == 1:
            dims += _varints(value)
        elif number == 2:
            kinds.add(_number(value))
        elif number == 9:
            raw += len(_message(value))
        elif number == 13 or (number == 14 and _number(value)):
            raise GraphError(
                "its weights lie in another file: export it with all in one file "
                "(torch.onnx.export: external_data=False)"
            )
        elif number == 6:
            raise GraphError("it has constants of text: export it without")
        elif number == 4:
            stored["float"] = stored.get("float", 0) + _fixed_count(value, 4)
        elif number == 10:
            stored["double"] = stored.get("double", 0) + _fixed_count(value, 8)
        elif number in {5, 7, 11}:
            count = _varint_count(value)
            stored["integer"] = stored.get("integer", 0) + count
            totals.varints += count
    _check_varints(totals)
    _check_size(dims, kinds, stored, raw)


def _check_size(dims: list[int], kinds: set[int], stored: Mapping[str, int], raw: int) -> None:
    if len(kinds) != 1 or not kinds <= _TENSOR_SIZES.keys():
        raise _malformed("a constant of an unknown type")
    if len(dims) > 16 or any(axis >= 2**31 for axis in dims):
        raise _malformed("a constant of an unknown shape")
    elements = prod(dims)
    size = _TENSOR_SIZES[kinds.pop()]
    if raw and stored:
        raise _malformed("a constant that is stored twice")
    if (raw != elements * size) if not stored else (sum(stored.values()) != elements):
        raise _malformed(f"a constant that is not as large as its shape {dims}")


def _check_varints(totals: _Totals) -> None:
    if totals.varints > MAX_VARINT_CONSTANTS:
        raise GraphError(
            f"it has more than {MAX_VARINT_CONSTANTS} integers as constants: export it with "
            "constants as raw data"
        )


def _sparse() -> GraphError:
    return GraphError("it has sparse constants: export it with dense ones")


def _malformed(reason: str) -> GraphError:
    return GraphError(
        f"it cannot be read as a network in ONNX format ({reason}): export it again, with standard "
        "operators only"
    )


# ---------------------------------------------------------------- the wire format of protobuf

Value = int | memoryview


def _fields(
    message: Bytes,
    totals: _Totals,
    taken: Mapping[int, int],
    repeated: Mapping[int, int] | None = None,
) -> Iterator[tuple[int, Value]]:
    """Return number and value of the fields of a message; each field is well-formed.

    Args:
        message: the message.
        totals: counts the fields.
        taken: wire types of the known fields by number; another one is refused.
        repeated: fields of numbers, which can be packed; bytes of a number, 0 for a varint.

    """
    position, end = 0, len(message)
    repeated = repeated or {}
    while position < end:
        tag, position = _varint(message, position)
        number, kind = tag >> 3, tag & 7
        totals.fields += 1
        if totals.fields > MAX_FIELDS:
            raise _malformed(f"more than {MAX_FIELDS} fields")
        if not 0 < number < 2**29:
            raise _malformed("a field without number")
        value: Value
        if kind == _VARINT:
            value, position = _varint(message, position)
        elif kind in {_BYTES, _FIXED32, _FIXED64}:
            size = {_FIXED32: 4, _FIXED64: 8}.get(kind, 0)
            if kind == _BYTES:
                size, position = _varint(message, position)
            if size > end - position:
                raise _malformed("it ends too early")
            value = message[position : position + size]
            position += size
        else:
            raise _malformed("it is no protobuf")
        if number in taken and taken[number] != kind:
            raise _malformed("a field of another type")
        if number in repeated:
            unpacked = {0: _VARINT, 4: _FIXED32, 8: _FIXED64}[repeated[number]]
            if kind not in {_BYTES, unpacked}:
                raise _malformed("a field of another type")
        yield number, value


def _varint(message: Bytes, position: int) -> tuple[int, int]:
    """Return the number at a position and the position after it; at most ten bytes, 64 bits."""
    value = 0
    for index, byte in enumerate(message[position : position + 10]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value & (2**64 - 1), position + index + 1
    raise _malformed("it ends too early")


def _varints(value: Value) -> list[int]:
    """Return the numbers of a repeated field, packed or not; a shape has few."""
    if isinstance(value, int):
        return [value]
    if len(value) > 200:
        raise _malformed("a constant of an unknown shape")
    numbers, position = [], 0
    while position < len(value):
        number, position = _varint(value, position)
        numbers.append(number)
    return numbers


def _varint_count(value: Value) -> int:
    """Return how many numbers a repeated field has; each ends with a byte below 128."""
    if isinstance(value, int):
        return 1
    return int(np.count_nonzero(np.frombuffer(value, np.uint8) < 0x80))


def _fixed_count(value: Value, size: int) -> int:
    if isinstance(value, int) or len(value) % size:
        raise _malformed("a constant of another type")
    return len(value) // size


def _message(value: Value) -> Bytes:
    if isinstance(value, int):
        raise _malformed("a field of another type")
    return value


def _number(value: Value) -> int:
    if not isinstance(value, int):
        raise _malformed("a field of another type")
    return value


def _text(value: Value) -> str:
    return bytes(_message(value)[:200]).decode(errors="replace")
