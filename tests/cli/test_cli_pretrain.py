"""`asd-monitor pretrain`: what it needs, what it writes, and how it goes on."""

import functools
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from asd_monitor.encoder_training import checkpoints, optimisation, pretraining
from asd_monitor.encoder_training.export import encoder_of
from asd_monitor.encoder_training.network import TAPS
from asd_monitor.encoder_training.optimisation import Recipe
from asd_monitor.encoder_training.pool import Pool
from asd_monitor.encoders.loading import load_encoder
from tests.doubles.command_line import Called, CommandLine, without_privileges
from tests.doubles.synthetic_pools import SMALL, MadeFeed, synthetic_pool
from tests.doubles.synthetic_sounds import machine_sound, write

MADE = ("--supply", "made", "--steps", 20, "--threads", 1)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A tiny recipe, with machines made in this process."""
    held_out = Pool(synthetic_pool().instances[-2:], synthetic_pool().backgrounds)
    monkeypatch.setattr(optimisation, "Recipe", functools.partial(Recipe, **_TINY))
    monkeypatch.setattr(pretraining, "Feed", MadeFeed)
    monkeypatch.setattr(pretraining, "held_out_pool", lambda *_: held_out)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


# what the command itself decides stays with it
_TINY = {name: SMALL[name] for name in ("instances", "lengths")}


def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Keep what the command asks of the training, and stop there."""
    found: list[tuple[Any, ...]] = []

    def stop(*given: Any) -> None:
        found.append(given)
        raise KeyboardInterrupt

    monkeypatch.setattr(pretraining, "pretrain", stop)
    return found


def refused(called: Called, code: int, *said: str) -> None:
    assert called.code == code, called.err
    assert all(each in called.verdict for each in said), called.err
    assert not called.out


@pytest.mark.parametrize("supply", [(), ("--supply", "both"), ("--supply", "real")])
def test_real_sounds_must_be_named(
    command_line: CommandLine, tmp_path: Path, supply: tuple[str, ...]
) -> None:
    called = command_line("pretrain", "--output", tmp_path / "out", *supply)
    refused(called, 2, "name recordings with --sounds", "--supply made")
    assert not (tmp_path / "out").exists()


def test_without_torch_it_says_what_to_install(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    called = command_line("pretrain", "--output", tmp_path / "out", *MADE)
    refused(called, 1, "torch is not installed", "'.[train]'")
    assert not (tmp_path / "out").exists()


def test_a_folder_without_recordings_is_refused(command_line: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "sounds").mkdir()
    (tmp_path / "sounds/readme.txt").write_text("none here")
    called = command_line("pretrain", "-o", tmp_path / "out", "--sounds", tmp_path / "sounds")
    refused(called, 2, str(tmp_path / "sounds"))


def test_a_folder_of_silence_is_refused(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By who reads the recordings, in another process; here by the same in this one."""
    from asd_monitor.encoder_training.batch_feed import Maker, Sources

    class Reading(MadeFeed):
        def __init__(self, sources: Sources) -> None:
            Maker(sources)
            super().__init__(sources)

    monkeypatch.setattr(pretraining, "Feed", Reading)
    write(tmp_path / "sounds/1.wav", np.zeros(16_000))
    called = command_line("pretrain", "-o", tmp_path / "out", "--sounds", tmp_path / "sounds")
    refused(called, 2, "no sound to train on", "--sounds")


def test_a_folder_that_cannot_be_written_is_refused_before_the_training(
    command_line: CommandLine, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = asked(monkeypatch)
    (open_folder / "shut").mkdir(mode=0o555)
    with without_privileges():
        for output in (open_folder / "shut", open_folder / "shut/below"):
            called = command_line("pretrain", "-o", output, *MADE)
            refused(called, 1, str(open_folder / "shut"), "cannot be written", "--output")
    (open_folder / "file").write_text("")
    called = command_line("pretrain", "-o", open_folder / "file", *MADE)
    refused(called, 1, str(open_folder / "file"), "cannot be written")
    assert not found


@pytest.mark.parametrize("steps", ["0", "19", "many"])
def test_too_few_steps_are_wrong_usage(
    command_line: CommandLine, tmp_path: Path, steps: str
) -> None:
    called = command_line("pretrain", "-o", tmp_path, "--supply", "made", "--steps", steps)
    assert called.code == 2
    assert "--steps" in called.err


def test_options_become_the_recipe_and_the_sources(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = asked(monkeypatch)
    sound = write(tmp_path / "s/1.wav", machine_sound(0.3))
    noise = [write(tmp_path / f"n/{k}.wav", machine_sound(0.3)) for k in range(2)]
    real = ("pretrain", "-o", tmp_path / "out", "--sounds", tmp_path / "s", "--noise", *noise)
    assert command_line(*real, "--seed", 5).code == 130
    sources, plain, total, folder, _ = found[0]
    assert (sources.sounds, sources.noises) == ((sound,), tuple(noise))
    assert (str(sources.supply), sources.recorded_backgrounds, sources.seed) == ("both", 0.5, 5)
    assert plain == Recipe(seed=5, **_TINY)
    assert (total, folder) == (4000, tmp_path / "out")
    options = {
        ("--no-mixup",): {"mixup": 0.0},
        ("--no-stretch",): {"stretch_bands": 0.0, "stretch_time": 0.0},
        # as many windows without faults as with them
        ("--no-faults",): {"faults": 0, "normals": plain.reference + 2 * plain.faults},
        ("--high-band", "mean"): {"high_band": "mean"},
    }
    for option, changes in options.items():
        assert command_line(*real, *option).code == 130
        assert found[-1][1] == Recipe(**(_TINY | changes)), option
    assert command_line("pretrain", "-o", tmp_path / "out", *MADE).code == 130
    sources = found[-1][0]
    assert (sources.sounds, sources.recorded_backgrounds) == ((), 0.0)


@pytest.fixture(scope="module")
def encoders() -> dict[str, Any]:
    """Exports by the weights of the network: each takes seconds."""
    return {}


@pytest.fixture
def _export_once(encoders: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def once(network: Any, views: Any, name: str = "encoder") -> Any:
        weights = [float(weight.double().sum()) for weight in network.state_dict().values()]
        key = f"{name} {weights}"
        if key not in encoders:
            encoders[key] = encoder_of(network, views, name)
        return encoders[key]

    monkeypatch.setattr(pretraining, "encoder_of", once)


@pytest.mark.usefixtures("_export_once")
def test_it_leaves_an_encoder_that_can_be_used(command_line: CommandLine, tmp_path: Path) -> None:
    output = tmp_path / "new/out"
    noise = write(tmp_path / "hall.wav", machine_sound(0.3))
    called = command_line("pretrain", "-o", output, *MADE, "--noise", noise)
    assert called.code == 0, called.err
    assert called.out.startswith(f"{output / 'encoder.onnx'}: ")
    assert "after 20 steps" in called.out
    assert re.search(r"step 20: loss .*held-out AUC maps1 0\.\d{3}, maps2 ", called.err)
    names = {path.name for path in output.iterdir()}
    cards = {"encoder.onnx", "encoder.yaml", "maps.onnx", "maps.yaml"}
    assert names == {"checkpoint.pt", "training.json", *cards}
    assert len(load_encoder(output / "maps.onnx").card.outputs) == len(TAPS)
    encoder = load_encoder(output / "encoder.onnx")
    facts = json.loads((output / "training.json").read_text())
    assert facts["sha256"] == encoder.sha256
    assert facts["command"].startswith(f"asd-monitor pretrain -o {output} --supply made")
    assert facts["steps"] == 20
    assert [row[0] for row in facts["held_out_auc_by_layer"]] == [0, 20]
    assert all(len(row) == 1 + len(TAPS) for row in facts["held_out_auc_by_layer"])
    assert facts["recipe"]["instances"] == SMALL["instances"]
    assert (facts["sounds"]["files"], facts["noises"]["files"]) == (0, 1)
    assert facts["multiply_adds_a_second"] > 1e6
    assert facts["parameters"] > 5e3


@pytest.mark.usefixtures("_export_once")
def test_called_again_it_goes_on_and_with_other_options_it_refuses(
    command_line: CommandLine, tmp_path: Path
) -> None:
    assert command_line("pretrain", "-o", tmp_path, *MADE).code == 0
    before = (tmp_path / "encoder.onnx").read_bytes()
    again = command_line("pretrain", "-o", tmp_path, *MADE)
    assert again.code == 0
    assert "step" not in again.err.replace("steps", "")
    assert (tmp_path / "encoder.onnx").read_bytes() == before
    other = command_line("pretrain", "-o", tmp_path, *MADE, "--seed", 2)
    refused(
        other, 2, "checkpoint of another training (recipe, seed differ)", "--output", "delete it"
    )
    (tmp_path / "checkpoint.pt").write_bytes(b"torn")
    refused(command_line("pretrain", "-o", tmp_path, *MADE), 1, "damaged", "delete it")
    assert (tmp_path / "encoder.onnx").read_bytes() == before


@pytest.mark.usefixtures("_export_once")
def test_a_folder_that_fills_up_at_the_end_is_told_of(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, _: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(checkpoints, "write_durably", full)
    called = command_line("pretrain", "-o", tmp_path, *MADE)
    refused(called, 1, "encoder.onnx: cannot be written (No space left on device)", "--output")


PROGRAM = """
import functools, sys
from pathlib import Path

def main():  # the other process does without torch
    import torch
    from asd_monitor.training import feed, pretrain
    from asd_monitor.encoder_training.pool import Supply
    from asd_monitor.encoder_training.optimisation import Recipe

    torch.set_num_threads(1)
    feed.FIRST, feed.AHEAD = 1, 0
    pretraining.Feed = functools.partial(feed.Feed, chapter=3, steps_a_chapter=2)
    pretraining.HELD_OUT_INSTANCES, pretraining.HELD_OUT_BACKGROUNDS = 1, 1
    pretraining.KEEP_EVERY = pretraining.TELL_EVERY = 1
    noise, folder = map(Path, sys.argv[1:])
    sources = feed.Sources(3, (), (noise,), Supply.MADE, 1.0)
    recipe = Recipe(instances=3, normals=2, faults=1, lengths=(60, 80))
    pretraining.pretrain(
        sources, recipe, 5, folder, lambda standing: print(standing.step, flush=True)
    )

if __name__ == "__main__":
    main()
"""


@pytest.mark.slow
@pytest.mark.timeout(400)  # three processes that load torch, where others work too
def test_killed_and_started_again_it_ends_with_the_same_weights(tmp_path: Path) -> None:
    """With the process that makes sounds, and no chance to tidy up."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    noise = write(tmp_path / "1.wav", machine_sound(4.1))
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}

    def start(name: str) -> subprocess.Popen[str]:
        (tmp_path / name).mkdir(exist_ok=True)
        command = [sys.executable, program, noise, tmp_path / name]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)

    with start("parts") as killed:
        assert killed.stdout is not None
        told = [int(killed.stdout.readline()) for _ in range(3)]
        killed.send_signal(signal.SIGKILL)
        killed.stdout.read()  # ends when the process that makes sounds has ended too
    assert told == [1, 2, 3]
    ends = {}
    for name in ("parts", "through"):
        with start(name) as process:
            out, _ = process.communicate()
        assert process.returncode == 0
        ends[name] = [int(line) for line in out.split()]
    assert ends["through"] == [1, 2, 3, 4, 5]
    assert ends["parts"][0] > 2
    states = [
        torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)["trainee"]
        for name in ("parts", "through")
    ]
    assert all(torch.equal(states[0][name], weight) for name, weight in states[1].items())
