"""A trained network → ONNX with its card, checked against what torch computes; and back."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Sequence

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from typing_extensions import override

from asd_monitor.encoder_training.network import (
    PRE_MEAN,
    PRE_SCALE,
    Layer,
    Network,
    ZeroSumConv,
)
from asd_monitor.encoder_training.sound_supply import BANDS, FRAME, HOP, RATE_HZ
from asd_monitor.encoders.card import Card, CardView, LogMel, Output
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.session import EncoderError
from asd_monitor.errors import OperationError, UsageError
from asd_monitor.features.mel_spectrogram import LOG_FLOOR

OPSET = 18
TOLERANCE = 1e-3
INPUT = LogMel(
    kind="log_mel",
    rate_hz=RATE_HZ,
    frame=FRAME,
    fft=FRAME,
    hop=HOP,
    bands=BANDS,
    low_hz=0.0,
    high_hz=RATE_HZ / 2,
    mel="slaney",
    area=True,
    power=2,
    log="log10",
    floor=LOG_FLOOR,
    mean=PRE_MEAN,
    scale=PRE_SCALE,
)


class _Tapped(nn.Module):
    """The network with the maps of some of its taps only."""

    def __init__(self, network: Network, taps: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        self._which = [network.taps.index(tap) for tap in taps]

    @override
    def forward(self, log_mel: Tensor) -> tuple[Tensor, ...]:
        maps = self.network(log_mel)
        return tuple(maps[index] for index in self._which)


def encoder_of(
    network: Network, views: Sequence[CardView], name: str = "encoder", licence: str = "Apache-2.0"
) -> Encoder:
    """Return the network as it is used without torch, with the maps that the views want.

    A view names its maps ``maps1``, ``maps2`` …, by the layer.

    Raises:
        OperationError: what ONNX Runtime computes differs from what torch computes.

    """
    wanted = {output for view in views for output in view.outputs}
    taps = [tap for tap in network.taps if map_name(tap) in wanted]
    card = Card(
        name=name,
        licence=licence,
        input=INPUT,
        outputs=tuple(
            Output(name=map_name(tap), reach=network.reach(tap), stride=network.stride(tap))
            for tap in taps
        ),
        views=tuple(views),
    )
    folded = _folded(network)
    exported = _onnx(_Tapped(folded, taps).eval(), [map_name(tap) for tap in taps])
    encoder = Encoder.from_bytes(exported, card)
    if not _alike(encoder, _Tapped(network, taps).eval()):
        raise OperationError(
            "the exported network does not compute what the trained one does: "
            "install the versions of torch and onnx that constraints.txt names"
        )
    return encoder


def network_of(encoder: Encoder) -> Network:
    """Return the network of an encoder that `encoder_of` made, to train it further.

    Its normalisations stay part of its filters, which have biases instead; its layers end
    with the deepest map that it gives.

    Raises:
        UsageError: another network than ours.

    """
    try:
        with torch.random.fork_rng(devices=[]):  # layers draw weights, which are thrown away
            network = _rebuilt(encoder)
        taps = [tap for tap in network.taps if map_name(tap) in _outputs(encoder)]
        ours = encoder.card.input == INPUT and _alike(encoder, _Tapped(network, taps))
    except (KeyError, ValueError, RuntimeError, EncoderError):  # its layers are not like ours
        ours = False
    if not ours:
        raise UsageError(
            f"the network {encoder.name} is none that can be trained further: give one that "
            "`asd-monitor pretrain` made, or leave the training out"
        )
    return network.eval()


def _outputs(encoder: Encoder) -> list[str]:
    return [output.name for output in encoder.card.outputs]


def _rebuilt(encoder: Encoder) -> Network:
    graph = onnx.load_from_string(encoder.onnx).graph
    weights = {each.name: torch.tensor(numpy_helper.to_array(each)) for each in graph.initializer}
    strides = {
        node.input[1]: next(tuple(a.ints) for a in node.attribute if a.name == "strides")
        for node in graph.node
        if node.op_type == "Conv"
    }
    layers: list[Layer] = []
    blocks: list[nn.Sequential] = []
    while (first := f"network.blocks.{len(layers)}.0.weight") in weights:
        channels, _, high, wide = weights[first].shape
        reach, stride = (high, wide), strides[first]
        convolutions: list[nn.Conv2d] = []
        if not layers:
            convolutions = [ZeroSumConv(1, channels, reach, stride)]
        else:
            deep = len(weights[f"network.blocks.{len(layers)}.1.weight"])
            convolutions = [
                nn.Conv2d(channels, channels, reach, stride, groups=channels),
                nn.Conv2d(channels, deep, 1),
            ]
            channels = deep
        for number, convolution in enumerate(convolutions):
            name = f"network.blocks.{len(layers)}.{number}"
            convolution.weight = nn.Parameter(weights[f"{name}.weight"])
            convolution.bias = nn.Parameter(weights[f"{name}.bias"])
        layers.append(Layer(reach, (stride[0], stride[1]), channels))
        blocks.append(nn.Sequential(*convolutions, nn.ReLU()))
    taps = tuple(n for n in range(len(layers)) if map_name(n) in _outputs(encoder))
    network = Network(tuple(layers), taps)
    network.blocks = nn.ModuleList(blocks)
    return network


def map_name(tap: int) -> str:
    """Return what the map of a layer is called in a card."""
    return f"maps{tap}"


def _folded(network: Network) -> Network:
    """Return a copy whose normalisations and sums to zero are part of its filters."""
    network = copy.deepcopy(network).cpu().eval()
    for block in network.blocks:
        assert isinstance(block, nn.Sequential)  # noqa: S101 - as Network builds them
        layers: list[nn.Module] = []
        for layer in block:
            if isinstance(layer, ZeroSumConv):
                weight = layer.zero_sum_weight().detach()
                high, wide = weight.shape[2:]
                down, along = layer.stride
                plain = nn.Conv2d(1, len(weight), (high, wide), (down, along), bias=False)
                plain.weight = nn.Parameter(weight)
                plain.bias = layer.bias  # a network that was read back has one
                layers.append(plain.eval())
            elif isinstance(layer, nn.BatchNorm2d):
                before = layers.pop()
                assert isinstance(before, nn.Conv2d)  # noqa: S101 - as Network builds them
                layers.append(fuse_conv_bn_eval(before, layer))
            else:
                layers.append(layer)
        for index in range(len(block) - 1, -1, -1):
            del block[index]
        for layer in layers:
            block.append(layer)
    return network


def _onnx(network: nn.Module, outputs: list[str]) -> bytes:
    batch = torch.export.Dim("batch", min=1, max=10_000)
    time = torch.export.Dim("steps", min=16, max=10_000_000)
    # they tell of each pass, and miss what they do not need
    for name in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own, about itself
        program = torch.onnx.export(
            network,
            (torch.zeros(2, 300, BANDS),),
            input_names=["log_mel"],
            output_names=outputs,
            dynamic_shapes=({0: batch, 1: time},),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
            external_data=False,
        )
        assert program is not None  # noqa: S101 - as torch says of dynamo=True
        model = program.model_proto
    # where in this computer's folders each operation was written down is nobody's business
    for part in (model, model.graph, *model.graph.node, *model.graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        value.ClearField("metadata_props")
    exported: bytes = model.SerializeToString()
    return exported


def _alike(encoder: Encoder, network: nn.Module) -> bool:
    """Tell whether the encoder computes what torch computes.  Raises EncoderError."""
    layout, names = encoder.open(), _outputs(encoder)
    for steps in (80, 333):
        x = torch.randn(1, steps, BANDS, generator=torch.Generator().manual_seed(steps))
        with torch.no_grad():
            expected = [maps[0].numpy() for maps in network.cpu()(x)]
        found = encoder.network.run(layout, names, x.numpy())
        for one, other in zip(found, expected, strict=True):
            if one.shape != other.shape or not np.allclose(one, other, atol=TOLERANCE):
                return False
    return True
