"""Small untrained encoders of the product's own kind; they need torch to be made."""

from pathlib import Path

from asd_monitor.encoders.card import CardView
from asd_monitor.encoders.encoder import Encoder
from tests.doubles.synthetic_networks import write_network

VIEWS = (CardView(name="encoder", outputs=("maps1",), pool=("mean",), back_end="residual"),)


def small_encoder(seed: int) -> Encoder:
    """An untrained network of our kind, as small as it gets."""
    import torch

    from asd_monitor.encoder_training.export import encoder_of
    from asd_monitor.encoder_training.network import BANDS, Layer, Network

    layers = (Layer((6, 6), (4, 2), 4), Layer((3, 3), (1, 2), 6), Layer((3, 3), (2, 1), 8))
    torch.manual_seed(seed)
    network = Network(layers, (1, 2))
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None  # what it sees next is all that it knows
    with torch.no_grad():
        network(torch.randn(8, 120, BANDS))
    return encoder_of(network.eval(), VIEWS)


def small_encoder_file(folder: Path, seed: int = 1) -> Path:
    """Write one with its card and return its path."""
    encoder = small_encoder(seed)
    return write_network(folder, encoder.onnx, encoder.card.to_json())
