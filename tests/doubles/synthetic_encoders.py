"""Small untrained encoders with the architecture of the shipped one; they need torch."""

from functools import cache
from pathlib import Path

from asd_monitor.encoders.card import CardView
from asd_monitor.encoders.encoder import Encoder
from tests.doubles.synthetic_networks import write_network

VIEWS = (CardView(name="encoder", outputs=("maps1",), pool=("mean",), back_end="residual"),)


@cache
def small_encoder(seed: int) -> Encoder:
    """Return an untrained encoder with three layers and weights drawn from a seed."""
    import torch

    from asd_monitor.encoder_training.export import export_encoder
    from asd_monitor.encoder_training.log_mel_frames import BANDS
    from asd_monitor.encoder_training.network import Layer, Network

    layers = (Layer((6, 6), (4, 2), 4), Layer((3, 3), (1, 2), 6), Layer((3, 3), (2, 1), 8))
    torch.manual_seed(seed)
    network = Network(layers, (1, 2))
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None  # its statistics are those of the next batch alone
    with torch.no_grad():
        network(torch.randn(8, 120, BANDS))
    return export_encoder(network.eval(), VIEWS)


def small_encoder_file(folder: Path, seed: int = 1) -> Path:
    """Write an encoder with its card into a folder and return the path of the network."""
    encoder = small_encoder(seed)
    return write_network(folder, encoder.onnx, encoder.card.to_json())
