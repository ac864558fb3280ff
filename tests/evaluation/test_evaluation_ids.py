"""The regime `ids`: one encoder for all, a claim of each clip, and what is never trained on."""

import csv
import importlib.util
import json
import pickle
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asd_monitor.audio.files.recordings import read_recording
from asd_monitor.encoder_training import outlier_exposure
from asd_monitor.encoder_training.fine_tuning import (
    FineTunedNetwork,
    FineTuningConfig,
    fine_tune,
)
from asd_monitor.encoder_training.network import Network
from asd_monitor.encoder_training.outlier_exposure import IdBatches
from asd_monitor.encoders.encoder_loading import load_encoder
from asd_monitor.errors import UsageError
from asd_monitor.evaluation import dcase_layouts
from asd_monitor.evaluation.dcase_layouts import find_machines
from asd_monitor.evaluation.ids_regime import ID, IdsRegime
from asd_monitor.evaluation.regimes import DetectorTrainer, TrainedMachine
from asd_monitor.evaluation.results import FUSED
from asd_monitor.model_training.encoder_vectors import encode_windows
from asd_monitor.model_training.training_progress import no_progress
from tests.doubles.command_line import CommandLine
from tests.doubles.small_trees import small_tree
from tests.doubles.synthetic_encoders import small_encoder_file


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_encoder_file(tmp_path_factory.mktemp("network"))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_tree(tmp_path_factory.mktemp("tree"), "2020", (0, 2))


QUICK = FineTuningConfig(steps=3, learning_rate=1e-3, heads_only_share=0.1, backgrounds=1)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    train = partial(outlier_exposure.train_id_classifier, config=QUICK)
    monkeypatch.setattr(outlier_exposure, "train_id_classifier", train)


@pytest.fixture(scope="module")
def prepared(
    tree: Path, encoder: Path
) -> tuple[list[dcase_layouts.DcaseMachine], DetectorTrainer, list[int]]:
    """Return the machines, the trainer, and the number of frames of each id trained on."""
    machines = find_machines(tree)
    frames: list[int] = []

    def note(network: Network, draw: IdBatches, *args: Any, **named: Any) -> FineTunedNetwork:
        frames.extend(sum(map(len, clips)) for clips in draw.clips)
        return fine_tune(network, draw, *args, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outlier_exposure, "fine_tune", note)
        train = partial(outlier_exposure.train_id_classifier, config=QUICK)
        patch.setattr(outlier_exposure, "train_id_classifier", train)
        trainer = IdsRegime((load_encoder(encoder),)).prepare(machines, no_progress)
    return machines, trainer, frames


@pytest.fixture(scope="module")
def learned(
    prepared: tuple[list[dcase_layouts.DcaseMachine], DetectorTrainer, list[int]],
) -> TrainedMachine:
    machines, learner, _ = prepared
    return learner(machines[0])


def test_held_out_clips_are_not_trained_on(
    prepared: tuple[list[dcase_layouts.DcaseMachine], DetectorTrainer, list[int]],
) -> None:
    assert prepared[2] == [3 * 155, 3 * 155], "three of the four clips of 5 s"


def test_the_claim_is_one_more_view(
    prepared: tuple[list[dcase_layouts.DcaseMachine], DetectorTrainer, list[int]], learned: TrainedMachine
) -> None:
    clip = score_clip(learned, prepared[0][0].test[0].path, None)
    assert learned.clip_scores is not None
    scores = learned.clip_scores(clip)
    assert set(scores) == {ID, FUSED}
    known: dict[str, Any] = learned.clip_scores.keywords  # type: ignore[attr-defined]
    sound = read_recording(clip.path).samples
    vectors = [each[ID] for each in encode_windows(sound, known["claims"].id_encoder, known["front_end"])]
    claim = known["tail"].score(known["claims"].score(np.stack(vectors), known["claimed"]))
    assert scores[ID] == pytest.approx(float(np.mean(claim)))
    cubes = [
        [*(score**3 for score in window.views.values()), own**3]
        for window, own in zip(clip.windows, claim.tolist(), strict=True)
    ]
    assert len(cubes[0]) == 9 + 1 + 1
    assert scores[FUSED] == pytest.approx(float(np.mean(np.cbrt(np.mean(cubes, axis=1)))))
    assert len(learned.training_scores) == 4, "one held-out clip is too few for a threshold"
    assert learned.encoder_views == {"encoder"}


def test_what_was_learned_goes_to_other_processes_without_torch(
    prepared: tuple[list[dcase_layouts.DcaseMachine], DetectorTrainer, list[int]], tmp_path: Path
) -> None:
    path = tmp_path / "learner.pickle"
    path.write_bytes(pickle.dumps(prepared[1]))
    code = (
        f"import pickle, sys; pickle.load(open({str(path)!r}, 'rb')); print('torch' in sys.modules)"
    )
    called = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert called.stdout.strip() == b"False"


@pytest.mark.slow
def test_another_machine_is_not_taken_for_the_one_that_it_claims_to_be(
    tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(QUICK, steps=40)
    train = partial(outlier_exposure.train_id_classifier, config=config)
    monkeypatch.setattr(outlier_exposure, "train_id_classifier", train)
    root = small_tree(tmp_path, "2023", (0,), ("fan", "pump"))
    machines = find_machines(root)
    for machine in machines[1:]:  # the other type is darker
        for path in machine.train:
            sound, rate_hz = _read(path)
            _write(path, np.cumsum(sound) * 0.05, rate_hz)
    learner = IdsRegime((load_encoder(encoder),)).prepare(machines, no_progress)
    fan = learner(machines[0])
    assert fan.clip_scores is not None
    own = fan.clip_scores(score_clip(fan, machines[0].train[0], None))[ID]
    other = fan.clip_scores(score_clip(fan, machines[1].train[0], None))[ID]
    assert own < 2 < other


def _read(path: Path) -> tuple[Any, int]:
    import soundfile

    sound, rate_hz = soundfile.read(path, dtype="float32")
    return sound, rate_hz


def _write(path: Path, sound: Any, rate_hz: int) -> None:
    import soundfile

    soundfile.write(path, sound - sound.mean(), rate_hz)


@pytest.mark.slow
def test_from_the_command_line_to_the_results(
    command_line: CommandLine, tree: Path, encoder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    options = ("--no-shipped-encoder", "--encoder", encoder, "--jobs", 1, "--output", out)
    called = command_line("evaluate", tree, "--regime", "ids", *options)
    assert called.code == 0, called.err
    told = json.loads((out / "results.json").read_text())
    assert told["regime"] == "ids"
    assert {"id", "encoder", "level"} <= set(told["views"])
    assert set(told["machines"]["fan"]["ids"]) == {"id_00", "id_02"}
    with (out / "anomaly_score_fan_id_00.csv").open(newline="") as file:
        scores = [float(row[1]) for row in csv.reader(file)]
    assert len(scores) == 4
    assert min(scores) > 0
    assert "id" in (out / "report.html").read_text()

    called = command_line("evaluate", tree, "--adapt", *options)
    assert called.code == 0, called.err
    assert "was not adapted: 20 s of usable sound are too little" in called.err
    assert json.loads((out / "results.json").read_text())["regime"] == "single"


def test_one_id_alone_cannot_be_told_from_others(tree: Path, encoder: Path) -> None:
    alone = find_machines(tree)[:1]
    with pytest.raises(UsageError, match=r"fan id_00: --regime ids .* use --regime single"):
        IdsRegime((load_encoder(encoder),)).prepare(alone, no_progress)


def test_refusals_come_before_anything_is_read(
    command_line: CommandLine, tree: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = ("--no-shipped-encoder", "--jobs", 1)
    for options in (("--regime", "ids"), ("--adapt",)):
        called = command_line("evaluate", tree, *options, *bare)
        assert (called.code, "no network to adapt" in called.message) == (2, True)
    called = command_line("evaluate", tree, "--regime", "ids", "--adapt", *bare)
    assert (called.code, "--regime single" in called.message) == (2, True)

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "torch" else find(name, *a)
    )
    for options in (("--regime", "ids"), ("--adapt",)):
        called = command_line("evaluate", tree / "nothing", *options, *bare)
        assert (called.code, "'.[train]'" in called.message) == (1, True)
