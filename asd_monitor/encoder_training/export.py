"""Conversion of a trained network to ONNX with a card, verified against torch, and back."""

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

from asd_monitor.dsp.spectrogram import LOG_FLOOR
from asd_monitor.encoder_training.log_mel_frames import BANDS, FRAME, HOP, RATE_HZ
from asd_monitor.encoder_training.network import (
    INPUT_MEAN,
    INPUT_SCALE,
    Layer,
    Network,
    ZeroSumConv,
)
from asd_monitor.encoders.card import Card, CardView, LogMel, Output
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.session import EncoderError
from asd_monitor.errors import OperationError, UsageError

OPSET = 18
TOLERANCE = 1e-3  # of the maps
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
    mean=INPUT_MEAN,
    scale=INPUT_SCALE,
)


class _Tapped(nn.Module):
    """A network that returns the maps of some of its taps."""

    def __init__(self, network: Network, taps: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        self._indices = [network.taps.index(tap) for tap in taps]

    @override
    def forward(self, log_mel: Tensor) -> tuple[Tensor, ...]:
        maps = self.network(log_mel)
        return tuple(maps[index] for index in self._indices)


def export_encoder(
    network: Network, views: Sequence[CardView], name: str = "encoder", licence: str = "Apache-2.0"
) -> Encoder:
    """Return the network as an encoder for ONNX Runtime, with the maps that the views use.

    Views refer to the map of layer 1 as ``maps1``, and so on.

    Raises:
        OperationError: ONNX Runtime computes other maps than torch.

    """
    used = {output for view in views for output in view.outputs}
    taps = [tap for tap in network.taps if map_name(tap) in used]
    card = Card(
        name=name,
        licence=licence,
        input=INPUT,
        outputs=tuple(
            Output(
                name=map_name(tap),
                reach=network.receptive_field(tap),
                stride=network.stride(tap),
            )
            for tap in taps
        ),
        views=tuple(views),
    )
    folded = fold_batch_norm(network)
    exported = _onnx(_Tapped(folded, taps).eval(), [map_name(tap) for tap in taps])
    encoder = Encoder.from_bytes(exported, card)
    if not computes_same_maps(encoder, _Tapped(network, taps).eval()):
        raise OperationError(
            "the exported network computes other maps than the trained one: "
            "install the versions of torch and onnx that constraints.txt names"
        )
    return encoder


def import_network(encoder: Encoder) -> Network:
    """Return the network of an encoder of `export_encoder`, to train it further.

    Batch normalisation remains folded into the convolutions, which have biases.  The layers
    after the deepest map that the encoder returns are missing.

    Raises:
        UsageError: the encoder has another architecture or input.

    """
    try:
        with torch.random.fork_rng(devices=[]):  # layers draw initial weights, which are replaced
            network = _rebuild(encoder)
        taps = [tap for tap in network.taps if map_name(tap) in _outputs(encoder)]
        known = encoder.card.input == INPUT and computes_same_maps(encoder, _Tapped(network, taps))
    except (KeyError, ValueError, RuntimeError, EncoderError):  # another architecture
        known = False
    if not known:
        raise UsageError(
            f"the encoder {encoder.name} cannot be trained further: use one of "
            "`asd-monitor pretrain`, or leave the training out"
        )
    return network.eval()


def _outputs(encoder: Encoder) -> list[str]:
    return [output.name for output in encoder.card.outputs]


def _rebuild(encoder: Encoder) -> Network:
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
        channels, _, frames, bands = weights[first].shape
        kernel, stride = (frames, bands), strides[first]
        convolutions: list[nn.Conv2d] = []
        if not layers:
            convolutions = [ZeroSumConv(1, channels, kernel, stride)]
        else:
            width = len(weights[f"network.blocks.{len(layers)}.1.weight"])
            convolutions = [
                nn.Conv2d(channels, channels, kernel, stride, groups=channels),
                nn.Conv2d(channels, width, 1),
            ]
            channels = width
        for number, convolution in enumerate(convolutions):
            name = f"network.blocks.{len(layers)}.{number}"
            convolution.weight = nn.Parameter(weights[f"{name}.weight"])
            convolution.bias = nn.Parameter(weights[f"{name}.bias"])
        layers.append(Layer(kernel, (stride[0], stride[1]), channels))
        blocks.append(nn.Sequential(*convolutions, nn.ReLU()))
    taps = tuple(n for n in range(len(layers)) if map_name(n) in _outputs(encoder))
    network = Network(tuple(layers), taps)
    network.blocks = nn.ModuleList(blocks)
    return network


def map_name(tap: int) -> str:
    """Return the name of a layer's map in a card."""
    return f"maps{tap}"


def fold_batch_norm(network: Network) -> Network:
    """Return a copy with batch normalisation and zero sums folded into plain convolutions."""
    network = copy.deepcopy(network).cpu().eval()
    for block in network.blocks:
        assert isinstance(block, nn.Sequential)  # noqa: S101 - as Network builds them
        layers: list[nn.Module] = []
        for layer in block:
            if isinstance(layer, ZeroSumConv):
                weight = layer.zero_sum_weight().detach()
                frames, bands = weight.shape[2:]
                in_time, in_frequency = layer.stride
                plain = nn.Conv2d(
                    1, len(weight), (frames, bands), (in_time, in_frequency), bias=False
                )
                plain.weight = nn.Parameter(weight)
                plain.bias = layer.bias  # an imported network has one
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
    # they log each pass, and warn of optional packages that are missing
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
        assert program is not None  # noqa: S101 - so documented for dynamo=True
        model = program.model_proto
    # the exporter stores paths of this computer in the metadata
    for part in (model, model.graph, *model.graph.node, *model.graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        value.ClearField("metadata_props")
    exported: bytes = model.SerializeToString()
    return exported


def computes_same_maps(encoder: Encoder, network: nn.Module) -> bool:
    """Return whether ONNX Runtime computes the maps that torch does.  Raises EncoderError."""
    layout, names = encoder.open(), _outputs(encoder)
    for frames in (80, 333):
        x = torch.randn(1, frames, BANDS, generator=torch.Generator().manual_seed(frames))
        with torch.no_grad():
            expected = [maps[0].numpy() for maps in network.cpu()(x)]
        found = encoder.network.run(layout, names, x.numpy())
        for one, other in zip(found, expected, strict=True):
            if one.shape != other.shape or not np.allclose(one, other, atol=TOLERANCE):
                return False
    return True
