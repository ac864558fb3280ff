"""The encoder: a small convolutional network from log-mel to maps, and heads to train it by.

Axes: B windows, T steps of the log-mel (32 ms), F bands (128), C channels.

- The filters of the first layer sum to zero, so that a gain, which adds a constant to every
  logarithm, changes nothing behind them: the encoder hears how sound is made, not how loud.
- No padding, neither in time (so that a stream gives what a recording gives) nor in frequency
  (an edge is no silence).
- Depthwise separable blocks: Howard et al., "MobileNets", arXiv 1704.04861.
- What is used later are the maps in the middle, local in time and frequency.  Each is pooled
  over a window as mean, spread and maximum, since a mean alone misses a valve's click.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from typing_extensions import override

from asd_monitor.encoder_training.sound_supply import BANDS

PRE_MEAN, PRE_SCALE = -4.0, 1.5
"""Pre-normalisation: about the mean and the deviation of the supplies' log-mel."""

FREQUENCY_GROUPS = 4
POOLS = 3  # mean, spread, maximum
EMBEDDING = 128


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: a square of steps × bands, the steps between its outputs, its channels."""

    reach: tuple[int, int]
    stride: tuple[int, int]
    channels: int


LAYERS = (
    Layer((2, 12), (1, 4), 24),
    Layer((3, 3), (1, 2), 64),
    Layer((3, 3), (1, 1), 96),
)
TAPS = (1, 2)  # layers whose maps can be used


class ZeroSumConv(nn.Conv2d):
    """A convolution whose filters sum to zero: blind to what is added everywhere."""

    @override
    def forward(self, input: Tensor) -> Tensor:
        return nn.functional.conv2d(input, self.zero_sum_weight(), self.bias, self.stride)

    def zero_sum_weight(self) -> Tensor:
        """Return the filters as they are used."""
        return self.weight - self.weight.mean(dim=(1, 2, 3), keepdim=True)


class Network(nn.Module):
    """Log-mel (B, T, F) → the maps of the tapped layers, each (B, frames, C × groups)."""

    def __init__(self, layers: tuple[Layer, ...] = LAYERS, taps: tuple[int, ...] = TAPS) -> None:
        super().__init__()
        self.layers, self.taps = layers, taps
        first, *rest = layers
        self.blocks = nn.ModuleList(
            [
                nn.Sequential(
                    ZeroSumConv(1, first.channels, first.reach, first.stride, bias=False),
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
                        layer.reach,
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
                maps.append(grouped(x))
        return tuple(maps)

    def reach(self, tap: int) -> int:
        """Return how many steps a frame of this layer's map sees."""
        reach, stride = 1, 1
        for layer in self.layers[: tap + 1]:
            reach += (layer.reach[0] - 1) * stride
            stride *= layer.stride[0]
        return reach

    def stride(self, tap: int) -> int:
        """Return the steps from one frame of this layer's map to the next."""
        stride = 1
        for layer in self.layers[: tap + 1]:
            stride *= layer.stride[0]
        return stride

    def multiply_adds(self, steps: int) -> int:
        """Return the multiplications of so many steps, without those of the edges."""
        time, bands, count = float(steps), BANDS, 0.0
        channels = 1
        for number, layer in enumerate(self.layers):
            time /= layer.stride[0]
            bands = (bands - layer.reach[1]) // layer.stride[1] + 1
            square = layer.reach[0] * layer.reach[1]
            if number:
                count += time * bands * channels * (square + layer.channels)
            else:
                count += time * bands * layer.channels * square
            channels = layer.channels
        return round(count)


def normalised(log_mel: Tensor) -> Tensor:
    """Pre-normalise: the same numbers for all bands, so that a gain stays a gain."""
    return (log_mel - PRE_MEAN) / PRE_SCALE


def grouped(x: Tensor) -> Tensor:
    """Average a map (B, C, frames, bands) in groups of bands: (B, frames, groups × C)."""
    bands = x.shape[3]
    edges = [round(bands * k / FREQUENCY_GROUPS) for k in range(FREQUENCY_GROUPS + 1)]
    weights = torch.zeros(bands, FREQUENCY_GROUPS)
    for group, (low, high) in enumerate(pairwise(edges)):
        weights[low:high, group] = 1.0 / (high - low)
    # a product: the runtime takes several times as long to cut and average
    return (x @ weights.to(x.device)).permute(0, 2, 3, 1).flatten(2)


def pooled(frames: Tensor) -> Tensor:
    """Pool a map (B, frames, D) over time: mean, spread, maximum, (B, 3 × D)."""
    spread = frames.var(1, correction=0).add(1e-6).sqrt()
    return torch.cat([frames.mean(1), spread, frames.amax(1)], 1)


class Head(nn.Module):
    """Pooled maps (B, 3 × D) → an embedding of unit length (B, 128); for training only."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.normal = nn.BatchNorm1d(width)
        self.first = nn.Linear(width, 256)
        self.second = nn.Linear(256, EMBEDDING)

    @override
    def forward(self, pooled_maps: Tensor) -> Tensor:
        hidden = nn.functional.relu(self.first(self.normal(pooled_maps)))
        return nn.functional.normalize(self.second(hidden), dim=1)

    def folded(self) -> tuple[Tensor, Tensor]:
        """Return weight and bias of the first layer with the normalisation in them; in eval."""
        width = self.first.in_features
        with torch.no_grad():
            shift = self.normal(torch.zeros(1, width))[0]
            gain = self.normal(torch.ones(1, width))[0] - shift
            return self.first.weight * gain, self.first.bias + self.first.weight @ shift


class Headed(nn.Module):
    """A network with a head at each tapped layer."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        with torch.no_grad():
            maps = network.eval()(torch.zeros(1, 100, BANDS))
        self.heads = nn.ModuleList(Head(POOLS * frames.shape[2]) for frames in maps)
        self.train()

    def embed(self, groups: Sequence[Tensor]) -> list[Tensor]:
        """Return the embeddings (B, 128) at each tap of windows (b, T, F) of several lengths."""
        device = next(self.parameters()).device
        maps = [self.network(normalised(group.to(device))) for group in groups]
        return [
            torch.cat([head(pooled(frames)) for frames in of_tap])
            for head, of_tap in zip(self.heads, zip(*maps, strict=True), strict=True)
        ]
