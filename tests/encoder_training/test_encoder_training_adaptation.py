"""Adapting: what is held out stays unheard, and the frozen encoder where it is no worse."""

import importlib.util
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.encoder_training import adaptation as adapt_module
from asd_monitor.encoder_training import fine_tuning as tuning_module
from asd_monitor.encoder_training.adaptation import adapt
from asd_monitor.encoder_training.adaptation_trial import TRAINED_FAULTS, TRIED_FAULTS
from asd_monitor.encoder_training.export import export_encoder, import_network
from asd_monitor.encoder_training.fine_tuning import Batch, FineTuningConfig, fine_tune
from asd_monitor.encoder_training.network import Network
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.loading import load_encoder
from asd_monitor.errors import UsageError
from asd_monitor.model_store.bundle import load_bundle
from asd_monitor.model_training import adaptation_result
from asd_monitor.model_training.adaptation_result import (
    MAX_SHARE_INCREASE,
    MIN_AUC_GAIN,
    Adaptation,
    TrialScores,
)
from asd_monitor.model_training.encoder_vectors import replace_encoder
from asd_monitor.model_training.reference import read_reference
from tests.doubles.command_line import CommandLine
from tests.doubles.synthetic_encoders import small_encoder
from tests.doubles.synthetic_networks import maps_card, maps_network, write_network
from tests.doubles.synthetic_sounds import machine_sound, write

QUICK = FineTuningConfig(steps=4)
Change = Callable[[str, Any], None]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return small_encoder(1)


@pytest.fixture(scope="module")
def encoder_file(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    card = encoder.card.to_json()
    return write_network(tmp_path_factory.mktemp("network"), encoder.onnx, card)


@pytest.fixture(scope="module")
def normal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("normal") / "normal.flac", machine_sound(65.0))


@pytest.fixture
def paths(normal: Path, encoder_file: Path, tmp_path: Path) -> dict[str, Path]:
    return {"normal": normal, "encoder": encoder_file, "folder": tmp_path}


@pytest.fixture(autouse=True)
def few_halls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning_module, "BACKGROUNDS", 1)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapt_module, "Tuning", partial(FineTuningConfig, steps=3))
    monkeypatch.setattr(adapt_module, "MADE", 2)
    monkeypatch.setattr(adapt_module, "FAULTS", 6)


def other(folder: Path, seed: int, seconds: float = 6.0) -> Path:
    rng = np.random.default_rng(seed)
    sound = 0.05 * np.cumsum(rng.standard_normal(round(seconds * 16_000))) / 50
    return write(folder / f"other{seed}.wav", np.diff(sound, prepend=0.0))


# ---------- the network read back


def test_a_shipped_network_is_read_back_and_computes_the_same(encoder: Encoder) -> None:
    network = import_network(encoder)
    assert network.taps == (1,)
    assert len(network.layers) == 2, "what lies behind the deepest map is not shipped"
    x = torch.randn(1, 200, 128)
    [frames] = network(x)
    [found] = encoder.network.run(encoder.open(), ["maps1"], x.numpy())
    np.testing.assert_allclose(found, frames[0].detach().numpy(), atol=1e-3)
    again = export_encoder(network, encoder.card.views)
    assert again.card == encoder.card
    [louder] = import_network(again)(x + 3.0)
    np.testing.assert_allclose(louder[0].detach().numpy(), found, atol=1e-3)


def test_networks_of_others_cannot_be_trained_further(tmp_path: Path, encoder: Encoder) -> None:
    foreign = load_encoder(write_network(tmp_path, maps_network(), maps_card("toy")))
    changed = encoder.card.model_copy(
        update={"input": encoder.card.input.model_copy(update={"mean": 0.0})}
    )
    for each in (foreign, Encoder.from_bytes(encoder.onnx, changed)):
        with pytest.raises(UsageError, match=f"{each.name} is none that can be trained further"):
            import_network(each)


# ---------- training further


def draw(rng: np.random.Generator) -> Batch:
    clips = [np.random.default_rng(k).normal(-4, 1, (200 + k, 128)) for k in range(4)]
    labels = [k for k in range(4) for _ in range(2)]
    return Batch([clips[k].astype(np.float16) for k in labels], labels, [0, 0, 1, 1, -1, -1, 2, 2])


def weights(encoder: Encoder, config: FineTuningConfig, machines: int = 3) -> "torch.Tensor":
    network = import_network(encoder)
    state = torch.get_rng_state()
    fine_tune(network, draw, machines, config, progress=lambda *_: None, what="")
    assert torch.equal(torch.get_rng_state(), state)
    return torch.cat([each.detach().flatten() for each in network.parameters()])


def test_the_same_seed_gives_the_same_network_and_leaves_torch_alone(encoder: Encoder) -> None:
    threads = torch.get_num_threads()
    first = weights(encoder, QUICK)
    assert torch.equal(first, weights(encoder, QUICK))
    assert not torch.equal(first, weights(encoder, FineTuningConfig(steps=4, seed=2)))
    assert not torch.equal(first, weights(encoder, QUICK, machines=0)), "the margin does nothing"
    assert torch.get_num_threads() == threads


def test_the_network_stands_still_until_its_heads_have_learned(encoder: Encoder) -> None:
    before = torch.cat([each.detach().flatten() for each in import_network(encoder).parameters()])
    assert torch.equal(before, weights(encoder, FineTuningConfig(steps=4, heads_only_share=1.0)))
    assert not torch.equal(before, weights(encoder, QUICK))


# ---------- hearing


@pytest.mark.parametrize("rate_hz", [16_000, 44_100])
def test_vectors_are_those_of_reading_with_the_other_encoder(
    encoder: Encoder, tmp_path: Path, rate_hz: int
) -> None:
    sound = machine_sound(20.0, rate_hz=rate_hz)
    sound[round(8.3 * rate_hz)] = np.nan  # a gap
    path = write(tmp_path / "a.wav", sound, rate_hz, "FLOAT")
    another = small_encoder(2)
    reference, expected = (read_reference([path], encoders=(each,)) for each in (encoder, another))
    found = replace_encoder(reference, encoder, another)
    assert found.encoders == (another,)
    assert len(found.windows) >= len(expected.windows) - 1 > 20
    both = zip(found.segments[0].windows, expected.segments[0].windows, strict=False)
    for one, other_one in both:
        assert one.start == other_one.start
        np.testing.assert_allclose(
            one.features["encoder"], other_one.features["encoder"], rtol=1e-2, atol=1e-2
        )
        np.testing.assert_array_equal(one.features["tone"], other_one.features["tone"])


# ---------- what is held out


def test_faults_tried_are_of_other_kinds_than_those_trained_on() -> None:
    assert not set(TRAINED_FAULTS) & set(TRIED_FAULTS)
    assert len(TRIED_FAULTS) == 4


@pytest.mark.usefixtures("quick")
def test_nothing_of_the_last_fifth_is_trained_on(
    encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another last fifth gives the same network; another first part does not."""
    learned: list[int] = []

    def spy(network: Network, draw: Any, *args: Any, **named: Any) -> Any:
        learned.append(sum(len(clip) for sound in draw.own for clip in sound.clips))
        return fine_tune(network, draw, *args, **named)

    monkeypatch.setattr(adapt_module, "tune", spy)
    monkeypatch.setattr(adapt_module, "listen", lambda *_: TrialScores(0.5, {}, (0.0, 0.0)))

    def adapted(name: str, changed: slice) -> str:
        sound = machine_sound(65.0)
        sound[changed] = sound[changed][::-1]
        path = write(tmp_path / name, sound, subtype="FLOAT")
        return adapt(read_reference([path], encoders=(encoder,)))[1].encoder.sha256

    plain = adapted("a.wav", slice(0, 0))
    cut = round(0.8 * 65 * 16_000)
    assert adapted("b.wav", slice(cut, None)) == plain
    assert adapted("c.wav", slice(0, cut)) != plain
    assert set(learned) == {(cut - 1024) // 512 + 1}, "all of the rest, and nothing beyond it"


# ---------- which is kept


@given(st.floats(0.3, 1), st.floats(0.3, 1), st.floats(0, 0.3), st.floats(0, 0.3))
def test_only_what_is_clearly_better_and_no_louder_is_kept(
    before: float, after: float, few: float, many: float
) -> None:
    frozen, adapted = TrialScores(before, {}, (few, 0.0)), TrialScores(after, {}, (many, 0.0))
    found = Adaptation(None, frozen, adapted, 0, 1, 1, 1.0)  # type: ignore[arg-type]
    assert found.kept == (after - before >= MIN_AUC_GAIN and many - few <= MAX_SHARE_INCREASE)
    assert f"{before:.3f}" in found.in_words()
    assert f"{after:.3f}" in found.in_words()


@pytest.mark.parametrize("better", [False, True])
@pytest.mark.usefixtures("quick")
def test_from_the_command_line_to_the_bundle(
    command_line: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
    paths: dict[str, Path],
    better: bool,
) -> None:
    normal, encoder_file, tmp_path = paths["normal"], paths["encoder"], paths["folder"]
    monkeypatch.setattr(adaptation_result, "MARGIN", -1.0 if better else 1.0)
    monkeypatch.setattr(adaptation_result, "SLACK", 1.0)
    models = ("-m", "fan01", "--models", tmp_path / "m", "--no-shipped-encoder")
    called = command_line("train", "-n", normal, "--adapt", "--encoder", encoder_file, *models)
    assert called.code == 0, called.err
    bundle = load_bundle(tmp_path / "m", "fan01")
    told = bundle.manifest["adaptation"]
    assert told["kept"] is better
    assert 0 <= told["frozen"]["auc"] <= 1
    assert set(told["adapted"]["views"]) == {"encoder"}
    assert (told["others"], told["steps"]) == (0, 3)
    [used] = bundle.detector.encoders
    assert used.name == ("encoder-adapted" if better else "encoder")
    assert "encoder" in {view.kind.name for view in bundle.detector.views}
    assert [w for w in bundle.manifest["warnings"] if "not adapted" in w] == (
        [] if better else [w for w in bundle.manifest["warnings"] if "not adapted" in w][:1]
    )
    assert ("was adapted" in called.out) is better
    assert ("warning: the encoder was not adapted" in called.err) is not better
    scored = command_line("score", normal, "--json", "--per", "file", *models[:4])
    assert "encoder" in json.loads(scored.out)["views"]


def test_other_machines_are_learned_from(quick: None, encoder: Encoder, tmp_path: Path) -> None:
    path = write(tmp_path / "own.wav", machine_sound(65.0))
    reference = read_reference([path], encoders=(encoder,))
    folder = tmp_path / "others"
    many = [other(folder / "b", seed) for seed in range(2)]
    one = other(folder, 9)
    found = adapt(reference, [one, folder / "b"])[1]
    assert found.others == 2
    assert found.encoder.sha256 != adapt(reference, [one])[1].encoder.sha256
    assert many


# ---------- what is refused


def refused(command_line: CommandLine, *arguments: object) -> str:
    called = command_line("train", "-m", "fan01", "--no-shipped-encoder", *arguments)
    assert called.code in {1, 2}, called.err
    return called.message


def test_refusals(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, paths: dict[str, Path]
) -> None:
    normal, encoder_file, tmp_path = paths["normal"], paths["encoder"], paths["folder"]
    places = ("--models", tmp_path / "m")
    ours = ("--encoder", encoder_file, *places)
    again = write(tmp_path / "others/copy.flac", machine_sound(65.0))
    again.write_bytes(normal.read_bytes())
    said = refused(command_line, "-n", normal, "--adapt", *ours, "--others", again.parent)
    assert "copy.flac: the same recording as" in said

    said = refused(command_line, "-n", normal, "--others", again, *ours)
    assert "give --adapt too" in said

    said = refused(command_line, "-n", normal, "--adapt", *places)
    assert "no network to adapt" in said

    foreign = write_network(tmp_path, maps_network(), maps_card("toy"))
    said = refused(command_line, "-n", normal, "--adapt", "--encoder", foreign, *places)
    assert "toy is none that can be trained further" in said

    short = write(tmp_path / "short.wav", machine_sound(40.0))
    assert "too little" in refused(command_line, "-n", short, "--adapt", *ours)

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "torch" else find(name, *a)
    )
    said = refused(command_line, "-n", tmp_path / "nothing.wav", "--adapt", *ours)
    assert "'.[train]'" in said
    assert not (tmp_path / "m").exists()
