"""Adaptation: held-out sound is not trained on, and the encoder is kept only if it is better."""

import importlib.util
import json
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper

from asd_monitor.encoder_training import adaptation
from asd_monitor.encoder_training.adaptation import AdaptationConfig, adapt
from asd_monitor.encoder_training.adaptation_clips import (
    conditions_of,
    files_of_other,
    own_sound,
    sound_of_other,
    with_injected_faults,
)
from asd_monitor.encoder_training.adaptation_trial import TESTED_FAULTS, TRAINED_FAULTS
from asd_monitor.encoder_training.fine_tuning import NO_MACHINE, FineTuningConfig
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.encoder_loading import shipped_encoder
from asd_monitor.model_store.bundle import load_bundle
from asd_monitor.model_training import adaptation_result
from asd_monitor.model_training.adaptation_result import (
    MAX_SHARE_INCREASE,
    MIN_AUC_GAIN,
    Adaptation,
    TrialScores,
)
from asd_monitor.model_training.encoder_vectors import replace_encoder
from asd_monitor.model_training.held_out_split import hold_out
from asd_monitor.model_training.reference import Reference, read_reference
from tests.doubles.command_line import CommandLine
from tests.doubles.synthetic_networks import maps_card, maps_network, write_network
from tests.doubles.synthetic_sounds import machine_sound, write

QUICK = AdaptationConfig(FineTuningConfig(steps=3, backgrounds=1), synthetic_others=2, faults=6)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    """The shipped one, which need not be exported."""
    encoder = shipped_encoder()
    assert encoder is not None
    return encoder


@pytest.fixture(scope="module")
def encoder_file(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    card = encoder.card.to_json()
    return write_network(tmp_path_factory.mktemp("network"), encoder.onnx, card)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("recording") / "normal.flac", machine_sound(65.0))


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """Half a minute of sound."""
    path = write(tmp_path_factory.mktemp("reference") / "normal.flac", machine_sound(30.0))
    return read_reference([path])


def hiss(path: Path, seed: int, seconds: float = 6.0) -> Path:
    """Write the recording of another machine."""
    sound = 0.001 * np.random.default_rng(seed).standard_normal(round(seconds * 16_000))
    return write(path, sound)


# ---------- what is trained on


def test_the_held_out_part_is_not_among_the_clips(reference: Reference) -> None:
    kept = hold_out(reference).kept
    [(file, sound)] = own_sound(kept, reference.front_end, None)
    held_out_s = 10.0  # at least
    cut = round((30.0 - held_out_s) * 16_000)
    assert len(sound) == pytest.approx(cut, abs=reference.front_end.frame_hop)
    [clips] = conditions_of([(file, sound)], 0)
    assert sum(map(len, clips.clips)) == (len(sound) - 1024) // 512 + 1
    assert clips.machine == 0


def test_long_sound_is_reduced_to_evenly_spaced_excerpts(
    reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    from asd_monitor.encoder_training import adaptation_clips

    monkeypatch.setattr(adaptation_clips, "MAX_OWN_S", 20.0)
    monkeypatch.setattr(adaptation_clips, "EXCERPT_S", 10.0)
    sounds = own_sound(reference.segments, reference.front_end, None)
    assert [round(len(sound) / 16_000) for _, sound in sounds] == [10, 10]


def test_faults_are_injected_into_excerpts_of_the_machine(reference: Reference) -> None:
    sounds = own_sound(reference.segments, reference.front_end, None)
    faulty = with_injected_faults(sounds, 5, np.random.default_rng(1))
    assert len(faulty) == 5
    assert all(label.machine == NO_MACHINE for label in faulty)
    assert all(len(label.clips) == 1 for label in faulty)
    assert {len(label.clips[0]) for label in faulty} == {(4 * 16_000 - 1024) // 512 + 1}


def test_each_file_or_folder_is_another_machine(reference: Reference, tmp_path: Path) -> None:
    one = hiss(tmp_path / "9.wav", 9)
    for seed in range(2):
        hiss(tmp_path / f"folder/{seed}.wav", seed)
    assert [file.path for file in files_of_other(one, reference, None)] == [one]
    files = files_of_other(tmp_path / "folder", reference, None)
    assert len(files) == 2
    sounds = sound_of_other(files, None)
    assert sum(len(sound) for _, sound in sounds) == 12 * 16_000


def test_tested_faults_are_of_other_kinds_than_those_trained_on() -> None:
    assert not set(TRAINED_FAULTS) & set(TESTED_FAULTS)
    assert len(TESTED_FAULTS) == 4


@pytest.mark.slow
def test_the_network_does_not_depend_on_the_last_fifth(encoder: Encoder, tmp_path: Path) -> None:
    def adapted(name: str, reversed_part: slice) -> str:
        sound = machine_sound(65.0)
        sound[reversed_part] = sound[reversed_part][::-1]
        path = write(tmp_path / name, sound, subtype="FLOAT")
        of_path = read_reference([path], encoders=(encoder,))
        return adapt(of_path, config=QUICK)[1].encoder.sha256

    plain = adapted("a.wav", slice(0, 0))
    cut = round(0.8 * 65 * 16_000)
    assert adapted("b.wav", slice(cut, None)) == plain
    assert adapted("c.wav", slice(0, cut)) != plain


@pytest.mark.slow
def test_other_machines_have_an_influence(
    recording: Path, encoder: Encoder, tmp_path: Path
) -> None:
    reference = read_reference([recording], encoders=(encoder,))
    for seed in range(2):
        hiss(tmp_path / f"folder/{seed}.wav", seed)
    one = hiss(tmp_path / "9.wav", 9)
    found = adapt(reference, [one, tmp_path / "folder"], config=QUICK)[1]
    assert found.others == 2
    assert found.encoder.sha256 != adapt(reference, [one], config=QUICK)[1].encoder.sha256


# ---------- embeddings of the adapted encoder


def perturbed(encoder: Encoder) -> Encoder:
    """Return an encoder with other weights and the same card."""
    model = onnx.load_from_string(encoder.onnx)
    [first] = [w for w in model.graph.initializer if w.name == "network.blocks.0.0.weight"]
    first.CopyFrom(numpy_helper.from_array(1.5 * numpy_helper.to_array(first), first.name))
    return Encoder.from_bytes(model.SerializeToString(), encoder.card)


@pytest.mark.parametrize("rate_hz", [16_000, 44_100])
def test_replaced_embeddings_are_those_of_reading_with_the_other_encoder(
    encoder: Encoder, tmp_path: Path, rate_hz: int
) -> None:
    sound = machine_sound(9.0, rate_hz=rate_hz)
    sound[round(3.3 * rate_hz)] = np.nan  # a gap
    path = write(tmp_path / "a.wav", sound, rate_hz, "FLOAT")
    another = perturbed(encoder)
    reference, expected = (read_reference([path], encoders=(each,)) for each in (encoder, another))
    found = replace_encoder(reference, encoder, another)
    assert found.encoders == (another,)
    assert len(found.windows) >= len(expected.windows) - 1 > 8
    for one, other in zip(found.segments[0].windows, expected.segments[0].windows, strict=False):
        assert one.start == other.start
        np.testing.assert_allclose(
            one.features["encoder"], other.features["encoder"], rtol=1e-2, atol=1e-2
        )
        np.testing.assert_array_equal(one.features["tone"], other.features["tone"])


# ---------- which encoder is kept


@given(st.floats(0.3, 1), st.floats(0.3, 1), st.floats(0, 0.3), st.floats(0, 0.3))
def test_an_encoder_is_kept_if_it_detects_more_with_no_more_high_scores(
    before: float, after: float, few: float, many: float
) -> None:
    frozen, adapted = TrialScores(before, {}, (few, 0.0)), TrialScores(after, {}, (many, 0.0))
    found = Adaptation(None, frozen, adapted, 0, 1, 1, 1.0)  # type: ignore[arg-type]
    assert found.kept == (after - before >= MIN_AUC_GAIN and many - few <= MAX_SHARE_INCREASE)


@pytest.fixture
def quick_adaptation(monkeypatch: pytest.MonkeyPatch, better: bool) -> None:
    """Three gradient steps, whose result is taken to be better or not."""
    monkeypatch.setattr(adaptation, "adapt", partial(adapt, config=QUICK))
    monkeypatch.setattr(adaptation_result, "MIN_AUC_GAIN", -1.0 if better else 1.0)
    monkeypatch.setattr(adaptation_result, "MAX_SHARE_INCREASE", 1.0)


@pytest.mark.slow
@pytest.mark.parametrize("better", [False, True])
@pytest.mark.usefixtures("quick_adaptation", "unmeasured")
def test_train_with_adapt_writes_a_bundle_with_the_better_encoder(
    command_line: CommandLine, recording: Path, encoder_file: Path, tmp_path: Path, better: bool
) -> None:
    models = ("-m", "fan01", "--models", tmp_path / "m", "--no-shipped-encoder")
    called = command_line("train", "-n", recording, "--adapt", "--encoder", encoder_file, *models)
    assert called.code == 0, called.err
    bundle = load_bundle(tmp_path / "m", "fan01")
    entry = bundle.manifest["adaptation"]
    assert entry["kept"] is better
    assert 0 <= entry["frozen"]["auc"] <= 1
    assert set(entry["adapted"]["views"]) == {"encoder"}
    assert (entry["others"], entry["steps"]) == (0, 3)
    [used] = bundle.detector.encoders
    assert used.name == ("encoder-adapted" if better else "encoder")
    assert "encoder" in {view.kind.name for view in bundle.detector.views}
    assert any("not adapted" in warning for warning in bundle.manifest["warnings"]) is not better
    assert ("was adapted" in called.out) is better
    assert ("warning: the encoder was not adapted" in called.err) is not better
    scored = command_line("score", recording, "--json", "--per", "file", *models[:4])
    assert "encoder" in json.loads(scored.out)["views"]


# ---------- refusals of the command


def refusal(command_line: CommandLine, *arguments: object) -> str:
    called = command_line("train", "-m", "fan01", "--no-shipped-encoder", *arguments)
    assert called.code in {1, 2}, called.err
    return called.message


def test_other_machines_without_adapt_are_refused(
    command_line: CommandLine, recording: Path, encoder_file: Path, tmp_path: Path
) -> None:
    message = refusal(
        command_line,
        *("-n", recording, "--others", recording),
        *("--encoder", encoder_file, "--models", tmp_path / "m"),
    )
    assert "add --adapt" in message


def test_adapting_without_torch_is_refused_before_anything_is_read(
    command_line: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
    encoder_file: Path,
    tmp_path: Path,
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "torch" else find(name, *a)
    )
    message = refusal(
        command_line,
        *("-n", tmp_path / "absent.wav", "--adapt"),
        *("--encoder", encoder_file, "--models", tmp_path / "m"),
    )
    assert "'.[train]'" in message
    assert not (tmp_path / "m").exists()


@pytest.mark.slow
def test_what_cannot_be_adapted_is_refused(
    command_line: CommandLine, recording: Path, encoder_file: Path, tmp_path: Path
) -> None:
    places = ("--models", tmp_path / "m")
    ours = ("--encoder", encoder_file, *places)
    copy = tmp_path / "others/copy.flac"
    copy.parent.mkdir()
    copy.write_bytes(recording.read_bytes())
    message = refusal(command_line, "-n", recording, "--adapt", *ours, "--others", copy.parent)
    assert "copy.flac: the same recording as" in message

    message = refusal(command_line, "-n", recording, "--adapt", *places)
    assert "no encoder to adapt" in message

    foreign = write_network(tmp_path, maps_network(), maps_card("toy"))
    message = refusal(command_line, "-n", recording, "--adapt", "--encoder", foreign, *places)
    assert "toy cannot be trained further" in message

    short = write(tmp_path / "short.wav", machine_sound(40.0))
    assert "too little" in refusal(command_line, "-n", short, "--adapt", *ours)
    assert not (tmp_path / "m").exists()
