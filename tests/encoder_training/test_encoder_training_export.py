"""Export to ONNX and import: the same maps as torch computes, and the card."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from asd_monitor.encoder_training.export import (
    computes_same_maps,
    export_encoder,
    fold_batch_norm,
    import_network,
)
from asd_monitor.encoder_training.log_mel_frames import BANDS, log_mel
from asd_monitor.encoder_training.network import Network, normalise, pooled_statistics
from asd_monitor.encoder_training.pretraining import SHIPPED_VIEWS
from asd_monitor.encoders.card import CardView
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.encoder_loading import load_encoder, shipped_encoder
from asd_monitor.encoders.streaming import EncoderStream
from asd_monitor.errors import OperationError, UsageError
from tests.doubles.synthetic_networks import maps_card, maps_network, write_network
from tests.doubles.synthetic_sounds import machine_sound

VIEWS = (
    CardView(name="near", outputs=("maps1",), pool=("mean",), back_end="residual"),
    CardView(
        name="far", outputs=("maps2",), pool=("mean", "spread", "maximum"), back_end="residual"
    ),
)


@pytest.fixture(scope="module")
def network() -> Network:
    """One whose batch normalisation has statistics of data, as after training."""
    torch.manual_seed(0)
    network = Network()
    with torch.no_grad():
        for seed in range(3):
            noise = torch.randn(4, 150, BANDS, generator=torch.Generator().manual_seed(seed))
            network(2 * noise + 1)
    return network.eval()


@pytest.fixture(scope="module")
def exported(network: Network) -> Encoder:
    return export_encoder(network, VIEWS, "two", "CC0-1.0")


@pytest.mark.slow
def test_a_stream_has_the_pooled_maps_of_the_trained_network(
    exported: Encoder, network: Network
) -> None:
    """From samples in pieces, by the card alone."""
    sound = machine_sound(2.0)
    stream = EncoderStream(exported)
    for piece in np.array_split(sound, 7):
        stream.push(piece)
    found = stream.between(0, len(sound))
    with torch.no_grad():
        x = normalise(torch.from_numpy(log_mel(sound)[None].astype(np.float32)))
        maps = dict(zip(network.taps, network(x), strict=True))
        width = maps[1].shape[2]
        near, far = pooled_statistics(maps[1])[0, :width], pooled_statistics(maps[2])[0]
    # the log-mel spectrograms of training are in half precision
    assert found["near"] == pytest.approx(near.numpy(), abs=0.01)
    assert found["far"] == pytest.approx(far.numpy(), abs=0.03)


@pytest.mark.slow
def test_the_file_has_no_paths_of_this_computer(exported: Encoder) -> None:
    assert str(Path(torch.__file__).parent).encode() not in exported.onnx
    assert b"network.py" not in exported.onnx


@pytest.mark.slow
def test_outputs_are_the_maps_that_the_views_use(exported: Encoder, network: Network) -> None:
    outputs = {o.name: (o.receptive_field, o.stride) for o in exported.card.outputs}
    assert outputs == {
        "maps1": (network.receptive_field(1), network.stride(1)),
        "maps2": (network.receptive_field(2), network.stride(2)),
    }
    assert exported.view_names == ["near", "far"]
    assert (exported.name, exported.card.licence) == ("two", "CC0-1.0")


def test_folding_does_not_change_the_network() -> None:
    fresh = Network().eval()
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    fold_batch_norm(fresh)
    assert before.keys() == fresh.state_dict().keys()
    assert all(torch.equal(before[name], v) for name, v in fresh.state_dict().items())


def test_a_folded_network_has_the_same_maps_and_no_batch_normalisation(network: Network) -> None:
    folded = fold_batch_norm(network)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded.modules())
    x = torch.randn(1, 120, BANDS, generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        for one, other in zip(folded(x), network(x), strict=True):
            assert torch.allclose(one, other, atol=1e-4)


@pytest.mark.slow
def test_an_exported_encoder_can_be_loaded(
    exported: Encoder, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("net") / "two.onnx"
    path.write_bytes(exported.onnx)
    path.with_suffix(".yaml").write_text(yaml.safe_dump(exported.card.to_json()))
    loaded = load_encoder(path)
    assert loaded.card == exported.card
    assert loaded.sha256 == exported.sha256


@pytest.mark.slow
def test_maps_of_another_network_differ(network: Network, exported: Encoder) -> None:
    """So that an export that went wrong is refused."""
    assert computes_same_maps(exported, network)
    torch.manual_seed(5)
    assert not computes_same_maps(exported, Network().eval())


class CopiedWrongly(Network):
    """A network whose copy, which is exported, has other weights."""

    def __deepcopy__(self, memo: object) -> Network:
        return Network()


@pytest.mark.slow
def test_an_export_with_other_maps_is_refused() -> None:
    torch.manual_seed(5)
    with pytest.raises(OperationError, match=r"computes other maps .* constraints\.txt"):
        export_encoder(CopiedWrongly().eval(), VIEWS)


@pytest.mark.slow
def test_an_imported_network_has_the_same_maps(exported: Encoder, network: Network) -> None:
    state = torch.get_rng_state()
    back = import_network(exported)
    assert torch.equal(torch.get_rng_state(), state), "the random state is restored"
    assert back.layers == network.layers
    assert back.taps == (1, 2)
    x = torch.randn(2, 120, BANDS, generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        maps = dict(zip(network.taps, network(x), strict=True))
        for tap, found in zip(back.taps, back(x), strict=True):
            assert torch.allclose(found, maps[tap], atol=1e-4)
            assert torch.allclose(back(x + 3)[back.taps.index(tap)], found, atol=1e-4)


def test_the_shipped_network_can_be_imported() -> None:
    encoder = shipped_encoder()
    assert encoder is not None
    network = import_network(encoder)
    assert network.taps == (1,)
    assert len(network.layers) == 2, "the layer after the deepest map is not exported"
    x = torch.randn(1, 200, BANDS, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        [maps] = network(x)
        [of_louder] = network(x + 3.0)
    [found] = encoder.network.run(encoder.open(), ["maps1"], x.numpy())
    np.testing.assert_allclose(found, maps[0].numpy(), atol=1e-3)
    np.testing.assert_allclose(of_louder[0].numpy(), maps[0].numpy(), atol=1e-3)


@pytest.mark.slow
def test_an_imported_network_can_be_trained_and_exported_again(exported: Encoder) -> None:
    back = import_network(exported)
    with torch.no_grad():
        for weight in back.parameters():
            weight.mul_(1.1)
    again = import_network(export_encoder(back, VIEWS))
    x = torch.randn(1, 120, BANDS, generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        for one, other in zip(again(x), back(x), strict=True):
            assert torch.allclose(one, other, atol=1e-3)
            assert float(one.abs().max()) > 0.1


def test_an_encoder_of_another_architecture_is_refused(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = write_network(tmp_path_factory.mktemp("net"), maps_network(), maps_card("toy"))
    with pytest.raises(UsageError, match=r"encoder toy .* `asd-monitor pretrain`"):
        import_network(load_encoder(path))


def test_an_encoder_with_another_input_is_refused() -> None:
    encoder = shipped_encoder()
    assert encoder is not None
    card = encoder.card.model_copy(
        update={"input": encoder.card.input.model_copy(update={"mean": -3.0})}
    )
    with pytest.raises(UsageError, match="trained further"):
        import_network(Encoder.from_bytes(encoder.onnx, card))


@pytest.mark.slow
def test_the_shipped_view_uses_a_map_of_the_network(network: Network) -> None:
    assert export_encoder(network, SHIPPED_VIEWS).view_names == [
        view.name for view in SHIPPED_VIEWS
    ]
