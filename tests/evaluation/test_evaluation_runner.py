"""Evaluations of small data sets of every layout, from the clips to the result files."""

import csv
import importlib.util
import json
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from asd_monitor.encoders.encoder_loading import load_encoder
from asd_monitor.errors import UsageError
from asd_monitor.evaluation.clip_names import read_name
from asd_monitor.evaluation.dcase_layouts import find_data_set
from asd_monitor.evaluation.dcase_rules import figures_of
from asd_monitor.evaluation.dcase_years import Rules
from asd_monitor.evaluation.gamma_threshold import gamma_threshold
from asd_monitor.evaluation.recording_scores import score_recording
from asd_monitor.evaluation.regime_names import RegimeName
from asd_monitor.evaluation.regimes import SingleRegime, train_single
from asd_monitor.evaluation.results import FUSED, STATISTICS
from asd_monitor.evaluation.runner import evaluate
from asd_monitor.metrics import auc
from datasets.dcase_tree import LAYOUTS
from tests.doubles.command_line import CommandLine
from tests.doubles.small_trees import small_tree
from tests.doubles.synthetic_networks import maps_card, maps_network, write_network
from tests.doubles.synthetic_sounds import machine_sound, write


def _read_table(path: Path) -> dict[str, float]:
    with path.open(newline="") as file:
        return {name: float(cell) for name, cell in csv.reader(file)}


FAST = ("2020", "2021", "2023", "2026")


@pytest.mark.parametrize(
    "layout",
    [pytest.param(each, marks=[] if each in FAST else pytest.mark.slow) for each in LAYOUTS],
)
def test_a_data_set_is_evaluated_by_its_rules(tmp_path: Path, layout: str) -> None:
    rules = Rules.Y2022 if layout == "2022" else None  # a single section looks like 2023
    results = evaluate(find_data_set(small_tree(tmp_path / "tree", layout), rules))
    out = tmp_path / "out"
    out.mkdir()
    results.write(out, "a report")
    written = json.loads((out / "results.json").read_text())
    assert (written["rules"], written["regime"]) == (layout, "single")
    part = "ids" if layout == "2020" else "sections"
    [(name, machine)] = written["machines"]["fan"][part].items()
    scores: dict[str, float] = {}
    for path in out.glob("anomaly_score_*.csv"):
        scores |= _read_table(path)
    assert len(scores) == (4 if layout == "2020" else 8)
    names = {file: read_name(file) for file in scores}
    labels = [n.anomalous is True for n in names.values() if n]
    domains = [n.domain for n in names.values() if n]
    figures = figures_of(Rules(layout), labels, domains, list(scores.values()))
    for measure, value in figures.to_json().items():
        assert machine[measure] == pytest.approx(value)
        assert written["mean"][measure] == pytest.approx(value)
    assert auc(labels, list(scores.values())) > 0.7
    assert written["baselines"]["statistics"]["auc"] == pytest.approx(written["mean"]["auc"])
    assert set(written["views"]["level"]) >= {"auc", "pauc"}
    assert not any("2 channels" in notice for r in results.machines for notice in r.notices)

    files = sorted(path.name for path in out.glob("*.csv"))
    if layout == "2020":
        assert "official" not in written["mean"]
        assert files == [f"anomaly_score_fan_{name}.csv"]
        return
    ends = ["source_test", "target_test"] if layout == "2021" else ["test"]
    kinds = ("anomaly_score", "decision_result")
    assert files == sorted(f"{kind}_fan_{name}_{end}.csv" for kind in kinds for end in ends)
    for end in ends:
        decided = _read_table(out / f"decision_result_fan_{name}_{end}.csv")
        for file, decision in decided.items():
            assert decision == (scores[file] > machine["threshold"])


def test_the_year_of_the_rules_can_be_given(command_line: CommandLine, tmp_path: Path) -> None:
    root, out = small_tree(tmp_path / "tree", "2023"), tmp_path / "out"
    options = ("--output", out, "--jobs", 1, "--no-shipped-encoder", "--no-sound")
    called = command_line("evaluate", root, "--rules", "2022", *options)
    assert called.code == 0, called.err
    assert "rules of DCASE 2022 (by --rules)" in called.err
    assert "official" in called.out
    assert json.loads((out / "results.json").read_text())["rules"] == "2022"


def test_the_threshold_is_fitted_to_out_of_fold_scores(tmp_path: Path) -> None:
    data = find_data_set(small_tree(tmp_path, "2023"))
    [machine] = data.machines
    trained = train_single(machine)
    [result] = evaluate(data).machines
    assert result.threshold == gamma_threshold(trained.training_scores)
    in_fold = [score_recording(trained.detector, path).fused for path in machine.train]
    assert len(trained.training_scores) == len(in_fold)
    assert np.mean(trained.training_scores) > 1.1 * np.mean(in_fold)
    normal = [
        score
        for clip, score in zip(result.machine.test, result.scores[FUSED], strict=True)
        if not clip.anomalous
    ]
    # half to twice the scores of new normal clips
    assert min(normal) / 2 < result.threshold < 2 * max(normal)


def test_the_statistics_baseline_has_no_view_of_an_encoder(tmp_path: Path) -> None:
    onnx = write_network(tmp_path, maps_network(), maps_card())
    data = find_data_set(small_tree(tmp_path / "tree", "2020"))
    [plain] = evaluate(data).machines
    results = evaluate(data, SingleRegime((load_encoder(onnx),)))
    [result] = results.machines
    encoder_views = set(result.scores) - set(plain.scores)
    assert encoder_views
    assert result.scores[FUSED] != plain.scores[FUSED]
    assert result.baselines[STATISTICS] == pytest.approx(plain.scores[FUSED])
    assert encoder_views <= set(results.to_json()["views"])


def test_the_channel_can_be_given(command_line: CommandLine, tmp_path: Path) -> None:
    root = small_tree(tmp_path / "tree", "2026")
    near = evaluate(find_data_set(root)).machines[0]
    far = evaluate(find_data_set(root, channel=1)).machines[0]
    assert near.figures().auc > 0.7
    assert far.figures().auc < 0.3  # the far microphone records faults in the normal clips
    called = command_line("evaluate", root, "--channel", 2, "--output", tmp_path / "out")
    assert called.code == 2
    assert "no channel 2" in called.message


class UnreachableRegime:
    """Fails the test when training begins."""

    name = RegimeName.SINGLE

    def prepare(self, machines: object, progress: object) -> NoReturn:
        raise AssertionError("training has begun")


def test_bad_recordings_are_reported_before_training(tmp_path: Path) -> None:
    root = small_tree(tmp_path, "2023")
    test = root / "fan/test/section_00_source_test_normal_0000_spd_24_hall_A.flac"
    sound = test.read_bytes()
    test.write_bytes(b"RIFF")
    with pytest.raises(UsageError, match=r"normal_0000.*not a recording"):
        evaluate(find_data_set(root), UnreachableRegime())
    write(test, machine_sound(1.5))
    with pytest.raises(UsageError, match=r"normal_0000.*1\.50 s is shorter than a window"):
        evaluate(find_data_set(root), UnreachableRegime())
    write(test, machine_sound(3.0, rate_hz=8000), 8000)
    with pytest.raises(
        UsageError, match=r"8000 Hz, while fan section_00 is trained on .* 16000 Hz"
    ):
        evaluate(find_data_set(root), UnreachableRegime())
    test.write_bytes(sound)
    write(test, machine_sound(3.0, rate_hz=32000), 32000)
    notices = evaluate(find_data_set(root)).notices
    assert any("several rates (16000 Hz, 32000 Hz)" in notice for notice in notices)
    test.write_bytes(sound)
    for path in root.glob("fan/train/*_000[1-3]_*"):
        path.unlink()
    with pytest.raises(UsageError, match=r"section_00: 10 s of usable sound .* 5 s more"):
        evaluate(find_data_set(root), UnreachableRegime())


def test_a_long_training_recording_counts_as_several_clips(tmp_path: Path) -> None:
    """The threshold is fitted to the scores of clips, not to the mean of a whole recording."""
    write(tmp_path / "fan/train/normal_id_00_00000000.wav", machine_sound(45.0))
    write(tmp_path / "fan/test/normal_id_00_00000001.wav", machine_sound(3.0, seed=1))
    write(tmp_path / "fan/test/anomaly_id_00_00000000.wav", machine_sound(3.0, seed=2, fault=1))
    [machine] = find_data_set(tmp_path).machines
    assert len(train_single(machine).training_scores) == 5


def test_the_baseline_needs_torch(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "torch" else find(name)
    )
    called = command_line("evaluate", tmp_path / "absent", "--baseline")
    assert called.code == 1
    assert "pip install -c constraints.txt '.[train]'" in called.message
