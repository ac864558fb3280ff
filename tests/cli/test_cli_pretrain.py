"""`asd-monitor pretrain`: its requirements, its files, and resumption."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from asd_monitor.encoder_training import checkpoints, optimisation, pretraining
from asd_monitor.encoder_training.batch_feed import ShardBuilder
from asd_monitor.encoder_training.instance_pool import PoolFeed, TrainingSounds
from asd_monitor.encoder_training.network import TAPS
from asd_monitor.encoder_training.optimisation import PretrainingConfig
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.encoder_loading import load_encoder
from tests.doubles.command_line import CommandLine, CommandResult, without_privileges
from tests.doubles.synthetic_networks import maps_card, maps_network, write_network
from tests.doubles.synthetic_pools import SMALL, SyntheticFeed, held_out_instances
from tests.doubles.synthetic_sounds import machine_sound, write

MADE = ("--supply", "made", "--steps", 20, "--threads", 1)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Small batches of synthetic machines, rendered in this process."""
    monkeypatch.setattr(optimisation, "PretrainingConfig", partial(PretrainingConfig, **_TINY))
    train_from(SyntheticFeed, monkeypatch)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


# the other settings are the command's own
_TINY = {name: SMALL[name] for name in ("instances", "lengths")}
pretrain = pretraining.pretrain


def train_from(feed: Callable[[TrainingSounds], PoolFeed], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command train on what this feed delivers."""
    trained = partial(pretrain, feed=feed, held_out=held_out_instances())
    monkeypatch.setattr(pretraining, "pretrain", trained)


def requested(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Record the arguments of the training, and interrupt it."""
    found: list[tuple[Any, ...]] = []

    def stop(*given: Any) -> None:
        found.append(given)
        raise KeyboardInterrupt

    monkeypatch.setattr(pretraining, "pretrain", stop)
    return found


def assert_refused(result: CommandResult, code: int, *texts: str) -> None:
    assert result.code == code, result.err
    assert all(text in result.message for text in texts), result.err
    assert not result.out


@pytest.mark.parametrize("supply", [(), ("--supply", "both"), ("--supply", "real")])
def test_recordings_are_required_unless_the_source_is_synthetic(
    command_line: CommandLine, tmp_path: Path, supply: tuple[str, ...]
) -> None:
    result = command_line("pretrain", "--output", tmp_path / "out", *supply)
    assert_refused(result, 2, "name them with --sounds", "--supply made")
    assert not (tmp_path / "out").exists()


def test_missing_torch_is_reported_with_the_command_that_installs_it(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    result = command_line("pretrain", "--output", tmp_path / "out", *MADE)
    assert_refused(result, 1, "needs torch, which is not installed", "'.[train]'")
    assert not (tmp_path / "out").exists()


def test_a_folder_without_recordings_is_refused(command_line: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "sounds").mkdir()
    (tmp_path / "sounds/readme.txt").write_text("none here")
    result = command_line("pretrain", "-o", tmp_path / "out", "--sounds", tmp_path / "sounds")
    assert_refused(result, 2, str(tmp_path / "sounds"))


def test_a_folder_of_silence_is_refused(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child process reads the recordings; here this process does."""

    def read_first(sounds: TrainingSounds) -> SyntheticFeed:
        ShardBuilder(sounds)
        return SyntheticFeed(sounds)

    train_from(read_first, monkeypatch)
    write(tmp_path / "sounds/1.wav", np.zeros(16_000))
    result = command_line("pretrain", "-o", tmp_path / "out", "--sounds", tmp_path / "sounds")
    assert_refused(result, 2, "no sound to train on", "--sounds")


def test_a_folder_that_cannot_be_written_is_refused_before_the_training(
    command_line: CommandLine, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = requested(monkeypatch)
    (open_folder / "shut").mkdir(mode=0o555)
    with without_privileges():
        for output in (open_folder / "shut", open_folder / "shut/below"):
            result = command_line("pretrain", "-o", output, *MADE)
            assert_refused(result, 1, str(open_folder / "shut"), "cannot be written", "--output")
    (open_folder / "file").write_text("")
    result = command_line("pretrain", "-o", open_folder / "file", *MADE)
    assert_refused(result, 1, str(open_folder / "file"), "cannot be written")
    assert not found


@pytest.mark.parametrize("steps", ["0", "19", "many"])
def test_too_few_steps_are_wrong_usage(
    command_line: CommandLine, tmp_path: Path, steps: str
) -> None:
    result = command_line("pretrain", "-o", tmp_path, "--supply", "made", "--steps", steps)
    assert result.code == 2
    assert "--steps" in result.err


def test_options_become_the_settings_and_the_training_sounds(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = requested(monkeypatch)
    sound = write(tmp_path / "s/1.wav", machine_sound(0.3))
    noise = [write(tmp_path / f"n/{k}.wav", machine_sound(0.3)) for k in range(2)]
    real = ("pretrain", "-o", tmp_path / "out", "--sounds", tmp_path / "s", "--noise", *noise)
    assert command_line(*real, "--seed", 5).code == 130
    sounds, plain, total, folder, _ = found[0]
    assert (sounds.recordings, sounds.noise) == ((sound,), tuple(noise))
    assert (str(sounds.source), sounds.recorded_backgrounds, sounds.seed) == ("both", 0.5, 5)
    assert plain == PretrainingConfig(seed=5, **_TINY)
    assert (total, folder) == (4000, tmp_path / "out")
    options = {
        ("--no-mixup",): {"mixup": 0.0},
        ("--no-stretch",): {"stretch_bands": 0.0, "stretch_time": 0.0},
        # as many windows without faults as with them
        ("--no-faults",): {"faults": 0, "reference": plain.reference + 2 * plain.faults},
        ("--high-band", "mean"): {"high_band": "mean"},
    }
    for option, changes in options.items():
        assert command_line(*real, *option).code == 130
        assert found[-1][1] == PretrainingConfig(**(_TINY | changes)), option
    assert command_line("pretrain", "-o", tmp_path / "out", *MADE).code == 130
    sounds = found[-1][0]
    assert (sounds.recordings, sounds.recorded_backgrounds) == ((), 0.0)


@pytest.fixture
def exported(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Encoder:
    """The encoder that is exported instead of the trained network, whose export takes seconds."""
    folder = tmp_path_factory.mktemp("exported")
    path = write_network(folder, maps_network(), maps_card("encoder"))
    encoder = load_encoder(path)
    monkeypatch.setattr(pretraining, "export_encoder", lambda *_: encoder)
    return encoder


@pytest.mark.slow
def test_the_output_folder_holds_an_encoder_and_the_record_of_its_training(
    command_line: CommandLine, exported: Encoder, tmp_path: Path
) -> None:
    output = tmp_path / "new/out"
    noise = write(tmp_path / "hall.wav", machine_sound(0.3))
    result = command_line("pretrain", "-o", output, *MADE, "--noise", noise)
    assert result.code == 0, result.err
    assert result.out.startswith(f"{output / 'encoder.onnx'}: ")
    assert "after 20 steps" in result.out
    assert re.search(r"step 20: loss .*held-out AUC maps1 0\.\d{3}, maps2 ", result.err)
    names = {path.name for path in output.iterdir()}
    cards = {"encoder.onnx", "encoder.yaml", "maps.onnx", "maps.yaml"}
    assert names == {"checkpoint.pt", "training.json", *cards}
    record = json.loads((output / "training.json").read_text())
    assert record["sha256"] == load_encoder(output / "encoder.onnx").sha256 == exported.sha256
    assert record["command"].startswith(f"asd-monitor pretrain -o {output} --supply made")
    assert record["steps"] == 20
    assert [row[0] for row in record["held_out_auc_by_layer"]] == [0, 20]
    assert all(len(row) == 1 + len(TAPS) for row in record["held_out_auc_by_layer"])
    assert record["recipe"]["instances"] == SMALL["instances"]
    assert (record["sounds"]["files"], record["noises"]["files"]) == (0, 1)
    assert record["multiply_adds_a_second"] > 1e6
    assert record["parameters"] > 5e3


@pytest.mark.slow
def test_the_trained_network_is_exported_with_its_views_and_with_all_maps(
    command_line: CommandLine, tmp_path: Path
) -> None:
    result = command_line("pretrain", "-o", tmp_path, *MADE)
    assert result.code == 0, result.err
    assert len(load_encoder(tmp_path / "maps.onnx").card.outputs) == len(TAPS)
    assert load_encoder(tmp_path / "encoder.onnx").card.name == "encoder"


@pytest.mark.slow
@pytest.mark.usefixtures("exported")
def test_a_second_call_resumes_and_other_options_are_refused(
    command_line: CommandLine, tmp_path: Path
) -> None:
    assert command_line("pretrain", "-o", tmp_path, *MADE).code == 0
    before = (tmp_path / "encoder.onnx").read_bytes()
    again = command_line("pretrain", "-o", tmp_path, *MADE)
    assert again.code == 0
    assert "step" not in again.err.replace("steps", "")
    assert (tmp_path / "encoder.onnx").read_bytes() == before
    other = command_line("pretrain", "-o", tmp_path, *MADE, "--seed", 2)
    assert_refused(
        other, 2, "checkpoint of another training (recipe, seed differ)", "--output", "delete it"
    )
    (tmp_path / "checkpoint.pt").write_bytes(b"torn")
    assert_refused(command_line("pretrain", "-o", tmp_path, *MADE), 1, "damaged", "delete it")
    assert (tmp_path / "encoder.onnx").read_bytes() == before


@pytest.mark.slow
@pytest.mark.usefixtures("exported")
def test_a_full_disk_at_the_end_is_reported(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, _: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(checkpoints, "write_durably", full)
    result = command_line("pretrain", "-o", tmp_path, *MADE)
    assert_refused(
        result, 1, "encoder.onnx: cannot be written (No space left on device)", "--output"
    )
