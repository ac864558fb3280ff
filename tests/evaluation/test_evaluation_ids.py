"""The regime `ids`: an encoder trained on all ids, and the score of a clip against its own id."""

import csv
import importlib.util
import json
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from asd_monitor.audio.files.recordings import read_recording
from asd_monitor.dsp.signal_conditioning import SignalConditioner
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
from asd_monitor.evaluation.dcase_data_set import DcaseMachine
from asd_monitor.evaluation.dcase_layouts import find_machines
from asd_monitor.evaluation.ids_regime import ID, MIN_DISTANCE, IdsRegime
from asd_monitor.evaluation.recording_scores import score_recording
from asd_monitor.evaluation.regimes import DetectorTrainer, TrainedMachine
from asd_monitor.evaluation.results import FUSED
from asd_monitor.model_training.encoder_vectors import encode_windows
from asd_monitor.model_training.training_progress import no_progress
from tests.doubles.command_line import CommandLine
from tests.doubles.small_trees import small_tree
from tests.doubles.synthetic_encoders import small_encoder_file

QUICK = FineTuningConfig(steps=3, learning_rate=1e-3, heads_only_share=0.1, backgrounds=1)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_encoder_file(tmp_path_factory.mktemp("network"))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_tree(tmp_path_factory.mktemp("tree"), "2020", (0, 2))


@pytest.fixture(scope="module")
def machines(tree: Path) -> list[DcaseMachine]:
    return find_machines(tree)


@pytest.fixture(scope="module")
def prepared(machines: list[DcaseMachine], encoder: Path) -> tuple[DetectorTrainer, list[int]]:
    """The trainer, and the number of log-mel frames of each id that it was trained on."""
    frames: list[int] = []

    def record(network: Network, draw: IdBatches, *args: Any, **named: Any) -> FineTunedNetwork:
        frames.extend(sum(map(len, clips)) for clips in draw.clips)
        return fine_tune(network, draw, *args, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outlier_exposure, "fine_tune", record)
        regime = IdsRegime((load_encoder(encoder),), tuning=QUICK)
        trainer = regime.prepare(machines, no_progress)
    return trainer, frames


@pytest.fixture(scope="module")
def trainer(prepared: tuple[DetectorTrainer, list[int]]) -> DetectorTrainer:
    return prepared[0]


@pytest.fixture(scope="module")
def trained(trainer: DetectorTrainer, machines: list[DcaseMachine]) -> TrainedMachine:
    return trainer(machines[0])


@pytest.mark.slow  # an encoder is trained
def test_held_out_clips_are_not_trained_on(prepared: tuple[DetectorTrainer, list[int]]) -> None:
    assert prepared[1] == [3 * 155, 3 * 155], "three of the four clips of 5 s"


@pytest.mark.slow  # an encoder is trained
def test_the_score_of_the_id_is_fused_as_one_more_view(
    machines: list[DcaseMachine], trained: TrainedMachine
) -> None:
    clip = score_recording(trained.detector, machines[0].test[0].path)
    assert trained.clip_scores is not None
    scores = trained.clip_scores(clip)
    assert set(scores) == {ID, FUSED}
    given: dict[str, Any] = trained.clip_scores.keywords  # type: ignore[attr-defined]
    scorer, front_end = given["scorer"], given["front_end"]
    recording = read_recording(clip.path)
    conditioner = SignalConditioner(recording.rate_hz, front_end.rate_hz)
    sound = np.concatenate([conditioner.push(recording.samples), conditioner.flush()])
    vectors = [window[ID] for window in encode_windows(sound, scorer.encoder, front_end)]
    distances = scorer.score(np.stack(vectors), given["own_id"])
    of_id = given["calibration"].deviation(distances + MIN_DISTANCE)
    assert scores[ID] == pytest.approx(float(np.mean(of_id)))
    squares = [
        [max(0.0, deviation) ** 2 for deviation in (*window.views.values(), own)]
        for window, own in zip(clip.windows, of_id.tolist(), strict=True)
    ]
    assert len(squares[0]) == 9 + 1 + 1
    assert scores[FUSED] == pytest.approx(float(np.mean(np.sqrt(np.mean(squares, axis=1)))))
    assert len(trained.training_scores) == 4, "one held-out clip is too few for a threshold"
    assert trained.encoder_views == {"encoder"}


@pytest.mark.slow  # an encoder is trained
def test_the_trainer_is_unpickled_without_torch(trainer: DetectorTrainer, tmp_path: Path) -> None:
    path = tmp_path / "trainer.pickle"
    path.write_bytes(pickle.dumps(trainer))
    code = (
        f"import pickle, sys; pickle.load(open({str(path)!r}, 'rb')); print('torch' in sys.modules)"
    )
    called = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert called.stdout.strip() == b"False"


@pytest.mark.slow
def test_a_clip_of_another_machine_scores_high_against_this_id(
    tmp_path: Path, encoder: Path
) -> None:
    root = small_tree(tmp_path, "2023", (0,), ("fan", "pump"))
    fan, pump = find_machines(root)
    for path in pump.train:  # integrated: less high-frequency sound
        sound, rate_hz = soundfile.read(path, dtype="float32")
        dark = np.cumsum(sound) * 0.05
        soundfile.write(path, dark - dark.mean(), rate_hz)
    regime = IdsRegime((load_encoder(encoder),), tuning=replace(QUICK, steps=40))
    trained = regime.prepare([fan, pump], no_progress)(fan)
    assert trained.clip_scores is not None
    own = trained.clip_scores(score_recording(trained.detector, fan.train[0]))[ID]
    other = trained.clip_scores(score_recording(trained.detector, pump.train[0]))[ID]
    assert own < 2 < other


@pytest.mark.slow
def test_both_regimes_from_the_command_line(
    command_line: CommandLine,
    tree: Path,
    encoder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outlier_exposure, "default_steps", lambda _: 30)  # of 300
    out = tmp_path / "out"
    options = ("--no-shipped-encoder", "--encoder", encoder, "--jobs", 1, "--output", out)
    called = command_line("evaluate", tree, "--regime", "ids", *options)
    assert called.code == 0, called.err
    written = json.loads((out / "results.json").read_text())
    assert written["regime"] == "ids"
    assert {"id", "encoder", "level"} <= set(written["views"])
    assert set(written["machines"]["fan"]["ids"]) == {"id_00", "id_02"}
    with (out / "anomaly_score_fan_id_00.csv").open(newline="") as file:
        scores = [float(row[1]) for row in csv.reader(file)]
    assert len(scores) == 4
    assert min(scores) > 0

    called = command_line("evaluate", tree, "--adapt", *options)
    assert called.code == 0, called.err
    assert "was not adapted: 20 s of usable sound are too little" in called.err
    assert json.loads((out / "results.json").read_text())["regime"] == "single"


@pytest.mark.slow  # an encoder is made
def test_a_single_id_is_refused(machines: list[DcaseMachine], encoder: Path) -> None:
    with pytest.raises(UsageError, match=r"fan id_00: --regime ids .* use --regime single"):
        IdsRegime((load_encoder(encoder),)).prepare(machines[:1], no_progress)


def test_missing_requirements_are_reported_before_anything_is_read(
    command_line: CommandLine, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = ("--no-shipped-encoder", "--jobs", 1)
    for options in (("--regime", "ids"), ("--adapt",)):
        called = command_line("evaluate", tree, *options, *bare)
        assert (called.code, "no encoder to adapt" in called.message) == (2, True), called.message
    called = command_line("evaluate", tree, "--regime", "ids", "--adapt", *bare)
    assert (called.code, "--regime single" in called.message) == (2, True)

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "torch" else find(name, *a)
    )
    for options in (("--regime", "ids"), ("--adapt",)):
        called = command_line("evaluate", tree / "nothing", *options, *bare)
        assert (called.code, "'.[train]'" in called.message) == (1, True)
