"""The encoder's network: convolutions from a log-mel spectrogram to feature maps.

Axes: B windows, T frames, F mel bands (128), C channels.

- The kernels of the first layer sum to zero.  A gain adds a constant to every logarithm and so
  does not change the maps: the encoder is invariant to level.
- No padding: in time, so that a stream has the same maps as a recording; in frequency, since
  beyond the edge there is no silence.
- Depthwise separable convolutions: Howard et al., "MobileNets", arXiv 1704.04861, §3.1.
- Views use the maps of intermediate layers, which are local in time and frequency.  Training
  pools each over the window as mean, standard deviation and maximum; a mean alone averages out
  a short impact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from typing_extensions import override

from asd_monitor.encoder_training.log_mel_frames import BANDS

INPUT_MEAN, INPUT_SCALE = -4.0, 1.5
"""Normalisation of the input: about the mean and standard deviation of the training data."""

FREQUENCY_GROUPS = 4
STATISTICS = 3  # mean, standard deviation, maximum
EMBEDDING = 128


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution: kernel and stride as (frames, bands), and the output channels."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    channels: int


LAYERS = (
    Layer((2, 12), (1, 4), 24),
    Layer((3, 3), (1, 2), 64),
    Layer((3, 3), (1, 1), 96),
)
TAPS = (1, 2)  # numbers of the layers whose maps the network returns


class ZeroSumConv(nn.Conv2d):
    """A convolution whose kernels sum to zero: a constant added to the input has no effect."""

    @override
    def forward(self, input: Tensor) -> Tensor:
        return nn.functional.conv2d(input, self.zero_sum_weight(), self.bias, self.stride)

    def zero_sum_weight(self) -> Tensor:
        """Return the kernels without their means."""
        return self.weight - self.weight.mean(dim=(1, 2, 3), keepdim=True)


class Network(nn.Module):
    """Log-mel (B, T, F), normalised → maps of the tapped layers, each (B, t, groups × C)."""

    def __init__(self, layers: tuple[Layer, ...] = LAYERS, taps: tuple[int, ...] = TAPS) -> None:
        super().__init__()
        self.layers, self.taps = layers, taps
        first, *rest = layers
        self.blocks = nn.ModuleList(
            [
                nn.Sequential(
                    ZeroSumConv(1, first.channels, first.kernel, first.stride, bias=False),
                    nn.BatchNorm2d(first.channels),
                    nn.ReLU(),
                )
            ]
        )
        for before, layer in zip(layers, rest, strict=False):
            self.blocks.append(
                nn.Sequential(
                    nn.Conv2d(
                        before.channels,
                        before.channels,
                        layer.kernel,
                        layer.stride,
                        groups=before.channels,
                        bias=False,
                    ),
                    nn.BatchNorm2d(before.channels),
                    nn.Conv2d(before.channels, layer.channels, 1, bias=False),
                    nn.BatchNorm2d(layer.channels),
                    nn.ReLU(),
                )
            )

    @override
    def forward(self, log_mel: Tensor) -> tuple[Tensor, ...]:
        x = log_mel.unsqueeze(1)
        maps = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in self.taps:
                maps.append(band_group_means(x))
        return tuple(maps)

    def receptive_field(self, tap: int) -> int:
        """Return the input frames that one output of this layer depends on."""
        field, stride = 1, 1
        for layer in self.layers[: tap + 1]:
            field += (layer.kernel[0] - 1) * stride
            stride *= layer.stride[0]
        return field

    def stride(self, tap: int) -> int:
        """Return the input frames from one output of this layer to the next."""
        stride = 1
        for layer in self.layers[: tap + 1]:
            stride *= layer.stride[0]
        return stride

    def multiply_adds(self, frames: int) -> int:
        """Return the multiplications for so many frames of a stream."""
        time, bands, count = float(frames), BANDS, 0.0
        channels = 1
        for number, layer in enumerate(self.layers):
            time /= layer.stride[0]
            bands = (bands - layer.kernel[1]) // layer.stride[1] + 1
            kernel = layer.kernel[0] * layer.kernel[1]
            if number:
                count += time * bands * channels * (kernel + layer.channels)
            else:
                count += time * bands * layer.channels * kernel
            channels = layer.channels
        return round(count)


def normalise(log_mel: Tensor) -> Tensor:
    """Return the input of the network: offset and scale are the same in all bands."""
    return (log_mel - INPUT_MEAN) / INPUT_SCALE


def band_group_means(x: Tensor) -> Tensor:
    """Average a map (B, C, t, bands) over groups of adjacent bands: (B, t, groups × C)."""
    bands = x.shape[3]
    edges = [round(bands * k / FREQUENCY_GROUPS) for k in range(FREQUENCY_GROUPS + 1)]
    weights = torch.zeros(bands, FREQUENCY_GROUPS)
    for group, (low, high) in enumerate(pairwise(edges)):
        weights[low:high, group] = 1.0 / (high - low)
    # ONNX Runtime computes a product several times as fast as slices and their means
    return (x @ weights.to(x.device)).permute(0, 2, 3, 1).flatten(2)


def pooled_statistics(frames: Tensor) -> Tensor:
    """Return mean, standard deviation and maximum of a map (B, t, D) over time, (B, 3 × D)."""
    deviation = frames.var(1, correction=0).add(1e-6).sqrt()
    return torch.cat([frames.mean(1), deviation, frames.amax(1)], 1)


class ProjectionHead(nn.Module):
    """Pooled maps (B, 3 × D) → embeddings of unit length (B, 128); used in training only.

    Chen et al., "SimCLR", arXiv 2002.05709, §4.2.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.normal = nn.BatchNorm1d(width)  # batch normalisation; the name is in checkpoints
        self.first = nn.Linear(width, 256)
        self.second = nn.Linear(256, EMBEDDING)

    @override
    def forward(self, pooled_maps: Tensor) -> Tensor:
        hidden = nn.functional.relu(self.first(self.normal(pooled_maps)))
        return nn.functional.normalize(self.second(hidden), dim=1)

    def folded(self) -> tuple[Tensor, Tensor]:
        """Return weight and bias of the first layer with the batch normalisation folded in.

        In evaluation mode only.
        """
        width = self.first.in_features
        with torch.no_grad():
            shift = self.normal(torch.zeros(1, width))[0]
            gain = self.normal(torch.ones(1, width))[0] - shift
            return self.first.weight * gain, self.first.bias + self.first.weight @ shift


class NetworkWithHeads(nn.Module):
    """A network with a projection head at each tapped layer."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        with torch.no_grad():
            maps = network.eval()(torch.zeros(1, 100, BANDS))
        self.heads = nn.ModuleList(ProjectionHead(STATISTICS * frames.shape[2]) for frames in maps)
        self.train()

    def embed(self, groups: Sequence[Tensor]) -> list[Tensor]:
        """Return the embeddings (B, 128) at each tap, of groups of windows (b, t, F)."""
        device = next(self.parameters()).device
        maps = [self.network(normalise(group.to(device))) for group in groups]
        return [
            torch.cat([head(pooled_statistics(frames)) for frames in of_tap])
            for head, of_tap in zip(self.heads, zip(*maps, strict=True), strict=True)
        ]
