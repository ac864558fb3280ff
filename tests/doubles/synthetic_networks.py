"""Small ONNX networks with weights drawn from a seed, and their cards."""

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from onnx import TensorProto, helper, numpy_helper

from asd_monitor.encoders.card import card_from_values
from asd_monitor.encoders.encoder import Encoder

BANDS = 16
REACH, STRIDE = 13, 4
DEEP_REACH, DEEP_STRIDE = 29, 8
CHANNELS = 5


def _weights(name: str, seed: int, *shape: int) -> Any:
    values = np.random.default_rng(seed).normal(size=shape) / np.sqrt(np.prod(shape[1:]))
    return numpy_helper.from_array(values.astype(np.float32), name)


def _model(nodes: list[Any], weights: list[Any], taken: Any, names: list[str]) -> bytes:
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names]
    graph = helper.make_graph(nodes, "synthetic", [taken], outputs, weights)
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    return bytes(model.SerializeToString())


def _as_frames(source: str, name: str) -> list[Any]:
    """(batch, channels, frames, 1) → (batch, frames, channels)."""
    return [
        helper.make_node("Squeeze", [source, "last"], [f"{name}_3"]),
        helper.make_node("Transpose", [f"{name}_3"], [name], perm=[0, 2, 1]),
    ]


def maps_network(
    seed: int = 0,
    *,
    padding: tuple[int, int] = (0, 0),
    steps: Any = "steps",
    bands: int = BANDS,
    rank: int = 3,
    strides: tuple[int, int] = (STRIDE, DEEP_STRIDE),
    batch: Any = "batch",
) -> bytes:
    """Return a network with two outputs, `near` and `far`, of log-mel steps.

    Two convolutions along time; with ``padding`` the outputs depend on where the sound is cut.
    """
    shape = [batch, steps, bands] if rank == 3 else [1, 1, steps, bands]
    taken = helper.make_tensor_value_info("log_mel", TensorProto.FLOAT, shape)
    nodes = [helper.make_node("Unsqueeze", ["log_mel", "one"], ["image"])] if rank == 3 else []
    nodes += [
        helper.make_node(
            "Conv",
            ["image" if rank == 3 else "log_mel", "w0"],
            ["c0"],
            strides=[strides[0], 1],
            pads=[padding[0], 0, padding[1], 0],
        ),
        helper.make_node("Tanh", ["c0"], ["t0"]),
        *_as_frames("t0", "near"),
        helper.make_node("Conv", ["t0", "w1"], ["c1"], strides=[strides[1] // strides[0], 1]),
        helper.make_node("Tanh", ["c1"], ["t1"]),
        *_as_frames("t1", "far"),
    ]
    weights = [
        _weights("w0", seed, CHANNELS, 1, REACH, bands),
        _weights("w1", seed + 1, 2 * CHANNELS, CHANNELS, (DEEP_REACH - REACH) // STRIDE + 1, 1),
        numpy_helper.from_array(np.array([1]), "one"),
        numpy_helper.from_array(np.array([3]), "last"),
    ]
    return _model(nodes, weights, taken, ["near", "far"])


def patch_network(seed: int = 0, *, steps: int = 24, bands: int = BANDS, batch: Any = 1) -> bytes:
    """Return a network with a time axis of fixed length: one vector per patch of log-mel steps."""
    taken = helper.make_tensor_value_info("patch", TensorProto.FLOAT, [batch, steps, bands])
    nodes = [
        helper.make_node("MatMul", ["patch", "w"], ["m"]),
        helper.make_node("Tanh", ["m"], ["t"]),
        helper.make_node("ReduceMean", ["t"], ["embedding"], axes=[1], keepdims=0),
    ]
    return _model(nodes, [_weights("w", seed, bands, CHANNELS)], taken, ["embedding"])


def wave_network(seed: int = 0, *, reach: int = 400, stride: int = 160) -> bytes:
    """Return a network with one output, a convolution of the samples."""
    taken = helper.make_tensor_value_info("wave", TensorProto.FLOAT, [1, "samples"])
    nodes = [
        helper.make_node("Unsqueeze", ["wave", "one"], ["line"]),
        helper.make_node("Conv", ["line", "w"], ["c"], strides=[stride]),
        helper.make_node("Tanh", ["c"], ["t"]),
        helper.make_node("Transpose", ["t"], ["map"], perm=[0, 2, 1]),
    ]
    weights = [
        _weights("w", seed, CHANNELS, 1, reach),
        numpy_helper.from_array(np.array([1]), "one"),
    ]
    return _model(nodes, weights, taken, ["map"])


LOG_MEL: dict[str, Any] = {
    "kind": "log_mel",
    "rate_hz": 16_000,
    "frame": 400,
    "fft": 512,
    "hop": 160,
    "bands": BANDS,
    "low_hz": 125,
    "high_hz": 7500,
    "mel": "htk",
    "area": False,
    "power": 1,
    "log": "ln",
    "offset": 0.001,
}
NEAR = {"name": "near", "reach": REACH, "stride": STRIDE}
FAR = {"name": "far", "reach": DEEP_REACH, "stride": DEEP_STRIDE}


def maps_card(name: str = "toy", **changes: Any) -> dict[str, Any]:
    """Return the card of `maps_network`."""
    return {
        "name": name,
        "licence": "CC0-1.0",
        "input": dict(LOG_MEL),
        "outputs": [dict(NEAR), dict(FAR)],
    } | changes


def patch_card(name: str = "patchy", *, reach: int = 24, stride: int = 12) -> dict[str, Any]:
    """Return the card of `patch_network`."""
    outputs = [{"name": "embedding", "reach": reach, "stride": stride}]
    return {"name": name, "licence": "CC0-1.0", "input": dict(LOG_MEL), "outputs": outputs}


def wave_card(name: str = "wavy") -> dict[str, Any]:
    """Return the card of `wave_network`."""
    return {
        "name": name,
        "licence": "CC0-1.0",
        "input": {"kind": "waveform", "rate_hz": 16_000},
        "outputs": [{"name": "map", "reach": 400, "stride": 160}],
    }


def write_network(folder: Path, network: bytes, card: dict[str, Any]) -> Path:
    """Write a network with its card beside it and return its path."""
    path = folder / f"{card['name']}.onnx"
    path.write_bytes(network)
    path.with_suffix(".yaml").write_text(yaml.safe_dump(card))
    return path


def build_encoder(onnx: bytes, card: dict[str, Any]) -> Encoder:
    """Return an encoder of ONNX bytes and the values of a card."""
    return Encoder.from_bytes(onnx, card_from_values(card, "card"))


def front_end_encoder(*, batch: Any = "batch") -> Encoder:
    """Return an encoder whose steps are the front end's log-mel frames at 16 kHz."""
    frames = LOG_MEL | {
        "frame": 1024,
        "fft": 1024,
        "hop": 512,
        "bands": 128,
        "low_hz": 0.0,
        "high_hz": 8000.0,
        "mel": "slaney",
        "area": True,
        "power": 2,
        "log": "log10",
        "floor": 1e-10,
        "offset": 0.0,
        "mean": -4.0,
        "scale": 1.5,
    }
    near = {"name": "near", "reach": REACH, "stride": 1}
    far = {"name": "far", "reach": REACH + (DEEP_REACH - REACH) // STRIDE, "stride": 1}
    card = maps_card("frames", input=frames, outputs=[near, far], views=POOLED)
    return build_encoder(maps_network(bands=128, strides=(1, 1), batch=batch), card)


POOLED = [{"name": "pooled", "outputs": ["far", "near"], "pool": ["mean", "spread", "maximum"]}]
ENCODERS = {
    "maps": build_encoder(maps_network(), maps_card(views=POOLED)),
    "one map of rank four": build_encoder(maps_network(rank=4), maps_card()),
    "patches one by one": build_encoder(patch_network(), patch_card()),
    "patches together": build_encoder(patch_network(batch="batch"), patch_card(stride=5)),
    "patches with gaps": build_encoder(patch_network(), patch_card(stride=30)),
    "waveform": build_encoder(wave_network(), wave_card()),
    "the front end's frames": front_end_encoder(),
    "the front end's frames, one by one": front_end_encoder(batch=1),
}
