"""What torch trained is what ONNX Runtime computes, and what a card says of it."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from asd_monitor.encoder_training import export
from asd_monitor.encoder_training.export import encoder_of, network_of
from asd_monitor.encoder_training.network import BANDS, Network, normalised, pooled
from asd_monitor.encoder_training.pretraining import SHIPPED_VIEWS
from asd_monitor.encoder_training.sound_supply import log_mel
from asd_monitor.encoders.card import CardView
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.loading import load_encoder
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
    """One whose normalisations have seen something, as after training."""
    torch.manual_seed(0)
    made = Network()
    with torch.no_grad():
        for seed in range(3):
            noise = torch.randn(4, 150, BANDS, generator=torch.Generator().manual_seed(seed))
            made(2 * noise + 1)
    return made.eval()


@pytest.fixture(scope="module")
def exported(network: Network) -> Encoder:
    return encoder_of(network, VIEWS, "two", "CC0-1.0")


def test_a_stream_hears_what_the_trained_network_hears(exported: Encoder, network: Network) -> None:
    """From samples, in pieces, by the card alone."""
    sound = machine_sound(2.0)
    stream = EncoderStream(exported)
    for piece in np.array_split(sound, 7):
        stream.push(piece)
    found = stream.between(0, len(sound))
    with torch.no_grad():
        x = normalised(torch.from_numpy(log_mel(sound)[None].astype(np.float32)))
        maps = dict(zip(network.taps, network(x), strict=True))
        width = maps[1].shape[2]
        near, far = pooled(maps[1])[0, :width], pooled(maps[2])[0]
    # the supplies keep their log-mel in half precision
    assert found["near"] == pytest.approx(near.numpy(), abs=0.01)
    assert found["far"] == pytest.approx(far.numpy(), abs=0.03)


def test_nothing_tells_of_the_computer_that_wrote_it(exported: Encoder) -> None:
    assert str(Path(torch.__file__).parent).encode() not in exported.onnx
    assert b"network.py" not in exported.onnx


def test_only_what_the_views_want_comes_out(exported: Encoder, network: Network) -> None:
    outputs = {o.name: (o.reach, o.stride) for o in exported.card.outputs}
    assert outputs == {
        "maps1": (network.reach(1), network.stride(1)),
        "maps2": (network.reach(2), network.stride(2)),
    }
    assert exported.view_names == ["near", "far"]
    assert (exported.name, exported.card.licence) == ("two", "CC0-1.0")


def test_the_network_itself_stays_as_it_was() -> None:
    fresh = Network().eval()
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    export._folded(fresh)
    assert before.keys() == fresh.state_dict().keys()
    assert all(torch.equal(before[name], v) for name, v in fresh.state_dict().items())


def test_folded_it_computes_the_same_without_normalisations(network: Network) -> None:
    folded = export._folded(network)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded.modules())
    x = torch.randn(1, 120, BANDS, generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        for one, other in zip(folded(x), network(x), strict=True):
            assert torch.allclose(one, other, atol=1e-4)


def test_on_disk_it_is_accepted(
    exported: Encoder, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("net") / "two.onnx"
    path.write_bytes(exported.onnx)
    path.with_suffix(".yaml").write_text(yaml.safe_dump(exported.card.to_json()))
    loaded = load_encoder(path)
    assert loaded.card == exported.card
    assert loaded.sha256 == exported.sha256


def test_what_computes_something_else_is_not_given_out(
    network: Network, exported: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "_onnx", lambda *_: exported.onnx)
    torch.manual_seed(5)
    with pytest.raises(OperationError, match=r"does not compute .* constraints\.txt"):
        encoder_of(Network().eval(), VIEWS)
    assert encoder_of(network, VIEWS).onnx == exported.onnx


def test_it_is_read_back_and_hears_the_same(exported: Encoder, network: Network) -> None:
    state = torch.get_rng_state()
    back = network_of(exported)
    assert torch.equal(torch.get_rng_state(), state)  # nobody's draws depend on it
    assert back.layers == network.layers
    assert back.taps == (1, 2)
    x = torch.randn(2, 120, BANDS, generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        maps = dict(zip(network.taps, network(x), strict=True))
        for tap, found in zip(back.taps, back(x), strict=True):
            assert torch.allclose(found, maps[tap], atol=1e-4)
            assert torch.allclose(back(x + 3)[back.taps.index(tap)], found, atol=1e-4)


@pytest.mark.slow
def test_trained_further_it_goes_out_and_comes_back_again(exported: Encoder) -> None:
    back = network_of(exported)
    with torch.no_grad():
        for weight in back.parameters():
            weight.mul_(1.1)
    again = network_of(encoder_of(back, VIEWS))
    x = torch.randn(1, 120, BANDS, generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        for one, other in zip(again(x), back(x), strict=True):
            assert torch.allclose(one, other, atol=1e-3)
            assert float(one.abs().max()) > 0.1


def test_another_network_cannot_be_trained_further(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = write_network(tmp_path_factory.mktemp("net"), maps_network(), maps_card("toy"))
    with pytest.raises(UsageError, match=r"network toy .* `asd-monitor pretrain` made"):
        network_of(load_encoder(path))


def test_ours_with_another_card_cannot_either(exported: Encoder) -> None:
    card = exported.card.model_copy(
        update={"input": exported.card.input.model_copy(update={"mean": -3.0})}
    )
    with pytest.raises(UsageError, match="trained further"):
        network_of(Encoder.from_bytes(exported.onnx, card))


@pytest.mark.slow
def test_what_ships_names_a_map_that_there_is(network: Network) -> None:
    assert encoder_of(network, SHIPPED_VIEWS).view_names == [view.name for view in SHIPPED_VIEWS]
