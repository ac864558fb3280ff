"""`evaluate` on small trees of every layout, from the files to the files that it writes."""

import csv
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from asd_monitor.cli.evaluate import RulesOf
from asd_monitor.encoders.encoder_loading import load_encoder
from asd_monitor.errors import UsageError
from asd_monitor.evaluation.clip_names import read_name
from asd_monitor.evaluation.dcase_layouts import find_data_set
from asd_monitor.evaluation.dcase_rules import figures_of
from asd_monitor.evaluation.dcase_years import Rules
from asd_monitor.evaluation.gamma_threshold import gamma_threshold
from asd_monitor.evaluation.regimes import SingleRegime
from asd_monitor.evaluation.results import FUSED, STATISTICS
from asd_monitor.evaluation.runner import evaluate
from asd_monitor.metrics import auc
from datasets.dcase_tree import LAYOUTS
from tests.doubles.command_line import CommandLine
from tests.doubles.small_trees import small_tree
from tests.doubles.synthetic_networks import maps_card, maps_network, write_network
from tests.doubles.synthetic_sounds import machine_sound, write


def _table(path: Path) -> dict[str, float]:
    with path.open(newline="") as file:
        return {name: float(cell) for name, cell in csv.reader(file)}


OFTEN = ("2020", "2021", "2023", "2026")


@pytest.mark.parametrize(
    "layout",
    [pytest.param(each, marks=[] if each in OFTEN else pytest.mark.slow) for each in LAYOUTS],
)
def test_a_tree_is_evaluated_by_its_rules(
    command_line: CommandLine, tmp_path: Path, layout: str
) -> None:
    root, out = small_tree(tmp_path / "tree", layout), tmp_path / "out"
    asked = layout == "2022"  # one section alone looks like 2023
    rules = ("--rules", layout) if asked else ()
    called = command_line("evaluate", root, "--output", out, "--jobs", 1, *rules)
    assert called.code == 0, called.err
    assert f"rules of DCASE {layout} ({'as asked' if asked else 'recognised'}" in called.err
    told = json.loads((out / "results.json").read_text())
    assert (told["rules"], told["regime"]) == (layout, "single")
    part = "ids" if layout == "2020" else "sections"
    [(name, machine)] = told["machines"]["fan"][part].items()
    files = sorted(path.name for path in out.glob("*.csv"))
    scores: dict[str, float] = {}
    for path in out.glob("anomaly_score_*.csv"):
        scores |= _table(path)
    assert len(scores) == (4 if layout == "2020" else 8)
    names = {file: read_name(file) for file in scores}
    wrong = [n.anomalous is True for n in names.values() if n]
    domains = [n.domain for n in names.values() if n]
    again = figures_of(Rules(layout), wrong, domains, list(scores.values()))
    for measure, value in again.to_json().items():
        assert machine[measure] == pytest.approx(value)
        assert told["mean"][measure] == pytest.approx(value)
    assert auc(wrong, list(scores.values())) > 0.7
    assert told["baselines"]["statistics"]["auc"] == pytest.approx(told["mean"]["auc"])
    assert set(told["views"]["level"]) >= {"auc", "pauc"}
    assert "2 channels" not in called.err

    if layout == "2020":
        assert "official" not in told["mean"]
        assert files == [f"anomaly_score_fan_{name}.csv"]
        return
    assert "official" in called.out
    ends = ["source_test", "target_test"] if layout == "2021" else ["test"]
    kinds = ("anomaly_score", "decision_result")
    assert files == sorted(f"{kind}_fan_{name}_{end}.csv" for kind in kinds for end in ends)
    for end in ends:
        decided = _table(out / f"decision_result_fan_{name}_{end}.csv")
        for file, decision in decided.items():
            assert decision == (scores[file] > machine["threshold"])


def test_the_threshold_comes_from_clips_that_were_held_out(tmp_path: Path) -> None:
    root = small_tree(tmp_path, "2023")
    [machine] = find_data_set(root).machines
    learned = learn(machine)
    [result] = evaluate(find_data_set(root)).machines
    assert result.threshold == gamma_threshold(learned.training_scores)
    heard = [score_clip(learned, path, None).fused for path in machine.train]
    assert len(learned.training_scores) == len(heard)
    assert np.mean(learned.training_scores) > 1.1 * np.mean(heard)
    reference = [
        score
        for clip, score in zip(result.machine.test, result.scores["fused"], strict=True)
        if not clip.anomalous
    ]
    # of clips that were not trained on: half to twice what new normals get
    assert min(reference) / 2 < result.threshold < 2 * max(reference)


def test_statistics_are_what_no_network_sees(tmp_path: Path) -> None:
    onnx = write_network(tmp_path, maps_network(), maps_card())
    data = find_data_set(small_tree(tmp_path / "tree", "2020"))
    [plain] = evaluate(data).machines
    results = evaluate(data, SingleRegime((load_encoder(onnx),)))
    [result] = results.machines
    networked = set(result.scores) - set(plain.scores)
    assert networked
    assert result.scores[FUSED] != plain.scores[FUSED]
    assert result.baselines[STATISTICS] == pytest.approx(plain.scores[FUSED])
    assert networked <= set(results.to_json()["views"])


def test_another_channel_is_heard(command_line: CommandLine, tmp_path: Path) -> None:
    root = small_tree(tmp_path / "tree", "2026")
    near = evaluate(find_data_set(root)).machines[0]
    far = evaluate(find_data_set(root, channel=1)).machines[0]
    assert near.figures().auc > 0.7
    assert far.figures().auc < 0.3  # the far microphone hears whines in the normals
    called = command_line("evaluate", root, "--channel", 2, "--output", tmp_path / "out")
    assert called.code == 2
    assert "there is no channel 2" in called.message


def test_bad_sound_is_told_before_training(tmp_path: Path) -> None:
    root = small_tree(tmp_path, "2023")
    test = root / "fan/test/section_00_source_test_normal_0000_spd_24_hall_A.flac"
    sound = test.read_bytes()
    test.write_bytes(b"RIFF")
    with pytest.raises(UsageError, match=r"normal_0000.*not a recording"):
        evaluate(find_data_set(root), _Never())
    write(test, machine_sound(1.5))
    with pytest.raises(UsageError, match=r"normal_0000.*1\.50 s is shorter than a window"):
        evaluate(find_data_set(root), _Never())
    write(test, machine_sound(3.0, rate_hz=8000), 8000)
    with pytest.raises(
        UsageError, match=r"8000 Hz, while fan section_00 is trained on .* 16000 Hz"
    ):
        evaluate(find_data_set(root), _Never())
    test.write_bytes(sound)
    write(test, machine_sound(3.0, rate_hz=32000), 32000)
    notices = evaluate(find_data_set(root)).notices
    assert any("several rates (16000 Hz, 32000 Hz)" in notice for notice in notices)
    test.write_bytes(sound)
    for path in root.glob("fan/train/*_000[1-3]_*"):
        path.unlink()
    with pytest.raises(UsageError, match=r"section_00: 10 s of usable sound .* 5 s more"):
        evaluate(find_data_set(root), _Never())


class _Never:
    """A regime that must not be reached."""

    name = "never"

    def prepare(self, machines: object, progress: object) -> None:
        raise AssertionError("it trains")


def test_a_long_recording_counts_as_clips(tmp_path: Path) -> None:
    """Else the threshold would be the mean of all that is normal."""
    write(tmp_path / "fan/train/normal_id_00_00000000.wav", machine_sound(45.0))
    write(tmp_path / "fan/test/normal_id_00_00000001.wav", machine_sound(3.0, seed=1))
    write(tmp_path / "fan/test/anomaly_id_00_00000000.wav", machine_sound(3.0, seed=2, fault=1))
    [machine] = find_data_set(tmp_path).machines
    assert len(learn(machine).training_scores) == 5


def test_the_command_knows_every_year() -> None:
    assert [str(year) for year in RulesOf] == [str(year) for year in Rules]


def test_many_notices_of_one_kind_are_counted() -> None:
    told = gathered([*(f"{n}.wav: clipped" for n in range(5)), "0.wav: cut off", "0.wav: clipped"])
    assert told == ["0.wav and 4 more recordings: clipped", "0.wav: cut off"]


def test_without_torch_the_baseline_is_refused(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "torch" else find(name)
    )
    called = command_line("evaluate", tmp_path / "absent", "--baseline")
    assert called.code == 1
    assert "pip install -c constraints.txt '.[train]'" in called.message
